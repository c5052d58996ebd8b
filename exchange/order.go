package exchange

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/exchange/frame"
	"github.com/p2pnode/p2pnode/exchange/swap"
	"github.com/p2pnode/p2pnode/exchange/swarm"
	"github.com/p2pnode/p2pnode/exchange/wire"
)

// ordersMax is how many blocks a guest may want of swarms; swap takes those beyond.
const ordersMax = 1024

// order is what a guest wants of a DAG that is shared here: a want for a leaf is a Request, and
// a cancel says that it has the leaf, which boxo says of those that were sent to it as well.
type order struct {
	root    cid.Cid
	channel uint32
	leaves  map[int]swap.Entry // that were asked for, until they are sent or cancelled
	number  map[cid.Cid]int    // of these
}

// shared tells which leaves of which DAGs swarms can send.
type shared interface {
	leafIndex
	Shared(leaf cid.Cid) (root cid.Cid, number int, ok bool)
}

// ask puts wants for leaves into frames. rest is what concerns swap.
func (g *guest) ask(entries []swap.Entry, full bool, x shared) (rest []swap.Entry, frames []frame.Frame) {
	if full {
		frames = g.keepOnly(entries)
	}
	for _, e := range entries {
		if e.Cancel {
			frames = append(frames, g.cancel(e.Cid, x)...)
		}
		root, i, ok := x.Shared(e.Cid)
		if e.Cancel || e.Have || !ok || g.wants >= ordersMax {
			rest = append(rest, e)
			continue
		}
		o := g.orders[root]
		if o == nil {
			g.last = g.last%frame.ChannelMax + 1
			o = &order{root: root, channel: g.last, leaves: make(map[int]swap.Entry), number: make(map[cid.Cid]int)}
			g.orders[root] = o
			frames = append(frames, frame.Open{Channel: o.channel, Root: root, Leaves: len(x.Leaves(root))})
		}
		if _, twice := o.leaves[i]; !twice {
			g.wants++
		}
		o.leaves[i], o.number[e.Cid] = e, i
		frames = append(frames, frame.Request{Channel: o.channel, Ranges: one(i)})
	}
	return rest, frames
}

// cancel puts one into frames.
func (g *guest) cancel(c cid.Cid, x leafIndex) (frames []frame.Frame) {
	for _, o := range g.inOrder() {
		i, ok := x.Number(o.root, c)
		if ok {
			frames = append(frames, frame.Got{Channel: o.channel, Ranges: one(i)})
		}
		if i, ordered := o.number[c]; ordered { // be the DAG known or not
			g.forget(o, i)
			frames = append(frames, frame.Cancel{Channel: o.channel, Ranges: one(i)})
		}
	}
	return frames
}

// keepOnly cancels all that is not among the entries.
func (g *guest) keepOnly(entries []swap.Entry) (frames []frame.Frame) {
	keep := make(map[cid.Cid]bool, len(entries))
	for _, e := range entries {
		keep[e.Cid] = !e.Cancel
	}
	for _, o := range g.inOrder() {
		for _, i := range slices.Sorted(maps.Keys(o.leaves)) {
			if !keep[o.leaves[i].Cid] {
				g.forget(o, i)
				frames = append(frames, frame.Cancel{Channel: o.channel, Ranges: one(i)})
			}
		}
	}
	return frames
}

func (g *guest) forget(o *order, i int) {
	if e, ordered := o.leaves[i]; ordered {
		delete(o.leaves, i)
		delete(o.number, e.Cid)
		g.wants--
	}
}

// given notes that leaves were sent, or lost on the way: who sends them owes nothing any more,
// and not all say that they have got them.
func (g *guest) given(channel uint32, leaves []int) {
	for _, o := range g.orders {
		for _, i := range leaves {
			if o.channel == channel {
				g.forget(o, i)
			}
		}
	}
}

// ordered is all that the guest wants of swarms, in the order of channels and leaves.
func (g *guest) ordered() (entries []swap.Entry) {
	for _, o := range g.inOrder() {
		for _, i := range slices.Sorted(maps.Keys(o.leaves)) {
			entries = append(entries, o.leaves[i])
		}
	}
	return entries
}

// inOrder lists the orders, those of the oldest channels first.
func (g *guest) inOrder() []*order {
	return slices.SortedFunc(maps.Values(g.orders), func(a, b *order) int { return cmp.Compare(a.channel, b.channel) })
}

// refused takes back what swarms will not send: it concerns swap.
func (g *guest) refused(f frame.Frame) (entries []swap.Entry) {
	for _, o := range g.inOrder() {
		switch f := f.(type) {
		case frame.End:
			if f.Channel == o.channel {
				for _, i := range slices.Sorted(maps.Keys(o.leaves)) {
					entries = append(entries, o.leaves[i])
					g.forget(o, i)
				}
				delete(g.orders, o.root)
			}
		case frame.Miss:
			if f.Channel != o.channel || f.Reason == frame.MissLate || f.Reason == frame.MissCancelled {
				continue
			}
			for _, r := range f.Ranges {
				for i := r.First; i < r.First+r.Count; i++ {
					if e, ordered := o.leaves[i]; ordered {
						entries = append(entries, e)
						g.forget(o, i)
					}
				}
			}
		}
	}
	return entries
}

func one(i int) []frame.Range { return []frame.Range{{First: i, Count: 1}} }

// askedByGuest has the machine of the swarms serve what it can.
func (d *driver) askedByGuest(ctx context.Context, e swap.Received) swap.Received {
	g := d.guests[e.Peer]
	if g == nil || !e.Full && len(e.Entries) == 0 {
		return e
	}
	rest, frames := g.ask(e.Entries, e.Full, d.swarm)
	e.Entries = rest
	if len(frames) > 0 {
		d.stepSwarm(ctx, swarm.Frames{Peer: g.id, Frames: frames})
	}
	return e
}

// serveGuest reads leaves and writes them to a guest.
func (x *Exchange) serveGuest(ctx context.Context, r *remote, g *guest, a swarm.Serve) {
	e := swarm.Served{Peer: a.Peer, Seq: a.Seq}
	var there []int
	m := &wire.Message{}
	for i, c := range a.Cids {
		b, err := x.o.Store.Get(ctx, c)
		if err != nil {
			x.log.Debug("read leaf to serve", "cid", c, "err", err)
			e.Missing = append(e.Missing, a.Numbers[i])
			continue
		}
		there = append(there, a.Numbers[i])
		m.Payloads = append(m.Payloads, wire.PayloadOf(b))
		e.Size += b.Size()
	}
	x.gave(a.Peer, len(m.Payloads))
	if len(m.Payloads) > 0 {
		l, err := r.data.take(ctx)
		if err == nil {
			_, err = x.write(ctx, r.id, l, e.Size, func(s *stream) error { return s.messages.Write(m) })
			r.data.giveBack(l)
		}
		if err != nil {
			x.log.Debug("send leaves", "peer", a.Peer, "err", err)
			e.Failed = true
		}
	}
	x.post(ctx, given{guest: g, channel: a.Channel, leaves: there, event: e})
}
