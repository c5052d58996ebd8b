package control

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"time"

	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/unixfs"
)

// typeTar is the content type of a tree. An add of any other type is one file.
const typeTar = "application/x-tar"

// add stores its body: a file as it is, or a tree as a tar whose names are
// relative to the root, which is ".". Items may be lost until the result has
// been sent; afterwards they are durable.
func (s *server) add(ctx context.Context, p *params, r *http.Request, out *stream) (any, error) {
	o := node.AddOptions{
		Profile:  p.profile(),
		NoPin:    p.flag("no-pin"),
		Name:     p.text("name"),
		OnlyHash: p.flag("only-hash"),
	}
	if p.err != nil {
		return nil, p.err
	}
	out.start(http.StatusOK)
	if err := http.NewResponseController(out.w).Flush(); err != nil {
		return nil, err
	}
	a := s.node.NewAdd(o)
	defer a.Abort()
	if r.Header.Get("Content-Type") != typeTar {
		if _, err := a.File(ctx, "", r.Body, 0, time.Time{}); err != nil {
			return nil, err
		}
	} else if err := s.addTree(ctx, a, tar.NewReader(r.Body), out); err != nil {
		return nil, err
	}
	var failed error
	root, err := a.Commit(ctx, func(name string, l unixfs.Link) {
		if name != "" && failed == nil {
			failed = out.item(itemOf(name, l))
		}
	})
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	return itemOf("", root), nil
}

func (s *server) addTree(ctx context.Context, a *node.Adder, t *tar.Reader, out *stream) error {
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read archive: %w", err)
		}
		name := path.Clean(h.Name)
		if name == "." {
			name = ""
		}
		link, err := addEntry(ctx, a, name, h, t)
		if err != nil {
			return fmt.Errorf("add %s: %w", h.Name, err)
		}
		if h.Typeflag == tar.TypeDir || name == "" {
			continue // told when it is complete
		}
		if err := out.item(itemOf(name, link)); err != nil {
			return err
		}
	}
}

// addEntry adds one entry. A mode or time of zero is not recorded.
func addEntry(ctx context.Context, a *node.Adder, name string, h *tar.Header, r io.Reader) (unixfs.Link, error) {
	mode, mtime := fs.FileMode(h.Mode).Perm(), h.ModTime
	if mtime.Unix() == 0 && mtime.Nanosecond() == 0 {
		mtime = time.Time{}
	}
	switch h.Typeflag {
	case tar.TypeReg:
		return a.File(ctx, name, r, mode, mtime)
	case tar.TypeSymlink:
		return a.Symlink(ctx, name, h.Linkname, mtime)
	case tar.TypeDir:
		return unixfs.Link{}, a.Dir(name, mode, mtime)
	default:
		return unixfs.Link{}, &Error{Code: CodeUsage, Message: fmt.Sprintf("archive entry of type %q", h.Typeflag)}
	}
}
