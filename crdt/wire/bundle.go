package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// window is how far back a bundle refers, in bytes: what a reader needs in memory.
const window = 1 << 20

// Section is a part of a bundle: commits, or a base, which others follow.
type Section struct {
	Base   *crdt.Base // or nil
	Heads  []crdt.Head
	Blocks []block.Block
}

// BundleWriter writes a bundle: a Base, if there is one; each section's Heads, then its blocks one
// by one.
type BundleWriter struct {
	z    *zstd.Encoder
	open bool // there is a section
	buf  []byte
}

// NewBundleWriter begins a bundle.
func NewBundleWriter(w io.Writer) *BundleWriter {
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window))
	if err != nil {
		panic(err) // the options are right
	}
	return &BundleWriter{z: z}
}

// Base is with what the bundle begins.
func (w *BundleWriter) Base(b crdt.Base) error {
	data := b.Encode()
	return w.write(append(binary.AppendUvarint([]byte{2}, uint64(len(data))), data...))
}

// Heads begins a section.
func (w *BundleWriter) Heads(heads []crdt.Head) error {
	if len(heads) > SectionHeadsMax {
		return fmt.Errorf("write bundle: %d heads: %w", len(heads), ErrLimit)
	}
	b := w.buf[:0]
	if w.open {
		b = append(b, 0)
	}
	b = append(b, 1)
	b = binary.AppendUvarint(b, uint64(len(heads)))
	for _, h := range heads {
		b = append(append(b, h.ID[:]...), h.Signature[:]...)
	}
	w.open, w.buf = true, b
	return w.write(b)
}

// Block adds a commit to the section.
func (w *BundleWriter) Block(b block.Block) error {
	w.buf = append(binary.AppendUvarint(w.buf[:0], uint64(b.Size())), b.RawData()...)
	return w.write(w.buf)
}

func (w *BundleWriter) write(b []byte) error {
	if _, err := w.z.Write(b); err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	return nil
}

// Close ends the bundle.
func (w *BundleWriter) Close() error {
	b := w.buf[:0]
	if w.open {
		b = append(b, 0)
	}
	if err := w.write(append(b, 0)); err != nil {
		return err
	}
	if err := w.z.Close(); err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	return nil
}

// source is where bytes come from. It remembers why there are no more.
type source struct {
	r   io.Reader
	err error // or nil
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// BundleReader reads a bundle.
type BundleReader struct {
	source *source
	z      *zstd.Decoder
	r      *bufio.Reader
	begun  bool // a section was read
}

// NewBundleReader reads a bundle from r. It must be closed.
func NewBundleReader(r io.Reader) *BundleReader {
	s := &source{r: r}
	z, err := zstd.NewReader(s, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window))
	if err != nil {
		panic(err) // the options are right
	}
	return &BundleReader{source: s, z: z, r: bufio.NewReader(z)}
}

// Close frees what the reader needs. It does not close what it reads from.
func (r *BundleReader) Close() { r.z.Close() }

// Next reads the next section. After the last one it fails with io.EOF; a bundle that ends
// before its end is malformed.
func (r *BundleReader) Next() (Section, error) {
	var s Section
	tag, err := r.r.ReadByte()
	begun := r.begun
	r.begun = true
	switch {
	case err != nil:
	case tag == 0:
		return s, io.EOF
	case tag == 1:
		if err = r.heads(&s); err == nil {
			err = r.blocks(&s)
		}
	case tag == 2 && !begun:
		err = r.base(&s)
	case tag == 2:
		err = errors.New("a base after other sections")
	default:
		err = fmt.Errorf("section of kind %d: %w", tag, ErrVersion)
	}
	if err != nil {
		return Section{}, fmt.Errorf("read bundle: %w", r.explain(err))
	}
	return s, nil
}

// explain tells whose fault an error is: that of the bytes, or of where they come from.
func (r *BundleReader) explain(err error) error {
	switch {
	case r.source.err != nil:
		return r.source.err
	case errors.Is(err, ErrLimit), errors.Is(err, ErrVersion):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("truncated: %w", ErrMalformed)
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}

func (r *BundleReader) number(most int) (int, error) {
	n, err := binary.ReadUvarint(r.r)
	if err == nil && n > uint64(most) {
		err = ErrLimit
	}
	return int(n), err
}

func (r *BundleReader) base(s *Section) error {
	n, err := r.number(BaseSizeMax)
	if err != nil {
		return err
	}
	data, err := r.bytes(n)
	if err != nil {
		return err
	}
	b, err := crdt.DecodeBase(data)
	s.Base = &b
	return err
}

// bytes reads n bytes into memory that grows with what arrives.
func (r *BundleReader) bytes(n int) ([]byte, error) {
	var buf bytes.Buffer
	_, err := io.CopyN(&buf, r.r, int64(n))
	return buf.Bytes(), err
}

func (r *BundleReader) heads(s *Section) error {
	n, err := r.number(SectionHeadsMax)
	if err != nil {
		return err
	}
	for range n {
		h := crdt.Head{Signature: new(commit.Signature)}
		if _, err := io.ReadFull(r.r, h.ID[:]); err != nil {
			return err
		}
		if _, err := io.ReadFull(r.r, h.Signature[:]); err != nil {
			return err
		}
		s.Heads = append(s.Heads, h)
	}
	return nil
}

func (r *BundleReader) blocks(s *Section) error {
	size := 0
	for {
		n, err := r.number(commit.SizeMax)
		if n == 0 || err != nil {
			return err
		}
		if size += n + BlockSize; size > SectionSizeMax {
			return fmt.Errorf("section of more than %d bytes: %w", SectionSizeMax, ErrLimit)
		}
		data, err := r.bytes(n)
		if err != nil {
			return err
		}
		b, err := commit.Block(data)
		if err != nil {
			return err
		}
		s.Blocks = append(s.Blocks, b)
	}
}
