package swap

import "time"

// What a peer was asked for may be lost on its way while all else arrives, and
// the peer may be the only one that has it. So it is asked again.
const (
	// retriesMax is how often a peer is asked again for one block.
	retriesMax = 8
	// The first time it is asked at once: the deadline was patient. Then
	// it gets pauseMin, and twice that each time, up to pauseMax.
	pauseMin = 250 * time.Millisecond
	pauseMax = 8 * time.Second
	// overtakeMin is how much later a want must have been asked for to say, by
	// its delivery, that earlier ones are probably lost. Peers send about in order.
	overtakeMin = 250 * time.Millisecond
)

// refused tells whether r has been asked for the block in vain.
func (w *want) refused(r *remote) bool {
	a := w.ask(r)
	return a != nil && (a.state == saidDont || a.state == silent || a.state == openBlock)
}

// mayAsk tells whether r can be asked for the block now: for the first time, or
// again.
func (m *Machine) mayAsk(w *want, r *remote) bool {
	if !w.refused(r) {
		return true
	}
	a := w.ask(r)
	if a.state != silent || r.stalls > 0 || a.vain > retriesMax {
		return false // a stalled peer gets probes instead; see tryAgain
	}
	return a.vain < 2 || !m.now.Before(a.at.Add(min(pauseMin<<(a.vain-2), pauseMax)))
}

// lost tells whether the question may have got lost, or the answer, or whether somebody
// else was asked for the block before there was one. A peer that cannot say that it has
// it not says so by its silence.
func (a *ask) lost() bool { return a.state == silent && !a.r.caps.BlocksOnly }

// doubt orders peers that could be asked: the doubtful, and those that were
// asked in vain, after the others.
func (w *want) doubt(r *remote) int {
	d := 0
	if r.doubtful() {
		d++
	}
	if a := w.ask(r); a != nil && a.vain > 0 {
		d++
	}
	return d
}

// overtake frees the room in the window of what was asked of r long before w,
// which has come. The deadlines stay: it may only be late.
func (r *remote) overtake(w *want) {
	if w.holder != r {
		return
	}
	for _, o := range r.assigned {
		if w.since.Sub(o.since) < overtakeMin {
			return
		}
		r.out -= o.size
		o.size = 0
	}
}
