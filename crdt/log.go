package crdt

import (
	"fmt"
	"iter"
	"slices"

	"github.com/p2pnode/p2pnode/crdt/commit"
)

// At is the document as of a version, to read: what these commits and their ancestors have
// done. It does not change, whatever comes later. Roles are those that the version knows: what
// a writer has done who was removed only later has its effect in it, and if the version
// holds both the removal and what it makes void, that has none. So it is what a replica has to
// which nobody ever sent anything else. The version of no commits is an empty document.
//
// It reads the version's commits again, and takes as long as applying them did. Its heads are
// not signed.
func (d *Doc) At(heads ...commit.ID) (*Doc, error) {
	version, err := d.version(heads)
	if err != nil {
		return nil, fmt.Errorf("version of %s: %w", d.id, err)
	}
	if len(heads) == 0 && d.base != nil {
		return nil, fmt.Errorf("version of %s: %w", d.id, ErrBeforeHorizon)
	}
	from := &source{blocks: d.blocks}
	past, err := d.at(version, from)
	if err != nil {
		return nil, err
	}
	if _, err := past.conclude(from); err != nil {
		return nil, err
	}
	past.merge()
	return past, nil
}

// version is the numbers of commits.
func (d *Doc) version(ids []commit.ID) ([]int, error) {
	version, ok := d.history.numbered(ids)
	if !ok && d.base != nil {
		return nil, fmt.Errorf("%w, or %w", ErrMissing, ErrBeforeHorizon)
	}
	if !ok {
		return nil, ErrMissing
	}
	return version, nil
}

// at is the document as of a version, which is the base if it is empty.
func (d *Doc) at(version []int, from *source) (*Doc, error) {
	past := d.blank()
	spans, _ := d.history.graph.Diff(version, nil)
	var ids []commit.ID
	for _, s := range slices.Backward(spans) {
		ids = append(ids, d.history.ids[s.First:s.End]...)
	}
	if err := past.rebuild(ids, from, nil); err != nil {
		return nil, err
	}
	past.merge()
	past.broken = fmt.Errorf("change %s: %w", d.id, ErrPast)
	return past, nil
}

// Entry is a commit as a log shows it.
type Entry struct {
	ID      commit.ID
	Author  commit.Author
	Gen     uint64
	Wall    uint64 // milliseconds since 1970, as the author says
	Parents []commit.ID
	// Void tells that the commit has no effect, as its author was removed.
	Void bool
	// Deltas are what it has changed, if Log was asked.
	Deltas []Delta
}

// Commits are those that are not in a version, or all that are here, in an order that is the same on every
// replica which has the same ones: parents before children, and branches one after the other.
func (d *Doc) Commits(since ...commit.ID) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		seen, err := d.version(since)
		if err != nil {
			yield(Entry{}, fmt.Errorf("log of %s: %w", d.id, err))
			return
		}
		from := &source{blocks: d.blocks}
		for _, n := range d.sorted(seen) {
			e, _, err := d.entry(n, from)
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Log is Commits with what each has changed: the deltas, one after the other, make of the
// version the document. A commit that removes a writer has changed what is void by it.
func (d *Doc) Log(since ...commit.ID) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		seen, err := d.version(since)
		var past *Doc
		if err == nil {
			past, err = d.at(seen, &source{blocks: d.blocks})
		}
		if err != nil {
			yield(Entry{}, fmt.Errorf("log of %s: %w", d.id, err))
			return
		}
		past.Deltas()
		from := &source{blocks: d.blocks}
		for _, n := range d.sorted(seen) {
			e, c, err := d.entry(n, from)
			if err == nil {
				err = past.follow(from, c, e.ID)
			}
			e.Deltas = past.Deltas()
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Diff is what has changed since a version.
func (d *Doc) Diff(since ...commit.ID) ([]Delta, error) {
	seen, err := d.version(since)
	if err != nil {
		return nil, fmt.Errorf("diff of %s: %w", d.id, err)
	}
	if len(since) == 0 && d.base != nil {
		return nil, fmt.Errorf("diff of %s: %w", d.id, ErrBeforeHorizon)
	}
	from := &source{blocks: d.blocks}
	past, err := d.at(seen, from)
	if err != nil {
		return nil, err
	}
	past.Deltas()
	for _, n := range d.sorted(seen) {
		c, _, err := from.commit(d.history.ids[n])
		if err == nil {
			err = past.follow(from, c, d.history.ids[n])
		}
		if err != nil {
			return nil, err
		}
	}
	return past.Deltas(), nil
}

// sorted are the commits that are not in a version.
func (d *Doc) sorted(seen []int) []int {
	h := d.history
	heads := h.graph.Heads()
	if d.open != nil {
		heads = d.open.parents
	}
	if len(seen) == 0 && d.base != nil {
		seen = []int{0}
	}
	unseen, _ := h.graph.Diff(heads, seen)
	return h.graph.Sorted(unseen, func(a, b int) bool { return h.ids[a].Compare(h.ids[b]) < 0 })
}

// entry is that of commit n.
func (d *Doc) entry(n int, from *source) (Entry, *commit.Commit, error) {
	h := d.history
	c, _, err := from.commit(h.ids[n])
	if err != nil {
		return Entry{}, nil, fmt.Errorf("log of %s: %w", d.id, err)
	}
	e := Entry{ID: h.ids[n], Author: c.Author, Gen: c.Gen, Wall: c.Wall, Void: h.isVoid(h.graph.Heads(), n)}
	for _, p := range c.Parents {
		e.Parents = append(e.Parents, p.ID)
	}
	return e, c, nil
}

// follow applies a commit that was valid before, and of which the parents are here.
func (d *Doc) follow(from *source, c *commit.Commit, id commit.ID) error {
	ops, err := parseOps(c)
	if err != nil {
		return err
	}
	parents := d.history.parents(c)
	a := applying{doc: d, report: new(Report)}
	a.apply(&waiter{id: id, commit: c}, parents, d.history.roleOf(c, parents), ops)
	if len(a.void) > 0 {
		if err := d.rebuild(d.history.ids, from, nil); err != nil {
			return err
		}
	}
	d.merge()
	return nil
}
