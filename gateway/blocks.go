package gateway

import (
	"context"
	"errors"
	"sync"

	"github.com/ipfs/boxo/exchange"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"

	"github.com/p2pnode/p2pnode/block"
)

// getsMax is the number of blocks that one batch asks for at once.
const getsMax = 16

var errReadOnly = errors.New("the gateway only reads")

// store is the local getter as boxo's blockstore. It has every block that an
// identity CID carries.
type store struct{ local block.Getter }

func (s store) Get(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	b, err := s.find(ctx, c)
	if err != nil {
		return nil, err
	}
	if f := fetchOf(ctx); f != nil {
		if err := f.descend(b); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (s store) find(ctx context.Context, c cid.Cid) (block.Block, error) {
	b, inline := block.Inline(c)
	if !inline {
		var err error
		if b, err = s.local.Get(ctx, c); errors.Is(err, block.ErrNotFound) {
			// The one error that boxo takes as "ask the exchange".
			return block.Block{}, ipld.ErrNotFound{Cid: c}
		} else if err != nil {
			return block.Block{}, err
		}
	}
	if f := fetchOf(ctx); f != nil {
		if err := f.spend(b); err != nil {
			return block.Block{}, err
		}
	}
	return b, nil
}

func (s store) Has(ctx context.Context, c cid.Cid) (bool, error) {
	_, err := s.find(ctx, c)
	if ipld.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

func (s store) GetSize(ctx context.Context, c cid.Cid) (int, error) {
	b, err := s.find(ctx, c)
	if err != nil {
		return -1, err
	}
	return b.Size(), nil
}

// Put and PutMany are called with blocks that came from the source, which keeps
// what it wants to keep.
func (s store) Put(context.Context, blocks.Block) error       { return nil }
func (s store) PutMany(context.Context, []blocks.Block) error { return nil }

func (s store) DeleteBlock(context.Context, cid.Cid) error { return errReadOnly }

func (s store) AllKeysChan(context.Context) (<-chan cid.Cid, error) { return nil, errReadOnly }

// network is the source as boxo's exchange. boxo opens one session for each
// request, when the first block is not local.
type network struct {
	source func(ctx context.Context) block.Getter
}

func (n network) NewSession(ctx context.Context) exchange.Fetcher {
	f := fetchOf(ctx)
	if f != nil && f.offline {
		return session{get: nothing{}, fetch: f}
	}
	get := n.source(ctx)
	if f != nil {
		f.watch(get)
	}
	return session{get: get, fetch: f}
}

func (n network) GetBlock(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	return n.NewSession(ctx).GetBlock(ctx, c)
}

func (n network) GetBlocks(ctx context.Context, cids []cid.Cid) (<-chan blocks.Block, error) {
	return n.NewSession(ctx).GetBlocks(ctx, cids)
}

func (n network) NotifyNewBlocks(context.Context, ...blocks.Block) error { return nil }
func (n network) Close() error                                           { return nil }

// session is one request's way to the network.
type session struct {
	get   block.Getter
	fetch *fetch
}

func (s session) GetBlock(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	if s.fetch != nil {
		defer s.fetch.ask(c)()
	}
	b, err := s.get.Get(ctx, c)
	if err != nil {
		if s.fetch != nil {
			err = s.fetch.lost(ctx, c, err)
		}
		return nil, err
	}
	if s.fetch != nil {
		if err := errors.Join(s.fetch.spend(b), s.fetch.descend(b)); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// GetBlocks gets all that it can, in any order; a block that cannot be had is
// one that is not sent.
func (s session) GetBlocks(ctx context.Context, cids []cid.Cid) (<-chan blocks.Block, error) {
	if p, ok := s.get.(block.Prefetcher); ok {
		p.Prefetch(ctx, cids...)
	}
	out := make(chan blocks.Block)
	todo := make(chan cid.Cid, len(cids))
	for _, c := range cids {
		todo <- c
	}
	close(todo)
	var running sync.WaitGroup
	for range min(getsMax, len(cids)) {
		running.Go(func() {
			for c := range todo {
				b, err := s.GetBlock(ctx, c)
				if err != nil {
					continue
				}
				select {
				case out <- b:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	go func() {
		running.Wait()
		close(out)
	}()
	return out, nil
}

// nothing is the network of a request that must not ask the network.
type nothing struct{}

func (nothing) Get(_ context.Context, c cid.Cid) (block.Block, error) {
	return block.Block{}, &block.NotFoundError{Cid: c}
}
