package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/p2pnode/p2pnode/crdt/commit"
)

// Entry is a line of the log.
type Entry struct {
	ID       string        // the commit, and which of its operations
	Author   commit.Author // proven by a signature
	Time     time.Time     // by the author's clock, which may be wrong
	Amount   int64         // of a withdrawal negative
	Reverses string        // the ID of the withdrawal that this takes back, or ""
}

// Audit prints the log, with the balance after each entry.
func (a Account) Audit(ctx context.Context, out io.Writer) error {
	version, err := a.doc.Heads(ctx)
	if err != nil {
		return err
	}
	entries, err := a.Log(ctx, version)
	balance := int64(0)
	for _, e := range entries {
		balance += e.Amount
		note := ""
		if e.Reverses != "" {
			note = "  takes back " + short(e.Reverses)
		}
		fmt.Fprintf(out, "  %s  %s  by %.8s  %+5d = %4d%s\n", short(e.ID), e.Time.Format(time.DateTime), e.Author, e.Amount, balance, note)
	}
	return err
}

// short is the end of an entry's ID, which is enough to tell a few apart.
func short(id string) string { return id[max(0, len(id)-8):] }

// Log is the entries of a version: causes before effects, and in the same order on every replica.
// It is read off the commits, which are blocks that name the ones before: there is no second
// record of what has happened, which could say something else.
func (a Account) Log(ctx context.Context, version []commit.ID) ([]Entry, error) {
	commits := make(map[commit.ID]*commit.Commit)
	for todo := slices.Clone(version); len(todo) > 0; {
		id := todo[0]
		if todo = todo[1:]; commits[id] != nil {
			continue
		}
		b, err := a.docs.Block(ctx, id.Cid())
		if err != nil {
			return nil, err
		}
		c, _, err := commit.Decode(b)
		if err != nil {
			return nil, err
		}
		commits[id] = c
		for _, p := range c.Parents {
			todo = append(todo, p.ID)
		}
	}
	var order []commit.ID
	for id := range commits {
		order = append(order, id)
	}
	slices.SortFunc(order, func(x, y commit.ID) int {
		return cmp.Or(cmp.Compare(commits[x].Gen, commits[y].Gen), x.Compare(y))
	})
	var log []Entry
	for _, id := range order {
		entries, err := read(id, commits[id])
		if err != nil {
			return nil, err
		}
		log = append(log, entries...)
	}
	return log, nil
}

// read finds the entries in a commit: what it adds to the balance, and what it takes back.
func read(id commit.ID, c *commit.Commit) (entries []Entry, err error) {
	if c.Gen == 1 {
		return nil, nil // the beginning, which says only who are members
	}
	ops, err := commit.ParseOps(c.Ops)
	if err != nil {
		return nil, err
	}
	balance := commit.Object{Parent: -1, Kind: commit.Counter, Key: "balance"}
	for op := range ops.All() {
		if op.Object < 0 {
			continue // somebody gets a role
		}
		e := Entry{ID: fmt.Sprintf("%s/%d", id, len(entries)), Author: c.Author, Time: time.UnixMilli(int64(c.Wall))}
		if o := ops.Objects[op.Object]; o == balance {
			e.Amount = op.Delta
		} else {
			e.Amount, _ = commit.Value(op.Data).(int64)
			e.Reverses = o.Key
		}
		entries = append(entries, e)
	}
	return entries, nil
}
