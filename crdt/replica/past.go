package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/archive"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// Whatever reads old commits again works on a copy of the document, which is opened from disk
// for that: others can edit meanwhile.

// copy opens what is on disk of the document, for the caller alone.
func (d *Doc) copy(ctx context.Context) (*crdt.Doc, error) {
	if err := d.turn.take(ctx); err != nil { // else a snapshot could be replaced while it is read
		return nil, fmt.Errorf("read document %s: %w", d.id, err)
	}
	defer d.turn.release()
	s, err := d.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("read document %s: %w", d.id, err)
	}
	return s.core, nil
}

// At is the document as of a version, to read: see crdt.Doc.At. It is the caller's own, and
// takes as long as applying the version's commits did.
func (d *Doc) At(ctx context.Context, heads ...commit.ID) (*crdt.Doc, error) {
	core, err := d.copy(ctx)
	if err != nil {
		return nil, err
	}
	return core.At(heads...)
}

// History yields the commits that are not in a version, or all, with what each has changed: see
// crdt.Doc.Log. Those that come while it is read are not in it.
func (d *Doc) History(ctx context.Context, since ...commit.ID) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		core, err := d.copy(ctx)
		if err != nil {
			yield(crdt.Entry{}, err)
			return
		}
		for e, err := range core.Log(since...) {
			if err == nil {
				err = ctx.Err()
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Diff is what has changed since a version: see crdt.Doc.Diff.
func (d *Doc) Diff(ctx context.Context, since ...commit.ID) ([]crdt.Delta, error) {
	core, err := d.copy(ctx)
	if err != nil {
		return nil, err
	}
	return core.Diff(since...)
}

// Fork makes another document, known here by a name, "" for none, which begins with what this one holds,
// or held as of a version if its newest commits are given: see crdt.Doc.Fork. The history stays behind.
// The author who edits here manages it; nobody else has a role in it.
func (d *Doc) Fork(ctx context.Context, name string, heads ...commit.ID) (*Doc, error) {
	core, err := d.copy(ctx)
	if err == nil && len(heads) > 0 {
		core, err = core.At(heads...)
	}
	if err != nil {
		return nil, err
	}
	r := d.replica
	blocks, head, err := core.Fork(r.o.Key, genesis(nil))
	if err != nil {
		return nil, err
	}
	id, _ := commit.IDOf(blocks[0].Cid())
	return r.keep(ctx, id, name, blocks, []crdt.Head{head})
}

// From tells of which document this is a copy, and of which of its heads: see Fork. ok is false if it is
// none.
func (d *Doc) From(ctx context.Context) (id commit.ID, heads []commit.ID, ok bool, err error) {
	s, err := d.lock(ctx)
	if err != nil {
		return id, nil, false, err
	}
	defer d.mu.Unlock()
	return s.core.From()
}

// Undo undoes the last commit of this node that is not undone yet: see crdt.Doc.Undo. It returns
// the commit that does so, once that is on disk. The document is locked for as long as applying
// all its commits takes. If there is nothing to undo, the error is crdt.ErrMissing.
func (d *Doc) Undo(ctx context.Context) (commit.ID, error) {
	return d.inverse(ctx, (*crdt.Doc).Undo)
}

// Redo undoes the last Undo: see crdt.Doc.Redo.
func (d *Doc) Redo(ctx context.Context) (commit.ID, error) {
	return d.inverse(ctx, (*crdt.Doc).Redo)
}

// inverse makes a commit of edits that the document itself makes.
func (d *Doc) inverse(ctx context.Context, f func(*crdt.Doc) error) (commit.ID, error) {
	if err := d.turn.take(ctx); err != nil {
		return commit.ID{}, fmt.Errorf("edit %s: %w", d.id, err)
	}
	defer d.turn.release()
	c := change{inverse: f, merge: true}
	if err := d.step(&c); err != nil {
		return commit.ID{}, err
	}
	return c.id, c.refused
}

// Export writes the document, with all its history, as one CAR: see package archive.
func (d *Doc) Export(ctx context.Context, w io.Writer) error {
	core, err := d.copy(ctx)
	if err != nil {
		return err
	}
	if core.Len() == 0 {
		return fmt.Errorf("export %s: %w", d.id, ErrEmpty)
	}
	return archive.Write(w, core, newShelf(d.replica.store))
}

// Import keeps what Export has written. All of it is checked, and of an archive that is not whole
// nothing is kept of a document that was not here. The document gets the name if it is new here,
// "" for none; if it is here already, under this name or with "", what it lacks is added to it.
// Errors are those of package archive, and ErrName for the name of another document.
func (r *Replica) Import(ctx context.Context, in io.Reader, name string) (*Doc, error) {
	a, err := archive.Read(in)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	d, named := r.docs[a.Doc], r.names[name]
	r.mu.Unlock()
	if named != nil && named != d {
		return nil, fmt.Errorf("import %s as %q: this is another document, %s: %w", a.Doc, name, named.id, ErrName)
	}
	if d != nil && name != "" && name != d.name {
		return nil, fmt.Errorf("import %s as %q: it is here as %q: %w", a.Doc, name, d.name, ErrName)
	}
	shelf := newShelf(r.store)
	shelf.keep(a.Blocks...)
	core, err := a.Open(r.author, shelf)
	if err != nil {
		return nil, err
	}
	report, err := a.Import(core)
	if err != nil {
		return nil, err
	}
	if a.Base != nil {
		return r.importBase(ctx, d, name, &beginning{base: *a.Base, core: core, shelf: shelf, list: report.Applied}, a)
	}
	if d != nil {
		return d, d.add(ctx, a)
	}
	heads, err := core.Heads()
	if err != nil {
		return nil, err
	}
	return r.keep(ctx, a.Doc, name, report.Applied, heads)
}

// importBase keeps an archive that begins with a base, which is proven. d is the document if it is here.
func (r *Replica) importBase(ctx context.Context, d *Doc, name string, b *beginning, a *archive.Archive) (*Doc, error) {
	if d == nil {
		var err error
		if d, err = r.keep(ctx, a.Doc, name, nil, nil); err != nil {
			return nil, err
		}
	}
	has, err := d.Has(ctx, a.Base.At)
	if err != nil {
		return nil, err
	}
	if has {
		return d, d.add(ctx, a)
	}
	if err := d.adopt(ctx, b); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	d.tell()
	return d, nil
}

// add adds an archive that is known to be whole and authentic to what is here.
func (d *Doc) add(ctx context.Context, a *archive.Archive) error {
	if err := d.turn.take(ctx); err != nil {
		return fmt.Errorf("import %s: %w", d.id, err)
	}
	defer d.turn.release()
	c := change{blocks: a.Blocks, signed: a.Heads}
	if err := d.step(&c); err != nil {
		return fmt.Errorf("import %s: %w", d.id, err)
	}
	if len(c.report.Rejected) > 0 {
		return fmt.Errorf("import %s: %w", d.id, errors.Join(archive.ErrIncomplete, c.report.Rejected[0].Err))
	}
	d.tell()
	return nil
}
