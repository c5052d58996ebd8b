package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/codec"
)

// Tree builds a directory with everything below it. Files are built as they
// come; directories when all is known. Directories that a path needs are made.
// It is safe for concurrent use.
//
// Paths are relative and separated by slashes; "" is the root, which is a
// directory unless a file or a symlink is put there.
type Tree struct {
	out *batch
	o   Options

	mu    sync.Mutex // guards the following fields
	root  *dir
	alone *unixfs.Link // a file or symlink in place of root
}

// dir is a directory that is being filled.
type dir struct {
	links   map[string]unixfs.Link
	dirs    map[string]*dir
	mode    fs.FileMode
	modTime time.Time
}

func newDir() *dir { return &dir{links: map[string]unixfs.Link{}, dirs: map[string]*dir{}} }

// errExists means a name that is taken.
var errExists = errors.New("there is an entry of this name already")

// NewTree returns an empty tree. Of o, Profile and Progress count.
func NewTree(p block.Putter, o Options) *Tree {
	return &Tree{out: newBatch(p), o: o, root: newDir()}
}

// File builds a file from r at path.
func (t *Tree) File(ctx context.Context, path string, r io.Reader, mode fs.FileMode, modTime time.Time) (unixfs.Link, error) {
	o := t.o
	o.Mode, o.ModTime = mode, modTime
	l, err := buildFile(ctx, t.out, r, o)
	if err != nil {
		return unixfs.Link{}, fmt.Errorf("build %s: %w", path, err)
	}
	return t.hang(path, l)
}

// Symlink builds a symbolic link to target at path.
func (t *Tree) Symlink(ctx context.Context, path, target string, modTime time.Time) (unixfs.Link, error) {
	o := t.o
	o.ModTime = modTime
	l, err := buildSymlink(ctx, t.out, target, o)
	if err != nil {
		return unixfs.Link{}, fmt.Errorf("build %s: %w", path, err)
	}
	return t.hang(path, l)
}

// Add hangs what has been built already at path.
func (t *Tree) Add(path string, l unixfs.Link) error {
	_, err := t.hang(path, l)
	return err
}

// Dir makes sure that there is a directory at path and records what is given.
func (t *Tree) Dir(path string, mode fs.FileMode, modTime time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	names, err := unixfs.SplitPath(path)
	if err != nil {
		return err
	}
	d, err := t.dir(names)
	if err != nil {
		return fmt.Errorf("build %s: %w", path, err)
	}
	d.mode, d.modTime = mode, modTime
	return nil
}

func (t *Tree) hang(path string, l unixfs.Link) (unixfs.Link, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	names, err := unixfs.SplitPath(path)
	if err != nil {
		return unixfs.Link{}, err
	}
	if len(names) == 0 {
		if t.alone != nil || len(t.root.links)+len(t.root.dirs) > 0 {
			return unixfs.Link{}, fmt.Errorf("build root: %w", errExists)
		}
		t.alone = &l
		return l, nil
	}
	last := len(names) - 1
	d, err := t.dir(names[:last])
	if err != nil {
		return unixfs.Link{}, fmt.Errorf("build %s: %w", path, err)
	}
	l.Name = names[last]
	if _, taken := d.links[l.Name]; taken || d.dirs[l.Name] != nil {
		return unixfs.Link{}, fmt.Errorf("build %s: %w", path, errExists)
	}
	d.links[l.Name] = l
	return l, nil
}

// dir finds or makes a directory; the caller holds mu.
func (t *Tree) dir(names []string) (*dir, error) {
	if t.alone != nil {
		return nil, errExists
	}
	d := t.root
	for _, name := range names {
		if _, taken := d.links[name]; taken {
			return nil, errExists
		}
		below := d.dirs[name]
		if below == nil {
			below = newDir()
			d.dirs[name] = below
		}
		d = below
	}
	return d, nil
}

// Finish builds the directories from the bottom up and returns the root. visit,
// unless nil, sees each of them with its path, the root last. When Finish
// returns without an error, all blocks of the tree are kept.
func (t *Tree) Finish(ctx context.Context, visit func(path string, l unixfs.Link)) (unixfs.Link, error) {
	t.mu.Lock()
	root, alone := t.root, t.alone
	t.mu.Unlock()
	if visit == nil {
		visit = func(string, unixfs.Link) {}
	}
	var l unixfs.Link
	var err error
	if alone != nil {
		l = *alone
	} else {
		l, err = t.finish(ctx, root, "", visit)
	}
	if err != nil {
		t.out.drop()
		return unixfs.Link{}, err
	}
	if err := t.out.flush(ctx); err != nil {
		return unixfs.Link{}, fmt.Errorf("put blocks of tree: %w", err)
	}
	return l, nil
}

// Abort forgets the tree and waits for what it started. It is for trees that
// are not finished.
func (t *Tree) Abort() { t.out.drop() }

func (t *Tree) finish(ctx context.Context, d *dir, path string, visit func(string, unixfs.Link)) (unixfs.Link, error) {
	b := dirBuilder{out: t.out, profile: t.o.Profile.orDefault(), mode: d.mode, modTime: d.modTime}
	b.links = make([]codec.Link, 0, len(d.links)+len(d.dirs))
	for name, l := range d.links {
		b.links = append(b.links, codec.Link{Name: name, Cid: l.Cid, Tsize: l.Tsize})
	}
	for _, name := range slices.Sorted(maps.Keys(d.dirs)) {
		l, err := t.finish(ctx, d.dirs[name], strings.TrimPrefix(path+"/"+name, "/"), visit)
		if err != nil {
			return unixfs.Link{}, err
		}
		b.links = append(b.links, codec.Link{Name: name, Cid: l.Cid, Tsize: l.Tsize})
	}
	l, err := b.build(ctx)
	if err != nil {
		return unixfs.Link{}, fmt.Errorf("build directory %q: %w", path, err)
	}
	l.Name = path[strings.LastIndexByte(path, '/')+1:]
	visit(path, l)
	return l, nil
}
