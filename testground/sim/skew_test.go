package sim_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/gossip"
	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/testground/det"
	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/sim"
	"github.com/p2pnode/p2pnode/unixfs"
)

// skews are those of the peers of skewed, in turn.
var skews = []time.Duration{0, 2 * time.Hour, -2 * time.Hour}

// skewed runs f in a network whose clocks differ by hours. Where clocks cannot be wrong
// there is no such network, and that is said.
func skewed(t *testing.T, peers int, f func(t *testing.T, n *sim.Network)) {
	t.Helper()
	inNetwork(t, 0, func(t *testing.T, n *sim.Network) {
		for i := range peers {
			o := sim.PeerOptions{Region: i % sim.RegionCount, Line: fabric.Line{Up: 50e6, Down: 50e6}, Skew: skews[i%len(skews)]}
			_, err := n.Add(o)
			if !det.Exact && o.Skew != 0 {
				if !errors.Is(err, det.ErrPlain) {
					t.Errorf("peer %d: got %v", i, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		start(t, n)
		time.Sleep(30 * time.Second)
		f(t, n)
	})
}

// TestClock: a clock shows what it was set to, to a peer's goroutines alone, and
// nothing takes longer or shorter for it.
func TestClock(t *testing.T) {
	skewed(t, 6, func(t *testing.T, n *sim.Network) {
		right := time.Now()
		for i, p := range n.Peers() {
			p.Do(t.Context(), func(context.Context) {
				if got := wall(time.Now()) - wall(right); got != skews[i%3] {
					t.Errorf("%s is ahead by %v, want %v", p, got, skews[i%3])
				}
				if d := time.Since(right); d != 0 {
					t.Errorf("%s: %v has passed", p, d)
				}
			})
		}
		// A deadline that one sets is the same to another.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		n.Peers()[1].Do(ctx, func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			<-ctx.Done()
		})
		if d := time.Since(right); d != time.Second || ctx.Err() != nil {
			t.Errorf("a deadline came after %v, %v", d, ctx.Err())
		}
		p := n.Peers()[0]
		if err := p.SetSkew(time.Hour); err != nil {
			t.Error(err)
		}
		p.Do(t.Context(), func(context.Context) {
			if got := wall(time.Now()) - wall(right); got != time.Hour+time.Second {
				t.Errorf("a clock that was set is ahead by %v", got)
			}
		})
		if err := p.SetSkew(0); err != nil {
			t.Error(err)
		}
	})
}

// wall is what the clock shows, without what is known besides.
func wall(t time.Time) time.Duration { return time.Duration(t.UnixNano()) }

// TestSkewedFind: provider records are found whoever keeps them, by whatever clock; a
// table that a peer has kept less than an hour ago is of use.
func TestSkewedFind(t *testing.T) {
	skewed(t, 24, func(t *testing.T, n *sim.Network) {
		peers := n.Peers()
		add := func(i int) (root cid.Cid) {
			t.Helper()
			peers[i].Do(t.Context(), func(ctx context.Context) {
				link, err := peers[i].Node().Add(ctx, strings.NewReader(fmt.Sprint("hello from ", i)), node.AddOptions{})
				if err != nil {
					t.Fatal(err)
				}
				root = link.Cid
			})
			return root
		}
		roots := []cid.Cid{add(0), add(1), add(2)}
		for _, later := range []time.Duration{10 * time.Second, 50 * time.Minute} {
			time.Sleep(later)
			for i, root := range roots {
				for k := range skews {
					reads(t, peers[9+3*i+k], root, fmt.Sprint("hello from ", i))
				}
			}
			for _, p := range peers[9:18] { // what they have read is theirs to forget
				restart(t, p, true)
			}
		}
		for _, p := range peers[18:] {
			restart(t, p, false)
			if stats := p.Node().Stats(); len(p.Node().Peers()) < 3 {
				t.Errorf("%s knows few when it is back: %+v", p, stats)
			}
		}
	})
}

func reads(t *testing.T, p *sim.Peer, root cid.Cid, want string) {
	t.Helper()
	p.Do(t.Context(), func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		f, err := p.Node().OpenFile(ctx, unixfs.Path{Root: root})
		if err != nil {
			t.Errorf("%s: %v", p, err)
			return
		}
		defer f.Close()
		text := make([]byte, len(want))
		if _, err := f.Read(text); err != nil || string(text) != want {
			t.Errorf("%s reads %q, %v", p, text, err)
		}
	})
}

func restart(t *testing.T, p *sim.Peer, lose bool) {
	t.Helper()
	if err := p.Crash(lose); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Second)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(30 * time.Second)
}

// TestSkewedGossip: what a peer of any clock publishes arrives at all others, once, and
// goes on to arrive after its clock was set back.
func TestSkewedGossip(t *testing.T) {
	skewed(t, 12, func(t *testing.T, n *sim.Network) {
		peers := n.Peers()
		if err := n.Connect(t.Context(), n.Regular(peers, 6)); err != nil {
			t.Fatal(err)
		}
		got := make([]map[string]int, len(peers))
		topics := make([]*gossip.Topic, len(peers))
		err := sim.Each(t.Context(), peers, func(ctx context.Context, p *sim.Peer) (err error) {
			got[p.Number()] = make(map[string]int)
			topics[p.Number()], err = listen(p, func(text string) { got[p.Number()][text]++ })
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		say := func(i int, text string) {
			t.Helper()
			peers[i].Do(t.Context(), func(ctx context.Context) {
				if err := topics[i].Publish(ctx, []byte(text)); err != nil {
					t.Error(err)
				}
			})
		}
		for i := range skews {
			say(i, fmt.Sprint("from ", i))
		}
		if err := peers[1].SetSkew(-3 * time.Hour); err != nil {
			t.Fatal(err)
		}
		say(1, "from 1, set back")
		time.Sleep(20 * time.Second)
		synctest.Wait()
		for i := range peers {
			for _, text := range []string{"from 0", "from 1", "from 2", "from 1, set back"} {
				if got[i][text] != 1 {
					t.Errorf("%s has %q %d times", peers[i], text, got[i][text])
				}
			}
		}
	})
}

// listen joins a topic and tells what comes, until the node is closed.
func listen(p *sim.Peer, hear func(text string)) (*gossip.Topic, error) {
	topic, err := p.Node().Gossip().Join("news", nil)
	if err != nil {
		return nil, err
	}
	in, err := topic.Subscribe()
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			m, err := in.Next(context.Background())
			if err != nil {
				return
			}
			hear(string(m.Data))
		}
	}()
	return topic, nil
}
