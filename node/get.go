package node

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange"
	"github.com/p2pnode/p2pnode/unixfs"
)

// Session is one fetch, which may be of many blocks that belong together: the
// store answers first, then the network, where peers that had one block are
// asked first for the next. It lives until the context it was made with ends.
type Session struct {
	store   *guard
	network *exchange.Session   // nil when offline
	dag     atomic.Pointer[dag] // to be fetched as such once a block is missing
}

// dag is a DAG that is fetched as such, and not block by block.
type dag struct {
	root  cid.Cid
	order exchange.Order
	stops []cid.Cid // blocks below which all is here
}

var (
	_ block.Getter     = (*Session)(nil)
	_ block.Prefetcher = (*Session)(nil)
)

// Session starts a fetch that lives until ctx ends.
func (n *Node) Session(ctx context.Context) *Session {
	s := &Session{store: n.store}
	if n.exchange != nil {
		s.network = n.exchange.Session(ctx)
	}
	return s
}

// Get returns the block. A block that the store had and found damaged is
// fetched again, like one that it never had.
func (s *Session) Get(ctx context.Context, c cid.Cid) (block.Block, error) {
	if b, ok := block.Inline(c); ok {
		return b, nil
	}
	b, err := s.store.Get(ctx, c)
	if err == nil || s.network == nil || !errors.Is(err, block.ErrNotFound) {
		return b, err
	}
	s.fetchDAG()
	return s.network.Get(ctx, c)
}

// Fetch says that what Get will be asked for is the DAG below root, and in which order:
// when a block is missing, it is fetched as such, and not block by block. Only the first
// such fetch of a session is.
// Stops are blocks below which all is here, and which are left out.
func (s *Session) Fetch(root cid.Cid, o exchange.Order, stops ...cid.Cid) {
	s.dag.Store(&dag{root, o, stops})
}

// Stream is Fetch for a file that is read: all of it from the beginning, or parts.
func (s *Session) Stream(root cid.Cid, whole bool) {
	order := exchange.Parts
	if whole {
		order = exchange.Forward
	}
	s.Fetch(root, order)
}

// fetchDAG begins that.
func (s *Session) fetchDAG() {
	if d := s.dag.Swap(nil); d != nil {
		s.network.Fetch(d.root, d.order, d.stops...)
	}
}

// Prefetch says what Get will be asked for; see block.Prefetcher.
func (s *Session) Prefetch(ctx context.Context, cids ...cid.Cid) {
	if s.network == nil {
		return
	}
	var missing []cid.Cid
	for _, c := range cids {
		if _, err := s.store.Size(ctx, c); errors.Is(err, block.ErrNotFound) {
			missing = append(missing, c)
		}
	}
	if len(missing) > 0 {
		s.fetchDAG()
		s.network.Prefetch(ctx, missing...)
	}
}

// Progress tells how far the network part of the fetch is.
func (s *Session) Progress() exchange.Progress {
	if s.network == nil {
		return exchange.Progress{}
	}
	return s.network.Progress()
}

// flush returns nil when every block that the session fetched is in the store.
func (s *Session) flush(ctx context.Context) error {
	if s.network == nil {
		return nil
	}
	return s.network.Flush(ctx)
}

// Local is a Getter that never asks the network.
func (n *Node) Local() block.Getter { return &Session{store: n.store} }

// Tree is a file or directory that is being fetched: read it like an
// archive/tar.Reader. Close it when done; what it still has to read is safe
// from collection until then.
type Tree struct {
	*unixfs.Walker
	session *Session
	close   func()
}

// Close ends the fetch.
func (t *Tree) Close() error {
	err := t.Walker.Close()
	t.close()
	return err
}

// Progress tells how far the network part of the fetch is.
func (t *Tree) Progress() exchange.Progress { return t.session.Progress() }

// resolve resolves a path and has what it leads to fetched in that order.
func (s *Session) resolve(ctx context.Context, path unixfs.Path, o exchange.Order, stops ...cid.Cid) (unixfs.Link, error) {
	if len(path.Segments) == 0 {
		s.Fetch(path.Root, o, stops...)
	}
	link, err := unixfs.Resolve(ctx, s, path)
	if err == nil && len(path.Segments) > 0 {
		s.Fetch(link.Cid, o, stops...)
	}
	return link, err
}

// Get walks the file or directory at path in depth-first order.
func (n *Node) Get(ctx context.Context, path unixfs.Path) (*Tree, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := n.Session(ctx)
	link, err := s.resolve(ctx, path, exchange.Rarest)
	if err != nil {
		cancel()
		return nil, err
	}
	n.store.hold(link.Cid)
	return &Tree{
		Walker:  unixfs.NewWalker(ctx, s, link.Cid, unixfs.WalkOptions{}),
		session: s,
		close:   func() { cancel(); n.store.drop(link.Cid) },
	}, nil
}

// File is an open file: an io.ReadSeekCloser and io.WriterTo that reads ahead.
type File struct {
	*unixfs.File
	session *Session
	close   func()
}

// Close ends the fetch.
func (f *File) Close() error {
	err := f.File.Close()
	f.close()
	return err
}

// Progress tells how far the network part of the fetch is.
func (f *File) Progress() exchange.Progress { return f.session.Progress() }

// OpenFile opens the file at path, to be read from the beginning to the end: what comes
// next is fetched before it is asked for.
func (n *Node) OpenFile(ctx context.Context, path unixfs.Path) (*File, error) {
	return n.open(ctx, path, exchange.Forward)
}

// OpenParts opens the file at path for somebody who reads parts of it: nothing is fetched
// but what is read, and what follows it while that is read in a row.
func (n *Node) OpenParts(ctx context.Context, path unixfs.Path) (*File, error) {
	return n.open(ctx, path, exchange.Parts)
}

func (n *Node) open(ctx context.Context, path unixfs.Path, o exchange.Order) (*File, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := n.Session(ctx)
	link, err := s.resolve(ctx, path, o)
	if err != nil {
		cancel()
		return nil, err
	}
	f, err := unixfs.Open(ctx, s, link.Cid)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	n.store.hold(link.Cid)
	return &File{File: f, session: s, close: func() { cancel(); n.store.drop(link.Cid) }}, nil
}

// List yields the entries of the directory at path, or the one entry of a file.
func (n *Node) List(ctx context.Context, path unixfs.Path) iter.Seq2[unixfs.Link, error] {
	return func(yield func(unixfs.Link, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		s := n.Session(ctx)
		link, err := unixfs.Resolve(ctx, s, path)
		if err != nil {
			yield(unixfs.Link{}, err)
			return
		}
		for l, err := range unixfs.List(ctx, s, link.Cid) {
			if !yield(l, err) {
				return
			}
		}
	}
}

// flush returns when every block that has arrived is in the store.
func (n *Node) flush(ctx context.Context) error {
	if n.exchange == nil {
		return nil
	}
	return n.exchange.Flush(ctx)
}
