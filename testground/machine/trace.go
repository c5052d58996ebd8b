package machine

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"time"
)

// trace is a hash of records: world time, peer, what it decided.
type trace struct {
	hash hash.Hash
	buf  []byte
}

const traceBuffer = 64 << 10 // bytes

func newTrace() *trace { return &trace{hash: sha256.New()} }

func (t *trace) add(at time.Duration, number int, record []byte) {
	t.buf = binary.LittleEndian.AppendUint64(t.buf, uint64(at))
	t.buf = binary.LittleEndian.AppendUint32(t.buf, uint32(number))
	t.buf = binary.LittleEndian.AppendUint32(t.buf, uint32(len(record))) // or records could be read in two ways
	t.buf = append(t.buf, record...)
	if len(t.buf) >= traceBuffer {
		t.flush()
	}
}

func (t *trace) flush() {
	t.hash.Write(t.buf) // never fails
	t.buf = t.buf[:0]
}

// sum is the hash so far.
func (t *trace) sum() string {
	t.flush()
	return hex.EncodeToString(t.hash.Sum(nil))
}
