package swarm

import "fmt"

// Invariants returns an error that names an invariant of the package comment that does not
// hold, nil if all do. It is slow, and for tests.
func (m *Machine) Invariants() error {
	for _, d := range m.dags {
		if err := m.checkDAG(d); err != nil {
			return fmt.Errorf("DAG %s: %w", d.root, err)
		}
	}
	for _, r := range m.order {
		asked, out := 0, 0
		for _, l := range r.links {
			asked += len(l.asks)
			for _, a := range l.asks {
				out += a.size
			}
			if len(l.queue) != len(l.queued) {
				return fmt.Errorf("5: %d leaves are queued for %s, %d are accounted for", len(l.queue), r.id, len(l.queued))
			}
		}
		switch {
		case asked != r.asked || out != r.out:
			return fmt.Errorf("3: %d leaves of %d bytes are asked of %s, %d of %d are accounted for", asked, out, r.id, r.asked, r.out)
		case r.owes() && !r.check.IsSet():
			return fmt.Errorf("2: %s owes something and has no deadline", r.id)
		case len(r.outbox) > 0 && !r.sending:
			return fmt.Errorf("5: %s has mail that nobody sends", r.id)
		}
	}
	return nil
}

func (m *Machine) checkDAG(d *dag) error {
	if d.state != dagKnown {
		return nil
	}
	for i := range d.leaves {
		asked, peers := 0, 0
		for _, l := range d.links {
			if a := l.byNumber(i); a != nil {
				asked++
			}
			if l.has.has(i) {
				peers++
			}
		}
		switch f := d.fetch; {
		case peers != int(d.avail[i]):
			return fmt.Errorf("%d peers have leaf %d, %d are accounted for", peers, i, d.avail[i])
		case f != nil && f.need.has(i) && f.busy.has(i) && asked == 0:
			return fmt.Errorf("1: leaf %d is asked of nobody", i)
		case f != nil && f.need.has(i) && !f.busy.has(i) && asked > 0:
			return fmt.Errorf("1: leaf %d is asked for, and free", i)
		}
	}
	return nil
}
