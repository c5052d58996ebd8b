// Package durability breaks nodes on purpose and checks that they kept their promises: a node that
// printed a CID holds every block of it, pinned, whatever happened to the process, the power, the
// disk or single bits after that.
//
// It works on the p2pnode binary and its repo, as a user has them, and knows nothing of what is
// inside: a promise is what `add` printed, and is checked by what `cat`, `get` and `pin ls` give
// back. It is not a model check of the store, which has its own tests.
//
// Invariant of a campaign: what it adds depends on its seed alone, so a failure can be played again;
// only the moment of the blow may fall elsewhere.
//
// The campaigns are tests: each runs a few cycles by default, and as many as
// -durability.full or -durability.cycles say.
package durability

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/p2pnode/p2pnode/testground/process"
)

// Exit codes of p2pnode that campaigns expect.
const (
	ExitLocked = 11
	ExitFull   = 12
)

const (
	fileSizeMax  = 3 << 20 // bytes of one file added
	smallSizeMax = 8 << 10 // bytes of each file of a directory, and of most files
	treeFilesMax = 20      // files of a directory added
)

// Promise is one add that was acknowledged.
type Promise struct {
	CID  string
	Tree map[string][]byte // the files of a directory, or nil
	File []byte
}

// Campaign adds to one repo, and remembers what it was promised.
type Campaign struct {
	Node *process.P2PNode
	Seed uint64
	Dir  string // for scratch files, outside the repo

	mu       sync.Mutex // guards the following fields
	promises []Promise
	crashes  []error
}

// Promises are the adds acknowledged so far, from number n on.
func (c *Campaign) Promises(n int) []Promise {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.promises[n:len(c.promises):len(c.promises)]
}

// Crashes are the clients that broke down instead of reporting an error.
func (c *Campaign) Crashes() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.crashes...)
}

// Write adds files and directories, from several writers at once, until ctx ends or all fail with
// something else than a locked repo.
func (c *Campaign) Write(ctx context.Context, cycle, writers int) {
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(c.Seed, uint64(cycle)<<16|uint64(w)))
			for i := 0; ctx.Err() == nil; i++ {
				err := c.add(ctx, rnd, fmt.Sprintf("%d-%d-%d", cycle, w, i))
				if err != nil && process.Code(err) != ExitLocked {
					return
				}
			}
		})
	}
	all.Wait()
}

// Strike lets the given number of writers add for a while, strikes, and stops them.
func (c *Campaign) Strike(ctx context.Context, cycle, writers int, after time.Duration, blow func() error) error {
	writing, stop := context.WithCancel(ctx)
	defer stop()
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.Write(writing, cycle, writers)
	}()
	timer := time.NewTimer(after)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-written:
	}
	err := blow()
	stop()
	<-written
	return errors.Join(err, c.Crashes())
}

// Add adds one file of the given size, in bytes.
func (c *Campaign) Add(ctx context.Context, size int) error {
	rnd := rand.New(rand.NewPCG(c.Seed, uint64(len(c.Promises(0)))|1<<63))
	return c.promise(ctx, Promise{File: randomBytes(rnd, size)}, "-")
}

func (c *Campaign) add(ctx context.Context, rnd *rand.Rand, name string) error {
	switch rnd.IntN(8) {
	case 0:
		return c.addTree(ctx, rnd, filepath.Join(c.Dir, name))
	case 1:
		return c.promise(ctx, Promise{File: randomBytes(rnd, rnd.IntN(fileSizeMax))}, "-")
	default:
		return c.promise(ctx, Promise{File: randomBytes(rnd, rnd.IntN(smallSizeMax))}, "-")
	}
}

func (c *Campaign) addTree(ctx context.Context, rnd *rand.Rand, dir string) error {
	p := Promise{Tree: map[string][]byte{}}
	for i := range 1 + rnd.IntN(treeFilesMax) {
		p.Tree[fmt.Sprintf("%d/file%02d", i%3, i)] = randomBytes(rnd, rnd.IntN(smallSizeMax))
	}
	defer os.RemoveAll(dir)
	for name, data := range p.Tree {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	return c.promise(ctx, p, dir)
}

// promise runs add. A CID that was printed is a promise, even if the client was killed after that.
func (c *Campaign) promise(ctx context.Context, p Promise, path string) error {
	out, err := process.Run(ctx, process.Command{
		Path:   c.Node.Binary,
		Args:   []string{"--repo", c.Node.Repo, "add", "-q", path},
		Prefix: c.Node.Prefix,
		Stdin:  bytes.NewReader(p.File),
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if cid, _, whole := strings.Cut(out, "\n"); whole && cid != "" {
		p.CID = cid
		c.promises = append(c.promises, p)
	}
	if crash := Crash(err); crash != nil {
		c.crashes = append(c.crashes, crash)
	}
	return err
}

// Crash returns err if it is a program that broke down by itself: a panic, or a signal that nobody
// sent it.
func Crash(err error) error {
	var exit *process.ExitError
	if !errors.As(err, &exit) {
		return nil
	}
	if exit.Signal != 0 && exit.Signal != syscall.SIGKILL && exit.Signal != syscall.SIGTERM {
		return err
	}
	for _, sign := range []string{"panic: ", "fatal error: ", "SIGBUS", "SIGSEGV", "DATA RACE"} {
		if strings.Contains(exit.Output, sign) {
			return err
		}
	}
	return nil
}

// Check returns what is missing of the promises from number n on: bytes, or a pin.
func (c *Campaign) Check(ctx context.Context, n int) error {
	pins, err := c.Node.Command(ctx, "pin", "ls")
	if err != nil {
		return err
	}
	var broken []error
	for _, p := range c.Promises(n) {
		if !strings.Contains(pins, p.CID) {
			broken = append(broken, fmt.Errorf("check %s: not pinned", p.CID))
		}
		if err := c.read(ctx, p); err != nil {
			broken = append(broken, fmt.Errorf("check %s: %w", p.CID, err))
		}
	}
	return errors.Join(broken...)
}

// ErrWrongBytes says that a node gave other bytes than it was given.
var ErrWrongBytes = errors.New("wrong bytes")

// read reads p back. What comes must be right, up to where an error ends it: other bytes are
// ErrWrongBytes, whatever the exit code.
func (c *Campaign) read(ctx context.Context, p Promise) error {
	if p.Tree != nil {
		return c.readTree(ctx, p)
	}
	out, err := c.Node.Command(ctx, "cat", p.CID)
	if err != nil && bytes.HasPrefix(p.File, []byte(out)) {
		return err
	}
	if !bytes.Equal([]byte(out), p.File) {
		return fmt.Errorf("%w: %d bytes, sha256 %x; want %d, %x (%v)", ErrWrongBytes,
			len(out), sha256.Sum256([]byte(out)), len(p.File), sha256.Sum256(p.File), err)
	}
	return err
}

func (c *Campaign) readTree(ctx context.Context, p Promise) error {
	dir, err := os.MkdirTemp(c.Dir, "get")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	root := filepath.Join(dir, "out")
	_, getErr := c.Node.Command(ctx, "get", p.CID, "-o", root)
	found := 0
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		want, ok := p.Tree[filepath.ToSlash(name)]
		if !ok && getErr != nil {
			return nil // what is under a temporary name was not given out
		}
		got, err := os.ReadFile(path)
		if err == nil && !bytes.Equal(got, want) {
			return fmt.Errorf("%w: %s: %d bytes; want %d", ErrWrongBytes, name, len(got), len(want))
		}
		found++
		return err
	})
	switch {
	case getErr != nil && !errors.Is(err, ErrWrongBytes):
		return getErr
	case err == nil && found != len(p.Tree):
		return fmt.Errorf("%w: %d files; want %d", ErrWrongBytes, found, len(p.Tree))
	}
	return err
}

func randomBytes(rnd *rand.Rand, n int) []byte {
	b := make([]byte, n)
	var word uint64
	for i := range b {
		if i%8 == 0 {
			word = rnd.Uint64()
		}
		b[i] = byte(word)
		word >>= 8
	}
	return b
}

// CopyRepo copies the files of a repo that no process has open.
func CopyRepo(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		case d.Type().IsRegular():
			return copyFile(filepath.Join(to, name), path)
		}
		return nil // a socket
	})
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
