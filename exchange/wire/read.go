package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	// bufferMin is the buffer in bytes that a message gets before any of it has
	// arrived, unless the one before it on the stream was larger; it then
	// doubles each time it is full.
	bufferMin = 16 << 10
	// readAhead is the size in bytes of the buffer under the Reader: most small
	// messages cost one read of the stream.
	readAhead = 4 << 10
	// pieceMax is how many bytes are read between two calls of the Gate.
	pieceMax = 32 << 10
)

// Gate is asked before more of a message is read, when have bytes have arrived
// and size bytes of memory are held for it. It may set deadlines and account for
// memory; its error ends the read.
type Gate func(have, size int) error

// Reader reads messages from a stream. It is not safe for concurrent use.
type Reader struct {
	r    *bufio.Reader
	last int // size of the last message in bytes
}

// NewReader reads messages from r.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, readAhead)}
}

// Length waits for the next message and returns its declared length. The error
// is io.EOF if the stream ended properly between two messages.
func (r *Reader) Length() (int, error) {
	n, err := binary.ReadUvarint(r.r)
	if err == io.EOF { // not wrapped: io.ErrUnexpectedEOF is a torn length
		return 0, io.EOF
	}
	if err != nil {
		return 0, fmt.Errorf("read message length: %w", err)
	}
	if n > MessageSizeMax {
		return 0, fmt.Errorf("read message of %d bytes: %w", n, ErrLimit)
	}
	return int(n), nil
}

// Body reads the length bytes of a message and decodes them. gate may be nil.
// The Message refers to memory that nothing else uses.
func (r *Reader) Body(length int, gate Gate) (Message, error) {
	buf, err := r.Bytes(length, gate)
	if err != nil {
		return Message{}, err
	}
	return Decode(buf)
}

// Bytes reads the length bytes of a message, whatever it is, into memory that nothing
// else uses. gate may be nil.
func (r *Reader) Bytes(length int, gate Gate) ([]byte, error) {
	if gate == nil {
		gate = func(_, _ int) error { return nil }
	}
	var buf []byte
	for have := 0; have < length; {
		size := len(buf)
		if have == size {
			size = min(length, max(bufferMin, r.last, 2*have))
		}
		if err := gate(have, size); err != nil {
			return nil, fmt.Errorf("read message: %w", err)
		}
		if size > len(buf) {
			grown := make([]byte, size)
			copy(grown, buf)
			buf = grown
		}
		n, err := io.ReadFull(r.r, buf[have:min(len(buf), have+pieceMax)])
		have += n
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("read message: %d of %d bytes: %w", have, length, err)
		}
	}
	r.last = length
	return buf, nil
}
