package frame

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
)

// writeBuffer gathers small frames into writes of this many bytes; blocks go to the stream
// as they are.
const writeBuffer = 32 << 10

// Writer writes frames to a stream. It is not safe for concurrent use.
type Writer struct {
	w    *bufio.Writer
	head []byte
}

// NewWriter writes frames to w.
func NewWriter(w io.Writer) *Writer {
	return &Writer{w: bufio.NewWriterSize(w, writeBuffer)}
}

// Write sends frames, without copying blocks, and flushes.
func (w *Writer) Write(frames ...Frame) error {
	for _, f := range frames {
		head, tail := appendFrame(w.head[:0], f)
		w.head = head
		size := len(head) + len(tail)
		if size > SizeMax {
			return fmt.Errorf("write frame of %d bytes: %w", size, ErrLimit)
		}
		var length [binary.MaxVarintLen64]byte
		w.w.Write(binary.AppendUvarint(length[:0], uint64(size)))
		w.w.Write(head)
		w.w.Write(tail)
	}
	// A bufio.Writer remembers its first error and returns it here.
	if err := w.w.Flush(); err != nil {
		return fmt.Errorf("write frames: %w", err)
	}
	return nil
}

// appendFrame appends a frame without its length to b; tail is the bytes of a block,
// which end it.
func appendFrame(b []byte, f Frame) (head, tail []byte) {
	switch f := f.(type) {
	case Open:
		return appendOpen(b, f), nil
	case Request:
		return appendRanges(numbers(b, typeRequest, int(f.Channel)), f.Ranges), nil
	case Cancel:
		return appendRanges(numbers(b, typeCancel, int(f.Channel)), f.Ranges), nil
	case Got:
		return appendRanges(numbers(b, typeGot, int(f.Channel)), f.Ranges), nil
	case Close:
		return numbers(b, typeClose, int(f.Channel)), nil
	case Nodes:
		return appendNodes(b, f), nil
	case Index:
		return numbers(b, typeIndex, int(f.Channel), f.Nodes, f.Leaves, f.Pushed), nil
	case Have:
		return appendRanges(numbers(b, typeHave, int(f.Channel)), f.Ranges), nil
	case Block:
		return numbers(b, typeBlock, int(f.Channel), f.Number), f.Data
	case Miss:
		return appendRanges(numbers(b, typeMiss, int(f.Channel), int(f.Reason)), f.Ranges), nil
	case Allow:
		return numbers(b, typeAllow, f.Size), nil
	case Idle:
		return append(b, typeIdle), nil
	case End:
		return numbers(b, typeEnd, int(f.Channel), int(f.Reason)), nil
	case Offer:
		b = sizedCID(append(b, typeOffer), f.Root)
		return binary.AppendUvarint(b, uint64(f.Size)), nil
	}
	panic(fmt.Sprintf("write frame: %T", f)) // Frame is closed
}

// numbers appends a type and numbers.
func numbers(b []byte, kind byte, n ...int) []byte {
	b = append(b, kind)
	for _, v := range n {
		b = binary.AppendUvarint(b, uint64(v))
	}
	return b
}

func sizedCID(b []byte, c cid.Cid) []byte {
	b = binary.AppendUvarint(b, uint64(c.ByteLen()))
	return append(b, c.KeyString()...)
}

func appendOpen(b []byte, f Open) []byte {
	flags := 0
	if f.Nodes {
		flags = 1
	}
	b = sizedCID(numbers(b, typeOpen, int(f.Channel), flags), f.Root)
	for _, n := range []int{f.From, f.Leaves, f.Credit, len(f.Stops)} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	for _, c := range f.Stops {
		b = sizedCID(b, c)
	}
	return b
}

func appendRanges(b []byte, list []Range) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	end := 0
	for _, r := range list {
		b = binary.AppendUvarint(b, uint64(r.First-end))
		b = binary.AppendUvarint(b, uint64(r.Count-1))
		end = r.First + r.Count
	}
	return b
}

func appendNodes(b []byte, f Nodes) []byte {
	b = numbers(b, typeNodes, int(f.Channel))
	for _, item := range f.Items {
		if item.Leaves > 0 {
			b = binary.AppendUvarint(b, uint64(item.Leaves)<<1|1)
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(item.Data))<<1)
		b = append(b, item.Data...)
	}
	return b
}
