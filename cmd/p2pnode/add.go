package main

import (
	"archive/tar"
	"context"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/p2pnode/p2pnode/control"
)

// addOptions are the flags of add.
type addOptions struct {
	control.AddOptions
	mode, mtime bool
}

func addCommand(a *app) *cobra.Command {
	var o addOptions
	cmd := &cobra.Command{
		Use:   "add PATH…",
		Short: "Add files and directories; the last line is the root",
		Long: "Add files and directories with all that is in them, hidden files too. Each PATH is added and\n" +
			"pinned by itself; - is standard input. Symbolic links are kept as links. What is printed is durable.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(b *backend) error {
				roots := control.Roots{}
				err := a.each(cmd.Context(), args, func(name string) error {
					root, err := a.add(cmd.Context(), b, name, o)
					if err == nil {
						roots.Roots = append(roots.Roots, root.Cid)
					}
					return err
				})
				if err != nil {
					return err
				}
				return a.result(roots, func() error { return nil })
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Profile, "profile", "", "how files are cut and named: unixfs-v1-2025 (default) or unixfs-v0-2015")
	f.BoolVar(&o.OnlyHash, "only-hash", false, "print CIDs and keep nothing")
	f.BoolVar(&o.NoPin, "no-pin", false, "leave what is added to the next gc")
	f.StringVar(&o.Name, "name", "", "name of the pin")
	f.BoolVar(&o.mode, "preserve-mode", false, "record permissions")
	f.BoolVar(&o.mtime, "preserve-mtime", false, "record times of modification")
	f.BoolP("recursive", "r", true, "implied for directories")
	return cmd
}

// add adds one path and prints its lines when all of it is durable.
func (a *app) add(ctx context.Context, b *backend, name string, o addOptions) (control.Item, error) {
	if name == "-" {
		return a.addFile(ctx, b, a.stdin, name, 0, o)
	}
	info, err := os.Lstat(name)
	if err != nil {
		return control.Item{}, err
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return control.Item{}, err
	}
	base := filepath.Base(abs)
	if info.Mode().IsRegular() && !o.mode && !o.mtime {
		f, err := os.Open(name)
		if err != nil {
			return control.Item{}, err
		}
		defer f.Close()
		return a.addFile(ctx, b, f, base, info.Size(), o)
	}
	if t := info.Mode().Type(); t != 0 && t != os.ModeDir && t != os.ModeSymlink {
		return control.Item{}, usage("%s is neither file, directory nor link", name)
	}
	return a.addTree(ctx, b, name, base, o)
}

// addFile sends the bytes of a file as they are.
func (a *app) addFile(ctx context.Context, b *backend, r io.Reader, base string, size int64, o addOptions) (control.Item, error) {
	m := a.meter("add " + base)
	defer m.end()
	m.total.Store(size)
	root, err := b.AddFile(ctx, counted{r, m}, o.AddOptions)
	m.end()
	if err != nil {
		return root, err
	}
	root.Name = base
	return root, a.added(root)
}

// counted counts what is read. It hides what else the reader can do.
type counted struct {
	io.Reader
	m *meter
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.m.bytes.Add(int64(n))
	return n, err
}

// addTree sends a directory, or a file with what is known of it, as a tar.
// Lines are kept until the root is durable: what is printed is never lost.
func (a *app) addTree(ctx context.Context, b *backend, name, base string, o addOptions) (control.Item, error) {
	m := a.meter("add " + base)
	defer m.end()
	if m.shown {
		m.total.Store(treeSize(name))
	}
	var items []control.Item
	p := &packer{app: a, meter: m, mode: o.mode, mtime: o.mtime}
	root, err := b.AddTree(ctx, func(t *tar.Writer) error { return p.pack(ctx, t, name) }, o.AddOptions,
		func(it control.Item) {
			if !a.quiet {
				items = append(items, it)
			}
		})
	m.end()
	if err != nil {
		return root, err
	}
	for _, it := range append(items, root) {
		it.Name = path.Join(base, it.Name)
		if err := a.added(it); err != nil {
			return root, err
		}
	}
	return root, nil
}

// added prints one line of an add.
func (a *app) added(it control.Item) error {
	if a.quiet {
		return a.item(it, it.Cid)
	}
	return a.item(it, it.Cid, it.Name)
}

// treeSize is the bytes of all files below dir, as far as they can be seen.
func treeSize(dir string) (total int64) {
	_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil
	})
	return total
}

// packer writes what is on disk as a tar.
type packer struct {
	app         *app
	meter       *meter
	mode, mtime bool
	buf         []byte
}

func (p *packer) pack(ctx context.Context, t *tar.Writer, root string) error {
	p.buf = make([]byte, copySize)
	return filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		return p.entry(t, name, filepath.ToSlash(rel), d)
	})
}

func (p *packer) entry(t *tar.Writer, name, rel string, d os.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	h := &tar.Header{Name: rel, Format: tar.FormatPAX}
	if p.mode {
		h.Mode = int64(info.Mode().Perm())
	}
	if p.mtime {
		h.ModTime = info.ModTime().Round(time.Nanosecond)
	}
	switch {
	case d.Type().IsRegular():
		return p.file(t, name, h)
	case d.IsDir():
		h.Typeflag = tar.TypeDir
	case d.Type()&os.ModeSymlink != 0:
		h.Typeflag, h.Mode = tar.TypeSymlink, 0
		if h.Linkname, err = os.Readlink(name); err != nil {
			return err
		}
	default:
		p.app.note("skip %s: neither file, directory nor link", display(name))
		return nil
	}
	return t.WriteHeader(h)
}

// file takes the size from the open file: what lies at that name may change.
func (p *packer) file(t *tar.Writer, name string, h *tar.Header) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{t}, counted{io.LimitReader(f, h.Size), p.meter}, p.buf)
	if err == nil && n < h.Size {
		err = &os.PathError{Op: "add", Path: name, Err: errShrunk}
	}
	return err
}
