package scenario

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/build"
)

// file is content that can be made again, to be compared.
type file struct {
	root  cid.Cid
	seed  uint64
	size  int
	chunk int // bytes of its blocks
}

// bytes are those that the file must have.
func (f file) bytes() []byte {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], f.seed)
	b := make([]byte, f.size)
	rand.NewChaCha8(seed).Read(b)
	return b
}

// upload is how a file comes to a node.
type upload struct {
	profile build.Profile
	takes   time.Duration
}

const uploadPieces = 20

// add has a node take a file in, at the pace of who sends it.
func (f *file) add(ctx context.Context, n *node.Node, u upload) error {
	from := &slowReader{ctx.Done(), bytes.NewReader(f.bytes()), u.takes / time.Duration(uploadPieces), 1 + f.size/uploadPieces, 0}
	f.chunk = u.profile.ChunkSize
	link, err := n.Add(ctx, from, node.AddOptions{Profile: u.profile})
	f.root = link.Cid
	return err
}

// slowReader is somebody who sends a piece at a time.
type slowReader struct {
	gone  <-chan struct{}
	r     io.Reader
	pause time.Duration // before each piece
	piece int           // bytes
	left  int           // of the piece that is here
}

var errGone = errors.New("whoever sent it is gone")

func (s *slowReader) Read(p []byte) (int, error) {
	if s.left == 0 && s.pause > 0 {
		t := time.NewTimer(s.pause)
		defer t.Stop()
		select {
		case <-t.C:
		case <-s.gone:
			return 0, errGone
		}
	}
	if s.left == 0 {
		s.left = s.piece
	}
	n, err := s.r.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, err
}

// wrongError is a byte that is not what was added.
type wrongError struct {
	f        file
	from, to int
}

func (e *wrongError) Error() string {
	return fmt.Sprintf("wrong bytes: %d to %d of %s, which has %d", e.from, e.to, e.f.root, e.f.size)
}

// span is a part of a file, to be read at random.
type span struct{ from, to int }

// read reads a file from a node: all of it in order, or the given parts. It calls
// moved when there is more of it.
func (f file) read(ctx context.Context, n *node.Node, parts []span, moved func()) error {
	open := n.OpenFile
	if parts != nil {
		open = n.OpenParts
	}
	r, err := open(ctx, unixfs.Path{Root: f.root})
	if err != nil {
		return err
	}
	defer r.Close()
	return f.compare(r, parts, moved)
}

// readLocal reads it without asking anyone.
func (f file) readLocal(ctx context.Context, g block.Getter) error {
	r, err := unixfs.Open(ctx, g, f.root)
	if err != nil {
		return err
	}
	defer r.Close()
	return f.compare(r, nil, func() {})
}

// movingReader tells when something has been read.
type movingReader struct {
	io.Reader
	moved func()
}

func (r movingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.moved()
	return n, err
}

func (f file) compare(r interface {
	io.Reader
	io.ReaderAt
}, parts []span, moved func()) error {
	want := f.bytes()
	if parts == nil {
		got, err := io.ReadAll(movingReader{r, moved})
		if err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", len(got), f.size, err)
		}
		if !bytes.Equal(got, want) {
			return &wrongError{f, 0, f.size}
		}
		return nil
	}
	for _, s := range parts {
		got := make([]byte, s.to-s.from)
		n, err := r.ReadAt(got, int64(s.from))
		if err != nil && (!errors.Is(err, io.EOF) || s.to != f.size) {
			return fmt.Errorf("bytes %d to %d of %d: %w", s.from, s.to, f.size, err)
		}
		if n != len(got) || !bytes.Equal(got, want[s.from:s.to]) {
			return &wrongError{f, s.from, s.to}
		}
		moved()
	}
	return nil
}

// randomSpans picks parts of a file, some of which end right behind the edge of a
// block, or begin right before one.
func (f file) randomSpans(rng *rand.Rand) []span {
	parts := []span{{f.size - 1, f.size}}
	for range 1 + rng.IntN(3) {
		from := rng.IntN(f.size)
		parts = append(parts, span{from, from + 1 + rng.IntN(min(f.size-from, 100_000))})
	}
	if blocks := f.size / f.chunk; blocks > 0 {
		edge := f.chunk * (1 + rng.IntN(blocks))
		parts = append(parts, span{edge - 1, edge}, span{max(0, edge-1000), min(edge+1, f.size)})
	}
	return parts
}
