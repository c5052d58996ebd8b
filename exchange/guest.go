package exchange

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/frame"
	"github.com/p2pnode/p2pnode/exchange/swap"
	"github.com/p2pnode/p2pnode/exchange/swarm"
)

// Limits on what a guest is asked.
const (
	// questionsStart is about how many leaves of a DAG a guest is asked whether it has them
	// at a time, questionsGain how many more for each that it says to have, and questionsMax
	// the most: boxo keeps 1024 wants for each of its peers.
	questionsStart = 32
	questionsGain  = 8
	questionsMax   = 256
	// weightMin is how many entries are to wait with a guest that is to send something.
	weightMin = 20
)

// guest is a peer that takes part in swarms though it speaks bitswap alone: what the machine
// of the swarms says to it in frames is said in bitswap, and what it answers is heard as
// frames. Have is what it answers when it is asked whether it has leaves, and again when it
// gains one; a Request is a want; a Cancel is always obeyed. It opens no channel: what it
// wants of this side is a matter of swap.
type guest struct {
	id     peer.ID
	rng    *rand.Rand
	topics map[uint32]*topic // by channel

	orders map[cid.Cid]*order // by root
	wants  int                // in all of them
	last   uint32             // channel
}

// topic is a DAG of which a guest may have leaves.
type topic struct {
	root   cid.Cid
	leaves []cid.Cid
	asked  map[int]question // by leaf
	open   int              // of these, those whether it has a leaf
	most   int              // that may be open
	next   int              // leaf to ask about
}

// question is what a guest was asked about a leaf.
type question uint8

const (
	lacksIt  question = iota // nothing: it has said that it has it not, and will say when it has
	haveIt   question = iota // whether it has it; it says so when it gets it, too
	sendIt                   // to send it
	ballast                  // the same, only so that something is asked
	forgetIt                 // not to send it any more, which may be too late
)

// leafIndex is what a guest needs to know of DAGs.
type leafIndex interface {
	Leaves(root cid.Cid) []cid.Cid
	Number(root, leaf cid.Cid) (int, bool)
	Needs(root cid.Cid, leaf int) bool
}

func newGuest(p peer.ID, seed uint64) *guest {
	return &guest{id: p, rng: rand.New(rand.NewPCG(seed, 0x9e57)), topics: make(map[uint32]*topic), orders: make(map[cid.Cid]*order)}
}

// say puts frames into bitswap. What is returned as frames is what the guest would have
// answered at once.
func (g *guest) say(frames []frame.Frame, x leafIndex) (entries []swap.Entry, haves []cid.Cid, answers []frame.Frame) {
	for _, f := range frames {
		switch f := f.(type) {
		case frame.Open:
			t := &topic{root: f.Root, leaves: x.Leaves(f.Root), asked: make(map[int]question), most: questionsStart}
			g.topics[f.Channel] = t
			answers = append(answers, frame.Have{Channel: f.Channel})
			entries = append(entries, t.wonder(x)...)
		case frame.Close:
			if t := g.topics[f.Channel]; t != nil {
				for _, i := range slices.Sorted(maps.Keys(t.asked)) {
					entries = t.drop(entries, i)
				}
				delete(g.topics, f.Channel)
			}
		case frame.Request:
			g.each(f.Channel, f.Ranges, func(t *topic, i int) {
				t.set(i, sendIt)
				entries = append(entries, swap.Entry{Cid: t.leaves[i], Priority: 1 + g.rng.Int32N(math.MaxInt32-1), SendDontHave: true})
			})
			if t := g.topics[f.Channel]; t != nil {
				entries = append(entries, t.weigh()...)
			}
		case frame.Cancel:
			g.each(f.Channel, f.Ranges, func(t *topic, i int) {
				entries = t.drop(entries, i)
			})
			answers = append(answers, frame.Miss{Channel: f.Channel, Reason: frame.MissCancelled, Ranges: f.Ranges})
		case frame.Have:
			haves = append(haves, g.lacking(f)...)
		case frame.Got:
			g.each(f.Channel, f.Ranges, func(t *topic, i int) {
				if t.isAsked(i, lacksIt) {
					haves = append(haves, t.leaves[i])
				}
				entries = t.drop(entries, i)
			})
			if t := g.topics[f.Channel]; t != nil {
				entries = append(entries, t.wonder(x)...)
			}
		}
	}
	return entries, haves, answers
}

// lacking is those leaves that the guest has said that it has not got. That this side has
// them may be news to it, and to boxo a reason to ask for others too.
func (g *guest) lacking(f frame.Have) (cids []cid.Cid) {
	for _, o := range g.orders {
		if o.channel != f.Channel {
			continue
		}
		for _, t := range g.topics {
			for _, r := range f.Ranges {
				for i := r.First; i < r.First+r.Count && t.root.Equals(o.root); i++ {
					if t.isAsked(i, lacksIt) {
						cids = append(cids, t.leaves[i])
					}
				}
			}
		}
	}
	return cids
}

// each does something about all leaves of ranges.
func (g *guest) each(channel uint32, list []frame.Range, do func(t *topic, leaf int)) {
	t := g.topics[channel]
	if t == nil {
		return
	}
	for _, r := range list {
		for i := r.First; i < r.First+r.Count; i++ {
			do(t, i)
		}
	}
}

// set notes what the guest was asked about a leaf.
func (t *topic) set(i int, q question) {
	about := func(q question) bool { return q == haveIt || q == lacksIt }
	if was, known := t.asked[i]; known && about(was) {
		t.open--
	}
	if t.asked[i] = q; about(q) {
		t.open++
	}
}

func (t *topic) forget(i int) {
	t.set(i, forgetIt)
	delete(t.asked, i)
}

// drop takes back what the guest was asked about a leaf.
func (t *topic) drop(entries []swap.Entry, i int) []swap.Entry {
	switch q, known := t.asked[i]; {
	case !known || q == forgetIt:
		return entries
	case q == sendIt:
		t.set(i, forgetIt)
	default:
		t.forget(i)
	}
	return append(entries, swap.Entry{Cid: t.leaves[i], Cancel: true})
}

// wonder asks about more leaves.
func (t *topic) wonder(x leafIndex) (entries []swap.Entry) {
	for ; t.open < t.most && t.next < len(t.leaves); t.next++ {
		if _, known := t.asked[t.next]; !known && x.Needs(t.root, t.next) {
			t.set(t.next, haveIt)
			entries = append(entries, swap.Entry{Cid: t.leaves[t.next], Priority: math.MaxInt32, Have: true, SendDontHave: true})
		}
	}
	return entries
}

// weigh has at least weightMin entries wait with a guest that is to send leaves: boxo serves
// those first of whom most wait, up to 16, and others each ten seconds. Questions at the
// lowest priority wait, and cost it a few bytes at last.
func (t *topic) weigh() (entries []swap.Entry) {
	blocks, weight := 0, 0
	for _, q := range t.asked {
		switch q {
		case sendIt:
			blocks++
		case ballast:
			weight++
		}
	}
	for i := 0; blocks > 0 && blocks+weight < weightMin && i < len(t.leaves); i++ {
		if _, known := t.asked[i]; !known {
			t.set(i, ballast)
			weight++
			entries = append(entries, swap.Entry{Cid: t.leaves[i], Have: true, SendDontHave: true})
		}
	}
	return entries
}

// outstanding is all that the guest was asked and has not answered.
func (g *guest) outstanding() (entries []swap.Entry) {
	for _, channel := range slices.Sorted(maps.Keys(g.topics)) {
		t := g.topics[channel]
		for _, i := range slices.Sorted(maps.Keys(t.asked)) {
			if t.asked[i] != forgetIt {
				entries = append(entries, t.entry(i))
			}
		}
	}
	return entries
}

// entry is the question about a leaf once more.
func (t *topic) entry(i int) swap.Entry {
	e := swap.Entry{Cid: t.leaves[i], Priority: math.MaxInt32 / 2, Have: true, SendDontHave: true}
	switch t.asked[i] {
	case sendIt:
		e.Have = false
	case ballast:
		e.Priority = 0
	}
	return e
}

// keep sees to it that a guest goes on to keep in mind what it was asked, whatever it is told
// by those who did not ask.
func (g *guest) keep(entries []swap.Entry, full bool, x leafIndex) []swap.Entry {
	if full {
		return append(entries, g.outstanding()...)
	}
	for k, e := range entries {
		if e.Cancel {
			if asked, ok := g.entry(e.Cid, x); ok {
				entries[k] = asked
			}
		}
	}
	return entries
}

// entry is what the guest was asked about a block.
func (g *guest) entry(c cid.Cid, x leafIndex) (e swap.Entry, ok bool) {
	for _, channel := range slices.Sorted(maps.Keys(g.topics)) {
		t := g.topics[channel]
		if i, is := x.Number(t.root, c); is {
			if q, asked := t.asked[i]; asked && q != forgetIt {
				return t.entry(i), true
			}
		}
	}
	return e, false
}

// withdrawn takes back all that the guest was asked.
func (g *guest) withdrawn() (entries []swap.Entry) {
	for _, e := range g.outstanding() {
		entries = append(entries, swap.Entry{Cid: e.Cid, Cancel: true})
	}
	return entries
}

// hear puts presences into frames.
func (g *guest) hear(haves, dontHaves []cid.Cid, x leafIndex) (frames []frame.Frame, entries []swap.Entry) {
	for _, channel := range slices.Sorted(maps.Keys(g.topics)) {
		t := g.topics[channel]
		for _, c := range haves {
			i, ok := x.Number(t.root, c)
			if !ok || t.isAsked(i, sendIt) || t.isAsked(i, forgetIt) || !t.isKnown(i) {
				continue
			}
			if !t.isAsked(i, ballast) {
				t.most = min(t.most+questionsGain, questionsMax)
			}
			t.forget(i)
			frames = append(frames, frame.Have{Channel: channel, Ranges: one(i)})
		}
		for _, c := range dontHaves {
			i, ok := x.Number(t.root, c)
			if ok && t.isAsked(i, sendIt) {
				frames = append(frames, frame.Miss{Channel: channel, Reason: frame.MissGone, Ranges: one(i)})
			}
			if ok && t.isKnown(i) && !t.isAsked(i, forgetIt) {
				t.set(i, lacksIt) // and the guest keeps in mind that it is to say so when it has it
			}
		}
		entries = append(entries, t.wonder(x)...)
	}
	return frames, entries
}

func (t *topic) isKnown(i int) bool {
	_, known := t.asked[i]
	return known
}

func (t *topic) isAsked(i int, q question) bool {
	was, known := t.asked[i]
	return known && was == q
}

// leaf tells which leaf a block is that the guest was asked for.
func (g *guest) leaf(b block.Block, x leafIndex) (channel uint32, number int, ok bool) {
	for _, channel := range slices.Sorted(maps.Keys(g.topics)) {
		t := g.topics[channel]
		if i, is := x.Number(t.root, b.Cid()); is {
			if _, asked := t.asked[i]; asked {
				t.forget(i)
				return channel, i, true
			}
		}
	}
	return 0, 0, false
}

// invite makes a peer a guest that speaks bitswap alone, and forgets one that does no more.
func (d *driver) invite(ctx context.Context, p peer.ID) {
	x := d.x
	r := x.remotes[p]
	guests := r != nil && x.o.Links != nil && x.members[p] == nil
	if caps, up := x.reach(p); !up || caps.BlocksOnly {
		guests = false
	}
	switch known := d.guests[p] != nil; {
	case guests && !known:
		d.guests[p] = newGuest(p, rand.Uint64())
		d.stepSwarm(ctx, swarm.PeerUp{Peer: p, RTT: x.host.Peerstore().LatencyEWMA(p), Near: x.near(p), Guest: true})
	case guests:
		d.stepSwarm(ctx, swarm.PeerUp{Peer: p, Near: x.near(p)})
	case known:
		d.dismiss(ctx, p)
	}
}

// dismiss forgets a guest. What it wants is swap's from then on.
func (d *driver) dismiss(ctx context.Context, p peer.ID) {
	g := d.guests[p]
	if g == nil {
		return
	}
	delete(d.guests, p)
	d.stepSwarm(ctx, swarm.PeerDown{Peer: p})
	d.step(ctx, swap.Tell{Peer: p, Entries: g.withdrawn()})
	d.step(ctx, swap.Received{Peer: p, Entries: g.ordered()})
}

// tellGuest says frames to a guest: their entries wait with those of swap, which sees to it
// that all arrives, and so they are sent as far as the machine of the swarms is concerned.
func (d *driver) tellGuest(ctx context.Context, g *guest, frames []frame.Frame) {
	var refused []swap.Entry
	for _, f := range frames {
		refused = append(refused, g.refused(f)...)
	}
	if len(refused) > 0 {
		d.step(ctx, swap.Received{Peer: g.id, Entries: refused})
	}
	entries, haves, answers := g.say(frames, d.swarm)
	d.step(ctx, swap.Tell{Peer: g.id, Entries: entries, Haves: haves})
	d.later(func() {
		if d.guests[g.id] == g {
			d.stepSwarm(ctx, swarm.Frames{Peer: g.id, Frames: answers})
			d.stepSwarm(ctx, swarm.Sent{Peer: g.id})
		}
	})
}

// heardGuest takes what a guest has said about leaves, and returns the rest, and how many
// bytes went to the store.
func (d *driver) heardGuest(ctx context.Context, e swap.Received) (rest swap.Received, kept int64) {
	g := d.guests[e.Peer]
	if g == nil || len(g.topics) == 0 {
		return e, 0
	}
	var blocks []block.Block
	for _, b := range e.Blocks {
		channel, i, ok := g.leaf(b, d.swarm)
		if ok {
			kept += d.stepSwarm(ctx, swarm.Leaf{Peer: e.Peer, Channel: channel, Number: i, Block: b})
		}
		if !ok || d.machine.Wants(b.Cid()) { // the swarm may not need it any more
			blocks = append(blocks, b)
		}
	}
	e.Blocks = blocks
	frames, entries := g.hear(e.Haves, e.DontHaves, d.swarm)
	if len(entries) > 0 {
		d.step(ctx, swap.Tell{Peer: g.id, Entries: entries})
	}
	if len(frames) > 0 {
		d.stepSwarm(ctx, swarm.Frames{Peer: e.Peer, Frames: frames})
	}
	return e, kept
}
