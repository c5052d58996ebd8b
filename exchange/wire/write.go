package wire

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
)

// writeBuffer gathers headers and small blocks into writes of this many bytes;
// larger blocks go to the stream as they are.
const writeBuffer = 32 << 10

// Field keys: number<<3 | wire type.
const (
	keyWantlist  = 1<<3 | typeBytes
	keyBlocks    = 2<<3 | typeBytes
	keyPayload   = 3<<3 | typeBytes
	keyPresence  = 4<<3 | typeBytes
	keyPending   = 5<<3 | typeVarint
	keyEntry     = 1<<3 | typeBytes
	keyFull      = 2<<3 | typeVarint
	keyCid       = 1<<3 | typeBytes
	keyPriority  = 2<<3 | typeVarint
	keyCancel    = 3<<3 | typeVarint
	keyWantType  = 4<<3 | typeVarint
	keySendDont  = 5<<3 | typeVarint
	keyPrefix    = 1<<3 | typeBytes
	keyData      = 2<<3 | typeBytes
	keyHaveOrNot = 2<<3 | typeVarint
)

// Writer writes messages to a stream. It is not safe for concurrent use.
type Writer struct {
	w        *bufio.Writer
	protocol string
	scratch  []byte
}

// NewWriter writes messages in the given version of the protocol. What a
// version cannot say is left out: presences before 1.2.0, and blocks that are
// not CIDv0 before 1.1.0. A WANT_HAVE would be taken for a WANT_BLOCK before
// 1.2.0, so it is left out as well.
func NewWriter(w io.Writer, protocol string) *Writer {
	return &Writer{w: bufio.NewWriterSize(w, writeBuffer), protocol: protocol}
}

// Write sends m and flushes.
func (w *Writer) Write(m *Message) error {
	lists := w.lists(m)
	size := len(lists)
	for i := range m.Payloads {
		size += w.payloadSize(&m.Payloads[i])
	}
	if size > MessageSizeMax {
		return fmt.Errorf("write message of %d bytes: %w", size, ErrLimit)
	}
	var head [binary.MaxVarintLen64]byte
	w.w.Write(binary.AppendUvarint(head[:0], uint64(size)))
	w.w.Write(lists)
	for i := range m.Payloads {
		w.payload(&m.Payloads[i])
	}
	// A bufio.Writer remembers its first error and returns it here.
	if err := w.w.Flush(); err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	return nil
}

// lists encodes everything but the payloads.
func (w *Writer) lists(m *Message) []byte {
	out := w.scratch[:0]
	if m.Full || len(m.Entries) > 0 {
		size := 0
		if m.Full {
			size = 2
		}
		for i := range m.Entries {
			if w.speaks(&m.Entries[i]) {
				size += fieldSize(entrySize(&m.Entries[i]))
			}
		}
		out = appendHead(out, keyWantlist, size)
		for i := range m.Entries {
			if w.speaks(&m.Entries[i]) {
				out = appendEntry(out, &m.Entries[i])
			}
		}
		if m.Full {
			out = append(out, keyFull, 1)
		}
	}
	if w.protocol == Protocol120 {
		for _, p := range m.Presences {
			out = appendPresence(out, p)
		}
		if m.Pending > 0 {
			out = binary.AppendUvarint(append(out, keyPending), uint64(uint32(m.Pending)&0x7fffffff))
		}
	}
	w.scratch = out
	return out
}

func (w *Writer) speaks(e *Entry) bool {
	if w.protocol == Protocol120 {
		return true
	}
	return !e.Have && (w.protocol != Protocol100 || e.Cid.Version() == 0)
}

func (w *Writer) payloadSize(p *Payload) int {
	if w.protocol == Protocol100 {
		if p.Prefix != v0 {
			return 0
		}
		return fieldSize(len(p.Data))
	}
	return fieldSize(fieldSize(prefixSize(p.Prefix)) + fieldSize(len(p.Data)))
}

func (w *Writer) payload(p *Payload) {
	var room [64]byte
	head := room[:0]
	if w.protocol == Protocol100 {
		if p.Prefix != v0 {
			return
		}
		head = appendHead(head, keyBlocks, len(p.Data))
	} else {
		prefix := prefixSize(p.Prefix)
		head = appendHead(head, keyPayload, fieldSize(prefix)+fieldSize(len(p.Data)))
		head = appendHead(head, keyPrefix, prefix)
		head = appendPrefix(head, p.Prefix)
		head = appendHead(head, keyData, len(p.Data))
	}
	w.w.Write(head)
	w.w.Write(p.Data)
}

// Size is about how many bytes e takes in a message.
func (e *Entry) Size() int { return fieldSize(entrySize(e)) }

func entrySize(e *Entry) int {
	size := fieldSize(e.Cid.ByteLen()) + 1 + varintSize(uint64(int64(e.Priority)))
	for _, set := range [...]bool{e.Cancel, e.Have, e.SendDontHave} {
		if set {
			size += 2
		}
	}
	return size
}

func appendEntry(out []byte, e *Entry) []byte {
	out = appendHead(out, keyEntry, entrySize(e))
	out = appendCID(out, e.Cid)
	out = binary.AppendUvarint(append(out, keyPriority), uint64(int64(e.Priority)))
	if e.Cancel {
		out = append(out, keyCancel, 1)
	}
	if e.Have {
		out = append(out, keyWantType, 1)
	}
	if e.SendDontHave {
		out = append(out, keySendDont, 1)
	}
	return out
}

func appendPresence(out []byte, p Presence) []byte {
	size := fieldSize(p.Cid.ByteLen())
	if !p.Have {
		size += 2
	}
	out = appendHead(out, keyPresence, size)
	out = appendCID(out, p.Cid)
	if !p.Have {
		out = append(out, keyHaveOrNot, 1)
	}
	return out
}

func appendCID(out []byte, c cid.Cid) []byte {
	out = appendHead(out, keyCid, c.ByteLen())
	return append(out, c.KeyString()...)
}

func appendPrefix(out []byte, p cid.Prefix) []byte {
	for _, v := range [...]uint64{p.Version, p.Codec, p.MhType, uint64(p.MhLength)} {
		out = binary.AppendUvarint(out, v)
	}
	return out
}

func prefixSize(p cid.Prefix) int {
	return varintSize(p.Version) + varintSize(p.Codec) + varintSize(p.MhType) + varintSize(uint64(p.MhLength))
}

func appendHead(out []byte, key byte, size int) []byte {
	return binary.AppendUvarint(append(out, key), uint64(size))
}

// fieldSize is the size of a length-delimited field with a one-byte key.
func fieldSize(size int) int { return 1 + varintSize(uint64(size)) + size }

func varintSize(n uint64) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}
