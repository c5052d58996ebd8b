package crdt

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// pieceMax is how much of a text or list goes into one operation of a copy, in bytes.
const pieceMax = 64 << 10

// Fork makes another document, by the author with this key, that begins with what this one, or
// the version that At has shown, holds. Its first commit names where it is from; the others,
// which are returned in order, hold the state. The history stays behind, and so do roles and
// the values of a MultiRegister that have lost: g says who may do what.
func (d *Doc) Fork(key ed25519.PrivateKey, g Genesis) ([]block.Block, Head, error) {
	heads, err := d.Heads()
	if err != nil {
		return nil, Head{}, err
	}
	g.From = []commit.ID{d.id}
	for _, h := range heads {
		g.From = append(g.From, h.ID)
	}
	first, head, err := Create(key, g)
	if err != nil {
		return nil, Head{}, err
	}
	c := copying{doc: New(head.ID, commit.AuthorOf(key), nil), history: d.history, key: key, wall: g.Wall, blocks: []block.Block{first}, head: head}
	if _, err := c.doc.Apply(c.blocks, []Head{head}); err != nil {
		return nil, Head{}, err
	}
	c.object(nil, d.root)
	c.seal()
	if c.err != nil {
		return nil, Head{}, fmt.Errorf("fork %s: %w", d.id, c.err)
	}
	return c.blocks, c.head, nil
}

// From tells of which document this is a copy, and of which of its heads. ok is false if it is
// no copy.
func (d *Doc) From() (id commit.ID, heads []commit.ID, ok bool, err error) {
	b, err := d.genesis(&source{blocks: d.blocks})
	var c *commit.Commit
	if err == nil {
		c, _, err = commit.Decode(b)
	}
	var ops *commit.Ops
	if err == nil {
		ops, err = parseOps(c)
	}
	if err != nil {
		return id, nil, false, fmt.Errorf("origin of %s: %w", d.id, err)
	}
	for _, op := range ops.Document {
		if op.Code == commit.OpFrom && !ok {
			id, ok = commit.ID(op.Data), true
		} else if op.Code == commit.OpFrom {
			heads = append(heads, commit.ID(op.Data))
		}
	}
	return id, heads, ok, nil
}

// copying is a document that is written anew.
type copying struct {
	doc     *Doc
	history *history // of the original
	key     ed25519.PrivateKey
	wall    uint64
	blocks  []block.Block
	head    Head
	err     error // the first
}

// seal ends a commit.
func (c *copying) seal() {
	if c.err != nil {
		return
	}
	b, head, err := c.doc.Seal(c.key, c.wall)
	if c.err = err; err == nil && b.Size() > 0 {
		c.blocks, c.head = append(c.blocks, b), head
	}
}

// edit makes an edit of an object, in another commit if the last one is full.
func (c *copying) edit(names []name, f func(tx *Tx, p *path)) {
	update := func(tx *Tx) error {
		var p *path
		for _, n := range names {
			p = tx.path(p, n)
		}
		f(tx, p)
		return nil
	}
	err := c.doc.Update(update)
	if errors.Is(err, ErrFull) {
		c.seal()
		err = c.doc.Update(update)
	}
	if c.err == nil {
		c.err = err
	}
}

// add makes an operation on an object.
func (c *copying) add(names []name, op commit.Op) {
	c.edit(names, func(tx *Tx, p *path) { tx.add(p, op) })
}

// object copies an object, but a map that is there by what is in it alone.
func (c *copying) object(names []name, o *object) {
	if len(o.made) > 0 {
		c.add(names, commit.Op{Code: commit.OpMake})
	}
	switch v := o.content.(type) {
	case *mapping:
		for _, child := range v.sorted() {
			c.object(append(slices.Clone(names), child.name), child)
		}
	case *sum:
		c.add(names, commit.Op{Code: commit.OpAdd, Delta: v.total()})
	case *register:
		for _, d := range v.sorted(c.history)[:min(1, len(v.dots))] {
			c.add(names, commit.Op{Code: commit.OpSet, Data: []byte(d.value)})
		}
	case *set:
		for _, e := range v.sorted() {
			c.add(names, commit.Op{Code: commit.OpAdd, Data: []byte(e)})
		}
	case *text:
		for pos, n := 0, v.seq.Len(); pos < n; pos += pieceMax / utf8.UTFMax {
			k := min(n-pos, pieceMax/utf8.UTFMax)
			c.edit(names, func(tx *Tx, p *path) { tx.insert(p, pos, k, v.rope.Append(nil, pos, k)) })
		}
	case *list:
		var data []byte
		pos, n := 0, 0
		flush := func() {
			c.edit(names, func(tx *Tx, p *path) { tx.insert(p, pos, n, data) })
			pos, n, data = pos+n, 0, nil
		}
		for e := range v.values.all() {
			if n > 0 && len(data)+len(e) > pieceMax {
				flush()
			}
			data, n = append(data, e...), n+1
		}
		flush()
	}
}
