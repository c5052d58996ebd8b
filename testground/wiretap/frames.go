package wiretap

import "github.com/p2pnode/p2pnode/exchange/frame"

// frameHead is how many bytes of a frame tell whether it is a leaf.
const frameHead = 32

// frame takes a frame of size bytes behind a length of n, or what begins a large one: a
// leaf, or nodes, as all others are small.
func (s *stream) frame(n, size int) (used int) {
	head := min(size, frameHead)
	if len(s.pending) < n+head {
		return 0
	}
	f, _ := frame.Decode(s.pending[n : n+head]) // of a leaf any part is one
	if _, leaf := f.(frame.Block); !leaf && size <= partMax {
		if len(s.pending) < n+size {
			return 0 // until it is all there
		}
		f, _ = frame.Decode(s.pending[n : n+size])
	} else if !leaf {
		f = frame.Nodes{}
	}
	if f != nil {
		name, count := frameType(f)
		s.tap.add(s.protocol, name, count)
	}
	s.skip = size
	return n
}

// frameType is what a frame is counted as, and how often: those that name leaves once for
// each.
func frameType(f frame.Frame) (name string, count int64) {
	sum := func(list []frame.Range) (n int64) {
		for _, r := range list {
			n += int64(r.Count)
		}
		return n
	}
	switch f := f.(type) {
	case frame.Open:
		return "OPEN", 1
	case frame.Request:
		return "REQUEST", sum(f.Ranges)
	case frame.Cancel:
		return "CANCEL", sum(f.Ranges)
	case frame.Got:
		return "GOT", sum(f.Ranges)
	case frame.Close:
		return "CLOSE", 1
	case frame.Nodes:
		return "NODES", 1
	case frame.Index:
		return "INDEX", 1
	case frame.Have:
		return "HAVE", sum(f.Ranges)
	case frame.Block:
		return "BLOCK", 1
	case frame.Miss:
		return "MISS", sum(f.Ranges)
	case frame.Allow:
		return "ALLOW", 1
	case frame.End:
		return "END", 1
	}
	return "OFFER", 1
}
