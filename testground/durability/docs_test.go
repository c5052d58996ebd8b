package durability_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/replica"
	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/testground/process"
)

// The program that is killed is this test's own: with these variables it edits a document, alone if it
// has no partner.
const (
	docRepo    = "DURABILITY_DOC_REPO"
	docTicket  = "DURABILITY_DOC_TICKET"
	docPartner = "DURABILITY_DOC_PARTNER"
	docName    = "notes"
	docNetwork = "durability"
	docAcked   = "acked "
)

// TestKillDocs kills a node with SIGKILL that edits a document, and gets the edits of another
// node at the same time: no commit that was acknowledged is lost, the heads on disk are those
// commits that no other one follows and lead to all others, and in the end both have the same.
func TestKillDocs(t *testing.T) {
	count, rnd := replayable(t, 4, 200)
	partner := openDocs(t, node.Options{Repo: filepath.Join(t.TempDir(), "partner"), Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	pd, err := partner.docs.Create(t.Context(), docName)
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := pd.Share(t.Context(), commit.Write)
	if err != nil {
		t.Fatal(err)
	}
	repo := filepath.Join(t.TempDir(), "killed")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := process.Command{Path: self, Env: []string{
		docRepo + "=" + repo, docTicket + "=" + ticket.String(), docPartner + "=" + partner.Addrs()[0],
	}}
	stop := edits(t, pd)
	k := kept{seen: make(map[commit.ID]bool)}
	for cycle := range count {
		acked, err := editAndKill(t.Context(), command, strikeAfter(rnd))
		if err != nil {
			t.Fatalf("cycle %d: %v", cycle, err)
		}
		if err := k.check(t.Context(), repo, acked, cycle == count-1); err != nil {
			t.Fatalf("cycle %d: %v", cycle, err)
		}
	}
	stop()
	t.Logf("%d kills, %d edits acknowledged by the killed, %d commits in all", count, len(k.acked), len(k.seen))
	if len(k.acked) == 0 {
		t.Error("nothing was acknowledged")
	}
	sameInTheEnd(t, partner, pd, repo)
}

// docNode is a node and its documents.
type docNode struct {
	*node.Node
	docs *replica.Replica
}

func openDocs(t *testing.T, o node.Options) docNode {
	t.Helper()
	o.Network, o.NoMDNS = docNetwork, true
	n, err := node.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	r, err := n.Docs()
	if err != nil {
		t.Fatal(err)
	}
	return docNode{n, r}
}

// edits edits a document until it is told to stop.
func edits(t *testing.T, d *replica.Doc) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var task sync.WaitGroup
	task.Go(func() {
		pause := time.NewTicker(20 * time.Millisecond)
		defer pause.Stop()
		for ctx.Err() == nil {
			if _, err := increment(ctx, d); err != nil && ctx.Err() == nil {
				t.Errorf("partner: %v", err)
				return
			}
			select {
			case <-pause.C:
			case <-ctx.Done():
			}
		}
	})
	return func() { cancel(); task.Wait() }
}

func increment(ctx context.Context, d *replica.Doc) (commit.ID, error) {
	return d.Update(ctx, func(tx *crdt.Tx) error { tx.Counter("n").Add(1); return nil })
}

// editAndKill runs the program until a while after it has said that it edits, and returns the
// commits that it has acknowledged.
func editAndKill(ctx context.Context, c process.Command, after time.Duration) (acked []commit.ID, err error) {
	var out output
	c.Stdout = &out
	p, err := process.Start(ctx, c)
	if err != nil {
		return nil, err
	}
	defer p.Kill()
	select {
	case <-out.begun():
	case <-p.Done():
		return nil, fmt.Errorf("the editor ended: %w\n%s", p.Wait(), p.Tail())
	case <-time.After(time.Minute):
		return nil, fmt.Errorf("the editor has not begun\n%s", p.Tail())
	}
	select {
	case <-time.After(after):
	case <-p.Done():
		return nil, fmt.Errorf("the editor ended: %w\n%s", p.Wait(), p.Tail())
	}
	p.Kill()
	<-p.Done()
	for line := range strings.Lines(out.text()) {
		text, ok := strings.CutPrefix(strings.TrimSpace(line), docAcked)
		if !ok || !strings.HasSuffix(line, "\n") { // it was killed while it wrote
			continue
		}
		id, err := replica.ParseID(text)
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", line, err)
		}
		acked = append(acked, id)
	}
	return acked, nil
}

// output is what a program has printed.
type output struct {
	mu    sync.Mutex
	bytes []byte
	first chan struct{} // closed when there is something
}

func (o *output) begun() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.first == nil {
		o.first = make(chan struct{})
	}
	return o.first
}

func (o *output) Write(p []byte) (int, error) {
	o.begun()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.bytes) == 0 {
		close(o.first)
	}
	o.bytes = append(o.bytes, p...)
	return len(p), nil
}

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.bytes)
}

// kept is what a repo must hold.
type kept struct {
	acked []commit.ID
	seen  map[commit.ID]bool // commits that were there
}

// check looks into the repo of a killed node. all says to look for everything, not only for
// what is new.
func (k *kept) check(ctx context.Context, repo string, acked []commit.ID, all bool) error {
	n, err := node.Open(ctx, node.Options{Repo: repo, Network: docNetwork, Offline: true})
	if err != nil {
		return fmt.Errorf("open the repo of the killed: %w", err)
	}
	defer n.Close()
	r, err := n.Docs()
	if err != nil {
		return err
	}
	d, err := r.Open(ctx, docName)
	if err != nil {
		return err
	}
	if all {
		k.seen = make(map[commit.ID]bool)
	}
	k.acked = append(k.acked, acked...)
	if err := k.walk(ctx, r, d); err != nil {
		return err
	}
	if length, err := d.Len(ctx); err != nil || length != len(k.seen) {
		return fmt.Errorf("the document has %d commits, %d follow from its heads: %w", length, len(k.seen), err)
	}
	for _, id := range k.acked {
		if !k.seen[id] {
			return fmt.Errorf("commit %s was acknowledged and is lost", id)
		}
	}
	return nil
}

// walk sees all commits from the heads on down that were not seen before.
func (k *kept) walk(ctx context.Context, r *replica.Replica, d *replica.Doc) error {
	heads, err := d.Heads(ctx)
	if err != nil {
		return err
	}
	tips, list := make(map[commit.ID]bool), heads
	for _, id := range heads {
		tips[id] = true
	}
	for len(list) > 0 {
		id := list[len(list)-1]
		list = list[:len(list)-1]
		if k.seen[id] {
			continue
		}
		k.seen[id] = true
		b, err := r.Block(ctx, id.Cid())
		if err != nil {
			return fmt.Errorf("commit %s, which follows from the heads: %w", id, err)
		}
		c, _, err := commit.Decode(b)
		if err != nil {
			return err
		}
		for _, p := range c.Parents {
			if tips[p.ID] {
				return fmt.Errorf("head %s is a parent of %s", p.ID, id)
			}
			list = append(list, p.ID)
		}
	}
	return nil
}

// sameInTheEnd opens the killed node's repo once more, and waits until both have the same.
func sameInTheEnd(t *testing.T, partner docNode, pd *replica.Doc, repo string) {
	t.Helper()
	killed := openDocs(t, node.Options{Repo: repo, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err := killed.Connect(t.Context(), partner.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	kd, err := killed.docs.Open(t.Context(), docName)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	same := func() (bool, error) {
		a, err := pd.Heads(ctx)
		if err != nil {
			return false, err
		}
		b, err := kd.Heads(ctx)
		return fmt.Sprint(a) == fmt.Sprint(b), err
	}
	changes := make(chan error, 1)
	for _, d := range []*replica.Doc{pd, kd} {
		go func() {
			for _, err := range d.Watch(ctx) {
				select {
				case changes <- err:
				default:
				}
			}
		}()
	}
	for {
		ok, err := same()
		if err != nil {
			t.Fatalf("not the same: %v", err)
		}
		if ok {
			return
		}
		select {
		case <-changes:
		case <-ctx.Done():
			t.Fatal("not the same after a minute")
		}
	}
}

// editDoc is the program that is killed.
func editDoc(repo string) error {
	ctx := context.Background()
	n, err := node.Open(ctx, node.Options{Repo: repo, Network: docNetwork, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, NoMDNS: true})
	if err != nil {
		return err
	}
	if err := n.Connect(ctx, os.Getenv(docPartner)); err != nil {
		return err
	}
	r, err := n.Docs()
	if err != nil {
		return err
	}
	if len(r.Docs()) == 0 {
		ticket, err := replica.ParseTicket(os.Getenv(docTicket))
		if err != nil {
			return err
		}
		if _, err := r.Join(ctx, ticket, docName); err != nil {
			return err
		}
	}
	d, err := r.Open(ctx, docName)
	if err != nil {
		return err
	}
	fmt.Println("begun")
	failed := make(chan error)
	for range writers {
		go func() { failed <- increments(ctx, d) }()
	}
	return <-failed
}

// increments edits a document, and tells what was acknowledged.
func increments(ctx context.Context, d *replica.Doc) error {
	for {
		id, err := increment(ctx, d)
		if err != nil {
			return err
		}
		fmt.Println(docAcked + id.String())
	}
}
