package rival_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/sim"
	"github.com/p2pnode/p2pnode/testground/versus/rival"
)

const peers = 6

// inNetwork runs f in a network of one kind of guest, which is closed without a
// goroutine left: else the bubble does not end.
func inNetwork[G sim.Hosted](t *testing.T, open func(context.Context, sim.Seat) (G, error), f func(t *testing.T, guests []G)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := sim.New(sim.Config{Seed: 1})
		defer func() {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		}()
		for i := range peers {
			if _, err := n.Add(sim.PeerOptions{Region: i, Line: fabric.Line{Up: 50e6, Down: 50e6}}); err != nil {
				t.Fatal(err)
			}
		}
		n.Warm(n.Peers())
		guests := make([]G, peers)
		err := sim.Each(t.Context(), n.Peers(), func(ctx context.Context, p *sim.Peer) error {
			return p.StartGuest(ctx, func(ctx context.Context, s sim.Seat) (_ sim.Guest, err error) {
				guests[p.Number()], err = open(ctx, s)
				return guests[p.Number()], err
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Connect(t.Context(), n.Regular(n.Peers(), 2)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Second)
		f(t, guests)
	})
}

// TestBoxo: what one adds, all others find and read, either way.
func TestBoxo(t *testing.T) {
	for name, way := range map[string]rival.Way{"cat": rival.Cat, "pin": rival.Pin} {
		t.Run(name, func(t *testing.T) {
			open := func(ctx context.Context, s sim.Seat) (*rival.Boxo, error) { return rival.OpenBoxo(ctx, s, way) }
			inNetwork(t, open, func(t *testing.T, guests []*rival.Boxo) {
				text := make([]byte, 1<<20)
				rand.NewChaCha8([32]byte{1}).Read(text)
				root, err := guests[0].Add(t.Context(), bytes.NewReader(text), 0)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(15 * time.Second)
				for i, g := range guests[1:] {
					read(t, g, root.String(), text, func() (io.ReadCloser, error) { return g.Open(t.Context(), root) })
					if all, again := g.Received(); all-again != int64(len(text)+overhead(all-again, len(text))) {
						t.Errorf("guest %d received %d bytes, %d of them again", i+1, all, again)
					}
				}
			})
		})
	}
}

// overhead is what inner blocks add to a file: little, but not nothing.
func overhead(received int64, size int) int {
	if over := int(received) - size; over > 0 && over < 1000 {
		return over
	}
	return 0
}

func read(t *testing.T, g sim.Hosted, what string, want []byte, open func() (io.ReadCloser, error)) {
	t.Helper()
	f, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s reads %d bytes of %s, %v", g.Host().ID(), len(got), what, err)
	}
}

// TestKad: what each provides, the next one finds.
func TestKad(t *testing.T) {
	inNetwork(t, rival.OpenKad, func(t *testing.T, guests []*rival.Kad) {
		for i, g := range guests {
			c, err := g.Provide(t.Context(), fmt.Append(nil, i))
			if err != nil {
				t.Fatal(err)
			}
			var found peer.ID
			for p, err := range guests[(i+1)%peers].FindProviders(t.Context(), c) {
				if err != nil {
					t.Fatal(err)
				}
				found = p.ID
				break
			}
			if found != g.Host().ID() {
				t.Errorf("found %q, want %s", found, g.Host().ID())
			}
			if g.Table() != peers-1 {
				t.Errorf("knows %d peers", g.Table())
			}
		}
	})
}

// TestKadInVain: a search for what nobody has ends, and so does one that is given up.
func TestKadInVain(t *testing.T) {
	inNetwork(t, rival.OpenKad, func(t *testing.T, guests []*rival.Kad) {
		c, err := guests[0].Provide(t.Context(), []byte("a"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var last error
		for _, err := range guests[1].FindProviders(ctx, c) {
			last = err
		}
		if last == nil {
			t.Error("a search that was given up does not say so")
		}
	})
}

// TestGossipsub: all hear what one says.
func TestGossipsub(t *testing.T) {
	inNetwork(t, rival.OpenGossipsub, func(t *testing.T, guests []*rival.Gossipsub) {
		var mu sync.Mutex
		heard := make(map[peer.ID]int)
		var publish func(context.Context, []byte) error
		for _, g := range guests {
			var err error
			publish, err = g.Listen("news", func(data []byte, _ peer.ID) {
				mu.Lock()
				defer mu.Unlock()
				heard[g.Host().ID()] += len(data)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(15 * time.Second)
		if err := publish(t.Context(), []byte("hello")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		for _, g := range guests {
			if heard[g.Host().ID()] != 5 {
				t.Errorf("%s has heard %d bytes", g.Host().ID(), heard[g.Host().ID()])
			}
		}
	})
}
