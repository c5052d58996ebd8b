package crdt

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/sequence"
)

// Undo makes edits that undo the last commit by the author that is not undone yet, and says so
// in the open commit, which the author must seal. Of what the commit has changed, it makes what
// would be there if the commit had had no effect: what others have done since stays, and what
// of the commit is not there any more is not undone twice.
//
//   - What it inserted into a text or list, and is still there, is deleted. What it deleted, and
//     nobody else did, is inserted again, where it was.
//   - A register that still has its value gets the value from before.
//   - What it added to a counter is subtracted.
//   - Elements that it alone added are removed, and those that it alone removed are added.
//   - What it removed from a map is there again.
//
// Roles are not undone. There must be no open commit; ErrMissing means that there is nothing
// to undo. It takes as long as applying all commits did.
//
// Text that was inserted again is text by the author of the undo: if others change it, and
// then a commit is undone, or redone, that changed the same place, what they deleted of it may
// come back, and what they inserted be before or after it.
func (d *Doc) Undo() error {
	undone := d.history.undone()
	return d.undo(func(n int) bool { return d.history.undos[n] == nil && !undone[n] })
}

// Redo undoes the last Undo by the author that nobody has redone yet, if the author has edited
// nothing since. Else, ErrMissing says so.
func (d *Doc) Redo() error {
	undone, undos, edited := d.history.undone(), d.history.undos, false
	return d.undo(func(n int) bool {
		edited = edited || undos[n] == nil
		return !edited && !undone[n] && !slices.ContainsFunc(undos[n], func(t int) bool { return undos[t] != nil })
	})
}

// undo undoes the last commit by the author that it is asked for.
func (d *Doc) undo(wanted func(n int) bool) error {
	if d.open != nil {
		return fmt.Errorf("undo in %s: %w", d.id, ErrOpen)
	}
	if d.broken != nil {
		return d.broken
	}
	h := d.history
	from := &source{blocks: d.blocks}
	mine := h.by(d.author)
	for _, n := range slices.Backward(mine) {
		if n == 0 && d.base != nil {
			break
		}
		c, ops, err := from.commit(h.ids[n])
		if err != nil {
			return fmt.Errorf("undo in %s: %w", d.id, err)
		}
		if ops.Edits() && c.Gen > 1 && !h.isVoid(h.graph.Heads(), n) && wanted(n) {
			return d.revert(n, mine)
		}
	}
	if d.base != nil {
		return fmt.Errorf("undo in %s: %w, or %w", d.id, ErrMissing, ErrBeforeHorizon)
	}
	return fmt.Errorf("undo in %s: %w", d.id, ErrMissing)
}

// revert makes edits that undo commit n, given all that the author has committed.
func (d *Doc) revert(n int, mine []int) error {
	h := d.history
	targets := append([]int{n}, h.undos[n]...)
	// What is wanted is the document as if nobody had ever undone anything, but what is undone
	// had no effect.
	wanted := *h
	wanted.undos = maps.Clone(h.undos)
	wanted.undos[h.graph.Len()] = []int{n}
	undone := wanted.undone()
	wanted.skipped = slices.DeleteFunc(slices.Clone(mine), func(c int) bool { return wanted.undos[c] == nil && !undone[c] })
	skip := make(map[commit.ID]bool)
	for _, c := range wanted.skipped {
		skip[h.ids[c]] = true
	}
	from := &source{blocks: d.blocks}
	then := d.blank()
	if err := then.rebuild(h.ids, from, skip); err != nil {
		return err
	}
	then.merge()
	r := reverting{doc: d, then: then, wanted: &wanted, first: slices.Min(wanted.skipped)}
	for _, t := range targets {
		_, ops, err := from.commit(h.ids[t])
		if err != nil {
			return fmt.Errorf("undo in %s: %w", d.id, err)
		}
		for op := range ops.All() {
			r.touched = append(r.touched, touch{namesOf(ops.Objects, op.Object), op.Code == commit.OpClear})
		}
	}
	return d.Update(func(tx *Tx) error {
		id := h.ids[n]
		tx.add(nil, commit.Op{Code: commit.OpUndo, Data: id[:]})
		r.keys(tx.Keys, nil, d.root, then.root)
		return nil
	})
}

// reverting is a document that becomes what another one is, where a commit has touched it.
type reverting struct {
	doc, then *Doc
	wanted    *history // of doc, in which what is undone is void
	first     int      // of what is void in it
	touched   []touch
}

// touch is an object that a commit was about, or all that is in it too.
type touch struct {
	names []name
	below bool
}

// namesOf leads to an object.
func namesOf(objects []commit.Object, i int) []name {
	if i < 0 {
		return nil
	}
	o := objects[i]
	return append(namesOf(objects, o.Parent), name{o.Key, o.Kind})
}

// concerns tells whether the commit has touched an object or something in it.
func (r *reverting) concerns(names []name) bool {
	return slices.ContainsFunc(r.touched, func(t touch) bool {
		n := min(len(names), len(t.names))
		return (t.below || n == len(names)) && slices.Equal(names[:n], t.names[:n])
	})
}

// keys makes edits of a map. The objects may be nil.
func (r *reverting) keys(at Keys, names []name, now, then *object) {
	all := make(map[name]bool)
	of := func(o *object) map[name]*object {
		if o == nil {
			return nil
		}
		return o.content.(*mapping).children
	}
	for n := range of(now) {
		all[n] = true
	}
	for n := range of(then) {
		all[n] = true
	}
	for _, n := range slices.SortedFunc(maps.Keys(all), name.compare) {
		if path := append(slices.Clone(names), n); r.concerns(path) {
			r.object(at.child(n.key, n.kind), at, path, of(now)[n], of(then)[n])
		}
	}
}

// object makes edits of an object, which is in the map at.
func (r *reverting) object(p *path, at Keys, names []name, now, then *object) {
	tx, is := at.tx, now != nil && now.live()
	if then == nil || !then.live() {
		if is {
			tx.clear(p)
		}
		return
	}
	if now == nil {
		now = newObject(nil, p.name)
	}
	if p.name.kind == commit.Map {
		if len(then.made) > 0 && len(now.made) == 0 {
			tx.add(p, commit.Op{Code: commit.OpMake})
		}
		r.keys(at.Map(p.name.key), names, now, then)
		return
	}
	switch was := then.content.(type) {
	case *sum:
		r.sum(tx, p, now.content.(*sum).total(), was.total(), is)
	case *register:
		if dots := was.sorted(r.then.history); len(dots) == 0 {
			tx.clear(p)
		} else if !reflect.DeepEqual(now.content.view(r.doc.history), was.view(r.then.history)) {
			tx.add(p, commit.Op{Code: commit.OpSet, Data: []byte(dots[0].value)})
		}
	case *set:
		has := now.content.(*set).elements
		for _, e := range was.sorted() {
			if has[e] == nil {
				tx.add(p, commit.Op{Code: commit.OpAdd, Data: []byte(e)})
			}
		}
		for _, e := range now.content.(*set).sorted() {
			if was.elements[e] == nil {
				tx.add(p, commit.Op{Code: commit.OpRemove, Data: []byte(e)})
			}
		}
	case *text:
		is := now.content.(*text)
		splice(r, &is.seq, is.runes, was.runes, func(pos int, old, new []rune) {
			tx.delete(p, pos, len(old))
			tx.insert(p, pos, len(new), []byte(string(new)))
		})
	case *list:
		is := now.content.(*list)
		splice(r, &is.seq, is.part, was.part, func(pos int, old, new []string) {
			tx.delete(p, pos, len(old))
			tx.insert(p, pos, len(new), []byte(strings.Join(new, "")))
		})
	}
}

// sum makes edits of a counter.
func (r *reverting) sum(tx *Tx, p *path, now, then int64, is bool) {
	if then < now && p.name.kind == commit.GrowCounter {
		tx.clear(p)
		now, is = 0, false
	}
	if now != then || !is {
		tx.add(p, commit.Op{Code: commit.OpAdd, Delta: then - now})
	}
}

// splice tells what has to be replaced in a text or list, from the front to the back.
func splice[E comparable](r *reverting, seq *sequence.Sequence, now, then func(pos, n int) []E, replace func(pos int, old, new []E)) {
	at, atThen, to := 0, 0, 0 // in what is now, in what was then, in what it becomes
	var old, new []E
	flush := func() {
		from, end := same(old, new)
		replace(to+from, old[from:len(old)-end], new[from:len(new)-end])
		to += len(new)
		old, new = nil, nil
	}
	seq.Compare(&r.doc.history.graph, r.doc.history, r.wanted, r.first, func(n int, is, would bool) {
		if is && would {
			flush()
			to += n
		} else if is {
			old = append(old, now(at, n)...)
		} else if would {
			new = append(new, then(atThen, n)...)
		}
		if is {
			at += n
		}
		if would {
			atThen += n
		}
	})
	flush()
}
