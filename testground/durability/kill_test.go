package durability_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/testground/durability"
	"github.com/p2pnode/p2pnode/testground/process"
)

// TestKill kills nodes with SIGKILL, while they open their repo and during concurrent adds, through a
// daemon and without one in turn: nothing that was acknowledged is lost.
func TestKill(t *testing.T) {
	count, rnd := replayable(t, 4, 100)
	c := newCampaign(t, filepath.Join(t.TempDir(), "repo"))
	for cycle := range count {
		before := len(c.Promises(0))
		withDaemon := cycle%2 == 0
		blow := func() error { return nil } // the clients, which own the repo, are killed by Strike
		if withDaemon {
			killOpening(t, c, rnd)
			daemon(t, c)
			blow = func() error { c.Node.Kill(); return nil }
		}
		if err := c.Strike(t.Context(), cycle, writers, strikeAfter(rnd), blow); err != nil {
			t.Fatalf("cycle %d: %v", cycle, err)
		}
		if withDaemon {
			daemon(t, c)
		}
		if err := c.Check(t.Context(), before); err != nil {
			t.Fatalf("cycle %d (daemon: %t): %v", cycle, withDaemon, err)
		}
		if withDaemon {
			stop(t, c)
		}
	}
	checkAll(t, c)
	report(t, c, count, "kills")
}

// killOpening kills a daemon while it opens the repo.
func killOpening(t *testing.T, c *durability.Campaign, rnd *rand.Rand) {
	t.Helper()
	p, err := c.Node.Launch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-time.After(strikeAfter(rnd) / 2):
	case <-p.Done():
		t.Errorf("daemon: %v", p.Wait())
	}
	p.Kill()
}

// checkAll checks every promise and the repo as a whole.
func checkAll(t *testing.T, c *durability.Campaign) {
	t.Helper()
	if err := c.Check(t.Context(), 0); err != nil {
		t.Error(err)
	}
	if out, err := c.Node.Command(t.Context(), "verify"); err != nil {
		t.Errorf("verify: %v\n%s", err, out)
	}
}

// TestOneOwner lets two daemons race for a repo: one serves, the other names it and exits. The repo
// is free again at once when its owner has been killed.
func TestOneOwner(t *testing.T) {
	count, _ := replayable(t, 3, 20)
	c := newCampaign(t, filepath.Join(t.TempDir(), "repo"))
	for cycle := range count {
		var racers [2]*process.Process
		for i := range racers {
			p, err := c.Node.Launch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Kill)
			racers[i] = p
		}
		winner, loser := racers[0], racers[1]
		select {
		case <-loser.Done():
		case <-winner.Done():
			winner, loser = loser, winner
		}
		if err := loser.Wait(); process.Code(err) != 11 {
			t.Fatalf("cycle %d: the loser: %v; want exit 11", cycle, err)
		}
		if want := fmt.Sprintf("repo locked by pid %d", winner.Pid()); !strings.Contains(loser.Tail(), want) {
			t.Errorf("cycle %d: the loser printed %q; want %q", cycle, loser.Tail(), want)
		}
		if _, err := winner.Await(t.Context(), func(s string) bool { return s == "ready" }); err != nil {
			t.Fatalf("cycle %d: the winner: %v", cycle, err)
		}
		winner.Kill()
	}
	daemon(t, c)
	stop(t, c)
}
