// Command kanban is a board of columns and cards that two people use, one of them on a train.
// Both move the same card, to different columns. When they meet, it is in one of them, and in the
// same one for both.
//
// That is a matter of the model. If a column were a list of cards, a move would be a removal from
// one list and an insertion into another: both people would remove the card, each would insert it
// elsewhere, and it would be there twice. So columns hold nothing here. A card says where it is,
// in one register, with both its column and its rank in it. A register has one value, and of two
// that were set at the same time all replicas choose the same, whatever clocks say. The title is a
// register of its own, so who renames a card does not undo who moves it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/replica"
	"github.com/p2pnode/p2pnode/node"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.MkdirTemp("", "p2pnode-kanban-")
	if err != nil {
		log.Fatal(err)
	}
	_, err = run(ctx, dir, os.Stdout)
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		log.Fatal(err)
	}
}

// run tells the story, with Bob's repo in dir, and returns the board as Ann and as Bob sees it.
func run(ctx context.Context, dir string, out io.Writer) (seen []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ann, bob := &person{}, &person{repo: dir}
	defer func() { err = errors.Join(err, ann.close(), bob.close()) }()
	if err := begin(ctx, ann, bob); err != nil {
		return nil, err
	}
	text, err := ann.board.Show(ctx)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "Ann and Bob share a board:\n%sBob takes a train.\n", text)
	if err := bob.reopen(ctx, true); err != nil {
		return nil, err
	}
	err = errors.Join(
		bob.board.Title(ctx, "sand", "sand the door twice"),
		bob.board.Move(ctx, "paint", "done", 0),
		bob.board.Move(ctx, "varnish", "doing", 0),
		ann.board.Move(ctx, "paint", "doing", 0),
		ann.board.Move(ctx, "sand", "done", 0),
	)
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(out, "He renames sand, and moves paint to done and varnish to doing.")
	fmt.Fprintln(out, "She moves paint to doing, and sand to done. He comes home.")
	if err := bob.reopen(ctx, false); err != nil {
		return nil, err
	}
	if err := bob.node.Connect(ctx, ann.node.Addrs()[0]); err != nil {
		return nil, err
	}
	// Whoever sees the last edit of somebody sees the ones before it.
	hers, err := ann.waitFor(ctx, "varnish", "doing")
	if err != nil {
		return nil, err
	}
	his, err := bob.waitFor(ctx, "sand", "done")
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "Ann sees:\n%sBob sees:\n%s", hers, his)
	return []string{hers, his}, nil
}

// begin has Ann make a board, and Bob join.
func begin(ctx context.Context, ann, bob *person) error {
	hers, err := ann.open(ctx, false)
	if err != nil {
		return err
	}
	if ann.board.doc, err = hers.Create(ctx, "board"); err != nil {
		return err
	}
	if err := ann.board.Begin(ctx, "todo", "doing", "done"); err != nil {
		return err
	}
	for i, id := range []string{"sand", "paint", "varnish"} {
		if err := errors.Join(ann.board.Title(ctx, id, id+" the door"), ann.board.Move(ctx, id, "todo", i)); err != nil {
			return err
		}
	}
	ticket, err := ann.board.doc.Share(ctx, commit.Write)
	if err != nil {
		return err
	}
	his, err := bob.open(ctx, false)
	if err != nil {
		return err
	}
	bob.board.doc, err = his.Join(ctx, ticket, "board")
	return err
}

// person is somebody with a node.
type person struct {
	repo  string // the folder that keeps the node's key and documents; "" if nothing outlives it
	node  *node.Node
	board Board
}

// open starts the node, on the network or without any, and returns its documents.
func (p *person) open(ctx context.Context, offline bool) (*replica.Replica, error) {
	n, err := node.Open(ctx, node.Options{
		Repo:    p.repo,
		Offline: offline,
		Network: "kanban",
		Listen:  []string{"/ip4/127.0.0.1/tcp/0"},
		NoMDNS:  true,
	})
	if err != nil {
		return nil, err
	}
	p.node = n
	return n.Docs()
}

func (p *person) close() error {
	if p.node == nil {
		return nil
	}
	return p.node.Close()
}

// reopen ends the node and starts it again. The board is what it was.
func (p *person) reopen(ctx context.Context, offline bool) error {
	if err := p.close(); err != nil {
		return err
	}
	docs, err := p.open(ctx, offline)
	if err != nil {
		return err
	}
	p.board.doc, err = docs.Open(ctx, "board")
	return err
}

// waitFor waits until a card is in a column, and returns the board as text.
func (p *person) waitFor(ctx context.Context, id, column string) (string, error) {
	for _, err := range p.board.doc.Watch(ctx) {
		if err != nil {
			return "", err
		}
		cards, err := p.board.Cards(ctx)
		if err != nil {
			return "", err
		}
		if slices.ContainsFunc(cards, func(c Card) bool { return c.ID == id && c.Column == column }) {
			return p.board.Show(ctx)
		}
	}
	return "", ctx.Err()
}
