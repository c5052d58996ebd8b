package swap

import (
	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/flow"
)

func (m *Machine) received(e Received) {
	r := m.peers[e.Peer]
	if r == nil {
		return
	}
	if e.JunkSize > 0 {
		m.junk(r, e.JunkSize)
	}
	for _, b := range e.Blocks {
		m.block(r, b)
		if m.peers[e.Peer] != r {
			return // banned
		}
	}
	for _, c := range e.Haves {
		m.have(r, c)
	}
	for _, c := range e.DontHaves {
		m.dontHave(r, c)
	}
	m.watch(r)
	if e.Full || len(e.Entries) > 0 {
		m.wanted(r, e)
	}
}

// receiving takes notice of a message that is on its way: a peer that sends a
// large block over a slow link is neither silent nor of unknown speed.
func (m *Machine) receiving(e Receiving) {
	r := m.peers[e.Peer]
	if r == nil || len(r.assigned) == 0 {
		return
	}
	r.partial = min(r.partial+e.Size, flow.WindowMax)
	r.useful(m.now)
	m.came(r, e.Size)
}

// came notes that bytes have come that were asked for.
func (m *Machine) came(r *remote, size int) {
	r.window.Delivered(m.now, size)
	if !r.near {
		m.o.Appetite.Came(m.now, size)
	}
}

func (m *Machine) block(r *remote, b block.Block) {
	w := m.wants[b.Cid()]
	if w == nil {
		if m.late.has(m.now, b.Cid()) {
			m.stats.DupBlocks++
			m.stats.DupBytes += int64(b.Size())
			m.joinProbed(r, b.Cid())
			m.revive(r)
			return
		}
		m.junk(r, b.Size())
		return
	}
	m.stats.BlocksIn++
	m.stats.BytesIn += int64(b.Size())
	r.blocks++
	if a := w.ask(r); a != nil && a.promised && r.credit < 0 {
		r.credit++
	}
	m.heard(r, w)
	r.overtake(w)
	m.revive(r)
	known := min(r.partial, b.Size())
	r.partial -= known
	m.came(r, b.Size()-known)
	r.window.Counted()
	m.deliver(w, b, r)
}

// revive notes that the peer is of use. If it was given up, it may be asked
// again what it kept silent about.
func (m *Machine) revive(r *remote) {
	if r.stalls > 0 {
		for _, w := range r.askedInOrder() {
			if a := w.ask(r); a.state == silent && a.vain == 0 {
				w.forget(r)
			}
		}
		for _, s := range r.memberOf {
			m.touch(s)
		}
	}
	r.useful(m.now)
	m.watch(r)
}

// heard takes a round trip sample from an answer about w.
func (m *Machine) heard(r *remote, w *want) {
	if a := w.ask(r); a != nil && a.state.open() && !a.again {
		r.window.RoundTrip(m.now.Sub(a.at))
	}
}

func (m *Machine) have(r *remote, c cid.Cid) {
	w := m.wants[c]
	if w == nil {
		m.joinProbed(r, c)
		return
	}
	a := w.ask(r)
	if a == nil {
		return // nobody asked: evidence of nothing
	}
	if a.vain > retriesMax {
		return // it has said so too often
	}
	m.heard(r, w)
	if a.state == openBlock && w.holder == r {
		return // it says that it will
	}
	w.note(r, m.now, saidHave)
	w.ask(r).promised = true
	for _, s := range w.sessions {
		m.join(s, r)
	}
	if w.holder == nil {
		m.requeue(w)
	}
}

// joinProbed makes a peer a member of sessions by an answer that came when the
// block was there already.
func (m *Machine) joinProbed(r *remote, c cid.Cid) {
	for _, s := range m.inOrder() {
		if s.probed == c {
			m.join(s, r)
		}
	}
}

func (m *Machine) dontHave(r *remote, c cid.Cid) {
	w := m.wants[c]
	if w == nil {
		return
	}
	a := w.ask(r)
	if a == nil { // forgotten by revive
		m.cancel(r, c, false)
		return
	}
	m.heard(r, w)
	if a.promised {
		a.vain++
		m.breach(r)
	}
	asked := a.state == openBlock || a.state == silent
	w.note(r, m.now, saidDont)
	r.useful(m.now)
	for _, s := range w.sessions {
		if b := s.member(r); b != nil && asked {
			b.hits, b.misses = 0.95*b.hits, 0.95*b.misses+1
		}
	}
	m.release(w, r)
	m.requeue(w)
	if w.hunt != nil {
		m.pursue(w)
	}
}

// junk charges a peer for bytes that nobody asked for.
func (m *Machine) junk(r *remote, size int) {
	m.stats.JunkBytes += int64(size)
	if gone := m.now.Sub(r.struck); gone > strikeTime {
		r.strikes = max(0, r.strikes-int(gone/strikeTime))
		r.struck = m.now
	}
	r.strikes++
	r.junk += size
	r.credit--
	m.do(Report{Peer: r.id, Fault: FaultJunk})
	if r.strikes >= strikesMax || r.junk > junkMax {
		m.ban(r)
		return
	}
	if len(r.assigned) > 0 {
		// Most likely a corrupt copy of the oldest: do not wait for more.
		m.giveUp(r.assigned[0], r)
	}
}

func (m *Machine) ban(r *remote) {
	m.do(Ban{Peer: r.id, For: banTime})
	m.peerDown(r.id)
}
