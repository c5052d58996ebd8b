package fabric

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// traceConn stands in the trace for a connection that is made; other kinds are
// those of frames.
const traceConn frameKind = 0xff

// Trace is a hash of all that has arrived so far: when, what, from whom, to whom,
// and every byte. Two runs with the same trace are the same run, as far as the
// network can tell.
func (f *Fabric) Trace() [32]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return [32]byte(f.trace.Sum(nil))
}

// note adds to the trace.
//
//	time, stream, code, length of data: 8 bytes each, little-endian
//	from, to: 16 bytes each
//	kind: 1 byte
//	data
func (f *Fabric) note(now time.Time, from, to netip.Addr, fr frame) {
	a, b := from.As16(), to.As16()
	head := make([]byte, 0, 65)
	for _, n := range []uint64{uint64(now.UnixNano()), fr.stream, uint64(fr.code), uint64(len(fr.data))} {
		head = binary.LittleEndian.AppendUint64(head, n)
	}
	head = append(append(append(head, a[:]...), b[:]...), byte(fr.kind))
	f.trace.Write(head)
	f.trace.Write(fr.data)
}
