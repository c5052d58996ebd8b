package scenario

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/frame"
	"github.com/p2pnode/p2pnode/exchange/skeleton"
	"github.com/p2pnode/p2pnode/exchange/wire"
	"github.com/p2pnode/p2pnode/testground/sim"
	"github.com/p2pnode/p2pnode/unixfs/codec"
)

// Kinds of liars.
const (
	kindSilent  = "silent"  // says that it has all, sends true nodes, and never a leaf
	kindBusy    = "busy"    // the same, and says each second that its turn will come
	kindCorrupt = "corrupt" // sends true nodes, and wrong leaves
	kindMute    = "mute"    // takes streams, and says nothing
	kindDrip    = "drip"    // sends what is true, a byte now and then
	kindBomb    = "bomb"    // promises leaves and nodes without end, or others
)

func cheatKinds() []string {
	return []string{kindSilent, kindBusy, kindCorrupt, kindMute, kindDrip, kindBomb}
}

const (
	dripEvery = 500 * time.Millisecond
	busyEvery = time.Second
	// bombLeaves is how many a bomb promises: as many as a frame can say.
	bombLeaves = 1 << 29
)

// lie is what liars know of a DAG: all of it.
type lie struct {
	root   cid.Cid
	items  []frame.Item // the nodes, in the order of the walk
	leaves []block.Block
	blocks map[cid.Cid]block.Block
}

func newLie(root cid.Cid, blocks []block.Block) (*lie, error) {
	l := &lie{root: root, blocks: make(map[cid.Cid]block.Block)}
	for _, b := range blocks {
		l.blocks[b.Cid()] = b
	}
	walk := skeleton.New(root)
	for c, more := walk.Next(); more; c, more = walk.Next() {
		links, err := codec.Links(l.blocks[c])
		if err != nil {
			return nil, fmt.Errorf("walk %s: %w", root, err)
		}
		cids := make([]cid.Cid, len(links))
		for i, link := range links {
			cids[i] = link.Cid
		}
		if err := walk.Node(l.blocks[c].Size(), cids); err != nil {
			return nil, fmt.Errorf("walk %s: %w", root, err)
		}
		l.items = append(l.items, frame.Item{Data: l.blocks[c].RawData()})
	}
	for _, c := range walk.Leaves() {
		l.leaves = append(l.leaves, l.blocks[c])
	}
	return l, nil
}

// cheat is a guest that lies in one way.
type cheat struct {
	lie    *lie
	kind   string
	number int  // among its like, for those that have several ways
	swarm  bool // it speaks the swarm protocol too

	host  host.Host
	stop  context.CancelFunc
	tasks sync.WaitGroup

	mu      sync.Mutex // guards victims
	victims map[peer.ID]*victim
}

// victim is a peer that is lied to.
type victim struct {
	id            peer.ID
	control, data chan []frame.Frame // to be written, each on a stream of its own

	mu          sync.Mutex // guards the following
	drips, busy bool       // something does
}

func (c *cheat) Host() host.Host { return c.host }

func (c *cheat) Close() error {
	c.stop()
	err := c.host.Close()
	c.tasks.Wait()
	return err
}

// open seats it.
func (c *cheat) open(ctx context.Context, s sim.Seat) (sim.Guest, error) {
	h, err := libp2p.New(append(s.Options, libp2p.DisableMetrics(), libp2p.DisableRelay())...)
	if err != nil {
		return nil, err
	}
	ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	c.host, c.victims = h, make(map[peer.ID]*victim)
	c.listen(ctx, wire.Protocol120, func(v *victim, buf []byte) error {
		m, err := wire.Decode(buf)
		if err == nil {
			c.asked(ctx, v, m.Entries)
		}
		return err
	})
	if c.swarm {
		c.listen(ctx, frame.Protocol, func(v *victim, buf []byte) error {
			f, err := frame.Decode(buf)
			switch f := f.(type) {
			case frame.Open:
				c.opened(ctx, v, f)
			case frame.Request:
				c.requested(ctx, v, f)
			}
			return err
		})
	}
	return c, nil
}

// listen has take called with all that comes by a protocol, each behind its length.
func (c *cheat) listen(ctx context.Context, id protocol.ID, take func(*victim, []byte) error) {
	c.host.SetStreamHandler(id, func(s network.Stream) {
		c.tasks.Go(func() {
			defer s.Reset()
			defer context.AfterFunc(ctx, func() { s.Reset() })()
			from, v := wire.NewReader(s), c.victim(ctx, s.Conn().RemotePeer())
			for {
				n, err := from.Length()
				if err != nil {
					return
				}
				buf, err := from.Bytes(n, nil)
				if err != nil || take(v, buf) != nil {
					return
				}
			}
		})
	})
}

func (c *cheat) victim(ctx context.Context, id peer.ID) *victim {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.victims[id]
	if v == nil {
		v = &victim{id: id, control: make(chan []frame.Frame), data: make(chan []frame.Frame)}
		c.victims[id] = v
		for _, lane := range []chan []frame.Frame{v.control, v.data} {
			c.tasks.Go(func() { c.write(ctx, v, lane) })
		}
	}
	return v
}

// write writes frames, on a new stream when one has broken.
func (c *cheat) write(ctx context.Context, v *victim, lane chan []frame.Frame) {
	var to *frame.Writer
	for {
		select {
		case <-ctx.Done():
			return
		case frames := <-lane:
			if to == nil {
				s := c.stream(ctx, v, frame.Protocol)
				if s == nil {
					continue
				}
				to = frame.NewWriter(s)
			}
			if to.Write(frames...) != nil {
				to = nil
			}
		}
	}
}

// stream opens one to a peer, nil if that is gone.
func (c *cheat) stream(ctx context.Context, v *victim, id protocol.ID) network.Stream {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "liar"), sayTimeMax)
	defer cancel()
	s, err := c.host.NewStream(ctx, v.id, id)
	if err != nil {
		return nil
	}
	return s
}

// say has frames written: control ones on one stream, data on another.
func (c *cheat) say(ctx context.Context, v *victim, frames ...frame.Frame) {
	lane := v.control
	switch frames[0].(type) {
	case frame.Nodes, frame.Index, frame.Block:
		lane = v.data
	}
	select {
	case lane <- frames:
	case <-ctx.Done():
	}
}

// drip writes bytes one by one, unless it does already.
func (c *cheat) drip(ctx context.Context, v *victim, id protocol.ID, write func(io.Writer) error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var b bytes.Buffer
	if v.drips || write(&b) != nil {
		return
	}
	v.drips = true
	c.tasks.Go(func() {
		s := c.stream(ctx, v, id)
		for s != nil && b.Len() > 0 && pauseFor(ctx, dripEvery) {
			if _, err := s.Write(b.Next(1)); err != nil {
				break
			}
		}
		v.mu.Lock()
		v.drips = false
		v.mu.Unlock()
	})
}

// all are all leaves.
func (c *cheat) all() []frame.Range { return []frame.Range{{Count: len(c.lie.leaves)}} }

// opened answers an Open.
func (c *cheat) opened(ctx context.Context, v *victim, f frame.Open) {
	if !f.Root.Equals(c.lie.root) || c.kind == kindMute {
		return
	}
	if c.kind == kindBomb {
		c.bomb(ctx, v, f)
		return
	}
	pushed := 0
	switch {
	case !f.Nodes:
	case c.kind == kindDrip:
		c.drip(ctx, v, frame.Protocol, func(w io.Writer) error {
			return frame.NewWriter(w).Write(frame.Nodes{Channel: f.Channel, Items: c.lie.items[:1]})
		})
	default:
		for _, item := range c.lie.items {
			c.say(ctx, v, frame.Nodes{Channel: f.Channel, Items: []frame.Item{item}})
		}
		for size := 0; pushed < len(c.lie.leaves) && size+c.lie.leaves[pushed].Size() <= f.Credit; pushed++ {
			size += c.lie.leaves[pushed].Size()
		}
		c.say(ctx, v, frame.Index{Channel: f.Channel, Nodes: len(c.lie.items), Leaves: len(c.lie.leaves), Pushed: pushed})
	}
	c.say(ctx, v, frame.Have{Channel: f.Channel, Ranges: c.all()})
	if c.kind == kindBusy {
		c.keepBusy(ctx, v)
	}
	c.requested(ctx, v, frame.Request{Channel: f.Channel, Ranges: []frame.Range{{Count: pushed}}})
}

// keepBusy says again and again that others are served first.
func (c *cheat) keepBusy(ctx context.Context, v *victim) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.busy {
		return
	}
	v.busy = true
	c.tasks.Go(func() {
		for pauseFor(ctx, busyEvery) {
			c.say(ctx, v, frame.Allow{Size: 1 << 20})
		}
	})
}

// bomb promises what cannot be, each bomb something else.
func (c *cheat) bomb(ctx context.Context, v *victim, f frame.Open) {
	c.say(ctx, v, frame.Have{Channel: f.Channel, Ranges: []frame.Range{{Count: bombLeaves}}})
	if !f.Nodes {
		return
	}
	root := c.lie.items[0]
	switch c.number % 4 {
	case 0:
		c.say(ctx, v, frame.Nodes{Channel: f.Channel, Items: []frame.Item{root, {Leaves: bombLeaves}}})
	case 1:
		c.say(ctx, v, frame.Nodes{Channel: f.Channel, Items: slices.Repeat([]frame.Item{root}, 100)})
	case 2:
		c.say(ctx, v, frame.Nodes{Channel: f.Channel, Items: []frame.Item{{Data: []byte("another node")}}})
	case 3:
		c.say(ctx, v, frame.Nodes{Channel: f.Channel, Items: []frame.Item{root}},
			frame.Index{Channel: f.Channel, Nodes: bombLeaves, Leaves: bombLeaves, Pushed: bombLeaves})
	}
}

// requested answers a Request.
func (c *cheat) requested(ctx context.Context, v *victim, f frame.Request) {
	for _, r := range f.Ranges {
		for i := r.First; i < min(r.First+r.Count, len(c.lie.leaves)); i++ {
			leaf := c.lie.leaves[i]
			switch c.kind {
			case kindCorrupt:
				c.say(ctx, v, frame.Block{Channel: f.Channel, Number: i, Data: make([]byte, leaf.Size())})
			case kindDrip:
				c.drip(ctx, v, frame.Protocol, func(w io.Writer) error {
					return frame.NewWriter(w).Write(frame.Block{Channel: f.Channel, Number: i, Data: leaf.RawData()})
				})
			}
		}
	}
}

// asked answers wants of bitswap.
func (c *cheat) asked(ctx context.Context, v *victim, entries []wire.Entry) {
	if c.kind == kindMute {
		return
	}
	said := &wire.Message{}
	for _, e := range entries {
		b, known := c.lie.blocks[e.Cid]
		have := wire.Presence{Cid: e.Cid, Have: known && c.kind != kindBomb}
		switch {
		case e.Cancel:
		case e.Have || !have.Have || c.kind == kindSilent || c.kind == kindBusy:
			said.Presences = append(said.Presences, have)
		case c.kind == kindCorrupt:
			said.Payloads = append(said.Payloads, wire.Payload{Prefix: e.Cid.Prefix(), Data: make([]byte, b.Size())})
		case c.kind == kindDrip:
			c.drip(ctx, v, wire.Protocol120, func(w io.Writer) error {
				return wire.NewWriter(w, wire.Protocol120).Write(&wire.Message{Payloads: []wire.Payload{wire.PayloadOf(b)}})
			})
		}
	}
	if said.Empty() {
		return
	}
	c.tasks.Go(func() {
		s := c.stream(ctx, v, wire.Protocol120)
		if s == nil {
			return
		}
		if wire.NewWriter(s, wire.Protocol120).Write(said) != nil {
			s.Reset()
			return
		}
		s.Close()
	})
}
