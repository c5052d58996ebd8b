package swarm

import (
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/exchange/alarm"
	"github.com/p2pnode/p2pnode/exchange/frame"
)

// Limits on DAGs.
const (
	// dagsMax is how many DAGs are remembered that nobody fetches, and idleLeavesMax how
	// many leaves they have in all.
	dagsMax       = 64
	idleLeavesMax = 1 << 19
	// channelsMax is how many channels a peer may have open; those beyond are turned away.
	channelsMax = 256
)

// dag is a DAG that is fetched, or served, or both.
type dag struct {
	root   cid.Cid
	state  dagState
	leaves []cid.Cid
	number map[cid.Cid]int
	sizes  []int // bytes; 0 of those that were never here
	nodes  int
	// missing is the first node that the store has not got, while not all are there.
	missing cid.Cid
	came    bool     // it has come since
	have    leaves   // the store holds these
	avail   []uint16 // how many peers have each
	copies  []uint16 // how often each was sent
	unsent  int      // leaves that are here, that nobody else has and nobody was sent
	links   []*link  // oldest first
	fetch   *fetch   // nil if nobody wants it
	eager   bool     // in Machine.eager
	pushed  []int    // leaves that came before the store was asked what it has
	late    []Sized  // blocks that the store got while it was being asked
	retry   alarm.Alarm
	seq     uint64 // of its last use
	turn    uint64 // when a leaf of it was asked for last
}

type dagState uint8

const (
	dagAsked   dagState = iota // a peer is asked for its nodes
	dagLoading                 // the store is asked what there is of it
	dagKnown
)

// dag returns the DAG with the root, a new one if need be.
func (m *Machine) dag(root cid.Cid) *dag {
	d := m.dags[root]
	if d == nil {
		d = &dag{root: root}
		d.retry.Fire = func() { m.seek(d) }
		m.dags[root] = d
	}
	m.server.seq++
	d.seq = m.server.seq
	return d
}

// load has the store asked for the DAG.
func (m *Machine) load(d *dag, leaves []cid.Cid) {
	d.state = dagLoading
	m.do(Load{Root: d.root, Leaves: leaves, Nodes: d.nodes})
}

func (m *Machine) loaded(e Loaded) {
	d := m.dags[e.Root]
	if d == nil || d.state != dagLoading {
		return
	}
	if e.Err != nil {
		m.notLoaded(d, e.Missing)
		return
	}
	m.know(d, e.Index)
	m.prune()
}

// notLoaded takes note that the store has not all nodes of the DAG.
func (m *Machine) notLoaded(d *dag, missing cid.Cid) {
	d.came = slices.ContainsFunc(d.late, func(b Sized) bool { return b.Cid.Equals(missing) })
	d.state, d.late, d.missing = dagAsked, nil, missing
	for _, l := range slices.Clone(d.links) {
		switch {
		case l.theirs.state != channelWaits:
		case d.fetch == nil:
			m.end(l, frame.EndUnknown)
		case !l.waits:
			l.waits = true
			m.send(l.r, frame.Have{Channel: l.theirs.number})
		}
	}
	if d.fetch != nil && d.fetch.reloads {
		d.fetch.reloads = false
		m.do(Settled{IDs: slices.Clone(d.fetch.ids)})
	}
	m.seek(d)
	m.prune()
}

// reload has the store asked again for a DAG of which nodes come from elsewhere, once that has
// come which was missing, if others wait for them or for each other's leaves.
func (m *Machine) reload(d *dag) {
	waits := func(l *link) bool {
		return !l.r.guest && (l.theirs.state == channelWaits || l.mine.state == channelOpen)
	}
	if d.came && d.state == dagAsked && d.fetch != nil && slices.ContainsFunc(d.links, waits) && !slices.ContainsFunc(d.links, (*link).owesNodes) {
		d.came, d.fetch.reloads = false, d.fetch.settled
		m.load(d, nil)
	}
}

// know takes the leaves of a DAG.
func (m *Machine) know(d *dag, x Index) {
	n := len(x.Leaves)
	d.state = dagKnown
	d.leaves, d.nodes = x.Leaves, x.Nodes
	d.number = make(map[cid.Cid]int, n)
	d.sizes, d.have = make([]int, n), newLeaves(n)
	d.avail, d.copies = make([]uint16, n), make([]uint16, n)
	for i, c := range x.Leaves {
		d.number[c] = i
		if x.Sizes[i] >= 0 {
			m.rate(d, i, func() { d.have.add(i); d.sizes[i] = x.Sizes[i] })
		}
	}
	for _, b := range d.late {
		if i, ok := d.number[b.Cid]; ok {
			m.rate(d, i, func() { d.have.add(i); d.sizes[i] = b.Size })
		}
	}
	d.late = nil
	if d.fetch != nil {
		d.fetch.reloads = false
		d.fetch.begin(d)
	}
	for _, l := range slices.Clone(d.links) {
		m.learn(l)
	}
	if d.fetch != nil {
		for _, l := range d.links {
			if l.nodes && l.later { // it need not send them any more
				m.close(l)
			}
			m.begun(l)
		}
	}
	m.seek(d)
}

// Leaves are those of a DAG by their numbers, nil if they are not known. The caller must
// not change them.
func (m *Machine) Leaves(root cid.Cid) []cid.Cid {
	if d := m.dags[root]; d != nil {
		return d.leaves
	}
	return nil
}

// Number is that of a leaf of a DAG.
func (m *Machine) Number(root, leaf cid.Cid) (int, bool) {
	if d := m.dags[root]; d != nil {
		i, ok := d.number[leaf]
		return i, ok
	}
	return 0, false
}

// Shared tells of which DAG that peers share here a leaf is that the store has.
func (m *Machine) Shared(leaf cid.Cid) (root cid.Cid, number int, ok bool) {
	var best *dag
	for _, d := range m.dags {
		i, is := d.number[leaf]
		if is && d.state == dagKnown && d.have.has(i) && (best == nil || d.seq < best.seq) && d.isShared() {
			best, number = d, i
		}
	}
	if best == nil {
		return cid.Undef, 0, false
	}
	return best.root, number, true
}

// Needs tells whether a leaf is still to be fetched.
func (m *Machine) Needs(root cid.Cid, leaf int) bool {
	d := m.dags[root]
	return d != nil && d.state == dagKnown && d.fetch != nil && d.fetch.need.has(leaf)
}

// seek asks peers that can be asked, and sees to it that those who cannot are later.
func (m *Machine) seek(d *dag) {
	if d.fetch == nil {
		return
	}
	m.reload(d)
	m.seekNodes(d)
	m.seekLeaves(d)
	m.touch(d)
	m.settle(d)
	m.seekAgain(d)
}

// seekAgain sees to it that peers are asked when they can be that cannot be now.
func (m *Machine) seekAgain(d *dag) {
	var next time.Time
	sooner := func(at time.Time) {
		if at.After(m.now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	for _, l := range d.links {
		if l.mine.state == channelNone {
			sooner(l.refused)
		}
		for _, until := range l.barred {
			sooner(until)
		}
	}
	if !next.IsZero() {
		m.alarms.Set(&d.retry, next)
	}
}

// learn takes what is known of a link now that the leaves are.
func (m *Machine) learn(l *link) {
	l.has = newLeaves(len(l.d.leaves))
	early := l.early
	l.early = nil
	m.has(l, early)
	if l.theirs.state == channelWaits {
		m.admit(l)
	}
}

// has notes that the peer has leaves. It returns false if there are no such leaves.
func (m *Machine) has(l *link, list []frame.Range) bool {
	d, fresh := l.d, false
	for _, r := range list {
		if r.First+r.Count > len(d.leaves) {
			return false
		}
		for i := r.First; i < r.First+r.Count; i++ {
			if l.has.has(i) || !l.believed(i) {
				continue
			}
			fresh = true
			if d.fetch != nil && d.avail[i] == 0 && !d.have.has(i) && l.theirs.state != channelNone && l.vain[i] == 0 {
				d.fetch.appeared = m.now
			}
			m.rate(d, i, func() { l.has.add(i); d.avail[i]++ })
			if d.avail[i] <= freshMax {
				l.fresh = i
			}
			if d.avail[i] == 2 {
				for _, o := range d.links {
					delete(o.entrusted, i)
				}
			}
		}
	}
	if fresh {
		if d.fetch != nil {
			d.fetch.gained = m.now
		}
		m.touch(d)
	}
	return true
}

// believed tells whether the peer has a leaf if it says so.
func (l *link) believed(i int) bool {
	return l.vain[i] == 0 || l.vain[i] < vainMax && l.r.vain <= vainMax+l.r.got
}

// lost forgets that the peer has a leaf.
func (m *Machine) lost(l *link, i int) {
	if l.has != nil && l.has.has(i) {
		m.rate(l.d, i, func() { l.has.remove(i); l.d.avail[i]-- })
	}
}

// copied notes that a leaf is sent to the peer.
func (m *Machine) copied(l *link, i int) {
	d := l.d
	if d.copies[i] == 0 && d.avail[i] == 0 {
		l.entrusted[i] = m.now
		l.trusts = append(l.trusts, i)
	}
	m.rate(d, i, func() { d.copies[i] = min(d.copies[i], copiesMax) + 1 })
}

// copiesMax is up to how many copies are counted.
const copiesMax = 1 << 15

// rate changes what is known of a leaf, and counts those that are unsent.
func (m *Machine) rate(d *dag, i int, change func()) {
	unsent := func() bool { return d.have.has(i) && d.avail[i] == 0 && d.copies[i] == 0 }
	was := unsent()
	change()
	switch is := unsent(); {
	case was && !is:
		d.unsent--
	case is && !was:
		d.unsent++
	}
}

// held takes blocks that the store has from now on.
func (m *Machine) held(blocks []Sized) {
	for _, d := range m.inOrder() {
		if d.state == dagLoading {
			d.late = append(d.late, blocks...)
		}
		if d.state == dagAsked && slices.ContainsFunc(blocks, func(b Sized) bool { return b.Cid.Equals(d.missing) }) {
			d.came = true
			m.reload(d)
		}
		if d.state != dagKnown {
			continue
		}
		var fresh []int
		for _, b := range blocks {
			if i, ok := d.number[b.Cid]; ok && !d.have.has(i) {
				m.rate(d, i, func() { d.have.add(i); d.sizes[i] = b.Size })
				fresh = append(fresh, i)
				m.gain(d, i)
			}
		}
		if len(fresh) > 0 {
			slices.Sort(fresh)
			m.tell(d, rangesOf(fresh))
			m.touch(d)
			if !m.server.rotation.IsSet() { // nobody wanted anything
				m.rotate()
			}
		}
	}
}

// tell announces leaves to all who have a channel, once to each.
func (m *Machine) tell(d *dag, list []frame.Range) {
	for _, l := range d.links {
		switch {
		case l.theirs.state == channelOpen:
			m.send(l.r, frame.Have{Channel: l.theirs.number, Ranges: list})
			l.r.server.ignored = 0 // this it may want
			if l.r.guest && l.mine.state == channelOpen {
				m.send(l.r, frame.Got{Channel: l.mine.number, Ranges: list}) // it is asked whether it has them
			}
		case l.mine.state == channelOpen:
			m.send(l.r, frame.Got{Channel: l.mine.number, Ranges: list})
		}
	}
}

// inOrder lists the DAGs, least recently used first.
func (m *Machine) inOrder() []*dag {
	list := make([]*dag, 0, len(m.dags))
	for _, d := range m.dags {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b *dag) int { return int(int64(a.seq) - int64(b.seq)) })
	return list
}

// prune forgets DAGs that nobody fetches and, if there are too many, those that only
// strangers ask for.
func (m *Machine) prune() {
	idle, sum := 0, 0
	for _, d := range slices.Backward(m.inOrder()) {
		if d.fetch != nil || d.state == dagLoading {
			continue
		}
		idle++
		sum += len(d.leaves)
		if d.state != dagKnown || idle > dagsMax || sum > idleLeavesMax {
			for _, l := range slices.Clone(d.links) {
				m.end(l, frame.EndBusy)
				m.unlink(l)
			}
			m.alarms.Stop(&d.retry)
			delete(m.dags, d.root)
		}
	}
}
