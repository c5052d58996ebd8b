package control

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/replica"
)

// Doc is a document.
type Doc struct {
	ID      string   `json:"id"`
	Name    string   `json:"name,omitempty"` // here
	Commits int      `json:"commits"`
	Heads   []string `json:"heads"`
}

// Value is what is somewhere in a document.
type Value struct {
	Value any `json:"value"`
}

// Edited is the commit that an edit has become part of; "" if nothing was to be changed.
type Edited struct {
	Commit string `json:"commit"`
}

// Delta is something that has changed in a document.
type Delta struct {
	Path   string `json:"path"` // as Pointer makes it; "" is anywhere
	Author string `json:"author,omitempty"`
	Local  bool   `json:"local,omitempty"`
	Voided bool   `json:"voided,omitempty"`
}

// Entry is a commit of a document.
type Entry struct {
	ID      string    `json:"id"`
	Gen     uint64    `json:"gen"`
	Author  string    `json:"author"`
	Time    time.Time `json:"time"` // by the author's clock
	Parents []string  `json:"parents"`
	Size    int       `json:"size"` // bytes of operations
}

// Member is somebody with a role in a document.
type Member struct {
	Author string `json:"author"`
	Role   string `json:"role"`
}

// Compaction is how far the history of a document is forgotten on the node.
type Compaction struct {
	Horizon   string   `json:"horizon"`   // the commit before which nothing is kept; "" if all is
	Forgotten int      `json:"forgotten"` // commits, now
	Pending   string   `json:"pending"`   // the next horizon; "" if there is none
	Awaited   []string `json:"awaited"`   // authors who must commit, or compact, before that can be forgotten
}

// Ticket is by what somebody takes part in a document.
type Ticket struct {
	Ticket string `json:"ticket"`
}

// roles are the names of roles.
func roles() []string { return []string{"none", "read", "write", "manage"} }

// Pointer is a path of keys as text: /a/b, where ~1 stands for a slash in a key and ~0 for ~
// (RFC 6901). The document is "".
func Pointer(path []string) string {
	var b strings.Builder
	for _, k := range path {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(k))
	}
	return b.String()
}

// keys reads a path.
func (p *params) keys() []string {
	text := p.query.Get("path")
	if text == "" || text == "/" {
		return nil
	}
	if text[0] != '/' {
		p.fail("path", fmt.Errorf("%q does not begin with /", text))
		return nil
	}
	keys := strings.Split(text[1:], "/")
	for i := range keys {
		keys[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(keys[i])
	}
	return keys
}

func (p *params) role() commit.Role {
	for i, name := range roles() {
		if p.query.Get("role") == name {
			return commit.Role(i)
		}
	}
	p.fail("role", fmt.Errorf("none of %s", strings.Join(roles(), ", ")))
	return commit.None
}

// author reads an author; absent is whoever.
func (p *params) author() (a commit.Author, ok bool) {
	text := p.query.Get("author")
	if text == "" {
		return a, false
	}
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(a) {
		p.fail("author", errors.New("not an Ed25519 key in hex"))
		return a, false
	}
	return commit.Author(b), true
}

// doc opens the document that a request is about.
func (s *server) doc(ctx context.Context, p *params) (*replica.Doc, error) {
	if p.err != nil {
		return nil, p.err
	}
	docs, err := s.node.Docs()
	if err != nil {
		return nil, err
	}
	return docs.Open(ctx, p.text("doc"))
}

func docOf(ctx context.Context, d *replica.Doc) (any, error) {
	heads, err := d.Heads(ctx)
	if err != nil {
		return nil, err
	}
	n, err := d.Len(ctx)
	x := Doc{ID: d.ID().String(), Name: d.Name(), Commits: n, Heads: []string{}}
	for _, h := range heads {
		x.Heads = append(x.Heads, h.String())
	}
	return result(x, err)
}

func (s *server) docCreate(ctx context.Context, p *params, _ *stream) (any, error) {
	docs, err := s.node.Docs()
	if err != nil {
		return nil, err
	}
	d, err := docs.Create(ctx, p.text("name"))
	if err != nil {
		return nil, err
	}
	return docOf(ctx, d)
}

// docOpen takes a ticket, a name or an ID.
func (s *server) docOpen(ctx context.Context, p *params, _ *stream) (any, error) {
	docs, err := s.node.Docs()
	if err != nil {
		return nil, err
	}
	var d *replica.Doc
	if t, err := replica.ParseTicket(p.text("doc")); err == nil {
		d, err = docs.Join(ctx, t, p.text("name"))
		if err != nil {
			return nil, err
		}
	} else if d, err = docs.Open(ctx, p.text("doc")); err != nil {
		return nil, err
	}
	return docOf(ctx, d)
}

func (s *server) docList(ctx context.Context, _ *params, out *stream) (any, error) {
	docs, err := s.node.Docs()
	if err != nil {
		return nil, err
	}
	for _, d := range docs.Docs() {
		x, err := docOf(ctx, d)
		if err == nil {
			err = out.item(x)
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (s *server) docGet(ctx context.Context, p *params, _ *stream) (any, error) {
	path := p.keys()
	d, err := s.doc(ctx, p)
	if err != nil {
		return nil, err
	}
	v, ok, err := d.Get(ctx, path...)
	if err == nil && !ok {
		err = &Error{Code: CodeNotFound, Message: fmt.Sprintf("nothing is at %s", Pointer(path))}
	}
	return result(Value{v}, err)
}

// at leads to the map that the last key of a path is in.
func at(tx *crdt.Tx, path []string) (crdt.Keys, string) {
	m := tx.Keys
	for _, k := range path[:len(path)-1] {
		m = m.Map(k)
	}
	return m, path[len(path)-1]
}

// docEdit makes one edit below the document itself.
func (s *server) docEdit(ctx context.Context, p *params, f func(d *replica.Doc, path []string) func(*crdt.Tx) error) (any, error) {
	path := p.keys()
	if len(path) == 0 {
		p.fail("path", errors.New("want a key"))
	}
	d, err := s.doc(ctx, p)
	if err != nil {
		return nil, err
	}
	id, err := d.Update(ctx, f(d, path))
	if err != nil || id == (commit.ID{}) {
		return result(Edited{}, err)
	}
	return Edited{Commit: id.String()}, nil
}

// docSet sets a register, to JSON that is no array and no object.
func (s *server) docSet(ctx context.Context, p *params, _ *stream) (any, error) {
	v, err := scalar(p.text("value"))
	if err != nil {
		p.fail("value", err)
	}
	return s.docEdit(ctx, p, func(_ *replica.Doc, path []string) func(*crdt.Tx) error {
		return func(tx *crdt.Tx) error {
			m, k := at(tx, path)
			m.Set(k, v)
			return nil
		}
	})
}

// scalar reads JSON as a value of a register.
func scalar(text string) (any, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	switch v := v.(type) {
	case map[string]any, []any:
		return nil, errors.New("an array or object: set what is in it")
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		return v.Float64()
	}
	return v, nil
}

func (s *server) docRemove(ctx context.Context, p *params, _ *stream) (any, error) {
	return s.docEdit(ctx, p, func(_ *replica.Doc, path []string) func(*crdt.Tx) error {
		return func(tx *crdt.Tx) error {
			m, k := at(tx, path)
			m.Remove(k)
			return nil
		}
	})
}

func (s *server) docWatch(ctx context.Context, p *params, out *stream) (any, error) {
	d, err := s.doc(ctx, p)
	if err != nil {
		return nil, err
	}
	for x, err := range d.Watch(ctx) {
		if err != nil {
			return nil, err
		}
		y := Delta{Path: Pointer(x.Path), Local: x.Local, Voided: x.Voided}
		if x.Author != (commit.Author{}) {
			y.Author = x.Author.String()
		}
		if err := out.item(y); err != nil {
			return nil, err
		}
	}
	return nil, ctx.Err()
}

func (s *server) docLog(ctx context.Context, p *params, out *stream) (any, error) {
	d, err := s.doc(ctx, p)
	if err != nil {
		return nil, err
	}
	for c, err := range d.Log(ctx) {
		if err != nil {
			return nil, err
		}
		b, err := c.Encode()
		if err != nil {
			return nil, err
		}
		e := Entry{ID: b.Cid().String(), Gen: c.Gen, Author: c.Author.String(), Time: time.UnixMilli(int64(c.Wall)).UTC(), Parents: []string{}, Size: len(c.Ops)}
		for _, x := range c.Parents {
			e.Parents = append(e.Parents, x.ID.String())
		}
		if err := out.item(e); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// docShare makes a ticket: for an author, who gets the role now, or for who redeems it first.
func (s *server) docShare(ctx context.Context, p *params, _ *stream) (any, error) {
	role := p.role()
	author, named := p.author()
	d, err := s.doc(ctx, p)
	if err != nil {
		return nil, err
	}
	share := func() (replica.Ticket, error) { return d.Share(ctx, role) }
	if named {
		share = func() (replica.Ticket, error) { return d.Invite(ctx, author, role) }
	}
	t, err := share()
	return result(Ticket{t.String()}, err)
}

func (s *server) docMembers(ctx context.Context, p *params, out *stream) (any, error) {
	d, err := s.doc(ctx, p)
	if err != nil {
		return nil, err
	}
	list, err := d.Members(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		if err := out.item(Member{m.Author.String(), roles()[m.Role]}); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// docGrant gives an author a role.
func (s *server) docGrant(ctx context.Context, p *params, _ *stream) (any, error) {
	role := p.role()
	author, named := p.author()
	if !named {
		p.fail("author", errors.New("missing"))
	}
	d, err := s.doc(ctx, p)
	if err != nil {
		return nil, err
	}
	id, err := d.Update(ctx, func(tx *crdt.Tx) error { tx.Grant(author, role); return nil })
	return result(Edited{id.String()}, err)
}
