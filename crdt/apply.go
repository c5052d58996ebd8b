package crdt

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// Report says what became of what Apply was given.
type Report struct {
	Applied  []block.Block // parents before children
	Rejected []Rejection
	Missing  []commit.ID // parents of waiting commits, which are not here; up to MissingMax
	Void     []commit.ID // commits that were applied before and have no effect any more
	Outside  []commit.ID // commits that were applied before and are no part of the document any more: see Horizon
	Forks    []Fork
}

// Fork is two commits of one author of which neither follows the other. They do no harm here;
// that they are there proves that the author's key is used twice.
type Fork struct {
	Author   commit.Author
	ID1, ID2 commit.ID
}

// Rejection is a commit, or a head, that will be refused everywhere, and why.
type Rejection struct {
	ID  commit.ID
	Err error
}

// Apply takes commits, and heads that their authors have signed, in any order and as often as
// they come. It applies what is authentic and has all its parents; the rest waits, of which so
// much is kept for the next time as there is room for. An error means that the state is lost.
func (d *Doc) Apply(blocks []block.Block, heads []Head) (Report, error) {
	var r Report
	if d.open != nil {
		return r, fmt.Errorf("apply to %s: %w", d.id, ErrOpen)
	}
	if d.broken != nil {
		return r, d.broken
	}
	for _, b := range blocks {
		d.receive(b, &r)
	}
	for _, x := range slices.Clone(r.Rejected) {
		if errors.Is(x.Err, ErrBeforeHorizon) {
			for _, w := range slices.Clone(d.waiting.children[x.ID]) {
				d.reject(w, ErrBeforeHorizon, &r)
			}
		}
	}
	for _, h := range heads {
		d.authenticate(h, &r)
	}
	a := applying{doc: d, report: &r}
	for _, w := range d.proven(&r) {
		if d.waiting.commits[w.id] != w {
			continue // it follows what was rejected
		}
		if err := a.admit(w); err != nil {
			d.reject(w, err, &r)
			continue
		}
		d.waiting.remove(w)
		a.admitted = append(a.admitted, w)
	}
	if err := a.finish(); err != nil {
		d.broken = err
		return r, err
	}
	r.Missing = d.waiting.missing()
	return r, nil
}

// receive makes a block wait.
func (d *Doc) receive(b block.Block, r *Report) {
	c, id, err := commit.Decode(b)
	if err == nil && (len(c.Parents) == 0) != (id == d.id) {
		err = fmt.Errorf("commit %s begins another document: %w", id, ErrInvalid)
	}
	if err == nil && d.base != nil && c.Gen <= uint64(d.base.gen) && !d.Has(id) {
		err = fmt.Errorf("commit %s: %w", id, ErrBeforeHorizon)
	}
	if err != nil {
		r.Rejected = append(r.Rejected, Rejection{id, err})
		return
	}
	if !d.Has(id) {
		d.waiting.add(&waiter{id: id, block: b, commit: c})
	}
}

// authenticate keeps the signature of a head that waits.
func (d *Doc) authenticate(h Head, r *Report) {
	w, ok := d.waiting.commits[h.ID]
	if !ok || w.signature != nil {
		return
	}
	if !commit.Verify(w.commit.Author, d.id, h.ID, h.Signature) {
		r.Rejected = append(r.Rejected, Rejection{h.ID, fmt.Errorf("head %s: signature: %w", h.ID, ErrInvalid)})
		return
	}
	d.waiting.sign(w, h.Signature)
}

// proven are the waiting commits that can be applied, parents before children: those that are
// signed, if all that they follow is here, and what they follow. A commit that is vouched for
// by one that cannot be applied yet waits with it: nobody could commit after it, as nobody
// has its signature.
func (d *Doc) proven(r *Report) []*waiter {
	var list []*waiter
	complete := d.waiting.proven()
	d.verifyEdges(complete)
	needed := make(map[*waiter]bool)
	for _, w := range slices.Backward(complete) {
		if !needed[w] && w.signature == nil {
			continue
		}
		list = append(list, w)
		for i, p := range w.commit.Parents {
			parent, ok := d.waiting.commits[p.ID]
			if !ok {
				continue // it is applied
			}
			if err := d.vouches(w, i, parent.commit.Author); err != nil {
				d.reject(w, err, r)
				break
			}
			if parent.signature == nil {
				parent.signature = p.Signature
			}
			needed[parent] = true
		}
	}
	slices.Reverse(list)
	return list
}

// verifyFew is up to how many signatures are not worth the trouble of verifying them at once.
const verifyFew = 16

// verifyEdges looks at the signatures that proven will ask for, on all processors: of what many have
// written in turns they are most of the work.
func (d *Doc) verifyEdges(complete []*waiter) {
	type edge struct {
		w  *waiter
		i  int // parent
		by commit.Author
		ok bool
	}
	var edges []edge
	needed := make(map[*waiter]bool)
	for _, w := range slices.Backward(complete) {
		if !needed[w] && w.signature == nil {
			continue
		}
		for i, p := range w.commit.Parents {
			if parent, ok := d.waiting.commits[p.ID]; ok {
				needed[parent] = true
				if by := parent.commit.Author; by != w.commit.Author && !w.vouches(i) {
					edges = append(edges, edge{w, i, by, false})
				}
			}
		}
	}
	if len(edges) <= verifyFew {
		return
	}
	var tasks sync.WaitGroup
	for part := range slices.Chunk(edges, (len(edges)-1)/runtime.GOMAXPROCS(0)+1) {
		tasks.Go(func() {
			for k := range part {
				e := &part[k]
				p := e.w.commit.Parents[e.i]
				e.ok = commit.Verify(e.by, d.id, p.ID, p.Signature)
			}
		})
	}
	tasks.Wait()
	for _, e := range edges {
		if e.ok {
			e.w.vouch(e.i)
		}
	}
}

// vouches checks that a commit has the signature of its i-th parent if that is by somebody
// else, and none if it is by the same author.
func (d *Doc) vouches(w *waiter, i int, by commit.Author) error {
	c, p := w.commit, w.commit.Parents[i]
	if w.vouches(i) {
		return nil
	}
	if c.Author == by && p.Signature != nil || c.Author != by && !commit.Verify(by, d.id, p.ID, p.Signature) {
		return fmt.Errorf("parent %s: signature: %w", p.ID, ErrInvalid)
	}
	w.vouch(i)
	return nil
}

// reject drops a commit, and those that wait for it.
func (d *Doc) reject(w *waiter, err error, r *Report) {
	list := []*waiter{w}
	for len(list) > 0 {
		w := list[len(list)-1]
		list = list[:len(list)-1]
		if !d.waiting.remove(w) {
			continue
		}
		r.Rejected = append(r.Rejected, Rejection{w.id, fmt.Errorf("commit %s: %w", w.id, err)})
		cause := ErrInvalid
		if errors.Is(err, ErrBeforeHorizon) {
			cause = ErrBeforeHorizon
		}
		err = fmt.Errorf("follows what was rejected: %w", cause)
		list = append(list, d.waiting.children[w.id]...)
	}
}

// applying is an Apply under way.
type applying struct {
	doc      *Doc
	report   *Report
	admitted []*waiter
	void     []commit.ID // commits that were applied and have become void
}

// admit applies a commit of which all parents are applied, or tells what is wrong with it.
func (a *applying) admit(w *waiter) error {
	d, h, c := a.doc, a.doc.history, w.commit
	parents := h.parents(c)
	if h.floor >= 0 && parents[0] < h.floor {
		return ErrBeforeHorizon
	}
	gen := uint32(0)
	for i, p := range c.Parents {
		n, _ := h.number(p.ID)
		gen = max(gen, h.gens[n])
		if err := d.vouches(w, i, h.authorOf(n)); err != nil {
			return err
		}
	}
	if c.Gen != uint64(gen)+1 {
		return fmt.Errorf("gen %d after %d: %w", c.Gen, gen, ErrInvalid)
	}
	ops, err := parseOps(c)
	if err != nil {
		return errors.Join(ErrInvalid, err)
	}
	role := h.roleOf(c, parents)
	if role < commit.Write {
		return fmt.Errorf("by %s: %w", c.Author, ErrRole)
	}
	if !slices.Equal(h.refs(parents), c.Refs) {
		return fmt.Errorf("%d refs: %w", len(c.Refs), ErrInvalid)
	}
	a.apply(w, parents, role, ops)
	return nil
}

// apply applies a commit that may be applied.
func (a *applying) apply(w *waiter, parents []int, role commit.Role, ops *commit.Ops) {
	d, h, c := a.doc, a.doc.history, w.commit
	if other := h.fork(c.Author, parents); other >= 0 {
		a.report.Forks = append(a.report.Forks, Fork{c.Author, h.ids[other], w.id})
	}
	unseen := h.unseen(h.graph.Heads(), parents)
	n := h.add(c.Author, parents)
	h.name(n, w.id)
	if w.signature != nil {
		d.signed[w.id] = w.signature
	}
	for _, g := range grants(c, n, role, ops) {
		a.grant(g)
	}
	h.undoes(n, ops)
	h.notice(d.id, n, parents, role, ops)
	if len(a.void) == 0 { // or all is computed again in the end
		void := h.isVoid(h.graph.Heads(), n)
		d.apply(&step{history: h, commit: n, unseen: unseen, void: void}, ops)
	}
}

// grant gives somebody a role, or takes it away, and with it what they did meanwhile.
func (a *applying) grant(g grant) {
	h := a.doc.history
	if g.role >= commit.Write {
		h.grant(g)
		return
	}
	before := h.Void(h.graph.Heads())
	h.grant(g)
	for _, c := range h.Void(h.graph.Heads()) {
		if _, ok := slices.BinarySearch(before, c); !ok {
			a.void = append(a.void, h.ids[c])
		}
	}
}

// finish brings the state up to date.
func (a *applying) finish() error {
	d := a.doc
	from := &source{fresh: make(map[commit.ID]block.Block), blocks: d.blocks}
	for _, w := range a.admitted {
		from.fresh[w.id] = w.block
	}
	d.waiting.tidy()
	outside, err := d.conclude(from)
	if err != nil {
		return err
	}
	unproven := d.unproven()
	a.sort(outside, unproven)
	if len(a.void) > 0 || len(unproven) > 0 {
		ids := slices.DeleteFunc(slices.Clone(d.history.ids), func(id commit.ID) bool { return unproven[id] })
		if err := d.rebuild(ids, from, nil); err != nil {
			return err
		}
		if _, err := d.settle(from); err != nil {
			return err
		}
		a.report.Void = slices.DeleteFunc(a.void, func(id commit.ID) bool { return unproven[id] || outside[id] })
	}
	d.merge()
	d.forget()
	return nil
}

// sort tells what has become of the commits that were admitted, and of older ones.
func (a *applying) sort(outside, unproven map[commit.ID]bool) {
	for _, w := range a.admitted {
		switch {
		case outside[w.id]:
			a.report.Rejected = append(a.report.Rejected, Rejection{w.id, fmt.Errorf("commit %s: %w", w.id, ErrBeforeHorizon)})
			delete(outside, w.id)
		case unproven[w.id]:
			a.doc.waiting.undo(w)
		default:
			a.report.Applied = append(a.report.Applied, w.block)
		}
	}
	a.report.Outside = slices.SortedFunc(maps.Keys(outside), commit.ID.Compare)
}

// unproven are the newest commits that only such vouch for as turned out to be invalid. They
// have to wait for others.
func (d *Doc) unproven() map[commit.ID]bool {
	g := &d.history.graph
	list := make(map[commit.ID]bool)
	proven := func(n int) bool { return d.signed[d.history.ids[n]] != nil || n == 0 && d.base != nil }
	if !slices.ContainsFunc(g.Heads(), func(n int) bool { return !proven(n) }) {
		return list
	}
	children := make(map[int]int) // that begin a chain and are not on the list
	for _, parents := range g.Runs() {
		for _, p := range parents {
			children[int(p)]++
		}
	}
	var parents []int
	for heads := slices.Clone(g.Heads()); len(heads) > 0; {
		n := heads[len(heads)-1]
		heads = heads[:len(heads)-1]
		if proven(n) {
			continue
		}
		list[d.history.ids[n]] = true
		parents = g.Parents(parents[:0], n)
		for _, p := range parents {
			if !g.Chain(p, n) {
				children[p]--
			}
			// The next in its chain is on the list, or there is none.
			last := p+1 == g.Len() || !g.Chain(p, p+1) || list[d.history.ids[p+1]]
			if last && children[p] == 0 {
				heads = append(heads, p)
			}
		}
	}
	return list
}

// forget drops the signatures of commits that are not heads any more.
func (d *Doc) forget() {
	if heads := d.history.graph.Heads(); len(d.signed) > len(heads) {
		signed := make(map[commit.ID]*commit.Signature, len(heads))
		for _, n := range heads {
			id := d.history.ids[n]
			signed[id] = d.signed[id]
		}
		d.signed = signed
	}
}
