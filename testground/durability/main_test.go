package durability_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/testground/durability"
	"github.com/p2pnode/p2pnode/testground/process"
)

const (
	writers   = 4
	strikeMax = 600 * time.Millisecond // a blow falls at a random moment before that
)

var (
	binaryFlag = flag.String("durability.binary", "", "p2pnode binary to test (default: build it)")
	cyclesFlag = flag.Int("durability.cycles", 0, "cycles of each campaign (default: a few)")
	fullFlag   = flag.Bool("durability.full", false, "run each campaign for its full number of cycles")
	seedFlag   = flag.Uint64("durability.seed", 0, "seed of each campaign (default: from the clock)")
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if repo := os.Getenv(docRepo); repo != "" && os.Getenv(docPartner) == "" {
		fmt.Fprintln(os.Stderr, compactDoc(repo))
		return 1
	} else if repo != "" {
		fmt.Fprintln(os.Stderr, editDoc(repo))
		return 1
	}
	flag.Parse()
	if *seedFlag == 0 {
		*seedFlag = uint64(time.Now().UnixNano())
	}
	if *binaryFlag != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "p2pnode-durability")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	*binaryFlag = filepath.Join(dir, "p2pnode")
	build := exec.Command("go", "build", "-o", *binaryFlag, "github.com/p2pnode/p2pnode/cmd/p2pnode")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build p2pnode: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// cycles is how many cycles the campaign runs.
func cycles(quick, full int) int {
	switch {
	case *cyclesFlag > 0:
		return *cyclesFlag
	case *fullFlag:
		return full
	}
	return quick
}

// replayable says how to play the campaign again if it fails, and returns its number of cycles and
// what decides all that is left to chance.
func replayable(t *testing.T, quick, full int) (int, *rand.Rand) {
	t.Helper()
	count := cycles(quick, full)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d; replay: go test ./testground/durability -run '^%s$' -durability.seed=%d -durability.cycles=%d",
				*seedFlag, t.Name(), *seedFlag, count)
		}
	})
	return count, rand.New(rand.NewPCG(*seedFlag, 0))
}

// newCampaign makes a campaign on an empty repo.
func newCampaign(t *testing.T, repo string) *durability.Campaign {
	t.Helper()
	node := &process.P2PNode{Binary: *binaryFlag, Repo: repo}
	c := &durability.Campaign{Node: node, Seed: *seedFlag, Dir: t.TempDir()}
	if _, err := node.Command(t.Context(), "init"); err != nil {
		t.Fatal(err)
	}
	return c
}

// strikeAfter is a moment before strikeMax, more often an early one: that is when files are made.
func strikeAfter(rnd *rand.Rand) time.Duration {
	f := rnd.Float64()
	return time.Duration(f * f * float64(strikeMax))
}

// report prints what a campaign has covered.
func report(t *testing.T, c *durability.Campaign, count int, what string) {
	t.Helper()
	t.Logf("seed %d: %d %s, %d adds acknowledged", *seedFlag, count, what, len(c.Promises(0)))
}

// daemon starts the node's daemon; it is stopped at the end of the test if not before.
func daemon(t *testing.T, c *durability.Campaign) {
	t.Helper()
	if err := c.Node.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Node.Kill)
}

// stop ends the node's daemon as a user would.
func stop(t *testing.T, c *durability.Campaign) {
	t.Helper()
	if err := c.Node.Stop(); err != nil {
		t.Errorf("daemon: %v", err)
	}
}
