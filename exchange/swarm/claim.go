package swarm

import (
	"slices"
	"time"

	"github.com/ipfs/go-cid"
)

// Claim is what the machine does about a block that a fetch needs.
type Claim uint8

// The claims.
const (
	Unclaimed Claim = iota // nothing: it has to be asked for by name
	Undecided              // that is not known yet; Settled says when it is
	Claimed                // it fetches it
)

// Claim tells what the machine does about a block.
func (m *Machine) Claim(id uint64, c cid.Cid) Claim {
	d := m.fetches[id]
	switch {
	case d == nil:
		return Unclaimed
	case c.Equals(d.fetch.start) && d.state != dagKnown && m.hasGuests():
		return Unclaimed // they know nothing else by which to learn who has it
	case d.state != dagKnown && (!d.fetch.settled || d.fetch.reloads):
		return Undecided
	case d.state != dagKnown:
		return Unclaimed
	}
	if i, ok := d.number[c]; ok && d.fetch.need.has(i) && !d.fetch.lacked.has(i) {
		return Claimed
	}
	return Unclaimed
}

// hasGuests tells whether there are peers of another protocol.
func (m *Machine) hasGuests() bool {
	return slices.ContainsFunc(m.order, func(r *remote) bool { return r.guest })
}

// Seeks tells whether a DAG is looked for, of which no peer has sent the nodes yet.
func (m *Machine) Seeks(root cid.Cid) bool {
	d := m.dags[root]
	return d != nil && d.fetch != nil && d.state == dagAsked
}

// settle says so when it is known whether anybody knows the DAG, or those have been silent
// about it for too long who have not said so.
func (m *Machine) settle(d *dag) {
	f := d.fetch
	known := d.state == dagKnown
	if f == nil || f.settled && f.knew == known || d.state == dagLoading {
		return
	}
	if !known && m.now.Before(f.began.Add(settleMax)) && slices.ContainsFunc(d.links, func(l *link) bool {
		return l.owesAnswer() && m.now.Before(l.walked.Add(l.r.patience()))
	}) {
		m.alarms.Set(&f.settle, m.now.Add(settleTime))
		return
	}
	if !known && m.now.Before(f.began.Add(settleTime)) && slices.ContainsFunc(d.links, func(l *link) bool { return l.mine.state == channelOpen }) {
		m.alarms.Set(&f.settle, f.began.Add(settleTime)) // who fetches it as well may know soon
		return
	}
	f.settled, f.knew = true, known
	m.do(Settled{IDs: slices.Clone(f.ids)})
}

const (
	// settleTime is how long it may take until a peer knows the DAG that fetches it as well.
	settleTime = time.Second
	// settleMax is how long it may take until it is known whether anybody knows the DAG: there
	// may always be one more who has not answered yet.
	settleMax = 10 * time.Second
)

// Limits on how long a leaf is looked for among the peers that exchange the DAG.
const (
	// lackTime is how long, if one has not said yet what it has.
	lackTime = time.Second
	// lackTimeIdle is how long after one of them has gained a leaf if others fetch the DAG
	// as well, and lackTimeUrgent how long if somebody waits for it.
	lackTimeIdle   = 5 * time.Second
	lackTimeUrgent = 5 * time.Second
	lackTimeMax    = 2 * time.Minute
	lookTime       = 100 * time.Millisecond // between two looks for such leaves
	// chokedMax is for how long a peer may let this side ask for nothing before what it has
	// counts for nothing. Those who serve a crowd let everybody ask now and then.
	chokedMax = 35 * time.Second
	// hopeTime is how long after a leaf has appeared that nobody was known to have, with one
	// of those that fetch the DAG as well, another may.
	hopeTime = 35 * time.Second
)

// lack says which leaves nobody has, unless one may soon have them.
func (m *Machine) lack(d *dag) {
	f := d.fetch
	if f == nil || d.state != dagKnown {
		return
	}
	over := func(since time.Time, limit time.Duration) bool { return !m.now.Before(since.Add(limit)) }
	wait := time.Duration(0)
	for _, l := range d.links {
		switch {
		case l.theirs.state == channelOpen:
			wait = lackTimeIdle
		case l.mine.state != channelNone && !l.told:
			wait = max(wait, lackTime)
		}
	}
	all := over(f.gained, wait) && over(f.lacking, wait) || over(f.lacking, lackTimeMax)
	urgent := over(f.lacking, lackTimeUrgent)
	if !all && !urgent {
		m.alarms.Set(&f.lack, m.now.Add(lackTime))
		return
	}
	lack := Lack{IDs: f.ids}
	left, first, sure := false, f.first(), d.sure()
	for i, c := range d.leaves {
		if !f.need.has(i) || sure.has(i) || f.lacked.has(i) || m.offered(d, i) {
			continue
		}
		if all || urgent && f.isUrgent(i) {
			f.lacked.add(i)
			lack.Cids = append(lack.Cids, c)
			if i == first {
				lack.First = c
			}
		} else {
			left = true
		}
	}
	if len(lack.Cids) > 0 {
		m.do(lack)
	}
	if left {
		m.alarms.Set(&f.lack, m.now.Add(lackTime))
	}
}

// missing takes a leaf back that nobody has, as long as leaves appear that nobody had: one
// of those who fetch the DAG as well has a source that this side knows nothing of, or
// cannot reach.
func (m *Machine) missing(e Missing) {
	d := m.fetches[e.ID]
	if d == nil || d.state != dagKnown {
		return
	}
	f := d.fetch
	i, ok := d.number[e.Cid]
	crowd := slices.ContainsFunc(d.links, func(l *link) bool { return l.theirs.state == channelOpen && l.r.stalled.IsZero() })
	if !ok || !f.lacked.has(i) || !crowd || !m.now.Before(f.appeared.Add(hopeTime)) {
		return
	}
	f.lacked.remove(i)
	f.lacking = m.now
	m.touch(d)
}

// first is the first leaf that has not come of those that somebody waits for or soon will,
// -1 if there is none.
func (f *fetch) first() int {
	for k, w := range f.need {
		if w &= f.asked[k]; w != 0 {
			return k*64 + trailing(w)
		}
	}
	return -1
}

// offered tells whether a peer has the leaf that is not silent, nor mute, and lets others ask.
func (m *Machine) offered(d *dag, i int) bool {
	return d.avail[i] > 0 && slices.ContainsFunc(d.links, func(l *link) bool {
		gives := l.r.choked.IsZero() || m.now.Before(l.r.choked.Add(chokedMax))
		return gives && l.r.stalled.IsZero() && !l.r.isMute() && l.has != nil && l.has.has(i)
	})
}

// sure are the leaves that a peer is asked for which is not mute.
func (d *dag) sure() leaves {
	sure, own := d.fetch.busy, false
	for _, l := range d.links {
		if !l.r.isMute() || len(l.asks) == 0 {
			continue
		}
		if !own {
			sure, own = slices.Clone(sure), true
		}
		for _, a := range l.asks {
			sure.remove(a.n)
		}
	}
	return sure
}

// watchLack sees to leaves that nobody has. It looks at all, and so only now and then.
func (m *Machine) watchLack(d *dag) {
	f := d.fetch
	if again := f.looked.Add(lookTime); m.now.Before(again) {
		if !f.lack.IsSet() {
			m.alarms.Set(&f.lack, again)
		}
		return
	}
	f.looked = m.now
	sure := d.sure()
	for k, w := range f.need {
		for free := w &^ sure[k] &^ f.lacked[k]; free != 0; free &= free - 1 {
			if !m.offered(d, k*64+trailing(free)) {
				if f.lacking.IsZero() {
					f.lacking = m.now
				}
				m.lack(d)
				return
			}
		}
	}
	f.lacking = time.Time{}
	if slices.ContainsFunc(d.links, func(l *link) bool { return !l.r.choked.IsZero() }) {
		m.alarms.Set(&f.lack, m.now.Add(lackTime)) // it may be choked for too long
	} else {
		m.alarms.Stop(&f.lack)
	}
}
