package crdttest

import (
	"crypto/ed25519"
	"math/rand/v2"
	"slices"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

var words = []string{"a", "bc", "def", "é", "🙂", "x"}

// values that registers, sets and lists hold: few, so that they meet.
func (n *network) value() any {
	return []any{nil, true, 1, -2, 0.5, "s", []byte{1}}[n.rng.IntN(7)]
}

// random makes some edit.
func (n *network) random(r *replica, tx *crdt.Tx) {
	at := tx.Keys
	keys := []string{"a", "b"}
	for n.rng.IntN(3) == 0 {
		key := keys[n.rng.IntN(len(keys))]
		at = at.Map(key)
		if n.rng.IntN(6) == 0 {
			at.Make()
		}
	}
	key := keys[n.rng.IntN(len(keys))]
	if n.rng.IntN(12) == 0 {
		at.Remove(key)
		return
	}
	switch n.kinds[n.rng.IntN(len(n.kinds))] {
	case commit.Text:
		n.type_(r, at.Text(key))
	case commit.List:
		n.list(at.List(key))
	case commit.Counter:
		at.Counter(key).Add(n.rng.Int64N(9) - 4)
	case commit.GrowCounter:
		at.GrowCounter(key).Add(n.rng.Int64N(5))
	case commit.Register:
		at.Set(key, n.value())
	case commit.MultiRegister:
		at.MultiRegister(key).Set(n.value())
	case commit.Set:
		if s := at.Members(key); n.rng.IntN(3) > 0 {
			s.Add(n.value())
		} else {
			s.Remove(n.value())
		}
	}
}

// type_ writes or deletes, often where everybody does.
func (n *network) type_(r *replica, t crdt.Text) {
	pos := n.rng.IntN(t.Len() + 1)
	if n.rng.IntN(2) == 0 {
		pos = min(t.Len(), r.number%2)
	}
	if n.rng.IntN(3) == 0 {
		t.Delete(pos, n.rng.IntN(min(4, t.Len()-pos+1)))
		return
	}
	for range 1 + n.rng.IntN(3) {
		word := words[n.rng.IntN(len(words))]
		t.Insert(pos, word)
		if n.rng.IntN(3) > 0 {
			pos += len([]rune(word))
		}
	}
}

func (n *network) list(l crdt.List) {
	pos := n.rng.IntN(l.Len() + 1)
	if n.rng.IntN(3) == 0 {
		l.Delete(pos, n.rng.IntN(min(3, l.Len()-pos+1)))
		return
	}
	l.Insert(pos, n.value(), n.value())
}

// liar is a writer who sends what no honest replica makes.
type liar struct {
	key    ed25519.PrivateKey
	rng    *rand.Rand
	forged map[commit.ID]bool
}

// lie sends some a commit with something wrong in it, or with operations that nobody who sees
// the document would make.
func (l *liar) lie(n *network, r *replica) {
	heads, err := r.doc.Heads()
	if err != nil {
		return
	}
	c := &commit.Commit{Author: commit.AuthorOf(l.key), Ops: l.ops(), Wall: l.rng.Uint64()}
	var blocks []block.Block
	if l.rng.IntN(4) == 0 {
		blocks = l.forge(r, c, heads)
	} else {
		for range 1 + l.rng.IntN(2) {
			l.follow(c, r.applied[len(r.applied)-1-l.rng.IntN(min(8, len(r.applied)))], heads)
		}
	}
	if l.rng.IntN(6) == 0 {
		c.Gen += l.rng.Uint64N(1 << 39)
	}
	b, err := c.Encode()
	if err != nil {
		return // not even a commit
	}
	id, _ := commit.IDOf(b.Cid())
	head := crdt.Head{ID: id, Signature: commit.Sign(l.key, r.doc.ID(), id)}
	if l.rng.IntN(6) == 0 {
		head.Signature = commit.Sign(l.key, id, id)
	}
	for _, to := range n.replicas {
		if l.rng.IntN(2) == 0 {
			n.messages = append(n.messages, message{to, -1, n.now + l.rng.IntN(10), append(blocks, b), []crdt.Head{head}, nil})
		}
	}
}

// follow makes a commit the parent of c, with its signature if that is among the heads.
func (l *liar) follow(c *commit.Commit, b block.Block, heads []crdt.Head) {
	p, id, err := commit.Decode(b)
	if err != nil || slices.ContainsFunc(c.Parents, func(q commit.Parent) bool { return q.ID == id }) {
		return
	}
	parent := commit.Parent{ID: id}
	for _, h := range heads {
		if h.ID == id && p.Author != c.Author {
			parent.Signature = h.Signature
		}
	}
	c.Gen = max(c.Gen, p.Gen+1)
	c.Parents = append(c.Parents, parent)
	slices.SortFunc(c.Parents, func(p, q commit.Parent) int { return p.ID.Compare(q.ID) })
}

// forge makes c follow a commit in the name of an honest writer.
func (l *liar) forge(r *replica, c *commit.Commit, heads []crdt.Head) []block.Block {
	f := &commit.Commit{Author: authorOf(0), Ops: l.ops()}
	for _, h := range heads {
		l.follow(f, r.blocks[h.ID], heads)
	}
	b, err := f.Encode()
	if err != nil {
		return nil
	}
	id, _ := commit.IDOf(b.Cid())
	l.forged[id] = true
	l.follow(c, b, nil)
	return []block.Block{b}
}

// ops are operations at positions that may not be there.
func (l *liar) ops() []byte {
	var w commit.Writer
	m := w.Object(commit.Object{Parent: -1, Kind: commit.Map, Key: "a"})
	for range 1 + l.rng.IntN(4) {
		parent := m*l.rng.IntN(2) - l.rng.IntN(2)
		parent = max(-1, min(parent, m))
		text := w.Object(commit.Object{Parent: parent, Kind: commit.Text, Key: "b"})
		list := w.Object(commit.Object{Parent: parent, Kind: commit.List, Key: "a"})
		pos := l.rng.IntN(1 << l.rng.IntN(40))
		if l.rng.IntN(2) == 0 {
			pos = l.rng.IntN(5)
		}
		switch l.rng.IntN(6) {
		case 0:
			w.Add(commit.Op{Code: commit.OpInsert, Object: text, Pos: pos, Data: []byte("lie")})
		case 1:
			w.Add(commit.Op{Code: commit.OpDelete, Object: text, Pos: pos, Count: 1 + l.rng.IntN(1<<l.rng.IntN(40))})
		case 2:
			w.Add(commit.Op{Code: commit.OpInsert, Object: list, Pos: pos, Count: 2, Data: []byte{1, 2}})
		case 3:
			w.Add(commit.Op{Code: commit.OpDelete, Object: list, Pos: pos, Count: 1 + l.rng.IntN(5)})
		case 4:
			w.Add(commit.Op{Code: commit.OpClear, Object: m})
		case 5:
			a := authorOf(l.rng.IntN(3))
			w.Add(commit.Op{Code: commit.OpRole, Object: -1, Count: l.rng.IntN(4), Data: a[:]})
		}
	}
	b := w.Bytes()
	if l.rng.IntN(8) == 0 {
		b[l.rng.IntN(len(b))] ^= 1 << l.rng.IntN(8)
	}
	return b
}
