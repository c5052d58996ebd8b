package main

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/crdt/commit"
)

func TestStory(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), t.TempDir(), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{" -50 =  -30\n", "+50 =   20  takes back ", "Before Bob's first withdrawal there was 100\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("printed %q, want %q in it", out.String(), want)
		}
	}
}

// The log names authors and is the same for both; the balance of every former version can be
// derived; and of two withdrawals of the same money one is taken back, once.
func TestAccount(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ann, bob := &person{repo: t.TempDir()}, &person{repo: t.TempDir()}
	defer func() {
		if err := errors.Join(ann.close(), bob.close()); err != nil {
			t.Error(err)
		}
	}()
	before, err := begin(ctx, ann, bob)
	must(err)
	if err := bob.account.Withdraw(ctx, 71); !errors.Is(err, ErrFunds) {
		t.Errorf("withdrew 71 of 70: %v", err)
	}
	after, err := ann.account.doc.Heads(ctx)
	must(err)
	must(overdraw(ctx, ann, bob))
	overdrawn, err := ann.account.doc.Heads(ctx)
	must(err)

	must(ann.account.Settle(ctx))
	must(bob.waitFor(ctx, 20))
	settled, err := bob.account.doc.Heads(ctx)
	must(err)
	must(ann.account.Settle(ctx)) // there is nothing left to do
	if again, err := ann.account.doc.Heads(ctx); err != nil || !reflect.DeepEqual(again, settled) {
		t.Errorf("settling twice made %v of %v, %v", again, settled, err)
	}
	for _, p := range []*person{ann, bob} {
		for _, v := range []struct {
			version []commit.ID
			want    int64
		}{{nil, 0}, {before, 100}, {after, 70}, {overdrawn, -30}, {settled, 20}} {
			if got, err := p.account.BalanceAt(ctx, v.version); err != nil || got != v.want {
				t.Errorf("balance at %v is %d, %v; want %d", v.version, got, err, v.want)
			}
		}
	}
	log, err := ann.account.Log(ctx, settled)
	must(err)
	his, err := bob.account.Log(ctx, settled)
	must(err)
	if !reflect.DeepEqual(log, his) {
		t.Errorf("Ann's log is %v, Bob's %v", log, his)
	}
	a, b := ann.account.docs.Author(), bob.account.docs.Author()
	if len(log) != 5 || log[0].Author != a || log[1].Author != b || log[2].Author == log[3].Author || log[4].Author != a {
		t.Fatalf("the log is %v, want entries by Ann %s, Bob %s, one of each, Ann", log, a, b)
	}
	if log[4].Reverses != log[3].ID || log[4].Amount != -log[3].Amount {
		t.Errorf("entry %v does not take back %v", log[4], log[3])
	}
	for _, e := range log {
		if since := time.Since(e.Time); since < -time.Second || since > time.Minute {
			t.Errorf("entry %v is of %v ago", e, since)
		}
	}
}
