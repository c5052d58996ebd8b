package replica_test

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/replica"
	"github.com/p2pnode/p2pnode/crdt/wire"
)

// Who sends forged commits loses what it has earned. An author with two histories loses little, and
// whoever passes them on nothing.
func TestJudge(t *testing.T) {
	inLab(t, func(l *lab) {
		a := l.person(1, replica.Options{Interval: time.Hour})
		d := a.create("notes", writer(2), writer(3))
		blocks, heads := genesis(t, l, a, d)
		author := l.host(2)
		x := l.liar(3, d.ID(), a)
		say := func(b block.Block, h crdt.Head) {
			t.Helper()
			if err := x.topic.Publish(l.ctx, announceBytes(2, b, h)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		say(made(t, 2, d.ID(), blocks, heads, set("k", 1)))
		say(made(t, 2, d.ID(), blocks, heads, set("k", 2)))
		if got, want := a.judge.of(author.ID()), replica.FaultForked.Weight(); got != want {
			t.Errorf("an author with two histories has lost %v, want %v", got, want)
		}
		if got := a.judge.of(x.host.ID()); got != 0 {
			t.Errorf("who passed them on has lost %v", got)
		}
		if n := a.Stats().Forks; n != 1 {
			t.Errorf("%d forks are counted", n)
		}
		before := view(t, d)
		for range 3 {
			c := &commit.Commit{Gen: 99, Author: authorOf(2), Parents: []commit.Parent{{ID: d.ID(), Signature: heads[0].Signature}}}
			b, err := c.Encode()
			if err != nil {
				t.Fatal(err)
			}
			id, _ := commit.IDOf(b.Cid())
			say(b, crdt.Head{ID: id, Signature: commit.Sign(keyOf(2), d.ID(), id)})
		}
		if got, want := a.judge.of(x.host.ID()), 3*replica.FaultInvalid.Weight(); got != want || want < 50 {
			t.Errorf("who sent three forged commits has lost %v, want %v", got, want)
		}
		if n := a.Stats().Rejected; n != 3 || len(view(t, d)) != len(before) {
			t.Errorf("%d commits are rejected, and there is %v", n, view(t, d))
		}
	})
}

// One peer's requests, though they never end, leave room for those of others.
func TestServesPeerMax(t *testing.T) {
	inLab(t, func(l *lab) {
		a := l.person(1, replica.Options{Interval: time.Hour})
		d := a.create("notes")
		ask := func(x *liar, end bool) network.Stream {
			t.Helper()
			s, err := x.host.NewStream(l.ctx, a.host.ID(), wire.Protocol)
			if err != nil {
				t.Fatal(err)
			}
			r := wire.Request{Kind: wire.Pull, Topic: wire.Topic(d.ID()), Proof: wire.Proof(d.ID(), x.host.ID(), a.host.ID())}
			if _, err := s.Write(r.Append(nil)); err != nil {
				t.Fatal(err)
			}
			if end {
				if err := s.CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second) // of virtual time, for it to come
			return s
		}
		status := func(s network.Stream) byte {
			t.Helper()
			var b bytes.Buffer
			if _, err := io.CopyN(&b, s, 1); err != nil {
				t.Fatal(err)
			}
			return b.Bytes()[0]
		}
		greedy, other := l.liar(2, d.ID(), a), l.liar(3, d.ID(), a)
		var held []network.Stream
		for range replica.ServesPeerMax {
			held = append(held, ask(greedy, false))
		}
		if got := status(ask(greedy, true)); got != byte(wire.Busy) {
			t.Errorf("one more than a peer may have is answered %d", got)
		}
		if got := status(ask(other, true)); got != byte(wire.OK) {
			t.Errorf("another peer is answered %d", got)
		}
		for _, s := range held {
			if err := s.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got := status(s); got != byte(wire.OK) {
				t.Errorf("one of those that it may have is answered %d", got)
			}
		}
		if got := status(ask(greedy, true)); got != byte(wire.OK) {
			t.Errorf("after they ended, the peer is answered %d", got)
		}
	})
}
