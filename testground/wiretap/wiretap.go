// Package wiretap counts the messages of libp2p streams by protocol and type, from
// nothing but the bytes that go over them: which protocol is spoken is in what
// multistream-select says first, and messages of the protocols that it knows are
// protobuf behind a length, or frames of the swarm protocol.
//
// It is not a decoder, and judges nothing: it looks at the fields that name a message's
// type and passes over the rest, payloads included. Of a stream that it does not
// understand it counts no more.
//
// Invariant: a tap never keeps more of a stream than partMax bytes and a header, and
// never tells the writer of an error.
//
// Sources: the multistream-select, kad-dht, gossipsub, identify and bitswap
// specifications.
package wiretap

import (
	"cmp"
	"io"
	"slices"
	"sync"
)

// Count is how many messages of a type there were.
type Count struct {
	Protocol string `json:"protocol"`
	Type     string `json:"type"`
	Count    int64  `json:"count"`
}

type kind struct{ protocol, name string }

// Tap counts what goes over streams. It is safe for concurrent use.
type Tap struct {
	mu     sync.Mutex // guards the following
	counts map[kind]int64
}

// New returns a tap that has counted nothing.
func New() *Tap { return &Tap{counts: make(map[kind]int64)} }

// Stream returns where to write what goes over one direction of a stream, from its
// first byte on. It is for one goroutine.
func (t *Tap) Stream() io.Writer { return &stream{tap: t} }

// Counts lists what was counted, by protocol and type.
func (t *Tap) Counts() []Count {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]Count, 0, len(t.counts))
	for k, n := range t.counts {
		list = append(list, Count{k.protocol, k.name, n})
	}
	slices.SortFunc(list, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Type, b.Type))
	})
	return list
}

func (t *Tap) count(protocol, name string) { t.add(protocol, name, 1) }

func (t *Tap) add(protocol, name string, more int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[kind{protocol, name}] += more
}
