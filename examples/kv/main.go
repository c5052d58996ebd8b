// Command kv is a replicated key-value store: three nodes, each of which answers from what it has
// and takes writes, whether it reaches the others or not.
//
// The store is a document, in which each key is a register. Of two values that are put under one
// key at the same time one wins, the same on all nodes; a value that is put while somebody else
// deletes the key stays. What a node has put first, others see first: who sees the second Put of
// a node has seen its first.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/replica"
	"github.com/p2pnode/p2pnode/node"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run tells the story.
func run(ctx context.Context, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	stores, closeNodes, err := open(ctx, 3)
	defer func() { err = errors.Join(err, closeNodes()) }()
	if err != nil {
		return err
	}
	for i, key := range []string{"color/sky", "shape/ball", "color/grass"} {
		value := []string{"blue", "round", "green"}[i]
		if err := stores[i].Put(ctx, key, []byte(value)); err != nil {
			return err
		}
		fmt.Fprintf(out, "node %d puts %s = %s\n", i, key, value)
	}
	for i, s := range stores {
		err := errors.Join(s.Await(ctx, "color/sky", []byte("blue")), s.Await(ctx, "color/grass", []byte("green")))
		if err != nil {
			return err
		}
		keys, err := s.List(ctx, "color/")
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "node %d lists color/: %s\n", i, strings.Join(keys, ", "))
	}
	if err := stores[2].Delete(ctx, "color/sky"); err != nil {
		return err
	}
	if err := stores[0].Await(ctx, "color/sky", nil); err != nil {
		return err
	}
	fmt.Fprintln(out, "node 2 deletes color/sky, and it is gone from node 0")
	return nil
}

// Store is one node's copy of the store.
type Store struct{ doc *replica.Doc }

// Put sets the value of a key, which is up to 1 KiB of UTF-8. It is on this node's disk, if it
// has one, when Put returns; the others hear of it then.
func (s Store) Put(ctx context.Context, key string, value []byte) error {
	_, err := s.doc.Update(ctx, func(tx *crdt.Tx) error { tx.Set(key, value); return nil })
	return err
}

// Delete removes the values of a key that this node knows of.
func (s Store) Delete(ctx context.Context, key string) error {
	_, err := s.doc.Update(ctx, func(tx *crdt.Tx) error { tx.Remove(key); return nil })
	return err
}

// Get returns the value of a key, as far as this node knows. ok is false if there is none.
func (s Store) Get(ctx context.Context, key string) (value []byte, ok bool, err error) {
	v, _, err := s.doc.Get(ctx, key)
	value, ok = v.([]byte)
	return bytes.Clone(value), ok, err
}

// List returns the keys that begin with prefix, in order.
func (s Store) List(ctx context.Context, prefix string) ([]string, error) {
	all, err := s.doc.View(ctx)
	var keys []string
	for key := range all {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, err
}

// Await waits until a key has a value here, or, if that is nil, until it has none.
func (s Store) Await(ctx context.Context, key string, value []byte) error {
	for _, err := range s.doc.Watch(ctx) {
		if err != nil {
			return err
		}
		have, ok, err := s.Get(ctx, key)
		if err != nil || ok == (value != nil) && bytes.Equal(have, value) {
			return err
		}
	}
	return fmt.Errorf("wait for %s: %w", key, ctx.Err())
}

// open starts nodes that share a store. The first one makes it, and gives the others tickets.
// closeNodes is to be called in any case.
func open(ctx context.Context, count int) (stores []Store, closeNodes func() error, err error) {
	var nodes []*node.Node
	closeNodes = func() (err error) {
		for _, n := range nodes {
			err = errors.Join(err, n.Close())
		}
		return err
	}
	for len(stores) < count {
		n, err := node.Open(ctx, node.Options{Network: "kv", Listen: []string{"/ip4/127.0.0.1/tcp/0"}, NoMDNS: true})
		if err != nil {
			return nil, closeNodes, err
		}
		nodes = append(nodes, n)
		docs, err := n.Docs()
		if err != nil {
			return nil, closeNodes, err
		}
		var doc *replica.Doc
		if len(stores) == 0 {
			doc, err = docs.Create(ctx, "store")
		} else {
			var ticket replica.Ticket
			if ticket, err = stores[0].doc.Share(ctx, commit.Write); err == nil {
				doc, err = docs.Join(ctx, ticket, "store")
			}
		}
		if err != nil {
			return nil, closeNodes, err
		}
		stores = append(stores, Store{doc})
	}
	return stores, closeNodes, nil
}
