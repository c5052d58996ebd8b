package exchange

import (
	"context"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/swap"
	"github.com/p2pnode/p2pnode/exchange/wire"
)

// remote is a peer that can be talked to. Wants and answers have a stream of
// their own, so that they never wait behind blocks.
type remote struct {
	id      peer.ID
	control *lane
	data    *lanes
	valued  bool // by the connection manager; touched by the loop only

	mu     sync.Mutex               // guards expect
	expect map[cid.Prefix]time.Time // kinds of CID that were asked for, and until when they are worth hashing
}

// newRemote returns one to whom blocks go at the pacer's pace.
func newRemote(p peer.ID, up *pacer) *remote {
	return &remote{
		id: p, control: newLane(protocols), data: newLanes(protocols, up),
		expect: make(map[cid.Prefix]time.Time),
	}
}

// close ends the streams. Writes under way fail.
func (r *remote) close() {
	r.control.close()
	r.data.close()
}

// expected tells whether blocks of this kind were asked for.
func (r *remote) expected(p cid.Prefix) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Before(r.expect[p])
}

func (r *remote) willExpect(entries []swap.Entry) {
	until := time.Now().Add(expectTime)
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range entries {
		if p := entries[i].Cid.Prefix(); !entries[i].Cancel {
			if _, known := r.expect[p]; !known && len(r.expect) >= prefixesMax {
				clear(r.expect)
			}
			r.expect[p] = until
		}
	}
}

// send writes wants and presences.
func (d *driver) send(ctx context.Context, a swap.Send) {
	x := d.x
	r := x.remotes[a.Peer]
	if r == nil {
		return
	}
	if g := d.guests[a.Peer]; g != nil {
		a.Entries = g.keep(a.Entries, a.Full, d.swarm)
	}
	r.willExpect(a.Entries)
	m := &wire.Message{Full: a.Full, Entries: make([]wire.Entry, len(a.Entries))}
	size := 0
	for i := range a.Entries {
		m.Entries[i] = wire.Entry(a.Entries[i])
		size += m.Entries[i].Size()
	}
	for _, c := range a.Haves {
		m.Presences = append(m.Presences, wire.Presence{Cid: c, Have: true})
	}
	for _, c := range a.DontHaves {
		m.Presences = append(m.Presences, wire.Presence{Cid: c})
	}
	size += len(m.Presences) * block.CIDSizeMax
	x.gave(a.Peer, len(a.Haves))
	x.spawn(func() {
		broken, err := x.write(ctx, a.Peer, r.control, size, func(s *stream) error { return s.messages.Write(m) })
		if err != nil {
			x.log.Debug("send wants", "peer", a.Peer, "err", err)
		}
		x.post(ctx, swap.Sent{Peer: a.Peer, Failed: err != nil, Broken: broken})
	})
}

// look asks the store which blocks it has.
func (x *Exchange) look(ctx context.Context, a swap.Look) {
	e := swap.Looked{Peer: a.Peer, Blocks: make([]swap.Sized, len(a.Cids))}
	for i, c := range a.Cids {
		size, err := x.o.Store.Size(ctx, c)
		if err != nil {
			size = -1
		}
		e.Blocks[i] = swap.Sized{Cid: c, Size: size}
	}
	x.post(ctx, e)
}

// serve reads blocks and writes them to a peer.
func (x *Exchange) serve(ctx context.Context, r *remote, a swap.Serve) {
	e := swap.Served{Peer: a.Peer, Seq: a.Seq}
	m := &wire.Message{Pending: a.Pending}
	for _, c := range a.Cids {
		b, err := x.o.Store.Get(ctx, c)
		if err != nil {
			x.log.Debug("read block to serve", "cid", c, "err", err)
			e.Missing = append(e.Missing, c)
			continue
		}
		m.Payloads = append(m.Payloads, wire.PayloadOf(b))
		e.Size += b.Size()
	}
	x.gave(a.Peer, len(m.Payloads))
	if len(m.Payloads) > 0 {
		if err := x.writeBlocks(ctx, r, m, e.Size, a.Seq); err != nil {
			x.log.Debug("send blocks", "peer", a.Peer, "err", err)
			e.Failed = true
		}
	}
	x.post(ctx, e)
}

func (x *Exchange) writeBlocks(ctx context.Context, r *remote, m *wire.Message, size int, seq uint64) error {
	l, err := r.data.take(ctx)
	if err != nil {
		return err
	}
	defer r.data.giveBack(l)
	told, gone := time.Now(), 0
	l.moved = func(size int) {
		gone += size
		if now := time.Now(); now.Sub(told) >= servingEvery {
			x.post(ctx, swap.Serving{Peer: r.id, Seq: seq, Size: gone})
			told, gone = now, 0
		}
	}
	_, err = x.write(ctx, r.id, l, size, func(s *stream) error { return s.messages.Write(m) })
	return err
}
