package swap

import (
	"slices"

	"github.com/ipfs/go-cid"
)

// A peer keeps one list of what it is asked for, whoever asks. So what others have to say to it
// goes the same way as what the machine says: messages beside each other could overtake each
// other, and of an entry and its cancel the wrong one be the last.

func (m *Machine) tell(e Tell) {
	r := m.peers[e.Peer]
	if r == nil {
		return
	}
	for _, entry := range e.Entries {
		r.told = slices.DeleteFunc(r.told, func(o Entry) bool { return o.Cid == entry.Cid })
		if !entry.Cancel {
			m.late.add(m.now, entry.Cid)
		} else if a := m.kept(r, entry.Cid); a != nil {
			a.again = true // so that it is taken back with what the machine asks, sent or not
			continue
		}
		r.told = append(r.told, entry)
	}
	for _, c := range e.Haves {
		if len(r.haves) < answersMax {
			r.haves = append(r.haves, presence{cid: c, have: true})
		}
	}
	m.mail(r)
}

// kept is what the machine has asked the peer about the block, and it is to keep in mind; nil
// if there is nothing.
func (m *Machine) kept(r *remote, c cid.Cid) *ask {
	if w := m.wants[c]; w != nil {
		if a := w.ask(r); a != nil && a.keeps() {
			return a
		}
	}
	return nil
}

// keeps tells whether the peer has the entry on its list.
func (a *ask) keeps() bool {
	return a.state != provider && a.state != saidHave && !a.cancelled
}
