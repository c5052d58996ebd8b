package main

import (
	"archive/tar"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/p2pnode/p2pnode/directio"
)

const (
	// nameSizeMax is the longest name in bytes that common file systems take.
	nameSizeMax = 255
	// depthMax bounds folders inside each other, entriesMax what one get writes.
	depthMax   = 256
	entriesMax = 10_000_000
	// directSizeMin is the least size in bytes of files that are written around the
	// page cache, directBuffer what of them is moved at once: a large file would
	// drive out of memory what others need, a small one is likely read soon.
	directSizeMin = 64 << 20
	directBuffer  = 4 << 20
	// tempPrefix begins the names of files that are being written.
	tempPrefix = ".p2pnode-part-"
)

// extraction writes a tree to disk. Everything goes through an os.Root, one for
// each folder on the way to the current entry, so that no name and no link,
// found or made, leads outside. Entries must come in depth-first order.
//
// A file is written under a temporary name and then renamed, without a sync:
// content is durable in the repo, and writing it out again costs nothing there.
type extraction struct {
	tree     archive
	meter    *meter
	symlinks bool

	folders []folder // from the root to the current one
	links   []link
	entries int
	done    extracted
	buf     []byte
}

// archive is a tree as it comes in. Its names come from strangers.
type archive interface {
	Next() (*tar.Header, error)
	io.Reader
}

// extracted is what a get has written.
type extracted struct {
	Out     string `json:"out"`
	Files   int    `json:"files"`
	Bytes   int64  `json:"bytes"`
	Skipped int    `json:"skipped_links,omitempty"`
}

// folder is a directory that is being filled.
type folder struct {
	path   string // from the root; "" is the root
	root   *os.Root
	lock   io.Closer // see claim
	names  map[string]struct{}
	header *tar.Header
}

// link is made when all files are written: none is ever written through it.
type link struct{ path, target string }

// run extracts to out, or into out under base if that is a folder and the tree
// is a file.
func (x *extraction) run(out, base string) (_ extracted, err error) {
	x.buf = make([]byte, copySize)
	h, err := x.tree.Next()
	if errors.Is(err, io.EOF) {
		return x.done, errors.New("extract: nothing arrived")
	}
	if err != nil {
		return x.done, err
	}
	isDir := h.Typeflag == tar.TypeDir
	dir, name, err := place(out, base, isDir)
	if err != nil {
		return x.done, err
	}
	x.done.Out = path.Join(dir, name)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return x.done, err
	}
	x.push("", root, h)
	defer func() { err = errors.Join(err, x.pop(0)) }()
	if isDir {
		return x.done, x.all()
	}
	if err := x.one(h, name); err != nil {
		return x.done, err
	}
	if _, err := x.tree.Next(); !errors.Is(err, io.EOF) {
		return x.done, errors.Join(err, errors.New("extract: more than one file arrived"))
	}
	x.folders[0].header = nil // the folder is not ours
	return x.done, x.makeLinks()
}

// all extracts the entries below the root.
func (x *extraction) all() error {
	for {
		h, err := x.tree.Next()
		if errors.Is(err, io.EOF) {
			return x.makeLinks()
		}
		if err != nil {
			return err
		}
		if x.entries++; x.entries > entriesMax {
			return fmt.Errorf("extract: more than %d entries", entriesMax)
		}
		if err := x.entry(h); err != nil {
			return err
		}
	}
}

func (x *extraction) entry(h *tar.Header) error {
	if path.IsAbs(h.Name) {
		return &nameError{Path: h.Name, What: "absolute path"}
	}
	parent, name := path.Split(strings.TrimSuffix(h.Name, "/"))
	if err := x.enter(strings.TrimSuffix(parent, "/")); err != nil {
		return err
	}
	if err := checkName(name); err != nil {
		return &nameError{Path: h.Name, What: err.Error()}
	}
	top := &x.folders[len(x.folders)-1]
	if _, twice := top.names[name]; twice {
		return &nameError{Path: h.Name, What: "two entries of one name"}
	}
	top.names[name] = struct{}{}
	if h.Typeflag == tar.TypeDir {
		return x.mkdir(h, name)
	}
	return x.one(h, name)
}

// enter leaves folders until parent is the current one.
func (x *extraction) enter(parent string) error {
	for i := len(x.folders) - 1; i >= 0; i-- {
		if x.folders[i].path == parent {
			return x.pop(i + 1)
		}
	}
	return &nameError{Path: parent, What: "entry of a folder that was not announced"}
}

func (x *extraction) push(path string, root *os.Root, h *tar.Header) {
	x.folders = append(x.folders, folder{path: path, root: root, lock: claim(root), names: make(map[string]struct{}), header: h})
}

// pop leaves the folders from number i on. Their times are set last, because
// filling a folder changes them.
func (x *extraction) pop(i int) error {
	var err error
	for n := len(x.folders) - 1; n >= i; n-- {
		f := x.folders[n]
		if f.header != nil {
			err = errors.Join(err, restore(f.root, ".", f.header))
		}
		err = errors.Join(err, f.lock.Close(), f.root.Close())
	}
	x.folders = x.folders[:i]
	return err
}

func (x *extraction) mkdir(h *tar.Header, name string) error {
	if len(x.folders) >= depthMax {
		return &nameError{Path: h.Name, What: fmt.Sprintf("more than %d folders inside each other", depthMax)}
	}
	parent := x.folders[len(x.folders)-1].root
	err := parent.Mkdir(name, 0o777)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err != nil { // what is there may be a link to another place
		info, err := parent.Lstat(name)
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return fmt.Errorf("extract %s: there is something else of this name", display(h.Name))
		}
	}
	root, err := parent.OpenRoot(name)
	if err != nil {
		return err
	}
	x.push(strings.TrimSuffix(h.Name, "/"), root, h)
	return nil
}

// one extracts what is not a folder.
func (x *extraction) one(h *tar.Header, name string) error {
	switch h.Typeflag {
	case tar.TypeReg:
		return x.file(h, name)
	case tar.TypeSymlink:
		if !x.symlinks {
			x.done.Skipped++
			return nil
		}
		x.links = append(x.links, link{path: path.Join(x.folders[len(x.folders)-1].path, name), target: h.Linkname})
		return nil
	default:
		return fmt.Errorf("extract %s: entry of type %q", display(h.Name), h.Typeflag)
	}
}

// file writes the current entry under name in the current folder.
func (x *extraction) file(h *tar.Header, name string) (err error) {
	root := x.folders[len(x.folders)-1].root
	temp := tempPrefix + rand.Text()[:partSuffixSize]
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = root.Remove(temp) // the error before it is the one to tell
		}
	}()
	n, err := x.write(f, h.Size)
	if err == nil && h.Mode != 0 {
		err = f.Chmod(fs.FileMode(h.Mode).Perm()) // without setuid, setgid and sticky
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if !noTime(h) {
		if err := root.Chtimes(temp, h.ModTime, h.ModTime); err != nil {
			return err
		}
	}
	if err := root.Rename(temp, name); err != nil {
		return err
	}
	x.done.Files++
	x.done.Bytes += n
	return nil
}

// write writes the current entry, of size bytes, to f.
func (x *extraction) write(f *os.File, size int64) (int64, error) {
	if size < directSizeMin {
		return io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(f, x.meter)}, x.tree, x.buf)
	}
	w := directio.NewWriter(f)
	defer w.Close()
	buf := make([]byte, directBuffer)
	for off := int64(0); ; {
		n, err := io.ReadFull(x.tree, buf)
		if n > 0 {
			if err := w.WriteAt([][]byte{buf[:n]}, off); err != nil {
				return off, err
			}
			off += int64(n)
			x.meter.Write(buf[:n])
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && off == size {
			return off, nil
		}
		if err != nil {
			return off, err
		}
	}
}

// restore gives a folder the mode and time that were recorded.
func restore(root *os.Root, name string, h *tar.Header) error {
	if mode := fs.FileMode(h.Mode).Perm(); mode != 0 {
		if err := root.Chmod(name, mode); err != nil {
			return err
		}
	}
	if noTime(h) {
		return nil
	}
	return root.Chtimes(name, h.ModTime, h.ModTime)
}

// noTime tells whether a time was not recorded: tar has no other way to say it.
func noTime(h *tar.Header) bool { return h.ModTime.Unix() == 0 && h.ModTime.Nanosecond() == 0 }
