package main

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Limits on what strangers can make a roster hold.
const (
	peopleMax = 1000
	nameMax   = 64 // bytes
)

// Person is somebody who is here.
type Person struct {
	Name   string
	Cursor int
}

// state is what somebody says about himself.
type state struct {
	Person
	Gone bool
	Time int64 // nanoseconds since 1970, by the sender's clock: it orders what one sender says
}

// decode reads a state that somebody has sent.
func decode(data []byte) (s state, ok bool) {
	err := json.Unmarshal(data, &s)
	return s, err == nil && len(s.Name) <= nameMax
}

// roster is who is here, as far as was heard. It has no clock: it is told what time it is.
type roster map[peer.ID]heard

type heard struct {
	state
	at time.Time
}

// hear notes what somebody has said, and tells whether that was news. Gossip may bring what was
// said before after what was said later.
func (r roster) hear(now time.Time, from peer.ID, s state) bool {
	last, known := r[from]
	if known && s.Time <= last.Time || !known && len(r) >= peopleMax {
		return false
	}
	r[from] = heard{s, now}
	return !known || s.Person != last.Person || s.Gone != last.Gone
}

// expire forgets those who were not heard for ttl, and tells whether anybody was here of them.
// Who has said goodbye is kept till then too, so that nothing older brings him back.
func (r roster) expire(now time.Time, ttl time.Duration) (changed bool) {
	for id, h := range r {
		if now.Sub(h.at) >= ttl {
			delete(r, id)
			changed = changed || !h.Gone
		}
	}
	return changed
}

// here lists who is here, by name.
func (r roster) here() []Person {
	var people []Person
	for _, h := range r {
		if !h.Gone {
			people = append(people, h.Person)
		}
	}
	slices.SortFunc(people, func(a, b Person) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Cursor, b.Cursor))
	})
	return people
}
