package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/unixfs"
)

const (
	demoPeers   = 5
	demoSize    = 8 << 20     // bytes of the generated file
	demoTimeout = time.Minute // for the stranger to find the owner
	// demoPatience is the pause between two looks for the provider: the record
	// travels while the demo goes on.
	demoPatience = 20 * time.Millisecond
)

func demoCommand(a *app) *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "demo [FILE]",
		Short: "Show five peers that find and fetch a file from each other",
		Long: "Run five peers in this process, on loopback, with repos in a temporary folder. One adds FILE (or\n" +
			"8 MiB of random bytes); another, which has never heard of it, finds it through the DHT and fetches it.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			dir, err := os.MkdirTemp("", "p2pnode-demo-")
			if err != nil {
				return err
			}
			d := &demo{app: a, dir: dir, network: "demo-" + strings.ToLower(rand.Text()[:8]), start: time.Now()}
			defer func() { err = errors.Join(err, d.close(), os.RemoveAll(dir)) }()
			file := ""
			if len(args) > 0 {
				file = args[0]
			}
			return d.run(cmd.Context(), file, once)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "fetch the gateway's URL once and exit instead of serving until Ctrl-C")
	return cmd
}

// demo is a small network in one process.
type demo struct {
	app     *app
	dir     string
	network string
	peers   []*node.Node
	start   time.Time // of the current step
}

// step prints what was done, and how long it took.
func (d *demo) step(format string, args ...any) error {
	took := time.Since(d.start)
	_, err := fmt.Fprintf(d.app.stdout, "%8s  %s\n", took.Round(100*time.Microsecond), fmt.Sprintf(format, args...))
	d.start = time.Now()
	return err
}

// run tells the story: a network, an owner, a stranger.
func (d *demo) run(ctx context.Context, file string, once bool) error {
	source, err := d.source(file)
	if err != nil {
		return err
	}
	if err := d.join(ctx); err != nil {
		return err
	}
	root, err := d.add(ctx, source)
	if err != nil {
		return err
	}
	stranger, err := d.stranger(ctx, root)
	if err != nil {
		return err
	}
	if err := d.fetch(ctx, stranger, root, source); err != nil {
		return err
	}
	return d.serve(ctx, stranger, root, once)
}

// source is the file to share; one is made if none is given.
func (d *demo) source(file string) (string, error) {
	if file != "" {
		return file, nil
	}
	file = filepath.Join(d.dir, "random")
	f, err := os.Create(file)
	if err != nil {
		return "", err
	}
	_, err = io.CopyN(f, rand.Reader, demoSize)
	return file, errors.Join(err, f.Close())
}

func (d *demo) open(ctx context.Context, i int, bootstrap []string) (*node.Node, error) {
	n, err := node.Open(ctx, node.Options{
		Repo:      filepath.Join(d.dir, fmt.Sprintf("peer%d", i)),
		Network:   d.network,
		Listen:    []string{"/ip4/127.0.0.1/tcp/0"},
		Bootstrap: bootstrap,
		NoMDNS:    true,
	})
	if err != nil {
		return nil, fmt.Errorf("start peer %d: %w", i, err)
	}
	return n, nil
}

// join starts all peers but the stranger. They know the first alone.
func (d *demo) join(ctx context.Context) error {
	d.start = time.Now()
	d.peers = make([]*node.Node, demoPeers)
	first, err := d.open(ctx, 1, nil)
	if err != nil {
		return err
	}
	d.peers[0] = first
	var starting errgroup.Group
	for i := 1; i < demoPeers-1; i++ {
		starting.Go(func() (err error) {
			d.peers[i], err = d.open(ctx, i+1, first.Addrs())
			return err
		})
	}
	if err := starting.Wait(); err != nil {
		return err
	}
	return d.step("peers 1 to %d run on loopback, in a network of their own; 2 to %d know only peer 1", demoPeers-1, demoPeers-1)
}

// add lets peer 2 add the file.
func (d *demo) add(ctx context.Context, source string) (cid.Cid, error) {
	f, err := os.Open(source)
	if err != nil {
		return cid.Undef, err
	}
	defer f.Close()
	d.start = time.Now()
	root, err := d.peers[1].Add(ctx, f, node.AddOptions{Name: "demo"})
	if err != nil {
		return cid.Undef, err
	}
	return root.Cid, d.step("peer 2 added %s (%s): %s", display(filepath.Base(source)), size(int64(root.Size)), root.Cid)
}

// stranger starts the last peer, and finds the owner by it.
func (d *demo) stranger(ctx context.Context, root cid.Cid) (*node.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	d.start = time.Now()
	n, err := d.open(ctx, demoPeers, d.peers[0].Addrs())
	if err != nil {
		return nil, err
	}
	d.peers[demoPeers-1] = n
	if err := d.step("peer %d joined; it knows only peer 1 and has no blocks", demoPeers); err != nil {
		return nil, err
	}
	for {
		for p, err := range n.FindProviders(ctx, root) {
			if err == nil && p.ID == d.peers[1].ID() {
				return n, d.step("peer %d asked the DHT who has it: peer 2, %s", demoPeers, p.ID)
			}
		}
		select {
		case <-time.After(demoPatience):
		case <-ctx.Done():
			return nil, fmt.Errorf("find the provider of %s: %w", root, context.Cause(ctx))
		}
	}
}

// fetch gets the file and compares it with the original, byte by byte.
func (d *demo) fetch(ctx context.Context, n *node.Node, root cid.Cid, source string) error {
	d.start = time.Now()
	got, err := n.OpenFile(ctx, unixfs.Path{Root: root})
	if err != nil {
		return err
	}
	defer got.Close()
	original, err := os.Open(source)
	if err != nil {
		return err
	}
	defer original.Close()
	c := &comparer{original: original}
	bytes, err := got.WriteTo(c)
	if err != nil {
		return err
	}
	if bytes != got.Size() || !c.atEnd() {
		return errors.New("compare: what arrived is not what was added")
	}
	rate := float64(bytes) / time.Since(d.start).Seconds()
	return d.step("peer %d fetched %s from peer 2, every byte the same (%s/s)", demoPeers, size(bytes), size(int64(rate)))
}

// serve shows the file through the gateway of peer n.
func (d *demo) serve(ctx context.Context, n *node.Node, root cid.Cid, once bool) error {
	d.start = time.Now()
	f, err := openGateway(n, "127.0.0.1:8080", slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- f.server.Serve(f.listener) }() // ends with Close below
	defer f.server.Close()
	url := fmt.Sprintf("http://%s/ipfs/%s", f.listener.Addr(), root)
	if err := d.step("peer %d serves it at %s", demoPeers, url); err != nil {
		return err
	}
	if once {
		return d.visit(ctx, url)
	}
	d.app.note("Ctrl-C ends the demo")
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		return nil
	}
}

// visit fetches the URL as a browser would.
func (d *demo) visit(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	bytes, err := io.Copy(io.Discard, resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("fetch %s: %s", url, resp.Status)
	}
	return d.step("the gateway answers %s, %s", resp.Status, size(bytes))
}

func (d *demo) close() error {
	var closing errgroup.Group
	for _, n := range d.peers {
		if n != nil {
			closing.Go(n.Close)
		}
	}
	return closing.Wait()
}

// comparer fails a write that is not what comes next in the original.
type comparer struct {
	original io.Reader
	buf      []byte
}

func (c *comparer) Write(p []byte) (int, error) {
	if len(c.buf) < len(p) {
		c.buf = make([]byte, len(p))
	}
	want := c.buf[:len(p)]
	if _, err := io.ReadFull(c.original, want); err != nil {
		return 0, fmt.Errorf("compare: %w", err)
	}
	if !bytes.Equal(p, want) {
		return 0, errors.New("compare: bytes differ")
	}
	return len(p), nil
}

// atEnd tells whether nothing of the original is left.
func (c *comparer) atEnd() bool {
	n, err := c.original.Read(make([]byte, 1))
	return n == 0 && errors.Is(err, io.EOF)
}
