// Command notes has two people edit one text while neither can reach the other. Then they meet,
// and see the same.
//
// Each person is a node with a repo of its own. Nobody is asked before an edit, nothing is
// locked, and there is no server that has the true text: whoever has the same edits has the same
// text. What one person has typed in one go stays together.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/replica"
	"github.com/p2pnode/p2pnode/node"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.MkdirTemp("", "p2pnode-notes-")
	if err != nil {
		log.Fatal(err)
	}
	_, err = run(ctx, dir, os.Stdout)
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		log.Fatal(err)
	}
}

// run tells the story, with repos in dir, and returns what Ann and what Bob sees in the end.
func run(ctx context.Context, dir string, out io.Writer) (seen []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ann, bob := &person{repo: filepath.Join(dir, "ann")}, &person{repo: filepath.Join(dir, "bob")}
	defer func() { err = errors.Join(err, ann.close(), bob.close()) }()

	if err := begin(ctx, ann, bob); err != nil {
		return nil, err
	}
	fmt.Fprintln(out, "Ann has begun a note, and Bob has a copy. Now both leave the network.")
	if err := errors.Join(ann.reopen(ctx, true), bob.reopen(ctx, true)); err != nil {
		return nil, err
	}
	err = errors.Join(
		ann.edit(ctx, func(t crdt.Text) { t.Insert(t.Len(), "- apples\n- a blanket\n") }),
		bob.edit(ctx, func(t crdt.Text) { t.Insert(t.Len(), "- bread\n- cheese\n") }),
		bob.edit(ctx, func(t crdt.Text) { t.Insert(len("Picnic"), " on Sunday") }),
	)
	if err != nil {
		return nil, err
	}
	alone, err := ann.waitFor(ctx, "apples")
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "\nAnn, offline, sees:\n%s\nThey meet again.\n", alone)

	if err := errors.Join(ann.reopen(ctx, false), bob.reopen(ctx, false)); err != nil {
		return nil, err
	}
	if err := bob.node.Connect(ctx, ann.node.Addrs()[0]); err != nil {
		return nil, err
	}
	// Whoever sees an edit sees all that its author had seen: so one word of the last is enough.
	byAnn, err := ann.waitFor(ctx, "Sunday")
	if err != nil {
		return nil, err
	}
	byBob, err := bob.waitFor(ctx, "apples")
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "\nAnn sees:\n%s\nBob sees:\n%s", byAnn, byBob)
	return []string{byAnn, byBob}, nil
}

// begin has Ann write the first line, and Bob join by a ticket, which people would send by mail.
func begin(ctx context.Context, ann, bob *person) error {
	hers, err := ann.open(ctx, false)
	if err != nil {
		return err
	}
	if ann.note, err = hers.Create(ctx, "picnic"); err != nil {
		return err
	}
	if err := ann.edit(ctx, func(t crdt.Text) { t.Insert(0, "Picnic\n") }); err != nil {
		return err
	}
	ticket, err := ann.note.Share(ctx, commit.Write)
	if err != nil {
		return err
	}
	his, err := bob.open(ctx, false)
	if err != nil {
		return err
	}
	bob.note, err = his.Join(ctx, ticket, "picnic")
	return err
}

// person is somebody with a node.
type person struct {
	repo string // the folder that keeps the node's key and documents
	node *node.Node
	note *replica.Doc
}

// open starts the node, on the network or without any, and returns its documents.
func (p *person) open(ctx context.Context, offline bool) (*replica.Replica, error) {
	n, err := node.Open(ctx, node.Options{
		Repo:    p.repo,
		Offline: offline,
		Network: "notes",
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

// reopen ends the node and starts it again. The note is what it was.
func (p *person) reopen(ctx context.Context, offline bool) error {
	if err := p.close(); err != nil {
		return err
	}
	docs, err := p.open(ctx, offline)
	if err != nil {
		return err
	}
	p.note, err = docs.Open(ctx, "picnic")
	return err
}

// edit changes the text. It is on disk when edit returns.
func (p *person) edit(ctx context.Context, f func(crdt.Text)) error {
	_, err := p.note.Update(ctx, func(tx *crdt.Tx) error { f(tx.Text("text")); return nil })
	return err
}

// waitFor waits until a word is in the text, and returns the text.
func (p *person) waitFor(ctx context.Context, word string) (string, error) {
	for _, err := range p.note.Watch(ctx) {
		if err != nil {
			return "", err
		}
		v, _, err := p.note.Get(ctx, "text")
		if text, _ := v.(string); err != nil || strings.Contains(text, word) {
			return text, err
		}
	}
	return "", ctx.Err()
}
