package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/ipfs/boxo/blockservice"
	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/ipld/merkledag"
	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	dscrdt "github.com/ipfs/go-ds-crdt"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/crdt/replica"
	"github.com/p2pnode/p2pnode/testground/fabric"
)

const (
	catchUpCommits = 1000
	catchUpRTT     = 50 * time.Millisecond
)

// catchUpInBubble measures in virtual time: round trips count, and a busy machine does not.
func catchUpInBubble(t *testing.T, who string) (r result, err error) {
	synctest.Test(t, func(t *testing.T) {
		r, err = catchUp(t.Context(), who, catchUpCommits)
	})
	return r, err
}

// catchUp has one peer make commits, and another one fetch them that has nothing yet but a
// connection and, of go-ds-crdt, the announcement of the head; of ours, the document's ID.
func catchUp(ctx context.Context, who string, commits int) (r result, err error) {
	net := fabric.New(fabric.Options{Latency: func(_, _ netip.Addr) time.Duration { return catchUpRTT / 2 }, Seed: 1})
	defer net.Close()
	var hosts [2]host.Host
	for i := range hosts {
		if hosts[i], err = newHost(net, byte(i+1)); err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, hosts[i].Close()) }()
	}
	if err := hosts[1].Connect(ctx, peer.AddrInfo{ID: hosts[0].ID(), Addrs: hosts[0].Addrs()}); err != nil {
		return r, err
	}
	time.Sleep(time.Second) // of virtual time: both know what the other one speaks
	switch who {
	case ours:
		return catchUpOurs(ctx, hosts, commits)
	case goDSCRDT:
		return catchUpTheirs(ctx, hosts, commits)
	}
	return r, fmt.Errorf("nobody is called %q", who)
}

func newHost(net *fabric.Fabric, n byte) (host.Host, error) {
	at := netip.AddrFrom4([4]byte{20, n, 0, 1})
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(bytes.Repeat([]byte{n}, 64)))
	if err != nil {
		return nil, err
	}
	return libp2p.New(net.NIC(at, fabric.Line{}).Transport(), libp2p.Identity(key),
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/tcp/4001", at)),
		libp2p.DisableMetrics(), libp2p.DisableRelay(), libp2p.Ping(false), libp2p.ResourceManager(&network.NullResourceManager{}))
}

func memory() ds.Batching { return dssync.MutexWrap(ds.NewMapDatastore()) }

// fill puts values one after the other: each is a commit.
func fill(ctx context.Context, k keyed, commits int) error {
	for i := range commits {
		if err := k.put(ctx, []string{keyName("key", 0, i)}, []string{valueOf(0, i)}); err != nil {
			return err
		}
	}
	return nil
}

func catchUpOurs(ctx context.Context, hosts [2]host.Host, commits int) (r result, err error) {
	var replicas [2]*replica.Replica
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer func() {
		cancel()
		running.Wait()
	}()
	for i, h := range hosts {
		if replicas[i], err = replica.Open(ctx, replica.Options{Store: memory(), Key: keyOf(byte(i + 1)), Host: h}); err != nil {
			return r, err
		}
		running.Go(func() {
			<-ctx.Done()
			_ = replicas[i].Close() // it waits, and has no way to fail
		})
		running.Go(func() { _ = replicas[i].Run(ctx) }) // likewise
	}
	synctest.Wait()
	d, err := replicas[0].Create(ctx, docName)
	if err != nil {
		return r, err
	}
	if err := fill(ctx, opened{replicas[0], d}, commits); err != nil {
		return r, err
	}
	start := time.Now()
	late, err := replicas[1].Join(ctx, replica.Ticket{Doc: d.ID(), Peer: peer.AddrInfo{ID: hosts[0].ID()}}, docName)
	if err != nil {
		return r, err
	}
	r.Seconds = time.Since(start).Seconds()
	if n, err := late.Len(ctx); err != nil || n != commits+1 {
		return r, errors.Join(err, fmt.Errorf("%d of %d commits: %w", n, commits+1, errWrong))
	}
	r.Keys, err = verify(ctx, opened{replicas[1], late}, "key", []int{commits})
	return r, err
}

// air is where go-ds-crdt's announcements go: the last one waits for who has not heard it.
type air chan []byte

func (a air) Broadcast(_ context.Context, data []byte) error {
	select {
	case <-a:
	default:
	}
	a <- data
	return nil
}

func (a air) Next(ctx context.Context) ([]byte, error) {
	select {
	case data := <-a:
		return data, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// silence is the broadcaster of who hears nothing.
type silence struct{ air }

func (silence) Next(ctx context.Context) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func catchUpTheirs(ctx context.Context, hosts [2]host.Host, commits int) (r result, err error) {
	heard := make(air, 1)
	arrived, here := make(chan struct{}), 0
	hook := func(ds.Key, []byte) { // one at a time: the store is locked
		if here++; here == commits {
			close(arrived)
		}
	}
	open := func(h host.Host, b dscrdt.Broadcaster, hook func(ds.Key, []byte)) (datastore, func() error, error) {
		store := memory()
		blocks := blockstore.NewBlockstore(store)
		swap := bitswap.New(context.Background(), bsnet.NewFromIpfsHost(h), nil, blocks)
		o := quiet()
		o.PutHook = hook
		d, err := dscrdt.New(store, ds.NewKey("/crdt"), merkledag.NewDAGService(blockservice.New(blocks, swap)), b, o)
		if err != nil {
			return datastore{}, nil, errors.Join(err, swap.Close())
		}
		return datastore{d}, func() error { return errors.Join(d.Close(), swap.Close()) }, nil
	}
	first, closeFirst, err := open(hosts[0], silence{heard}, nil)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, closeFirst()) }()
	if err := fill(ctx, first, commits); err != nil {
		return r, err
	}
	synctest.Wait()
	start := time.Now()
	late, closeLate, err := open(hosts[1], heard, hook)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, closeLate()) }()
	select {
	case <-arrived:
	case <-time.After(time.Hour):
		return r, fmt.Errorf("not all keys after an hour: %w", errWrong)
	}
	r.Seconds = time.Since(start).Seconds()
	r.Keys, err = verify(ctx, late, "key", []int{commits})
	return r, err
}
