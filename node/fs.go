package node

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs"
)

// FS returns the directory root as a file system, for everything in Go that
// reads one: templates, http.FileServerFS, fs.WalkDir. What is missing is
// fetched when it is read; an open file fetches until it is closed.
func (n *Node) FS(root cid.Cid) fs.FS { return &tree{node: n, root: root} }

type tree struct {
	node *Node
	root cid.Cid
}

var (
	_ fs.ReadDirFS = (*tree)(nil)
	_ fs.StatFS    = (*tree)(nil)
)

func (t *tree) path(op, name string) (unixfs.Path, error) {
	if !fs.ValidPath(name) {
		return unixfs.Path{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	p := unixfs.Path{Root: t.root}
	if name != "." {
		p.Segments = strings.Split(name, "/")
	}
	return p, nil
}

func (t *tree) resolve(ctx context.Context, g block.Getter, op, name string) (unixfs.Link, error) {
	p, err := t.path(op, name)
	if err != nil {
		return unixfs.Link{}, err
	}
	link, err := unixfs.Resolve(ctx, g, p)
	if err != nil {
		return unixfs.Link{}, &fs.PathError{Op: op, Path: name, Err: fsError(err)}
	}
	link.Name = path.Base(name)
	return link, nil
}

// fsError makes the errors that callers of io/fs look for.
func fsError(err error) error {
	var noLink *unixfs.NoLinkError
	if errors.As(err, &noLink) {
		return errors.Join(fs.ErrNotExist, err)
	}
	return err
}

// Open implements fs.FS.
func (t *tree) Open(name string) (fs.File, error) {
	ctx, cancel := context.WithCancel(context.Background())
	s := t.node.Session(ctx)
	link, err := t.resolve(ctx, s, "open", name)
	if err != nil {
		cancel()
		return nil, err
	}
	if link.Type == unixfs.TypeDir {
		return &openDir{tree: t, name: name, link: link, cancel: cancel}, nil
	}
	f, err := unixfs.Open(ctx, s, link.Cid)
	if err != nil {
		cancel()
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &openFile{File: f, link: link, cancel: cancel}, nil
}

// Stat implements fs.StatFS.
func (t *tree) Stat(name string) (fs.FileInfo, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	link, err := t.resolve(ctx, t.node.Session(ctx), "stat", name)
	if err != nil {
		return nil, err
	}
	return info{link}, nil
}

// ReadDir implements fs.ReadDirFS.
func (t *tree) ReadDir(name string) ([]fs.DirEntry, error) {
	f, err := t.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d, ok := f.(*openDir)
	if !ok {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a directory")}
	}
	return d.ReadDir(-1)
}

type openFile struct {
	*unixfs.File
	link   unixfs.Link
	cancel context.CancelFunc
}

func (f *openFile) Stat() (fs.FileInfo, error) { return info{f.link}, nil }

func (f *openFile) Close() error {
	err := f.File.Close()
	f.cancel()
	return err
}

type openDir struct {
	tree    *tree
	name    string
	link    unixfs.Link
	cancel  context.CancelFunc
	entries []fs.DirEntry // what ReadDir has yet to return
	listed  bool
}

func (d *openDir) Stat() (fs.FileInfo, error) { return info{d.link}, nil }
func (d *openDir) Close() error               { d.cancel(); return nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errors.New("is a directory")}
}

// ReadDir implements fs.ReadDirFile.
func (d *openDir) ReadDir(count int) ([]fs.DirEntry, error) {
	if !d.listed {
		if err := d.list(); err != nil {
			return nil, err
		}
	}
	if count <= 0 || count > len(d.entries) {
		if count > 0 && len(d.entries) == 0 {
			return nil, io.EOF
		}
		count = len(d.entries)
	}
	out := d.entries[:count]
	d.entries = d.entries[count:]
	return out, nil
}

// list reads all entries: io/fs promises them in order of their names, and a
// sharded directory keeps them in order of their hashes.
func (d *openDir) list() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := d.tree.node.Session(ctx)
	for l, err := range unixfs.List(ctx, s, d.link.Cid) {
		if err != nil {
			return &fs.PathError{Op: "readdir", Path: d.name, Err: err}
		}
		d.entries = append(d.entries, fs.FileInfoToDirEntry(info{l}))
	}
	slices.SortFunc(d.entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	d.listed = true
	return nil
}

// info is a Link as fs.FileInfo.
type info struct{ link unixfs.Link }

func (i info) Name() string       { return i.link.Name }
func (i info) Size() int64        { return int64(i.link.Size) }
func (i info) ModTime() time.Time { return i.link.ModTime }
func (i info) IsDir() bool        { return i.link.Type == unixfs.TypeDir }
func (i info) Sys() any           { return i.link }

// Mode gives permissions that read well where the DAG keeps none.
func (i info) Mode() fs.FileMode {
	perm := i.link.Mode.Perm()
	switch i.link.Type {
	case unixfs.TypeDir:
		if perm == 0 {
			perm = 0o755
		}
		return fs.ModeDir | perm
	case unixfs.TypeSymlink:
		return fs.ModeSymlink | 0o777
	default:
		if perm == 0 {
			perm = 0o644
		}
		return perm
	}
}
