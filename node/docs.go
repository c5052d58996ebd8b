package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"

	"github.com/ipfs/go-cid"
	ds "github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore"
	"github.com/p2pnode/p2pnode/crdt/replica"
	"github.com/p2pnode/p2pnode/gossip"
)

// ErrKeyType means that a node's key is not Ed25519, so that it cannot edit documents.
var ErrKeyType = errors.New("key is not Ed25519")

// Docs returns the node's documents. The error is ErrKeyType.
func (n *Node) Docs() (*replica.Replica, error) {
	if n.docs == nil {
		return nil, fmt.Errorf("open documents: %w", ErrKeyType)
	}
	return n.docs, nil
}

// openDocs opens the documents. Nothing runs yet.
func (n *Node) openDocs(ctx context.Context, k crypto.PrivKey, o Options) error {
	if k.Type() != crypto.Ed25519 {
		return nil
	}
	raw, err := k.Raw()
	if err != nil {
		return fmt.Errorf("open documents: %w", err)
	}
	r := replica.Options{Store: n.state, Key: ed25519.PrivateKey(raw), Window: o.DocWindow, Host: n.host, Logger: o.Logger}
	if n.readOnly {
		r.Store = unwritable{n.state}
	}
	if n.gossip != nil {
		r.Topics = topics{n.gossip}
	}
	if n.docs, err = replica.Open(ctx, r); err != nil {
		return err
	}
	n.closers = append(n.closers, n.docs.Close)
	return nil
}

// startDocs has documents kept the same as everybody else's, until stop is called, which waits
// for that.
func (n *Node) startDocs() (stop func()) {
	if n.docs == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := n.docs.Run(ctx); err != nil {
			n.log.Error("protocol ended", "protocol", "documents", "err", err)
		}
	})
	return func() { cancel(); running.Wait() }
}

// topics are those of gossip.
type topics struct{ gossip *gossip.Gossip }

func (t topics) Join(name string, judge func(context.Context, replica.Message) replica.Verdict) (replica.Topic, error) {
	topic, err := t.gossip.Join(name, func(ctx context.Context, m gossip.Message) gossip.Verdict {
		return gossip.Verdict(judge(ctx, replica.Message(m)))
	})
	if err != nil {
		return nil, err
	}
	sub, err := topic.Subscribe()
	if err != nil {
		return nil, errors.Join(err, topic.Close())
	}
	return joined{topic, sub}, nil
}

// joined is a topic and what comes in it.
type joined struct {
	*gossip.Topic
	sub *gossip.Subscription
}

func (j joined) Next(ctx context.Context) (replica.Message, error) {
	m, err := j.sub.Next(ctx)
	return replica.Message(m), err
}

// unwritable is a state that takes no documents: it is a copy that is thrown away.
type unwritable struct{ ds.Batching }

func (unwritable) Put(context.Context, ds.Key, []byte) error { return ErrReadOnly }
func (unwritable) Delete(context.Context, ds.Key) error      { return ErrReadOnly }
func (unwritable) Batch(context.Context) (ds.Batch, error)   { return nil, ErrReadOnly }

// served is what the exchange serves.
func (n *Node) served() blockstore.Store {
	if n.docs == nil {
		return n.store
	}
	return shelves{n.store, n.docs}
}

// shelves are the blocks that are served: those of the store, and commits of documents.
type shelves struct {
	blockstore.Store
	docs *replica.Replica
}

func (s shelves) Get(ctx context.Context, c cid.Cid) (block.Block, error) {
	b, err := s.Store.Get(ctx, c)
	if errors.Is(err, block.ErrNotFound) && c.Type() == cid.DagCBOR {
		return s.docs.Block(ctx, c)
	}
	return b, err
}

func (s shelves) Size(ctx context.Context, c cid.Cid) (int, error) {
	n, err := s.Store.Size(ctx, c)
	if errors.Is(err, block.ErrNotFound) && c.Type() == cid.DagCBOR {
		b, err := s.docs.Block(ctx, c)
		return b.Size(), err
	}
	return n, err
}
