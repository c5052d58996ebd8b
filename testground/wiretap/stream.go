package wiretap

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// partMax is the largest field that is looked into; of others it only counts that
	// they are there.
	partMax = 64 << 10
	// tokenMax is the longest token of multistream-select, as its specification has it.
	tokenMax = 64 << 10
	// messageMax is the longest message, in bytes, that is believed.
	messageMax = 1 << 30
	// varintMax is the longest varint, and so the longest header of a field.
	varintMax = 10
)

// stream is one direction of a stream.
type stream struct {
	tap      *Tap
	protocol string // that was proposed, or agreed on
	schema   schema
	dead     bool // not understood, or of no interest

	pending []byte // what is not complete yet
	skip    int    // bytes to be passed over

	inside bool // a message
	left   int  // bytes of it
	fields map[protowire.Number]uint64
}

// Write takes the next bytes.
func (s *stream) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && !s.dead {
		if s.skip > 0 {
			m := min(s.skip, len(p))
			p, s.skip = p[m:], s.skip-m
			continue
		}
		s.pending = append(s.pending, p...)
		p = nil
		s.advance()
	}
	if s.dead || len(s.pending) == 0 { // most streams are idle most of the time
		s.pending = nil
	}
	return n, nil
}

// advance takes whole things off what is pending.
func (s *stream) advance() {
	for !s.dead {
		used := 0
		switch {
		case s.skip > 0:
			used = min(s.skip, len(s.pending))
			s.skip -= used
		case s.inside && s.left <= 0:
			s.end()
			continue
		case s.inside:
			used = s.field()
		case s.protocol == "":
			used = s.token()
		default:
			used = s.next()
		}
		if used == 0 {
			return
		}
		s.pending = s.pending[used:]
	}
}

// next takes a token of multistream-select, or the length of a message. A token begins
// with a slash, or is "na"; a message of protobuf begins with neither.
func (s *stream) next() (used int) {
	size, n := protowire.ConsumeVarint(s.pending)
	switch {
	case n < 0:
		s.dead = len(s.pending) >= varintMax
		return 0
	case size > 0 && len(s.pending) == n:
		return 0
	case size > 0 && (s.pending[n] == '/' || s.pending[n] == 'n'):
		return s.token()
	case size > messageMax || s.schema.name == nil && s.schema.parts == nil && !s.schema.frames:
		s.dead = true
		return 0
	case s.schema.frames:
		return s.frame(n, int(size))
	}
	s.inside, s.left, s.fields = true, int(size), nil
	return n
}

func (s *stream) token() (used int) {
	text, n := protowire.ConsumeBytes(s.pending)
	if n < 0 {
		s.dead = len(s.pending) > tokenMax
		return 0
	}
	text = bytes.TrimSuffix(text, []byte("\n"))
	switch {
	case bytes.HasPrefix(text, []byte("/multistream/")) || string(text) == "na":
	case bytes.HasPrefix(text, []byte("/")):
		s.protocol = string(text)
		s.schema, _ = schemaOf(s.protocol)
	default:
		s.dead = true
	}
	return n
}

func (s *stream) end() {
	if s.schema.name != nil {
		s.tap.count(s.protocol, s.schema.name(s.fields))
	}
	s.inside = false
}

// field takes one field of a message, or what begins a large one.
func (s *stream) field() (used int) {
	number, wire, n := protowire.ConsumeTag(s.pending)
	if n < 0 {
		s.dead = len(s.pending) >= varintMax
		return 0
	}
	if wire == protowire.BytesType {
		return s.bytes(number, n)
	}
	if wire == protowire.StartGroupType || wire == protowire.EndGroupType {
		s.dead = true // nobody uses them any more
		return 0
	}
	m := protowire.ConsumeFieldValue(number, wire, s.pending[n:])
	if m < 0 {
		s.dead = len(s.pending) >= n+varintMax
		return 0
	}
	if v, k := protowire.ConsumeVarint(s.pending[n:]); wire == protowire.VarintType && k > 0 {
		if s.fields == nil {
			s.fields = make(map[protowire.Number]uint64)
		}
		s.fields[number] = v
	}
	s.left -= n + m
	return n + m
}

// bytes takes a field that has a length, whose tag has n bytes.
func (s *stream) bytes(number protowire.Number, n int) (used int) {
	size, m := protowire.ConsumeVarint(s.pending[n:])
	if m < 0 || size > uint64(s.left) {
		s.dead = len(s.pending) >= n+varintMax || m > 0
		return 0
	}
	part, counted := s.schema.parts[number]
	whole := n + m + int(size)
	switch {
	case !counted:
	case size > partMax:
		s.tap.countPart(s.protocol, part, nil)
	case len(s.pending) < whole:
		return 0 // until it is all there
	default:
		s.tap.countPart(s.protocol, part, s.pending[n+m:whole])
	}
	s.left -= whole
	s.skip = int(size)
	return n + m
}

// countPart counts a message inside of another.
func (t *Tap) countPart(protocol string, of schema, message []byte) {
	fields := make(map[protowire.Number]uint64)
	for len(message) > 0 {
		number, wire, n := protowire.ConsumeTag(message)
		if n < 0 {
			return
		}
		m := protowire.ConsumeFieldValue(number, wire, message[n:])
		if m < 0 {
			return
		}
		switch value := message[n:]; wire {
		case protowire.VarintType:
			fields[number], _ = protowire.ConsumeVarint(value)
		case protowire.BytesType:
			if part, counted := of.parts[number]; counted {
				b, _ := protowire.ConsumeBytes(value)
				t.countPart(protocol, part, b)
			}
		}
		message = message[n+m:]
	}
	if of.name != nil {
		t.count(protocol, of.name(fields))
	}
}
