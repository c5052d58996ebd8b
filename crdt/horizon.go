package crdt

import (
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// A horizon is a commit from which on the history is enough. One who manages the document since
// its first commit names it, in a later commit (OpHorizon): a commit that is critical as far as
// the later one knows, and the digest of the document as of it, signed.
//
// It is in effect as soon as there is a witness: a commit that has seen that everybody who may
// write, as of the witness, has committed after the horizon was named, or got the role only after
// that; and that has seen nothing concurrent to the horizon. That is decided by the witness's
// ancestors alone, so it never ceases. From then on commits that are concurrent to the horizon, and
// what follows these, are no part of the document: they are by writers who were removed, or who have
// two histories. Of several horizons the one with the greatest gen, then ID, is in effect.
//
// A horizon with a wrong digest has no effect for whoever has what is before it.
type horizon struct {
	by, at    int // the commit that names it, and the one it names
	digest    commit.Digest
	signature commit.Signature        // by the author of by
	outside   map[int]bool            // commits concurrent to it, and what follows them
	after     map[commit.Author][]int // first commits of each author that follow by
	witness   bool                    // there is one
}

// founder tells whether an author manages the document since its first commit. Who has nothing
// but a base can know no other managers.
func (h *history) founder(a commit.Author) bool {
	if h.base != nil {
		return h.base.founders[a]
	}
	return h.role(a, []int{0}) == commit.Manage
}

// notice notes what commit n, the newest, means for horizons.
func (h *history) notice(doc commit.ID, n int, parents []int, role commit.Role, ops *commit.Ops) {
	for _, z := range h.horizons {
		z.add(h, n, parents)
	}
	for _, op := range ops.Document {
		if op.Code == commit.OpHorizon && role == commit.Manage && h.founder(h.authorOf(n)) {
			if z := h.propose(doc, n, op.Data); z != nil {
				h.horizons = append(h.horizons, z)
			}
		}
	}
	for _, z := range h.horizons {
		z.witness = z.witness || h.witnesses(z, n)
	}
}

// propose is the horizon that commit n names, or nil.
func (h *history) propose(doc commit.ID, n int, data []byte) *horizon {
	id, rest := commit.ID(data), data[len(commit.ID{}):]
	at, ok := h.number(id)
	if !ok || at == n || !h.graph.Contains([]int{n}, at) {
		return nil
	}
	z := &horizon{by: n, at: at, digest: commit.Digest(rest), signature: commit.Signature(rest[len(commit.Digest{}):])}
	if !commit.VerifyBase(h.authorOf(n), doc, id, z.digest, &z.signature) {
		return nil
	}
	h.survey(z)
	if z.outside[n] {
		return nil
	}
	return z
}

// survey computes what is outside of a horizon, and who has committed after it was named.
func (h *history) survey(z *horizon) {
	z.outside, z.after = make(map[int]bool), make(map[commit.Author][]int)
	var parents []int
	for n := range h.graph.Len() {
		parents = h.graph.Parents(parents[:0], n)
		z.add(h, n, parents)
	}
}

// add adds a commit that is newer than all that were added.
func (z *horizon) add(h *history, n int, parents []int) {
	if n <= z.at && (n == z.at || h.graph.Contains([]int{z.at}, n)) {
		return
	}
	follows := func(p int) bool { return p == z.at || p > z.at && !z.outside[p] }
	if slices.ContainsFunc(parents, func(p int) bool { return z.outside[p] }) || !slices.ContainsFunc(parents, follows) {
		z.outside[n] = true
		return
	}
	a := h.authorOf(n)
	first := !slices.ContainsFunc(z.after[a], func(p int) bool { return h.graph.Contains([]int{n}, p) })
	if first && h.graph.Contains([]int{n}, z.by) {
		z.after[a] = append(z.after[a], n)
	}
}

// witnesses tells whether commit n is a witness of the horizon.
func (h *history) witnesses(z *horizon, n int) bool {
	version := []int{n}
	if z.outside[n] || !h.graph.Contains(version, z.by) {
		return false
	}
	for a := range h.grants {
		if !h.bound(z, a, version) && h.role(a, version) >= commit.Write {
			return false
		}
	}
	return true
}

// bound tells whether an author has committed after a horizon was named, or got to write only
// after that.
func (h *history) bound(z *horizon, a commit.Author, version []int) bool {
	if slices.ContainsFunc(z.after[a], func(n int) bool { return h.graph.Contains(version, n) }) {
		return true
	}
	return !slices.ContainsFunc(h.grants[a], func(g grant) bool {
		return g.role >= commit.Write && h.graph.Contains(version, g.commit) && !h.graph.Contains([]int{g.commit}, z.by)
	})
}

// outranks tells whether a horizon at commit a is in effect rather than one at b, or none.
func (h *history) outranks(a, b int) bool {
	return b < 0 || cmp.Or(cmp.Compare(h.gens[a], h.gens[b]), h.ids[a].Compare(h.ids[b])) > 0
}

// Horizon is the horizon in effect: all commits are before it, or follow it. ok is false if
// there is none.
func (d *Doc) Horizon() (id commit.ID, ok bool) {
	if d.history.floor < 0 {
		return id, false
	}
	return d.history.ids[d.history.floor], true
}

// Outranks tells whether the horizon of a replica is in effect where the other's is too.
func (d *Doc) Outranks(o *Doc) bool {
	h, g := d.history, o.history
	if h.floor < 0 || g.floor < 0 {
		return h.floor >= 0
	}
	return cmp.Or(cmp.Compare(h.gens[h.floor], g.gens[g.floor]), h.ids[h.floor].Compare(g.ids[g.floor])) > 0
}

// keeps tells whether a horizon may come into effect, is, or was when the history was forgotten.
func (h *history) keeps(z *horizon) bool {
	return z.at == h.floor || z.at == 0 && h.base != nil || h.outranks(z.at, h.floor)
}

// settle finds the horizon in effect, and the commits that are no part of the document by it.
func (d *Doc) settle(from *source) (outside map[commit.ID]bool, err error) {
	h := d.history
	var best *horizon
	for _, z := range h.horizons {
		if !z.witness || !h.outranks(z.at, h.floor) {
			continue
		}
		right, err := d.verify(z, from)
		if err != nil {
			return nil, err
		}
		if right {
			best, h.floor = z, z.at
		}
	}
	if best != nil {
		h.horizons = slices.DeleteFunc(h.horizons, func(z *horizon) bool { return !h.keeps(z) })
	}
	if best == nil || len(best.outside) == 0 {
		return nil, nil
	}
	outside = make(map[commit.ID]bool)
	for n := range best.outside {
		outside[h.ids[n]] = true
	}
	return outside, nil
}

// verify tells whether a horizon has the right digest.
func (d *Doc) verify(z *horizon, from *source) (right bool, err error) {
	says := claim{d.history.ids[z.at], z.digest}
	if right, ok := d.judged[says]; ok {
		return right, nil
	}
	base, err := d.baseAt(z.at, from)
	if err != nil {
		return false, fmt.Errorf("verify horizon of %s: %w", d.id, err)
	}
	right = sha256.Sum256(base) == z.digest && len(base) <= BaseSizeMax
	d.judged[says] = right
	return right, nil
}

// Wrong are the commits that were named as horizons with a digest that is not that of the document.
// Whoever did so has lied to those who will know no more than what follows them.
func (d *Doc) Wrong() []commit.ID {
	var list []commit.ID
	for says, right := range d.judged {
		if !right {
			list = append(list, says.at)
		}
	}
	slices.SortFunc(list, commit.ID.Compare)
	return list
}

// claim is what a horizon says of a commit.
type claim struct {
	at     commit.ID
	digest commit.Digest
}

// conclude computes the state again without what a horizon in effect leaves outside, if there is
// anything. It returns what that is.
func (d *Doc) conclude(from *source) (map[commit.ID]bool, error) {
	outside, err := d.settle(from)
	if err != nil || len(outside) == 0 {
		return nil, err
	}
	h := d.history
	for n, id := range h.ids {
		if !outside[id] {
			continue
		}
		c, _, err := from.commit(h.ids[n])
		if err != nil {
			return nil, err
		}
		for _, p := range c.Parents { // who may be a head now
			if p.Signature != nil && !outside[p.ID] {
				d.signed[p.ID] = p.Signature
			}
		}
	}
	ids := slices.DeleteFunc(slices.Clone(h.ids), func(id commit.ID) bool { return outside[id] })
	if err := d.rebuild(ids, from, nil); err != nil {
		return nil, err
	}
	_, err = d.settle(from) // which leaves nothing outside any more
	return outside, err
}

// witnessed settles what the commit that was sealed is a witness of. It follows all heads, so
// nothing is outside; if it does not, that is for the next Apply.
func (d *Doc) witnessed() error {
	_, err := d.conclude(&source{blocks: d.blocks})
	return err
}

// quiet is the newest critical commit that those who write these days have committed after, or -1:
// what they commit at this moment, and others do not know yet, follows it, and it will be critical
// still. Who has not committed since the middle of what is recent does not count: if they have
// committed something that nobody knows, another horizon must be named.
func (h *history) quiet() int {
	last := h.graph.Len() - 1
	bound := last
	for a, grants := range h.grants {
		i := slices.IndexFunc(grants, func(g grant) bool { return g.role >= commit.Write })
		if i < 0 || h.roleNow(a) < commit.Write {
			continue
		}
		seen := grants[i].commit
		if n, ok := h.known[a]; ok {
			seen = max(seen, h.last[n])
		}
		if seen > (h.floor+last)/2 {
			bound = min(bound, seen)
		}
	}
	for _, s := range slices.Backward(h.graph.CriticalSpans()) {
		if s.First <= bound {
			at := min(s.End-1, bound)
			if at > (h.floor+last)/2 {
				return at
			}
			break
		}
	}
	return -1
}

// Retire names a horizon: the newest commit after which everybody who writes these days has committed,
// if there is one, or the newest of all. Before it the history can be forgotten (Compact) as soon as
// everybody who may write has committed after this. It makes one or two commits, which are returned
// with the head that follows them. Who does not manage the document since its first commit gets
// ErrRole. Edits must be sealed.
func (d *Doc) Retire(key ed25519.PrivateKey, wall uint64) ([]block.Block, Head, error) {
	if d.open != nil {
		return nil, Head{}, fmt.Errorf("set horizon of %s: %w", d.id, ErrOpen)
	}
	if d.Role(d.author) < commit.Manage || !d.history.founder(d.author) {
		return nil, Head{}, fmt.Errorf("set horizon of %s: by %s: %w", d.id, d.author, ErrRole)
	}
	var blocks []block.Block
	fresh := make(map[commit.ID]block.Block)
	at := d.history.quiet()
	if heads := d.history.graph.Heads(); at < 0 && len(heads) > 1 {
		if len(heads) > commit.ParentsMax {
			return nil, Head{}, fmt.Errorf("set horizon of %s: %d heads: %w", d.id, len(heads), ErrHeads)
		}
		b, head, err := d.follows(heads, key, wall)
		if err != nil {
			return nil, Head{}, err
		}
		blocks, fresh[head.ID] = append(blocks, b), b
	}
	if at < 0 {
		at = d.history.graph.Heads()[0]
	}
	data, err := d.baseAt(at, &source{fresh: fresh, blocks: d.blocks})
	if err != nil {
		return blocks, Head{}, fmt.Errorf("set horizon of %s: %w", d.id, err)
	}
	if len(data) > BaseSizeMax {
		return blocks, Head{}, fmt.Errorf("set horizon of %s: %d bytes: %w", d.id, len(data), ErrFull)
	}
	digest := commit.Digest(sha256.Sum256(data))
	id := d.history.ids[at]
	d.judged[claim{id, digest}] = true
	err = d.Update(func(tx *Tx) error {
		tx.add(nil, commit.Op{Code: commit.OpHorizon, Data: slices.Concat(id[:], digest[:], commit.SignBase(key, d.id, id, digest)[:])})
		return nil
	})
	if err != nil {
		return blocks, Head{}, err
	}
	b, head, err := d.Seal(key, wall)
	return append(blocks, b), head, err
}

// pending is the horizon that was named and is not in effect, or nil: of several the one that would
// be in effect rather than the others.
func (d *Doc) pending() (best *horizon) {
	h := d.history
	for _, z := range h.horizons {
		right, judged := d.judged[claim{h.ids[z.at], z.digest}]
		if z.witness || judged && !right || !h.outranks(z.at, h.floor) || h.hopeless(z) {
			continue
		}
		if best == nil || h.outranks(z.at, best.at) {
			best = z
		}
	}
	return best
}

// hopeless tells whether somebody who may write has commits outside of a horizon: who has seen them
// cannot be a witness of it, and who made them has.
func (h *history) hopeless(z *horizon) bool {
	for n := range z.outside {
		if h.roleNow(h.authorOf(n)) >= commit.Write {
			return true
		}
	}
	return false
}

// Pending tells which horizon was named and is not in effect yet, and who has to commit before it
// can be, by author. If there is none to wait for, any commit that follows all heads brings it into
// effect. ok is false if no horizon is pending.
func (d *Doc) Pending() (id commit.ID, awaited []commit.Author, ok bool) {
	z := d.pending()
	if z == nil {
		return id, nil, false
	}
	h := d.history
	heads := h.graph.Heads()
	for a := range h.grants {
		if !h.bound(z, a, heads) && h.role(a, heads) >= commit.Write {
			awaited = append(awaited, a)
		}
	}
	slices.SortFunc(awaited, func(a, b commit.Author) int { return slices.Compare(a[:], b[:]) })
	return h.ids[z.at], awaited, true
}

// Agree makes a commit without edits if that brings the pending horizon nearer: if the author is one
// of those who are awaited, or nobody is. Otherwise the block that it returns is the zero Block.
// Edits must be sealed, and the heads as few as a commit can follow.
func (d *Doc) Agree(key ed25519.PrivateKey, wall uint64) (block.Block, Head, error) {
	_, awaited, ok := d.Pending()
	if !ok || len(awaited) > 0 && !slices.Contains(awaited, d.author) || d.Role(d.author) < commit.Write {
		return block.Block{}, Head{}, nil
	}
	heads := d.history.graph.Heads()
	switch {
	case d.open != nil:
		return block.Block{}, Head{}, fmt.Errorf("agree to horizon of %s: %w", d.id, ErrOpen)
	case len(heads) > commit.ParentsMax:
		return block.Block{}, Head{}, fmt.Errorf("agree to horizon of %s: %d heads: %w", d.id, len(heads), ErrHeads)
	}
	return d.follows(heads, key, wall)
}
