package disk_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore/disk"
)

// times makes a campaign of a test run: -args -times 40. It is what make
// durability does; by default these tests only make sure that the campaign works.
var times = flag.Int("times", 1, "how many times as often to flip bits, to kill and to cut the power")

// killDirEnv makes the test binary a writer in that directory, to be killed.
const killDirEnv = "P2PNODE_TEST_KILL_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDirEnv); dir != "" {
		fmt.Fprintln(os.Stderr, "writer:", writeUntilKilled(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

var killOptions = disk.Options{SegmentSizeMax: 200_000}

// writeUntilKilled puts blocks by four writers, deletes half of them again and
// compacts, and prints the CIDs of the others when they are acknowledged.
func writeUntilKilled(dir string) error {
	s, err := disk.Open(dir, killOptions)
	if err != nil {
		return err
	}
	var mu sync.Mutex // guards stdout
	failed := make(chan error)
	for range 4 {
		go func() {
			for {
				if err := putSome(s, &mu); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	go func() {
		for {
			if _, err := s.Compact(context.Background()); err != nil {
				failed <- err
				return
			}
		}
	}()
	return <-failed
}

func putSome(s *disk.Store, mu *sync.Mutex) error {
	bs := make([]block.Block, 1+rand.IntN(8))
	var drop []cid.Cid
	var keep strings.Builder
	for i := range bs {
		data := make([]byte, 8+rand.IntN(6000))
		binary.LittleEndian.PutUint64(data, rand.Uint64())
		b, err := block.New(data, block.Prefix{Codec: cid.Raw})
		if err != nil {
			return err
		}
		bs[i] = b
		if i%2 == 0 {
			fmt.Fprintln(&keep, b.Cid())
		} else {
			drop = append(drop, b.Cid())
		}
	}
	if err := s.Put(context.Background(), bs...); err != nil {
		return err
	}
	mu.Lock()
	_, err := io.WriteString(os.Stdout, keep.String())
	mu.Unlock()
	if err != nil {
		return err
	}
	return s.Delete(context.Background(), drop...)
}

// TestKill kills writers, and looks for what they were promised.
func TestKill(t *testing.T) {
	cycles := 5 * *times
	dir := t.TempDir()
	var acked []cid.Cid
	for i := range cycles {
		acked = append(acked, killWriter(t, dir, 1+rand.IntN(300), func() {})...)
		s, err := disk.Open(dir, killOptions)
		if err != nil {
			t.Fatalf("cycle %d: %v", i, err)
		}
		checkAcked(t, s, i, acked)
		if i == cycles-1 {
			t.Logf("%d blocks acknowledged, stats %+v", len(acked), s.Stats())
		}
		mustClose(t, s)
	}
}

func checkAcked(t *testing.T, s *disk.Store, cycle int, acked []cid.Cid) {
	t.Helper()
	lost := 0
	for _, c := range acked {
		if _, err := s.Get(t.Context(), c); err != nil {
			t.Log(err)
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("cycle %d: %d of %d acknowledged blocks are lost", cycle, lost, len(acked))
	}
	if _, err := list(t, s); err != nil {
		t.Errorf("cycle %d: %v", cycle, err)
	}
}

// killWriter lets a writer acknowledge some blocks, kills it, and returns all
// that it acknowledged. The disaster strikes just before.
func killWriter(t *testing.T, dir string, after int, disaster func()) (acked []cid.Cid) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killDirEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		c, err := cid.Decode(lines.Text())
		if err != nil {
			break // cut in the middle
		}
		if acked = append(acked, c); len(acked) == after {
			disaster()
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || len(acked) < after {
		t.Fatalf("writer ended by itself after %d blocks: %v", len(acked), err)
	}
	return acked
}
