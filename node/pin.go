package node

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"github.com/p2pnode/p2pnode/blockstore/disk"
	"github.com/p2pnode/p2pnode/exchange"
	"github.com/p2pnode/p2pnode/unixfs"
)

// pinNameSizeMax bounds a pin's name in bytes.
const pinNameSizeMax = 255

// Errors of pins that callers decide on.
var (
	// ErrNotPinned means that there is no such pin.
	ErrNotPinned = errors.New("not pinned")
	// ErrReadOnly means a change of what a repo keeps that is on a read-only file
	// system.
	ErrReadOnly = disk.ErrReadOnly
	// ErrPinsDamaged means that the pins cannot be proven complete: their
	// number or digest is not what the last change left. Nothing is collected
	// while that is so.
	ErrPinsDamaged = errors.New("pins are damaged")
)

// Pin keeps a whole DAG from being collected.
type Pin struct {
	Cid     cid.Cid   `json:"cid"`
	Name    string    `json:"name,omitempty"`
	Created time.Time `json:"created"`
}

// pins is the set of pins, one record each, with a summary that every change
// rewrites in the same transaction. A database that has silently lost a record
// no longer agrees with its summary, and a collector that would take the lost
// pin's blocks for garbage finds out.
type pins struct {
	state    ds.Batching
	readOnly bool

	mu  sync.Mutex
	sum pinSummary
}

// pinSummary counts the records and XORs their hashes.
type pinSummary struct {
	Count  int      `json:"count"`
	Digest [32]byte `json:"digest"`
}

var (
	pinPrefix  = ds.NewKey("/pins")
	pinSumKey  = ds.NewKey("/pinsummary")
	errNoEntry = ds.ErrNotFound
)

func pinKey(c cid.Cid) ds.Key { return pinPrefix.ChildString(c.String()) }

// fold adds a record to the summary, or takes it out again: XOR is its own inverse.
func (s *pinSummary) fold(key ds.Key, value []byte, count int) {
	h := sha256.New()
	h.Write(key.Bytes())
	h.Write([]byte{0})
	h.Write(value)
	for i, b := range h.Sum(nil) {
		s.Digest[i] ^= b
	}
	s.Count += count
}

func openPins(ctx context.Context, state ds.Batching, readOnly bool) (*pins, error) {
	p := &pins{state: state, readOnly: readOnly}
	text, err := state.Get(ctx, pinSumKey)
	if errors.Is(err, errNoEntry) {
		return p, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open pins: %w", err)
	}
	if err := json.Unmarshal(text, &p.sum); err != nil {
		return nil, fmt.Errorf("open pins: %w: %w", ErrPinsDamaged, err)
	}
	return p, nil
}

// put writes or replaces a pin; it is on disk when put returns.
func (p *pins) put(ctx context.Context, pin Pin) error {
	value, err := json.Marshal(pin)
	if err != nil {
		return err
	}
	return p.change(ctx, pin.Cid, value)
}

// remove deletes a pin, or returns ErrNotPinned.
func (p *pins) remove(ctx context.Context, c cid.Cid) error {
	return p.change(ctx, c, nil)
}

func (p *pins) change(ctx context.Context, c cid.Cid, value []byte) error {
	if p.readOnly {
		return ErrReadOnly
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key, sum := pinKey(c), p.sum
	old, err := p.state.Get(ctx, key)
	switch {
	case err == nil:
		sum.fold(key, old, -1)
	case !errors.Is(err, errNoEntry):
		return err
	case value == nil:
		return fmt.Errorf("unpin %s: %w", c, ErrNotPinned)
	}
	b, err := p.state.Batch(ctx)
	if err != nil {
		return err
	}
	if value != nil {
		sum.fold(key, value, 1)
		err = b.Put(ctx, key, value)
	} else {
		err = b.Delete(ctx, key)
	}
	text, jsonErr := json.Marshal(sum)
	if err := errors.Join(err, jsonErr, b.Put(ctx, pinSumKey, text)); err != nil {
		return err
	}
	if err := b.Commit(ctx); err != nil {
		return err
	}
	p.sum = sum
	return nil
}

// get returns the pin of a root, or ErrNotPinned.
func (p *pins) get(ctx context.Context, c cid.Cid) (pin Pin, err error) {
	value, err := p.state.Get(ctx, pinKey(c))
	if errors.Is(err, errNoEntry) {
		return pin, ErrNotPinned
	}
	if err == nil {
		if err = json.Unmarshal(value, &pin); err != nil {
			err = fmt.Errorf("%w: %w", ErrPinsDamaged, err)
		}
	}
	return pin, err
}

// list returns all pins after proving that they are all there.
func (p *pins) list(ctx context.Context) ([]Pin, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	res, err := p.state.Query(ctx, query.Query{Prefix: pinPrefix.String()})
	if err != nil {
		return nil, fmt.Errorf("list pins: %w", err)
	}
	defer res.Close()
	var (
		list []Pin
		sum  pinSummary
	)
	for r := range res.Next() {
		if r.Error != nil {
			return nil, fmt.Errorf("list pins: %w", r.Error)
		}
		var pin Pin
		if err := json.Unmarshal(r.Value, &pin); err != nil {
			return nil, fmt.Errorf("read pin %s: %w: %w", r.Key, ErrPinsDamaged, err)
		}
		sum.fold(ds.RawKey(r.Key), r.Value, 1)
		list = append(list, pin)
	}
	if sum != p.sum {
		return nil, fmt.Errorf("list pins: found %d, expected %d: %w", sum.Count, p.sum.Count, ErrPinsDamaged)
	}
	return list, nil
}

// PinProgress is how far a Pin is: what it has visited, and how the network part does.
type PinProgress struct {
	unixfs.Totals
	Network exchange.Progress
}

// pinProgressInterval is how often a Pin tells how far it is.
const pinProgressInterval = 200 * time.Millisecond

// Pin fetches everything below path and keeps it. When it returns nil, the
// blocks and the pin are on disk. A pin of that root that exists gets the new
// name. progress, if not nil, is called now and then by one goroutine, and not
// after Pin has returned.
func (n *Node) Pin(ctx context.Context, path unixfs.Path, name string, progress func(PinProgress)) (cid.Cid, error) {
	root, err := n.pin(ctx, path, name, nil, progress)
	if err != nil {
		return cid.Undef, fmt.Errorf("pin %s: %w", path, err)
	}
	return root, nil
}

// UpdatePin is Pin in the place of a pin that exists, which ends when the new one is on disk, and
// whose name the new one gets. What both have in common is not asked for again, nor the nodes
// above it where they are among the first blocks of the old one.
func (n *Node) UpdatePin(ctx context.Context, old cid.Cid, path unixfs.Path, progress func(PinProgress)) (cid.Cid, error) {
	fail := func(err error) (cid.Cid, error) {
		return cid.Undef, fmt.Errorf("update pin %s to %s: %w", old, path, err)
	}
	p, err := n.pins.get(ctx, old)
	if err != nil {
		return fail(err)
	}
	stops, err := n.firstNodes(ctx, old, exchange.StopsMax)
	if err != nil {
		return fail(err)
	}
	root, err := n.pin(ctx, path, p.Name, stops, progress)
	if err == nil && !root.Equals(old) {
		err = n.pins.remove(ctx, old)
	}
	if err != nil {
		return fail(err)
	}
	return root, nil
}

// firstNodes lists the first nodes of a DAG that is here, from the root on, at most so many.
func (n *Node) firstNodes(ctx context.Context, root cid.Cid, most int) ([]cid.Cid, error) {
	list := []cid.Cid{root}
	for i := 0; i < len(list); i++ {
		b, err := n.store.Get(ctx, list[i])
		if err != nil {
			return nil, err
		}
		next, err := links(b)
		if err != nil {
			return nil, err
		}
		for _, c := range next {
			if c.Type() != cid.Raw && len(list) < most && !slices.ContainsFunc(list, c.Equals) {
				list = append(list, c)
			}
		}
	}
	return list, nil
}

// pin fetches and keeps what is below path. Some blocks below which all is here may be told.
func (n *Node) pin(ctx context.Context, path unixfs.Path, name string, here []cid.Cid, progress func(PinProgress)) (cid.Cid, error) {
	if len(name) > pinNameSizeMax {
		return cid.Undef, fmt.Errorf("name of %d bytes (limit %d)", len(name), pinNameSizeMax)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g := n.Session(ctx)
	var visited func(unixfs.Totals)
	if progress != nil {
		var stop func()
		visited, stop = g.tell(progress)
		defer stop()
	}
	link, err := g.resolve(ctx, path, exchange.Rarest, here...)
	if err != nil {
		return cid.Undef, err
	}
	root := link.Cid
	n.store.hold(root)
	defer n.store.drop(root)
	if _, err := unixfs.Fetch(ctx, g, root, unixfs.FetchOptions{Progress: visited}); err != nil {
		return cid.Undef, err
	}
	if err := g.flush(ctx); err != nil {
		return cid.Undef, err
	}
	if err := n.pins.put(ctx, Pin{Cid: root, Name: name, Created: time.Now().UTC()}); err != nil {
		return cid.Undef, err
	}
	return root, n.provide(ctx, root)
}

// tell has progress called now and then until stop is, with what visited was told last.
func (s *Session) tell(progress func(PinProgress)) (visited func(unixfs.Totals), stop func()) {
	var last atomic.Pointer[unixfs.Totals]
	last.Store(&unixfs.Totals{})
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(pinProgressInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				progress(PinProgress{*last.Load(), s.Progress()})
			case <-end:
				return
			}
		}
	}()
	return func(t unixfs.Totals) { last.Store(&t) }, func() { close(end); <-ended }
}

// Unpin lets go of a pinned root; its blocks stay until they are collected. The
// error is ErrNotPinned when it has no pin.
func (n *Node) Unpin(ctx context.Context, root cid.Cid) error {
	return n.pins.remove(ctx, root)
}

// Pins returns every pin, or an error that is ErrPinsDamaged when some are
// lost.
func (n *Node) Pins(ctx context.Context) iter.Seq2[Pin, error] {
	return func(yield func(Pin, error) bool) {
		list, err := n.pins.list(ctx)
		if err != nil {
			yield(Pin{}, err)
			return
		}
		for _, p := range list {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func (p *pins) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sum.Count
}
