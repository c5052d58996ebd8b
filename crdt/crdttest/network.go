package crdttest

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// message is blocks and heads on their way.
type message struct {
	to     *replica
	from   int // number of the sender
	due    int // step
	blocks []block.Block
	heads  []crdt.Head
	base   *crdt.Base // with which the blocks begin, or nil
}

// network is a document with some replicas, and what is on its way between them.
type network struct {
	rng      *rand.Rand
	options  Options
	kinds    []commit.Kind
	steps    int
	now      int
	replicas []*replica // of which the first manages
	liars    []*liar
	forged   map[commit.ID]bool // commits in the name of others
	parts    []int              // of the network, in which each replica is
	messages []message
	keys     map[commit.Author]ed25519.PrivateKey
	memories []memory
}

// replica is a Doc, and the blocks it has applied.
type replica struct {
	number  int
	key     ed25519.PrivateKey
	doc     *crdt.Doc
	applied []block.Block // in their order
	blocks  map[commit.ID]block.Block
	all     map[commit.ID]block.Block // that any replica has ever applied
	shadow  shadow                    // nil once the replica has begun with a base
}

// Block finds a block for the Doc.
func (r *replica) Block(id commit.ID) (block.Block, error) {
	b, ok := r.blocks[id]
	if !ok {
		return b, fmt.Errorf("get %s: %w", id, block.ErrNotFound)
	}
	return b, nil
}

func keyOf(n int) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(n + 1)}, ed25519.SeedSize))
}

func authorOf(n int) commit.Author { return commit.AuthorOf(keyOf(n)) }

func newNetwork(seed uint64, o Options) (*network, error) {
	rng := rand.New(rand.NewPCG(seed, 20))
	n := &network{rng: rng, options: o, kinds: o.Kinds, steps: o.Steps}
	count := o.Replicas
	if count == 0 {
		count = 2 + rng.IntN(3)
	}
	if n.steps == 0 {
		n.steps = 20 + rng.IntN(61)
	}
	if len(n.kinds) == 0 {
		for k := commit.Text; k <= commit.Set; k++ {
			n.kinds = append(n.kinds, k)
		}
	}
	g := crdt.Genesis{Members: make(map[commit.Author]commit.Role)}
	n.keys = make(map[commit.Author]ed25519.PrivateKey)
	liars := (count + 1) / 2 // at least one third of all writers
	for i := range count + liars {
		n.keys[authorOf(i)] = keyOf(i)
		g.Members[authorOf(i)] = commit.Write
		if rng.IntN(3) == 0 && !o.Honest {
			g.Members[authorOf(i)] = commit.Manage
		}
	}
	first, head, err := crdt.Create(keyOf(0), g)
	if err != nil {
		return nil, err
	}
	for i := range count {
		n.replicas = append(n.replicas, &replica{number: i, key: keyOf(i)})
	}
	if !o.Honest && rng.IntN(3) == 0 {
		// A replica with the key of another: its owner has two histories.
		n.replicas = append(n.replicas, &replica{number: count, key: keyOf(count - 1)})
	}
	all := make(map[commit.ID]block.Block)
	for _, r := range n.replicas {
		r.all = all
		r.start(head.ID)
		if _, err := r.receive([]block.Block{first}, []crdt.Head{head}); err != nil {
			return nil, err
		}
	}
	n.parts = make([]int, len(n.replicas))
	if !o.Honest && rng.IntN(3) == 0 {
		n.forged = make(map[commit.ID]bool)
		for i := range liars {
			n.liars = append(n.liars, &liar{key: keyOf(count + i), rng: rng, forged: n.forged})
		}
	}
	return n, nil
}

// start makes the replica one that knows nothing.
func (r *replica) start(id commit.ID) {
	r.applied, r.blocks = nil, make(map[commit.ID]block.Block)
	r.doc = crdt.New(id, commit.AuthorOf(r.key), r)
	r.doc.Deltas() // from now on
	r.shadow = make(shadow)
}

func (r *replica) keep(blocks ...block.Block) {
	for _, b := range blocks {
		id, _ := commit.IDOf(b.Cid())
		r.blocks[id], r.all[id] = b, b
		r.applied = append(r.applied, b)
	}
}

// take takes a message.
func (r *replica) take(m message) (crdt.Report, error) {
	if m.base != nil {
		if err := r.adopt(m.base, m.blocks, m.heads); err != nil {
			return crdt.Report{}, err
		}
	}
	return r.receive(m.blocks, m.heads)
}

func (r *replica) receive(blocks []block.Block, heads []crdt.Head) (crdt.Report, error) {
	report, err := r.doc.Apply(blocks, heads)
	if err != nil {
		return report, fmt.Errorf("replica %d: %w", r.number, err)
	}
	r.keep(report.Applied...)
	r.drop(report.Outside)
	return report, nil
}

// step is something that happens.
func (n *network) step() error {
	n.now++
	r := n.replicas[n.rng.IntN(len(n.replicas))]
	var err error
	switch n.rng.IntN(16) {
	case 0, 1, 2, 3, 4:
		err = n.edit(r)
	case 5, 6:
		err = n.pull(r)
	case 7:
		n.split()
	case 8:
		if n.rng.IntN(3) == 0 {
			err = n.restart(r)
		}
	case 9:
		for _, l := range n.liars {
			l.lie(n, r)
		}
	case 10:
		err = n.grant(r)
	case 11:
		if n.rng.IntN(4) == 0 {
			err = n.check(r)
		}
	case 12:
		if n.rng.IntN(4) == 0 {
			err = n.remember(r)
		}
	case 13:
		if n.rng.IntN(3) == 0 {
			err = r.reopen()
		}
	case 14:
		err = n.retire(r)
	case 15:
		err = r.compact()
	}
	if err != nil {
		return err
	}
	if n.rng.IntN(2) == 0 {
		if err := r.watch(); err != nil {
			return err
		}
	}
	return n.deliver(n.now)
}

// edit makes commits, and sends them to some.
func (n *network) edit(r *replica) error {
	for range 1 + n.rng.IntN(3) {
		if err := n.undo(r); err != nil {
			return err
		}
		for range 1 + n.rng.IntN(3) {
			err := r.doc.Update(func(tx *crdt.Tx) error { n.random(r, tx); return nil })
			if err != nil && !errors.Is(err, crdt.ErrRole) {
				return fmt.Errorf("replica %d: %w", r.number, err)
			}
		}
		b, head, err := r.doc.Seal(r.key, n.rng.Uint64N(1<<41))
		if err != nil {
			return fmt.Errorf("replica %d: %w", r.number, err)
		}
		if b.Size() > 0 {
			r.keep(b)
			n.publish(r, []block.Block{b}, []crdt.Head{head})
		}
	}
	return nil
}

// undo undoes or redoes what the author has done, if there is anything.
func (n *network) undo(r *replica) error {
	if n.rng.IntN(8) > 0 {
		return nil
	}
	f := r.doc.Undo
	if n.rng.IntN(2) == 0 {
		f = r.doc.Redo
	}
	err := f()
	if errors.Is(err, crdt.ErrRole) || errors.Is(err, crdt.ErrMissing) || errors.Is(err, crdt.ErrOpen) {
		return nil // or there is nothing to undo, or a grant is not sealed
	}
	return err
}

// publish sends to all, some of whom get it late, twice, or never.
func (n *network) publish(r *replica, blocks []block.Block, heads []crdt.Head) {
	for _, to := range n.replicas {
		for range n.rng.IntN(3) {
			if to != r {
				n.messages = append(n.messages, message{to, r.number, n.now + n.rng.IntN(20), blocks, heads, nil})
			}
		}
	}
}

// pull asks another replica for what it has, of which some may get lost.
func (n *network) pull(r *replica) error {
	from := n.replicas[n.rng.IntN(len(n.replicas))]
	heads, err := from.doc.Heads()
	if err != nil {
		return err
	}
	blocks := slices.Clone(from.applied)
	if n.rng.IntN(3) == 0 {
		n.rng.Shuffle(len(blocks), func(i, k int) { blocks[i], blocks[k] = blocks[k], blocks[i] })
		blocks = blocks[:n.rng.IntN(len(blocks)+1)]
	}
	base, err := from.offer(r)
	if err != nil {
		return err
	}
	n.messages = append(n.messages, message{r, from.number, n.now + n.rng.IntN(3), blocks, heads, base})
	return nil
}

// split makes parts of the network, or makes it whole.
func (n *network) split() {
	whole := n.rng.IntN(2) == 0
	for i := range n.parts {
		n.parts[i] = n.rng.IntN(2)
		if whole {
			n.parts[i] = 0
		}
	}
}

// restart makes a replica start anew from its blocks, in another order.
func (n *network) restart(r *replica) error {
	before := r.doc.Dump()
	heads, err := r.doc.Heads()
	if err != nil {
		return err
	}
	blocks, compacted := r.applied, r.doc.Compacted()
	var base crdt.Base
	if compacted {
		if base, err = r.doc.Origin(); err != nil {
			return err
		}
	}
	r.start(r.doc.ID())
	if compacted {
		if r.doc, err = crdt.Begin(r.doc.ID(), base, commit.AuthorOf(r.key), r); err != nil {
			return err
		}
		r.shadow = nil
	}
	n.rng.Shuffle(len(blocks), func(i, k int) { blocks[i], blocks[k] = blocks[k], blocks[i] })
	report, err := r.receive(blocks, heads)
	if err != nil {
		return err
	}
	if len(report.Rejected) > 0 || !bytes.Equal(r.doc.Dump(), before) {
		return fmt.Errorf("replica %d: another state after a restart; rejected: %v", r.number, report.Rejected)
	}
	return nil
}

// grant gives somebody another role, if the replica may.
func (n *network) grant(r *replica) error {
	if n.options.Honest || n.rng.IntN(3) > 0 {
		return nil
	}
	to := authorOf(n.rng.IntN(len(n.replicas) + 1))
	err := r.doc.Update(func(tx *crdt.Tx) error { tx.Grant(to, commit.Role(n.rng.IntN(4))); return nil })
	if err != nil {
		if errors.Is(err, crdt.ErrRole) {
			return nil
		}
		return fmt.Errorf("replica %d: %w", r.number, err)
	}
	return n.edit(r)
}

// deliver hands over what is due and not lost.
func (n *network) deliver(now int) error {
	var due, rest []message
	for _, m := range n.messages {
		switch {
		case m.due > now:
			rest = append(rest, m)
		case m.from >= 0 && n.parts[m.from] != n.parts[m.to.number] || n.rng.IntN(10) == 0:
			// lost
		default:
			due = append(due, m)
		}
	}
	n.messages = rest
	n.rng.Shuffle(len(due), func(i, k int) { due[i], due[k] = due[k], due[i] })
	for _, m := range due {
		if _, err := m.to.take(m); err != nil {
			return err
		}
	}
	return nil
}

// heal gives everybody what everybody has, and compares.
func (n *network) heal() error {
	for range 3 {
		for _, r := range n.replicas {
			for _, from := range n.replicas {
				heads, err := from.doc.Heads()
				if err != nil {
					return err
				}
				base, err := from.offer(r)
				if err != nil {
					return err
				}
				report, err := r.take(message{blocks: from.applied, heads: heads, base: base})
				if err != nil {
					return err
				}
				for _, no := range report.Rejected {
					if _, ok := from.blocks[no.ID]; ok && !errors.Is(no.Err, crdt.ErrBeforeHorizon) {
						return fmt.Errorf("replica %d rejects what replica %d has applied: %w", r.number, from.number, no.Err)
					}
				}
			}
		}
	}
	snapshots := make(map[string][]byte) // by base
	for _, r := range n.replicas {
		if err := n.check(r); err != nil {
			return err
		}
		if err := r.watch(); err != nil {
			return err
		}
		s, err := r.doc.Snapshot()
		if err != nil {
			return err
		}
		base := ""
		if r.doc.Compacted() {
			b, err := r.doc.Origin()
			if err != nil {
				return err
			}
			base = string(b.Bytes)
		}
		if other, ok := snapshots[base]; ok && !bytes.Equal(s, other) {
			return fmt.Errorf("the snapshot of replica %d differs", r.number)
		}
		snapshots[base] = s
		if !bytes.Equal(r.doc.Dump(), n.replicas[0].doc.Dump()) {
			return fmt.Errorf("replicas 0 and %d differ", r.number)
		}
	}
	if err := n.recall(); err != nil {
		return err
	}
	return n.restart(n.replicas[n.rng.IntN(len(n.replicas))])
}
