package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/replica"
)

// heads reads the IDs of commits.
func (p *params) heads() (ids []commit.ID) {
	for _, text := range p.query["head"] {
		id, err := replica.ParseID(text)
		if err != nil {
			p.fail("head", fmt.Errorf("%q is not the CID of a commit", text))
			return nil
		}
		ids = append(ids, id)
	}
	return ids
}

// docAt answers with what was somewhere in a document as of a version.
func (s *server) docAt(ctx context.Context, p *params, _ *stream) (any, error) {
	path, heads := p.keys(), p.heads()
	if len(heads) == 0 {
		p.fail("head", errors.New("missing"))
	}
	d, err := s.doc(ctx, p)
	if err != nil {
		return nil, err
	}
	past, err := d.At(ctx, heads...)
	if err != nil {
		return nil, err
	}
	v, ok := past.Get(path...)
	if !ok {
		return nil, &Error{Code: CodeNotFound, Message: fmt.Sprintf("nothing was at %s", Pointer(path))}
	}
	return Value{v}, nil
}

// docFork makes a copy of a document, as of a version if one is given.
func (s *server) docFork(ctx context.Context, p *params, _ *stream) (any, error) {
	heads, name := p.heads(), p.text("name")
	d, err := s.doc(ctx, p)
	if err != nil {
		return nil, err
	}
	fork, err := d.Fork(ctx, name, heads...)
	if err != nil {
		return nil, err
	}
	return docOf(ctx, fork)
}

// docForget removes a document from this node.
func (s *server) docForget(ctx context.Context, p *params, _ *stream) (any, error) {
	docs, err := s.node.Docs()
	if err != nil {
		return nil, err
	}
	return nil, docs.Forget(ctx, p.text("doc"))
}

// docCompact forgets what is before the horizon of a document.
func (s *server) docCompact(ctx context.Context, p *params, _ *stream) (any, error) {
	d, err := s.doc(ctx, p)
	if err != nil {
		return nil, err
	}
	c, err := d.Compact(ctx)
	if err != nil {
		return nil, err
	}
	answer := Compaction{Horizon: nameOf(c.Horizon), Forgotten: c.Forgotten, Pending: nameOf(c.Pending), Awaited: []string{}}
	for _, a := range c.Awaited {
		answer.Awaited = append(answer.Awaited, a.String())
	}
	return answer, nil
}

// nameOf is the CID of a commit, or "" for none.
func nameOf(id commit.ID) string {
	if id == (commit.ID{}) {
		return ""
	}
	return id.Cid().String()
}

// docExport answers with a document and all its history as CARv1.
func (s *server) docExport(ctx context.Context, p *params, w *dataWriter) error {
	d, err := s.doc(ctx, p)
	if err != nil {
		return err
	}
	return d.Export(ctx, w)
}

// docImport keeps what docExport has sent.
func (s *server) docImport(ctx context.Context, p *params, r *http.Request, _ *stream) (any, error) {
	docs, err := s.node.Docs()
	if err != nil {
		return nil, err
	}
	d, err := docs.Import(ctx, r.Body, p.text("name"))
	if err != nil {
		return nil, err
	}
	return docOf(ctx, d)
}
