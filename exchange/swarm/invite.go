package swarm

import (
	"cmp"
	"slices"
	"time"

	"github.com/p2pnode/p2pnode/exchange/frame"
)

// In a crowd each leaf is soon asked of somebody, and who has the leaf as well and nothing to do is
// not asked, as nobody knows that it has nothing to do. So it says so, while the last reply is still
// on its way, to few at a time: all would ask it at once, and wait for each other.
const (
	// invitesMax is how many peers are told at a time, each idleTime.
	invitesMax = 2
	// inviteAhead is how long before the line can take another reply they are told: what they ask for
	// comes after two round trips, as they take it back from others. A slow peer would otherwise be asked
	// by all of them while it sends one leaf.
	inviteAhead = 300 * time.Millisecond
	// ignoredMax is how often in a row a peer is told that asks for nothing then, after twice the
	// time each time: it may want nothing of what it lacks.
	ignoredMax = 5
	// inviteTime is for how long a peer that says that nobody waits for it is taken to be idle.
	inviteTime = 300 * time.Millisecond
)

// invite tells peers that lack something that nobody waits.
func (m *Machine) invite() {
	s := &m.server
	if m.now.Before(s.invited.Add(idleTime)) || m.waiting() > 0 || m.o.Pace.Limited() || s.uplink.Rate() > 0 && s.uplink.IsFull(quantum) {
		return
	}
	if at := s.uplink.Ready(m.now, quantum).Add(-inviteAhead); at.After(m.now) {
		m.alarms.Set(&s.invites, at)
		return
	}
	var want []*remote
	for _, r := range m.order {
		if m.mayInvite(r) {
			want = append(want, r)
		}
	}
	slices.SortStableFunc(want, func(a, b *remote) int {
		return cmp.Or(cmp.Compare(m.givesNothing(a), m.givesNothing(b)), a.server.invited.Compare(b.server.invited), a.server.last.Compare(b.server.last))
	})
	for _, r := range want[:min(len(want), invitesMax)] {
		r.server.invited, s.invited = m.now, m.now
		r.server.ignored++
		if !r.server.gives {
			m.allow(r, true, true)
		}
		m.send(r, frame.Idle{})
	}
	if len(want) > 0 {
		m.alarms.Set(&s.invites, m.now.Add(idleTime))
	}
}

// mayInvite tells whether the peer lacks something that it might ask for, was it told now.
func (m *Machine) mayInvite(r *remote) bool {
	s := &r.server
	return !r.guest && len(s.replies) == 0 && s.ignored < ignoredMax &&
		!m.now.Before(s.invited.Add(idleTime<<s.ignored)) && r.interested()
}

// givesNothing is 1 for a peer that has sent nothing lately, 0 for others.
func (m *Machine) givesNothing(r *remote) int {
	if r.server.incomeAt(m.now) > 0 {
		return 0
	}
	return 1
}

// isIdle tells whether a peer has said so lately, and is asked for no more than what it may be about
// to send.
func (m *Machine) isIdle(r *remote) bool {
	return r.asked <= 1 && m.now.Before(r.idle.Add(inviteTime))
}

// finishIdle estimates when size bytes of the DAG would be there from a peer that does nothing else.
func (d *dag) finishIdle(r *remote, size int) time.Duration {
	pace := cmp.Or(r.pace, d.pace(), r.window.Rate)
	if pace == 0 {
		return r.finish(size)
	}
	return r.window.RTT + time.Duration(float64(size)/pace*float64(time.Second))
}

// pace is the median of those of the peers.
func (d *dag) pace() float64 {
	var all []float64
	for _, l := range d.links {
		if l.r.pace > 0 {
			all = append(all, l.r.pace)
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}
