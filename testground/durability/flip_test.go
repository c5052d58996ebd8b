package durability_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/p2pnode/p2pnode/testground/durability"
)

const (
	flipFiles     = 4  // files in the repo
	flipServeEach = 10 // every so many flips, also read through a daemon's gateway
)

// TestFlips turns over one bit anywhere in a repo: what the node gives is right, or an error, and
// `verify` finds every flip among the blocks.
func TestFlips(t *testing.T) {
	count, rnd := replayable(t, 5, 200)
	repo := filepath.Join(t.TempDir(), "repo")
	c := newCampaign(t, repo)
	for i := range flipFiles {
		if err := c.Add(t.Context(), 1<<(12+3*i)); err != nil {
			t.Fatal(err)
		}
	}
	refused := 0
	for cycle := range count {
		// Each flip has a copy of the repo to itself.
		flip, err := durability.ChooseFlip(repo, rnd)
		if err != nil {
			t.Fatal(err)
		}
		c.Node.Repo = filepath.Join(t.TempDir(), "repo")
		if err := errors.Join(durability.CopyRepo(c.Node.Repo, repo), flip.Apply(c.Node.Repo)); err != nil {
			t.Fatal(err)
		}
		err = c.Check(t.Context(), 0)
		if err != nil {
			refused++
		}
		if cycle%flipServeEach == 0 {
			err = errors.Join(err, serve(t, c))
		}
		_, found := c.Node.Command(t.Context(), "verify")
		if err := errors.Join(durability.Crash(err), durability.Crash(found)); err != nil {
			t.Errorf("flip %d (%s): crashed: %v", cycle, flip, err)
		}
		if errors.Is(err, durability.ErrWrongBytes) {
			t.Errorf("flip %d (%s): %v", cycle, flip, err)
		}
		if strings.Contains(flip.Path, "segment") && err == nil && found == nil {
			t.Errorf("flip %d (%s): neither reading nor verify noticed", cycle, flip)
		}
	}
	report(t, c, count, fmt.Sprintf("flips (%d noticed by reading)", refused))
}

// serve reads the promises from the gateway of a daemon.
func serve(t *testing.T, c *durability.Campaign) error {
	t.Helper()
	if err := c.Node.Start(t.Context()); err != nil {
		return err
	}
	defer c.Node.Kill()
	var wrong error
	for _, p := range c.Promises(0) {
		resp, err := http.Get(c.Node.Gateway() + "/ipfs/" + p.CID)
		if err != nil {
			wrong = errors.Join(wrong, err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK && !(err != nil && bytes.HasPrefix(p.File, body)) && !bytes.Equal(body, p.File) {
			wrong = errors.Join(wrong, fmt.Errorf("gateway: %s: %w", p.CID, durability.ErrWrongBytes))
		}
	}
	return wrong
}
