package control

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/codec"
)

// sizeHeader tells how many bytes a file, or the part of it that was asked for,
// will have.
const sizeHeader = "P2pnode-Size"

// targetSizeMax bounds the target of a symlink in bytes, as Linux does.
const targetSizeMax = 4096

// get answers with the file or tree as a tar in depth-first order. Names are
// relative to the root, which is ".".
func (s *server) get(ctx context.Context, p *params, w *dataWriter) error {
	ref := p.path()
	if p.err != nil {
		return p.err
	}
	tree, err := s.node.Get(ctx, ref)
	if err != nil {
		return err
	}
	defer tree.Close()
	defer s.fetches.begin(p.text("id"), func() Progress { return progressOf(tree.Progress()) })()

	// The first entry first: errors before it still become a status.
	e, err := tree.Next()
	if err != nil {
		return err
	}
	w.w.Header().Set(sizeHeader, strconv.FormatUint(e.Size, 10))
	w.begin(typeTar)
	buf := bufio.NewWriterSize(w, bufferSize)
	out := tar.NewWriter(buf)
	for ; err == nil; e, err = tree.Next() {
		if err := writeEntry(out, e, tree.Walker); err != nil {
			return err
		}
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	return errors.Join(out.Close(), buf.Flush())
}

// writeEntry writes the entry that tree has come to. Modes and times that are not
// recorded are zero, so that the client can tell.
func writeEntry(out *tar.Writer, e *unixfs.Entry, tree *unixfs.Walker) error {
	h := &tar.Header{Name: e.Path, Mode: int64(e.Mode.Perm()), ModTime: e.ModTime, Format: tar.FormatPAX}
	if h.Name == "" {
		h.Name = "."
	}
	switch e.Type {
	case unixfs.TypeDir:
		h.Typeflag = tar.TypeDir
		return out.WriteHeader(h)
	case unixfs.TypeSymlink:
		if e.Size > targetSizeMax {
			return &codec.FormatError{Cid: e.Cid, What: fmt.Sprintf("symlink to a path of %d bytes", e.Size)}
		}
		target, err := io.ReadAll(tree)
		if err != nil {
			return err
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, string(target)
		return out.WriteHeader(h)
	default:
		h.Typeflag, h.Size = tar.TypeReg, int64(e.Size)
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		_, err := tree.WriteTo(out)
		return err
	}
}

// cat answers with bytes of a file: length bytes from offset, or all.
func (s *server) cat(ctx context.Context, p *params, w *dataWriter) error {
	ref, offset, length := p.path(), p.size("offset", 0), p.size("length", -1)
	if p.err != nil {
		return p.err
	}
	open := s.node.OpenFile
	if offset > 0 || length >= 0 {
		open = s.node.OpenParts
	}
	f, err := open(ctx, ref)
	if err != nil {
		return err
	}
	defer f.Close()
	defer s.fetches.begin(p.text("id"), func() Progress { return progressOf(f.Progress()) })()

	rest := max(0, f.Size()-offset)
	if length >= 0 {
		rest = min(rest, length)
	}
	w.w.Header().Set(sizeHeader, strconv.FormatInt(rest, 10))
	if rest == 0 {
		return nil
	}
	if offset > 0 {
		if _, err := f.Seek(offset, io.SeekStart); err != nil {
			return err
		}
	}
	if length < 0 {
		_, err = f.WriteTo(w)
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{w}, io.LimitReader(f, rest), make([]byte, min(rest, bufferSize)))
	return err
}

// carExport answers with the DAG below ref as CARv1.
func (s *server) carExport(ctx context.Context, p *params, w *dataWriter) error {
	ref := p.path()
	if p.err != nil {
		return p.err
	}
	return s.node.ExportCAR(ctx, ref, w)
}

// list sends the entries of a directory.
func (s *server) list(ctx context.Context, p *params, out *stream) (any, error) {
	ref := p.path()
	if p.err != nil {
		return nil, p.err
	}
	for l, err := range s.node.List(ctx, ref) {
		if err != nil {
			return nil, err
		}
		if err := out.item(itemOf(l.Name, l)); err != nil {
			return nil, err
		}
	}
	return nil, nil
}
