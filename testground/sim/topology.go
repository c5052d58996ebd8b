package sim

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Pair is two peers that connect.
type Pair struct{ A, B *Peer }

// Regular pairs peers so that each has degree others at least, and few more, in
// one connected whole: degree/2 rings through all of them in random order.
func (n *Network) Regular(peers []*Peer, degree int) []Pair {
	var pairs []Pair
	seen := make(map[[2]int]bool)
	if len(peers) < 2 {
		return nil
	}
	for range (degree + 1) / 2 {
		order := n.rng.Perm(len(peers))
		for i := range order {
			a, b := order[i], order[(i+1)%len(order)]
			if k := [2]int{min(a, b), max(a, b)}; a != b && !seen[k] {
				seen[k] = true
				pairs = append(pairs, Pair{peers[a], peers[b]})
			}
		}
	}
	return pairs
}

const (
	// connectTries is how often a pair tries. On a line that is slow or bad QUIC has
	// not the patience for its handshake, if others have theirs at the same time.
	connectTries = 4
	connectPause = 10 * time.Second // longer than libp2p refuses to dial again
)

// Connect connects pairs of running peers.
func (n *Network) Connect(ctx context.Context, pairs []Pair) error {
	var tasks sync.WaitGroup
	errs := make(chan error, len(pairs))
	for _, p := range pairs {
		tasks.Go(func() {
			if err := p.connect(ctx); err != nil {
				errs <- fmt.Errorf("connect %s to %s: %w", p.A, p.B, err)
			}
		})
	}
	tasks.Wait()
	close(errs)
	return <-errs // the first of them is enough to know
}

func (p Pair) connect(ctx context.Context) error {
	for try := 1; ; try++ {
		err := p.A.Connect(ctx, p.B)
		if err == nil || try == connectTries || ctx.Err() != nil {
			return err
		}
		time.Sleep(connectPause)
	}
}
