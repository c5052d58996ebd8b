// Command bank is an account that two people use, of which the document's history is the log of
// deposits and withdrawals: who did each, and when. The balance is derived, for now and for any
// former version.
//
// What such an account promises: each entry is its author's, none is lost or counted twice, and
// whoever has the same entries sees the same balance. What it cannot promise is that the balance
// is never below zero. A node that cannot reach the others knows only what it has heard: so two
// people can each withdraw what is there once, and both withdrawals have happened. It can be seen
// by all afterwards, and be made good: here the bank takes back the one that stands later in the
// log. Who must not pay out too much in the first place has to ask one who decides, or to divide
// the money beforehand, so that each spends only his part; no merging can do that.
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
	"time"

	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/node"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.MkdirTemp("", "p2pnode-bank-")
	if err != nil {
		log.Fatal(err)
	}
	err = run(ctx, dir, os.Stdout)
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		log.Fatal(err)
	}
}

// run tells the story, with repos in dir.
func run(ctx context.Context, dir string, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ann, bob := &person{repo: filepath.Join(dir, "ann")}, &person{repo: filepath.Join(dir, "bob")}
	defer func() { err = errors.Join(err, ann.close(), bob.close()) }()
	before, err := begin(ctx, ann, bob)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "Ann deposits 100, and Bob withdraws 30.")
	fmt.Fprintln(out, "Bob wants 500 more:", bob.account.Withdraw(ctx, 500))

	if err := overdraw(ctx, ann, bob); err != nil {
		return err
	}
	fmt.Fprintln(out, "Bob leaves the network. He withdraws 50, and so does Ann. When they meet, both see:")
	if err := ann.account.Audit(ctx, out); err != nil {
		return err
	}
	if err := ann.account.Settle(ctx); err != nil {
		return err
	}
	if err := bob.waitFor(ctx, 20); err != nil {
		return err
	}
	fmt.Fprintln(out, "Ann, whose bank it is, takes back the one for which there was not enough. Bob sees:")
	if err := bob.account.Audit(ctx, out); err != nil {
		return err
	}
	was, err := bob.account.BalanceAt(ctx, before)
	fmt.Fprintln(out, "Before Bob's first withdrawal there was", was)
	return err
}

// begin has Ann open the account with 100, and Bob join and withdraw 30. It returns the version
// between.
func begin(ctx context.Context, ann, bob *person) (before []commit.ID, err error) {
	if err := errors.Join(ann.open(ctx, false), bob.open(ctx, false)); err != nil {
		return nil, err
	}
	if ann.account.doc, err = ann.account.docs.Create(ctx, "account"); err != nil {
		return nil, err
	}
	if err := ann.account.Deposit(ctx, 100); err != nil {
		return nil, err
	}
	ticket, err := ann.account.doc.Share(ctx, commit.Write)
	if err != nil {
		return nil, err
	}
	if bob.account.doc, err = bob.account.docs.Join(ctx, ticket, "account"); err != nil {
		return nil, err
	}
	if before, err = bob.account.doc.Heads(ctx); err != nil {
		return nil, err
	}
	return before, errors.Join(bob.account.Withdraw(ctx, 30), ann.waitFor(ctx, 70))
}

// overdraw has both withdraw 50 of 70 while neither hears of the other, and meet.
func overdraw(ctx context.Context, ann, bob *person) error {
	if err := bob.reopen(ctx, true); err != nil {
		return err
	}
	if err := errors.Join(ann.account.Withdraw(ctx, 50), bob.account.Withdraw(ctx, 50)); err != nil {
		return err
	}
	if err := bob.reopen(ctx, false); err != nil {
		return err
	}
	if err := bob.node.Connect(ctx, ann.node.Addrs()[0]); err != nil {
		return err
	}
	return errors.Join(ann.waitFor(ctx, -30), bob.waitFor(ctx, -30))
}

// person is somebody with a node.
type person struct {
	repo    string // the folder that keeps the node's key and documents
	node    *node.Node
	account Account
}

// open starts the node, on the network or without any.
func (p *person) open(ctx context.Context, offline bool) error {
	n, err := node.Open(ctx, node.Options{
		Repo:    p.repo,
		Offline: offline,
		Network: "bank",
		Listen:  []string{"/ip4/127.0.0.1/tcp/0"},
		NoMDNS:  true,
	})
	if err != nil {
		return err
	}
	p.node = n
	p.account.docs, err = n.Docs()
	return err
}

func (p *person) close() error {
	if p.node == nil {
		return nil
	}
	return p.node.Close()
}

// reopen ends the node and starts it again. The account is what it was.
func (p *person) reopen(ctx context.Context, offline bool) error {
	if err := errors.Join(p.close(), p.open(ctx, offline)); err != nil {
		return err
	}
	doc, err := p.account.docs.Open(ctx, "account")
	p.account.doc = doc
	return err
}

// waitFor waits until the balance is as it should be.
func (p *person) waitFor(ctx context.Context, balance int64) error {
	have := int64(0)
	for _, err := range p.account.doc.Watch(ctx) {
		if err != nil {
			return err
		}
		if have, err = p.account.Balance(ctx); err != nil || have == balance {
			return err
		}
	}
	return fmt.Errorf("wait for a balance of %d, it is %d: %w", balance, have, ctx.Err())
}
