// Package archive holds a document in one file, with all its history.
//
// The file is a CAR (version 1), which any IPFS tool can read. Its one root is the block of
// the heads and their signatures (commit.Heads); that comes first, and then all commits,
// parents before children. So whoever has the file can check all of it, and needs nothing else.
// Of a document whose history was forgotten the base comes before the commits, cut into raw blocks.
//
// It knows no files, and no network: it writes and reads streams.
//
// Invariant: what Read has returned was in one stream of limited size, each block hashes to
// its CID, and nothing of it is trusted: that is for crdt.Doc.Apply, which rejects what is
// not authentic.
package archive

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// Errors of Read and Import.
var (
	// ErrMalformed means a stream that Write would not have written.
	ErrMalformed = errors.New("malformed archive")
	// ErrLimit means an archive that is too large.
	ErrLimit = errors.New("archive over the limit")
	// ErrIncomplete means an archive in which commits are missing, or invalid.
	ErrIncomplete = errors.New("incomplete archive")
)

// SizeMax is how many bytes the blocks of an archive may have. All are in memory until the heads
// have proven that they are authentic.
const SizeMax = 256 << 20

// blockMax is the largest block: one of heads.
const blockMax = 1 << 20

// The header of a CAR is DAG-CBOR: {"roots": [CID], "version": 1}.
const (
	headerFront = "\xa2\x65roots\x81\xd8\x2a\x58\x25\x00"
	headerBack  = "\x67version\x01"
	cidSize     = 36
)

// Write writes a document, of which no edits may be open. The blocks are those of its commits.
func Write(w io.Writer, d *crdt.Doc, blocks crdt.Blocks) error {
	heads, err := d.Heads()
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	root := &commit.Heads{Doc: d.ID()}
	for _, h := range heads {
		root.Heads = append(root.Heads, commit.Parent(h))
	}
	b, err := root.Encode()
	if err != nil {
		return fmt.Errorf("export %s: %w", d.ID(), err)
	}
	out := bufio.NewWriter(w)
	header := headerFront + b.Cid().KeyString() + headerBack
	// A bufio.Writer keeps its first error, which Flush tells.
	_, _ = out.Write(append(binary.AppendUvarint(nil, uint64(len(header))), header...))
	section(out, b)
	if d.Compacted() {
		base, err := d.Origin()
		if err != nil {
			return fmt.Errorf("export %s: %w", d.ID(), err)
		}
		for part := range slices.Chunk(base.Encode(), blockMax) {
			b, err := block.New(part, block.Prefix{Codec: cid.Raw})
			if err != nil {
				return fmt.Errorf("export %s: %w", d.ID(), err)
			}
			section(out, b)
		}
	}
	for e, err := range d.Commits() {
		if err == nil {
			b, err = blocks.Block(e.ID)
		}
		if err != nil {
			return fmt.Errorf("export %s: %w", d.ID(), err)
		}
		section(out, b)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("export %s: %w", d.ID(), err)
	}
	return nil
}

func section(out *bufio.Writer, b block.Block) {
	name := b.Cid().Bytes()
	_, _ = out.Write(binary.AppendUvarint(nil, uint64(len(name)+b.Size())))
	_, _ = out.Write(name)
	_, _ = out.Write(b.RawData())
}

// Archive is what was read.
type Archive struct {
	Doc    commit.ID
	Heads  []crdt.Head
	Base   *crdt.Base // with which the history begins, or nil
	Blocks []block.Block
}

// Read reads an archive to its end.
func Read(r io.Reader) (*Archive, error) {
	in := bufio.NewReader(r)
	header, err := frame(in, len(headerFront)+cidSize+len(headerBack))
	if err != nil {
		return nil, fmt.Errorf("import: header: %w", ended(err))
	}
	b, err := next(in)
	if err != nil {
		return nil, fmt.Errorf("import: heads: %w", ended(err))
	}
	if string(header) != headerFront+b.Cid().KeyString()+headerBack {
		return nil, fmt.Errorf("import: not a CAR of which the one root comes first: %w", ErrMalformed)
	}
	root, err := commit.DecodeHeads(b)
	if err != nil {
		return nil, fmt.Errorf("import: %w: %w", ErrMalformed, err)
	}
	a := &Archive{Doc: root.Doc}
	for _, h := range root.Heads {
		a.Heads = append(a.Heads, crdt.Head(h))
	}
	var base []byte
	for size := 0; ; {
		b, err := next(in)
		if errors.Is(err, io.EOF) {
			return a, a.begin(base)
		}
		if err != nil {
			return nil, fmt.Errorf("import %s: block %d: %w", a.Doc, len(a.Blocks), err)
		}
		if size += b.Size(); size > SizeMax {
			return nil, fmt.Errorf("import %s: %w (%d bytes)", a.Doc, ErrLimit, SizeMax)
		}
		if b.Cid().Type() == cid.Raw && len(a.Blocks) == 0 {
			base = append(base, b.RawData()...)
			continue
		}
		a.Blocks = append(a.Blocks, b)
	}
}

// begin reads the base, of which these are the bytes.
func (a *Archive) begin(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	b, err := crdt.DecodeBase(data)
	if err != nil {
		return fmt.Errorf("import %s: %w: %w", a.Doc, ErrMalformed, err)
	}
	a.Base = &b
	return nil
}

// ended is what it means that the stream ends before anything is there.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("the stream ends: %w", ErrMalformed)
	}
	return err
}

// next reads a block. At the end of the stream it returns io.EOF.
func next(in *bufio.Reader) (block.Block, error) {
	data, err := frame(in, cidSize+blockMax)
	if err != nil {
		return block.Block{}, err
	}
	n, c, err := cid.CidFromBytes(data)
	if err != nil {
		return block.Block{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	b, err := block.Verify(c, data[n:])
	if err != nil {
		return block.Block{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return b, nil
}

// frame reads bytes with their length before them.
func frame(in *bufio.Reader, most int) ([]byte, error) {
	n, err := binary.ReadUvarint(in)
	if errors.Is(err, io.EOF) {
		return nil, err // or io.ErrUnexpectedEOF, which is no io.EOF
	}
	if err != nil || n > uint64(most) {
		return nil, fmt.Errorf("a section of %d bytes: %w", n, errors.Join(ErrMalformed, err))
	}
	// The buffer grows with what has come.
	var data bytes.Buffer
	if _, err := io.CopyN(&data, in, int64(n)); errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("a section of %d bytes ends after %d: %w", n, data.Len(), ErrMalformed)
	} else if err != nil {
		return nil, err
	}
	return data.Bytes(), nil
}

// Open is a replica to import the archive into where nothing else of the document is.
func (a *Archive) Open(author commit.Author, blocks crdt.Blocks) (*crdt.Doc, error) {
	if a.Base == nil {
		return crdt.New(a.Doc, author, blocks), nil
	}
	d, err := crdt.Begin(a.Doc, *a.Base, author, blocks)
	if err != nil {
		return nil, fmt.Errorf("import: %w: %w", ErrMalformed, err)
	}
	return d, nil
}

// Import applies an archive to a replica of its document, which checks all of it. Who holds the
// replica must keep what the report says was applied.
func (a *Archive) Import(d *crdt.Doc) (crdt.Report, error) {
	if d.ID() != a.Doc {
		return crdt.Report{}, fmt.Errorf("import %s into %s: %w", a.Doc, d.ID(), ErrMalformed)
	}
	report, err := d.Apply(a.Blocks, a.Heads)
	if err != nil {
		return report, fmt.Errorf("import: %w", err)
	}
	for _, h := range a.Heads {
		if !d.Has(h.ID) {
			return report, fmt.Errorf("import %s: head %s: %w, %d rejected, %d missing", a.Doc, h.ID, ErrIncomplete, len(report.Rejected), len(report.Missing))
		}
	}
	if d.Compacted() && !d.Proven() {
		return report, fmt.Errorf("import %s: nothing proves its beginning: %w", a.Doc, ErrIncomplete)
	}
	return report, nil
}
