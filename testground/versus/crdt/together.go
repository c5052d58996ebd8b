package main

import (
	"slices"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
)

// saveConcurrent has each agent type what it typed, having seen what it had seen, and saves all
// commits. What an agent types until somebody else has seen it is one commit.
func (w work) saveConcurrent() (result, error) {
	list, first, err := newWriters(w.tr.NumAgents)
	if err != nil {
		return result{}, err
	}
	p := play{tr: w.tr, writers: list, blocks: []block.Block{first}, commit: make([]int, len(w.tr.Txns)), seen: make([][]bool, len(list))}
	for i := range p.seen {
		p.seen[i] = make([]bool, len(w.tr.Txns))
	}
	ends := w.tr.ends()
	for i, t := range w.tr.Txns {
		me := list[t.Agent]
		if err := p.see(t.Agent, t.Parents); err != nil {
			return result{}, err
		}
		p.seen[t.Agent][i] = true
		if err := me.Update(t.edit); err != nil {
			return result{}, err
		}
		if !ends[i] {
			p.commit[i] = -1
			continue
		}
		head, err := me.seal()
		if err != nil {
			return result{}, err
		}
		p.commit[i] = len(p.blocks)
		p.blocks, p.heads = append(p.blocks, me.made[len(me.made)-1]), append(p.heads, head)
	}
	all := make([]int, len(w.tr.Txns))
	for i := range all {
		all[i] = i
	}
	if err := p.see(0, all); err != nil {
		return result{}, err
	}
	heads, err := list[0].Heads()
	if err != nil {
		return result{}, err
	}
	return saveBlocks(w.file+".bundle", p.blocks, heads)
}

// play is a concurrent trace that is being typed.
type play struct {
	tr      *trace
	writers []*writer
	blocks  []block.Block // the first commit, and then those of heads
	heads   []crdt.Head
	commit  []int    // of each transaction that ends one: which of blocks; -1 else
	seen    [][]bool // by whom, of which transaction
}

// see has an agent apply all that led to some transactions.
func (p *play) see(agent int, txns []int) error {
	var lacks []int
	for stack := slices.Clone(txns); len(stack) > 0; {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if p.seen[agent][i] {
			continue
		}
		p.seen[agent][i] = true
		if p.commit[i] >= 0 {
			lacks = append(lacks, p.commit[i])
		}
		stack = append(stack, p.tr.Txns[i].Parents...)
	}
	if len(lacks) == 0 {
		return nil
	}
	slices.Sort(lacks)
	var blocks []block.Block
	var heads []crdt.Head
	for _, c := range lacks {
		blocks, heads = append(blocks, p.blocks[c]), append(heads, p.heads[c-1])
	}
	_, err := p.writers[agent].Apply(blocks, heads)
	return err
}

// ends tells of each transaction whether a commit ends with it: somebody else follows it, or
// nobody, or several do, or the next one of its agent does not.
func (t *trace) ends() []bool {
	children := make([]int, len(t.Txns))
	for _, x := range t.Txns {
		for _, p := range x.Parents {
			children[p]++
		}
	}
	ends := make([]bool, len(t.Txns))
	for i := range t.Txns {
		next := i + 1
		ends[i] = next == len(t.Txns) || children[i] != 1 || t.Txns[next].Agent != t.Txns[i].Agent || !slices.Equal(t.Txns[next].Parents, []int{i})
	}
	return ends
}
