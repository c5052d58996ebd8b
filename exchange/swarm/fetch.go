package swarm

import (
	"math/bits"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/exchange/alarm"
)

// fetch is the part of a DAG that wants leaves.
type fetch struct {
	ids    []uint64
	start  cid.Cid        // the block that is the root
	reads  map[uint64]int // how far those have come that read; -1: they read parts
	asked  leaves         // that somebody waits for, or has, or soon will
	need   leaves         // that have not come yet
	busy   leaves         // of these, those that a peer is asked for
	left   int            // how many have not come
	urgent []wait         // that somebody waits for, by number: without the first who reads cannot go on
	size   int            // bytes that a leaf is taken for

	named []peer.ID // peers that are said to have the DAG, connected or not

	began   time.Time
	settle  alarm.Alarm
	settled bool   // whether anybody knows the DAG is known
	knew    bool   // and somebody does
	reloads bool   // but the store may know more than was said
	lacked  leaves // that were said to be lacking
	lack    alarm.Alarm
	again   alarm.Alarm // see againTime
	looked  time.Time   // when it was looked for those that no peer has
	lacking time.Time   // since when there are some
	gained  time.Time   // when a peer got one

	appeared time.Time // when one did that was nowhere before
}

// wait is a leaf that somebody waits for.
type wait struct {
	n     int
	since time.Time
}

// waitMin is how long somebody must have waited for a leaf, if many fetch the DAG, before it
// is asked for sooner than what is rare: else all who read would ask the same peer for the
// same, each time again.
const waitMin = 500 * time.Millisecond

// AheadSize is how far ahead of a reader leaves are fetched, in bytes.
const AheadSize = 32 << 20

const (
	sizeUnknown = 256 << 10 // bytes that a leaf is taken for before any has come
	sizeMin     = 64
	urgentMax   = 1024
)

func (m *Machine) fetch(e Fetch) {
	if m.fetches[e.ID] != nil {
		return
	}
	d := m.dag(e.Root)
	m.fetches[e.ID] = d
	if d.fetch != nil {
		d.fetch.ids = append(d.fetch.ids, e.ID)
		d.fetch.read(e)
		m.touch(d)
		return
	}
	d.fetch = &fetch{ids: []uint64{e.ID}, start: e.Root, reads: make(map[uint64]int), size: sizeUnknown}
	if e.First.Defined() {
		d.fetch.start = e.First
	}
	d.fetch.read(e)
	d.fetch.began = m.now
	d.fetch.settle.Fire = func() { m.settle(d) }
	d.fetch.lack.Fire = func() { m.touch(d) }
	d.fetch.again.Fire = func() { m.touch(d) }
	switch d.state {
	case dagKnown:
		d.fetch.begin(d)
		m.seek(d)
	case dagAsked: // all of it may be here
		m.load(d, nil)
	}
}

func (f *fetch) read(e Fetch) {
	switch e.Order {
	case Forward:
		f.reads[e.ID] = 0
	case Parts:
		f.reads[e.ID] = -1
	}
}

// provider notes that a peer is said to have a DAG. If it says itself that it has not, that
// holds for a while.
func (m *Machine) provider(e Provider) {
	d := m.dags[e.Root]
	if d == nil || d.fetch == nil || d.fetch.isNamed(e.Peer) || len(d.fetch.named) == namedMax {
		return
	}
	d.fetch.named = append(d.fetch.named, e.Peer)
	m.seek(d)
}

func (f *fetch) isNamed(id peer.ID) bool { return slices.Contains(f.named, id) }

// parts tells whether nobody wants more than parts.
func (f *fetch) parts() bool {
	for _, at := range f.reads {
		if at >= 0 {
			return false
		}
	}
	return len(f.reads) == len(f.ids)
}

// toCome is how many leaves are to be fetched as far as is known.
func (f *fetch) toCome() int {
	if !f.parts() {
		return f.left
	}
	n := 0
	for k, w := range f.need {
		n += bits.OnesCount64(w & f.asked[k])
	}
	return n
}

// near tells whether a leaf is not too far ahead of all who read.
func (f *fetch) near(i int) bool {
	if len(f.reads) < len(f.ids) || f.asked.has(i) {
		return true // somebody wants all, or this
	}
	for _, at := range f.reads {
		if at >= 0 && at <= i && i < at+AheadSize/f.size {
			return true
		}
	}
	return false
}

// isRead tells whether somebody reads, who is served before those who want all.
func (f *fetch) isRead() bool { return f != nil && len(f.reads) > 0 }

// prefer takes back what peers that can be asked for leaves of d are asked for of DAGs that
// nobody reads, but for what is on its way.
func (m *Machine) prefer(d *dag) {
	for _, l := range d.links {
		if !l.serves() {
			continue
		}
		for _, o := range l.r.links {
			if o.d.fetch.isRead() {
				continue
			}
			for k, a := range slices.Clone(o.asks) {
				if k > 0 || l.r.server.partial == 0 {
					m.cancel(o, a)
				}
			}
		}
	}
}

// begin counts what has to be fetched.
func (f *fetch) begin(d *dag) {
	n := len(d.leaves)
	f.need, f.busy, f.lacked, f.asked, f.left = newLeaves(n), newLeaves(n), newLeaves(n), newLeaves(n), 0
	for i := range n {
		if !d.have.has(i) {
			f.need.add(i)
			f.left++
		}
	}
	for _, i := range d.pushed {
		if f.need.has(i) {
			f.need.remove(i)
			f.left--
		}
	}
	d.pushed = nil
}

func (m *Machine) leave(id uint64) {
	d := m.fetches[id]
	if d == nil {
		return
	}
	delete(m.fetches, id)
	delete(d.fetch.reads, id)
	d.fetch.ids = slices.DeleteFunc(slices.Clone(d.fetch.ids), func(o uint64) bool { return o == id })
	if len(d.fetch.ids) > 0 {
		return
	}
	for _, l := range slices.Clone(d.links) {
		for _, a := range slices.Clone(l.asks) {
			m.cancel(l, a)
		}
		m.close(l)
	}
	m.alarms.Stop(&d.fetch.lack)
	m.alarms.Stop(&d.fetch.again)
	m.alarms.Stop(&d.fetch.settle)
	d.fetch = nil
	for _, l := range slices.Clone(d.links) {
		if l.theirs.state == channelNone {
			m.unlink(l)
		}
	}
	m.prune()
}

// Info is how a fetch does.
type Info struct {
	// Leaves are those of the DAG, once it is known, or those of the parts that are read,
	// and Needed those of them that are not here.
	Leaves, Needed int
	Peers          int // that have some
	Asks           []Asked
}

// Asked is what a peer is asked for.
type Asked struct {
	Peer   peer.ID
	Leaves int
	Rate   float64 // bytes/s at which it delivers, on all channels
}

// Info tells how a fetch does; ok is false if there is none of that ID.
func (m *Machine) Info(id uint64) (x Info, ok bool) {
	d := m.fetches[id]
	if d == nil {
		return x, false
	}
	x.Leaves, x.Needed = len(d.leaves), d.fetch.toCome()
	if d.fetch.parts() {
		x.Leaves = d.fetch.asked.count()
	}
	for _, l := range d.links {
		if len(l.asks) > 0 {
			x.Asks = append(x.Asks, Asked{l.r.id, len(l.asks), l.r.window.Rate})
		}
		if l.has != nil && !l.has.empty() || l.knows {
			x.Peers++
		}
	}
	return x, true
}

func (m *Machine) hurry(e Hurry) {
	d := m.fetches[e.ID]
	if d == nil || d.state != dagKnown {
		return
	}
	for _, c := range e.Cids {
		i, ok := d.number[c]
		if ok {
			d.fetch.asked.add(i)
		}
		if e.Soon {
			continue
		}
		if at, reads := d.fetch.reads[e.ID]; ok && reads && at >= 0 {
			d.fetch.reads[e.ID] = i
		}
		if ok && d.fetch.need.has(i) {
			d.fetch.hurry(i, m.now)
		}
	}
	if d.fetch.isRead() && !e.Soon {
		m.prefer(d)
	}
	if !e.Soon || d.fetch.parts() {
		m.touch(d)
	}
}

// hurry notes that somebody waits for a leaf.
func (f *fetch) hurry(i int, now time.Time) {
	k, known := f.findUrgent(i)
	if known || k == urgentMax {
		return
	}
	f.urgent = slices.Insert(f.urgent, k, wait{i, now})
	f.urgent = f.urgent[:min(len(f.urgent), urgentMax)]
}

func (f *fetch) isUrgent(i int) bool {
	_, known := f.findUrgent(i)
	return known
}

func (f *fetch) findUrgent(i int) (int, bool) {
	return slices.BinarySearchFunc(f.urgent, i, func(w wait, i int) int { return w.n - i })
}

// gain notes that a leaf need not be fetched any more.
func (m *Machine) gain(d *dag, i int) {
	f := d.fetch
	if f == nil || !f.need.has(i) {
		return
	}
	f.need.remove(i)
	f.left--
	if k, known := f.findUrgent(i); known {
		f.urgent = slices.Delete(f.urgent, k, k+1)
	}
	if !f.busy.has(i) {
		return
	}
	f.busy.remove(i)
	for _, l := range d.links {
		if a := l.byNumber(i); a != nil && !a.cancelled {
			m.cancel(l, a)
		}
	}
}
