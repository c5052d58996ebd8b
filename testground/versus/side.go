package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/p2pnode/p2pnode/testground/netns"
	"github.com/p2pnode/p2pnode/testground/process"
)

// client is what a user types.
type client interface {
	Command(ctx context.Context, args ...string) (string, error)
	Connect(ctx context.Context, addr string) error
}

// daemon is what serves.
type daemon interface {
	Start(ctx context.Context) error
	Stop() error
	Memory() (process.Memory, error)
	Addr() string
	Gateway() string
}

type peer interface {
	client
	daemon
}

// place is where a peer runs; the zero place is this machine's loopback.
type place struct {
	prefix []string
	host   *netns.Host // nil: this machine, or what prefix says
	listen string
}

// side is one of the two programs.
type side struct {
	name   string
	binary string
	new    func(repo string, at place) peer
	// add adds a path, the chunks being of 256 KiB or, by default, of 1 MiB for p2pnode and of
	// 256 KiB for Kubo.
	add, add256KiB, add1MiB []string
}

func p2pnodeSide(binary string) side {
	return side{
		name:   "p2pnode",
		binary: binary,
		new: func(repo string, at place) peer {
			return &process.P2PNode{Binary: binary, Repo: repo, Prefix: at.prefix, Listen: at.listen}
		},
		add:       []string{"add", "-q"},
		add256KiB: []string{"add", "-q", "--profile", "unixfs-v0-2015"},
		add1MiB:   []string{"add", "-q", "--profile", "unixfs-v1-2025"},
	}
}

func kuboSide(binary string) side {
	return side{
		name:   "kubo",
		binary: binary,
		new: func(repo string, at place) peer {
			return &process.Kubo{Binary: binary, Repo: repo, Prefix: at.prefix, Listen: at.listen}
		},
		add:       []string{"add", "-Q", "-r"},
		add256KiB: []string{"add", "-Q", "-r"},
		add1MiB:   []string{"add", "-Q", "-r", "--cid-version", "1", "--chunker", "size-1048576"},
	}
}

// start starts a peer of side s on a new repo. What it returns last stops the peer and empties the repo.
func (v *versus) start(ctx context.Context, s side, at place) (peer, func() error, error) {
	repo, err := os.MkdirTemp(v.dir, s.name)
	if err != nil {
		return nil, nil, err
	}
	p := s.new(filepath.Join(repo, "repo"), at)
	if at.host != nil {
		p = inHost{p, at.host}
	}
	if err := p.Start(ctx); err != nil {
		return nil, nil, err
	}
	return p, func() error { return errors.Join(p.Stop(), empty(repo)) }, nil
}

// command runs a client's command under a limit of time.
func command(ctx context.Context, p client, words []string, more ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stepMax, fmt.Errorf("%v: not done after %s", words, stepMax))
	defer cancel()
	return p.Command(ctx, append(append([]string{}, words...), more...)...)
}

// lines of commands that fetch a CID into a path.
type way func(cid, out string) [][]string

func get(cid, out string) [][]string        { return [][]string{{"get", cid, "-o", out}} }
func pin(cid, _ string) [][]string          { return [][]string{{"pin", "add", cid}} }
func pinThenGet(cid, out string) [][]string { return append(pin(cid, out), get(cid, out)...) }

// fetched is what one fetch took and needed.
type fetched struct {
	took time.Duration
	peak int64 // bytes of memory of the fetching daemon
	over bool  // given up after the time allowed
}

// fetch starts a peer that knows nothing but source, lets it fetch cid, and checks what arrived
// against want, unless want is empty.
func (v *versus) fetch(ctx context.Context, s side, at place, source peer, cid string, w way, want string, limit time.Duration) (f fetched, err error) {
	p, done, err := v.start(ctx, s, at)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, done()) }()
	if err := p.Connect(ctx, source.Addr()); err != nil {
		return f, err
	}
	dir, err := os.MkdirTemp(v.dir, "out")
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, empty(dir)) }()
	out := filepath.Join(dir, "out")
	if err := settle(ctx); err != nil {
		return f, err
	}
	patient, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	start := time.Now()
	for _, args := range w(cid, out) {
		if _, err = p.Command(patient, args...); err != nil {
			break
		}
	}
	f.took = time.Since(start)
	if errors.Is(patient.Err(), context.DeadlineExceeded) && ctx.Err() == nil {
		f.over = true
		return f, nil
	}
	if err != nil {
		return f, err
	}
	if m, err := p.Memory(); err == nil {
		f.peak = m.Peak
	}
	if _, err := os.Stat(out); err == nil && want != "" {
		return f, sameTree(out, want)
	}
	return f, nil
}
