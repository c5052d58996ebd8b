package sim_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/sim"
	"github.com/p2pnode/p2pnode/unixfs"
)

// inNetwork runs f in a network in virtual time.
func inNetwork(t *testing.T, peers int, f func(t *testing.T, n *sim.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := sim.New(sim.Config{Seed: 1})
		defer func() {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		}()
		for i := range peers {
			if _, err := n.Add(sim.PeerOptions{Region: i % sim.RegionCount, Line: fabric.Line{Up: 50e6, Down: 50e6}}); err != nil {
				t.Fatal(err)
			}
		}
		f(t, n)
	})
}

func start(t *testing.T, n *sim.Network) {
	t.Helper()
	n.Warm(n.Peers())
	if err := sim.Each(t.Context(), n.Peers(), func(ctx context.Context, p *sim.Peer) error { return p.Start(ctx) }); err != nil {
		t.Fatal(err)
	}
}

// TestFind: what one peer adds, another that is not connected finds and reads.
func TestFind(t *testing.T) {
	inNetwork(t, 30, func(t *testing.T, n *sim.Network) {
		start(t, n)
		time.Sleep(10 * time.Second)
		peers := n.Peers()
		root, err := peers[0].Node().Add(t.Context(), strings.NewReader("hello"), node.AddOptions{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		f, err := peers[20].Node().OpenFile(t.Context(), unixfs.Path{Root: root.Cid})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		text := make([]byte, 5)
		if _, err := f.Read(text); err != nil || string(text) != "hello" {
			t.Errorf("read %q, %v", text, err)
		}
	})
}

// TestProvideOnce: a record is sent to those who are to keep it, and then not again for
// a long time.
func TestProvideOnce(t *testing.T) {
	inNetwork(t, 30, func(t *testing.T, n *sim.Network) {
		start(t, n)
		time.Sleep(10 * time.Second)
		if _, err := n.Peers()[0].Node().Add(t.Context(), strings.NewReader("hello"), node.AddOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Minute)
		if sent := records(n); sent < 15 || sent > 20 {
			t.Errorf("%d records are sent, to 20 peers", sent)
		}
	})
}

// TestProvideInACut: a record that only a few could be sent goes to the others when they
// can be reached again.
func TestProvideInACut(t *testing.T) {
	inNetwork(t, 30, func(t *testing.T, n *sim.Network) {
		start(t, n)
		time.Sleep(time.Minute)
		for _, p := range n.Peers()[:6] {
			p.NIC().SetGroup(1)
		}
		n.Fabric().SetCut(0, 1, fabric.Drop)
		if _, err := n.Peers()[0].Node().Add(t.Context(), strings.NewReader("hello"), node.AddOptions{}); err != nil {
			t.Fatal(err)
		}
		provided := func() bool { return n.Peers()[0].Node().Stats().DHT.Provided == 1 }
		if !within(10*time.Minute, provided) {
			t.Fatalf("in the cut: %+v", n.Peers()[0].Node().Stats().DHT)
		}
		before := records(n)
		n.Fabric().SetCut(0, 1, fabric.Open)
		if !within(15*time.Minute, func() bool { return records(n) >= before+10 }) {
			t.Errorf("%d records are sent after %d in the cut", records(n)-before, before)
		}
	})
}

// TestProvideIntoNowhere: records that a cut has swallowed, which nobody has noticed yet, are
// not taken for provided, although the connections took them: they are sent again.
func TestProvideIntoNowhere(t *testing.T) {
	inNetwork(t, 30, func(t *testing.T, n *sim.Network) {
		start(t, n)
		time.Sleep(time.Minute)
		p := n.Peers()[0]
		p.NIC().SetGroup(1)
		if _, err := p.Node().Add(t.Context(), strings.NewReader("hello"), node.AddOptions{}); err != nil {
			t.Fatal(err)
		}
		for records(n) == 0 {
			time.Sleep(time.Millisecond)
		}
		n.Fabric().SetCut(0, 1, fabric.Drop)
		time.Sleep(20 * time.Second)
		before := records(n)
		n.Fabric().SetCut(0, 1, fabric.Open)
		if !within(5*time.Minute, func() bool { return records(n) >= before+10 }) {
			t.Errorf("%d records were swallowed, %d are sent after that; %+v", before, records(n)-before, p.Node().Stats().DHT)
		}
	})
}

// within tells whether a condition that nothing announces comes true in this virtual time.
func within(longest time.Duration, ok func() bool) bool {
	for end := time.Now().Add(longest); time.Now().Before(end); time.Sleep(time.Second) {
		if ok() {
			return true
		}
	}
	return ok()
}

// records is how many provider records were sent.
func records(n *sim.Network) (sent int) {
	for _, m := range n.Messages() {
		if m.Type == "ADD_PROVIDER" {
			sent += int(m.Count)
		}
	}
	return sent
}

// TestCrash: a peer that crashes and comes back has what it had.
func TestCrash(t *testing.T) {
	inNetwork(t, 10, func(t *testing.T, n *sim.Network) {
		start(t, n)
		time.Sleep(10 * time.Second)
		p := n.Peers()[3]
		root, err := p.Node().Add(t.Context(), strings.NewReader("kept"), node.AddOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, lose := range []bool{false, true} {
			if err := p.Crash(lose); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if err := p.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			pins := 0
			for _, err := range p.Node().Pins(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				pins++
			}
			if pins == 1 == lose {
				t.Errorf("lost %v: %d pins of %s", lose, pins, root.Cid)
			}
			time.Sleep(10 * time.Second)
			if len(p.Node().Peers()) == 0 && !lose {
				t.Error("nobody is connected again")
			}
		}
		if err := p.Crash(false); err != nil {
			t.Fatal(err)
		}
		if err := p.Crash(false); err == nil {
			t.Error("crashed twice")
		}
	})
}

func TestTopology(t *testing.T) {
	inNetwork(t, 20, func(t *testing.T, n *sim.Network) {
		degree := make(map[string]int)
		for _, p := range n.Regular(n.Peers(), 6) {
			degree[p.A.String()]++
			degree[p.B.String()]++
		}
		if len(degree) != 20 {
			t.Errorf("%d of 20 peers are connected", len(degree))
		}
		for p, d := range degree {
			if d < 4 || d > 6 {
				t.Errorf("%s has %d others", p, d)
			}
		}
		if err := sim.Each(t.Context(), n.Peers(), func(context.Context, *sim.Peer) error { return errors.New("no") }); err == nil || !strings.Contains(fmt.Sprint(err), "peer 19: no") {
			t.Errorf("got %v", err)
		}
	})
}
