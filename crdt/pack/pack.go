// Package pack reads the numbers and bytes of which operations, and the state of a document, are
// written.
//
// Numbers are varints as encoding/binary has them, in the shortest form.
//
// Invariant: a Reader yields no more than what is there; so whoever makes room for as many
// things as Count tells has been given at least a byte for each.
package pack

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMalformed means bytes that are not what they should be.
var ErrMalformed = errors.New("malformed")

// Reader takes bytes apart. After the first error it yields zeros.
type Reader struct {
	data []byte
	at   int // what is before it was read
	err  error
}

// NewReader reads data, which must not change.
func NewReader(data []byte) *Reader { return &Reader{data: data} }

// Err is what was wrong first.
func (r *Reader) Err() error { return r.err }

// Fail notes that something is wrong.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format+": %w", append(args, ErrMalformed)...)
	}
	r.at = len(r.data)
}

// Len is how many bytes are left.
func (r *Reader) Len() int { return len(r.data) - r.at }

// End checks that nothing is left.
func (r *Reader) End() {
	if n := r.Len(); n > 0 {
		r.Fail("%d bytes too many", n)
	}
}

// UpTo is a number from 0 to most.
func (r *Reader) UpTo(most int) int {
	n := r.uvarint()
	if most < 0 || n > uint64(most) {
		r.Fail("%d, over %d", n, most)
		return 0
	}
	return int(n)
}

func (r *Reader) uvarint() uint64 {
	if r.at < len(r.data) && r.data[r.at] < 0x80 {
		r.at++
		return uint64(r.data[r.at-1])
	}
	n, size := binary.Uvarint(r.data[r.at:])
	if size <= 0 || r.data[r.at+size-1] == 0 {
		r.Fail("number")
		return 0
	}
	r.at += size
	return n
}

// Signed is a number, positive or negative.
func (r *Reader) Signed() int64 {
	n := r.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

// Count is how many things follow, of size bytes at least.
func (r *Reader) Count(size int) int {
	n := r.uvarint()
	if n > uint64(r.Len()/size) {
		r.Fail("%d of %d bytes each, %d are there", n, size, r.Len())
		return 0
	}
	return int(n)
}

// Bytes are the next n, which must not be changed.
func (r *Reader) Bytes(n int) []byte {
	if n < 0 || n > r.Len() {
		r.Fail("%d bytes, %d are there", n, r.Len())
		return nil
	}
	r.at += n
	return r.data[r.at-n : r.at : r.at]
}

// Sized are bytes with their length before them.
func (r *Reader) Sized() []byte { return r.Bytes(r.Count(1)) }

// AppendUint appends a number that is not negative.
func AppendUint(b []byte, n int) []byte { return binary.AppendUvarint(b, uint64(n)) }

// AppendSized appends bytes with their length before them.
func AppendSized[T string | []byte](b []byte, data T) []byte {
	return append(AppendUint(b, len(data)), data...)
}
