package swap

import (
	"fmt"
	"slices"
)

// Invariants returns an error that names an invariant of the package comment
// that does not hold, nil if all do. It is slow, and for tests.
func (m *Machine) Invariants() error {
	for _, w := range m.wants {
		if err := m.checkWant(w); err != nil {
			return fmt.Errorf("want %s: %w", w.cid, err)
		}
	}
	sending, owing, slots := 0, 0, 0
	for _, r := range m.order {
		if err := m.checkRemote(r); err != nil {
			return fmt.Errorf("peer %s: %w", r.id, err)
		}
		if err := m.checkLedger(&r.ledger); err != nil {
			return fmt.Errorf("ledger of %s: %w", r.id, err)
		}
		owing += len(r.ledger.wants)
		for _, p := range r.ledger.replies {
			sending += p.size
		}
		slots += r.ledger.slots()
	}
	for _, list := range m.server.owing {
		owing -= len(list)
	}
	switch {
	case owing != 0:
		return fmt.Errorf("5: the index of what is owed is off by %d", owing)
	case sending != m.server.lines[swift].sending+m.server.lines[slow].sending:
		return fmt.Errorf("7: %d bytes are being sent, not what is accounted for", sending)
	case slots != m.server.slots.Busy():
		return fmt.Errorf("7: %d slots are taken, %d are accounted for", slots, m.server.slots.Busy())
	case len(m.order) != len(m.peers):
		return fmt.Errorf("7: %d peers are in order, %d are known", len(m.order), len(m.peers))
	}
	return nil
}

func (m *Machine) checkWant(w *want) error {
	holders := 0
	for _, r := range m.order {
		if slices.Contains(r.assigned, w) {
			holders++
		}
	}
	switch {
	case w.holder == nil && holders != 0 || w.holder != nil && holders != 1:
		return fmt.Errorf("1: assigned to %d peers", holders)
	case w.holder != nil && m.peers[w.holder.id] != w.holder:
		return fmt.Errorf("1: assigned to a peer that is gone")
	case len(w.sessions) == 0:
		return fmt.Errorf("nobody wants it")
	case w.hunt != nil && !w.hunt.look.IsSet():
		return fmt.Errorf("2: the hunt has come to a halt")
	}
	if w.holder == nil && w.hunt == nil && !slices.ContainsFunc(w.sessions, func(s *session) bool {
		return slices.Contains(s.ready, w) || slices.Contains(s.retry, w)
	}) {
		return fmt.Errorf("2: it is forgotten")
	}
	for _, a := range w.asks {
		if _, known := a.r.asked[w]; !known || m.peers[a.r.id] != a.r {
			return fmt.Errorf("7: an ask of a peer that does not know it")
		}
		if a.promised && (a.state == silent || a.state == saidDont) {
			return fmt.Errorf("6: a broken promise still counts")
		}
	}
	return nil
}

func (m *Machine) checkRemote(r *remote) error {
	out, open := 0, 0
	for _, w := range r.assigned {
		out += w.size
		if w.holder != r || m.wants[w.cid] != w {
			return fmt.Errorf("1: it is to deliver what it is not asked for")
		}
	}
	for w := range r.asked {
		a := w.ask(r)
		if a == nil || m.wants[w.cid] != w {
			return fmt.Errorf("7: it is remembered for a want that is gone")
		}
		if a.state.open() {
			open++
		}
	}
	switch {
	case out != r.out:
		return fmt.Errorf("3: %d bytes are asked of it, %d are accounted for", out, r.out)
	case open != r.open || open > entriesMax+1:
		return fmt.Errorf("3: %d questions are open, %d are accounted for", open, r.open)
	case len(r.assigned) > 0 && !r.check.IsSet():
		return fmt.Errorf("2: it owes blocks and has no deadline")
	case !r.stalled.IsZero() && !r.check.IsSet():
		return fmt.Errorf("2: its backoff never ends")
	case r.hasMail() && !r.sending && !r.flushAt.IsSet():
		return fmt.Errorf("5: it has mail that nobody sends")
	case len(r.haves) > answersMax:
		return fmt.Errorf("7: %d answers are kept for it", len(r.haves))
	}
	return nil
}

func (m *Machine) checkLedger(l *ledger) error {
	size, queued := 0, 0
	for _, o := range l.wants {
		switch o.state {
		case owedGone:
			return fmt.Errorf("5: a want that is settled is kept")
		case owedLooking:
			if !l.looking {
				return fmt.Errorf("5: a want waits for a look that nobody takes")
			}
		case owedQueued:
			size += o.size
			queued++
		}
	}
	switch {
	case size != l.size:
		return fmt.Errorf("5: %d bytes are queued, %d are accounted for", size, l.size)
	case queued > 0 && !l.active && l.ready():
		return fmt.Errorf("5: its blocks are queued and it is not in line")
	case len(l.wants) > owedMax || len(l.queue) > 2*owedMax || len(l.look) > 2*owedMax || len(l.told) > 2*owedMax:
		return fmt.Errorf("7: more is kept for it than may be")
	}
	return nil
}
