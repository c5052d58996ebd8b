// Command cqrs keeps commands and queries apart: two writers append events to a log, and an
// office, which may only read, answers questions from a view of it.
//
// The log is a document, with a map of events under names that nobody else chooses: so nothing is
// ever overwritten, and all replicas have the same events in the end. It is in no order, so views
// must not depend on one: sums, counts, sets and maxima do not. Replication carries the log alone.
// What is derived from it stays where it is derived.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
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

// Event is something that has happened in the warehouse: so many came, or went if it is negative.
type Event struct {
	Item   string
	Change int64
}

// record appends an event to the log. It is on this node's disk, if it has one, when record
// returns.
func record(ctx context.Context, doc *replica.Doc, e Event) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	name := rand.Text() // outside of the edit, which may be made twice
	_, err = doc.Update(ctx, func(tx *crdt.Tx) error {
		tx.Map("events").Set(name, data)
		return nil
	})
	return err
}

// decode reads an event of the log. What is no event is left out, by all views alike.
func decode(v any) (e Event, ok bool) {
	data, ok := v.([]byte)
	return e, ok && json.Unmarshal(data, &e) == nil
}

// run tells the story.
func run(ctx context.Context, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	w, err := open(ctx)
	defer func() { err = errors.Join(err, w.close()) }()
	if err != nil {
		return err
	}
	view := NewView()
	following, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- view.Follow(following, w.office) }()

	err = errors.Join(
		record(ctx, w.dock, Event{"bolts", 100}),
		record(ctx, w.dock, Event{"nuts", 80}),
		record(ctx, w.shop, Event{"bolts", -30}),
		record(ctx, w.shop, Event{"nuts", -75}),
		view.Await(ctx, 4),
	)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "The office follows the log: %v, to be ordered soon: %v\n", view.Stock(), view.Low(10))

	err = record(ctx, w.office, Event{"bolts", 1_000_000})
	if !errors.Is(err, crdt.ErrRole) {
		return fmt.Errorf("the office, which may not write, has written: %v", err)
	}
	fmt.Fprintln(out, "It may not write:", err)

	stop()
	if err := <-ended; err != nil {
		return err
	}
	if err := record(ctx, w.dock, Event{"nuts", 500}); err != nil {
		return err
	}
	fmt.Fprintln(out, "The view is thrown away. Meanwhile 500 nuts come.")

	view = NewView()
	go func() { ended <- view.Follow(ctx, w.office) }()
	if err := view.Await(ctx, 5); err != nil {
		return err
	}
	fmt.Fprintf(out, "A new one is built from the log: %v, to be ordered soon: %v\n", view.Stock(), view.Low(10))
	cancel()
	return <-ended
}

// warehouse is three nodes with one log.
type warehouse struct {
	nodes              []*node.Node
	dock, shop, office *replica.Doc
}

// open starts them. The dock makes the log; the shop may write to it, and the office may read it.
func open(ctx context.Context) (*warehouse, error) {
	w := new(warehouse)
	for _, at := range []struct {
		doc  **replica.Doc
		role commit.Role
	}{{&w.dock, commit.Manage}, {&w.shop, commit.Write}, {&w.office, commit.Read}} {
		n, err := node.Open(ctx, node.Options{Network: "cqrs", Listen: []string{"/ip4/127.0.0.1/tcp/0"}, NoMDNS: true})
		if err != nil {
			return w, err
		}
		w.nodes = append(w.nodes, n)
		docs, err := n.Docs()
		if err != nil {
			return w, err
		}
		if at.role == commit.Manage {
			*at.doc, err = docs.Create(ctx, "warehouse")
		} else {
			var ticket replica.Ticket
			if ticket, err = w.dock.Share(ctx, at.role); err == nil {
				*at.doc, err = docs.Join(ctx, ticket, "warehouse")
			}
		}
		if err != nil {
			return w, err
		}
	}
	return w, nil
}

func (w *warehouse) close() (err error) {
	for _, n := range w.nodes {
		err = errors.Join(err, n.Close())
	}
	return err
}
