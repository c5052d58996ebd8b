package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/p2pnode/p2pnode/control"
	"github.com/p2pnode/p2pnode/unixfs"
)

// getOptions are the flags of get.
type getOptions struct {
	out      string
	symlinks bool
	timeout  time.Duration
}

func getCommand(a *app) *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:   "get REF [-o OUT]",
		Short: "Fetch a file or directory and write it to disk",
		Long: "Fetch a file or directory and write it to OUT, by default the last part of REF in the current\n" +
			"folder. A file replaces a file; a directory is merged into a directory. Nothing is ever written\n" +
			"outside of OUT, and no file has its name before it is whole. After an interruption the same\n" +
			"command goes on: what has arrived is in the repo.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(b *backend) error { return a.get(cmd.Context(), b, args[0], o) })
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.out, "output", "o", "", "where to write")
	f.BoolVar(&o.symlinks, "symlinks", false, "make symbolic links that stay inside of OUT (default: skip them)")
	timeoutFlag(f, &o.timeout)
	return cmd
}

func (a *app) get(ctx context.Context, b *backend, ref string, o getOptions) error {
	out, err := outName(ref, o.out)
	if err != nil {
		return err
	}
	m := a.meter("get")
	defer m.end()
	id, unwatch := watch(ctx, b, m)
	defer unwatch()
	tree, err := b.Get(ctx, control.Ref{Ref: ref, Timeout: o.timeout}, id)
	if err != nil {
		return err
	}
	defer tree.Close()
	m.total.Store(max(0, tree.Data.Size))
	x := &extraction{tree: tree, meter: m, symlinks: o.symlinks}
	done, err := x.run(out, path.Base(refName(ref)))
	unwatch()
	m.end()
	if err != nil {
		return err
	}
	if done.Skipped > 0 {
		a.note("skipped %s; --symlinks makes those that stay inside", count(done.Skipped, "symbolic link"))
	}
	return a.result(done, func() error {
		if !a.quiet {
			a.note("wrote %s: %s, %s", display(done.Out), count(done.Files, "file"), size(done.Bytes))
		}
		return nil
	})
}

// refName is the name that content has in a reference: its last part.
func refName(ref string) string {
	p, err := unixfs.ParsePath(ref)
	if err != nil {
		return ref
	}
	if n := len(p.Segments); n > 0 {
		return p.Segments[n-1]
	}
	return p.Root.String()
}

// outName is where get writes.
func outName(ref, out string) (string, error) {
	if _, err := unixfs.ParsePath(ref); err != nil {
		return "", err
	}
	if out != "" {
		return out, nil
	}
	name := refName(ref)
	if err := checkName(name); err != nil {
		return "", usage("%q cannot be a file name (%v): say where to write with -o", name, err)
	}
	return name, nil
}

// place finds the folder to write in and the name in it. A file goes into a
// folder that is there under its own name, as cp does it.
func place(out, base string, isDir bool) (dir, name string, err error) {
	out = filepath.Clean(out)
	info, err := os.Stat(out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if isDir {
			if err := os.Mkdir(out, 0o777); err != nil {
				return "", "", err
			}
			return out, "", nil
		}
	case err != nil:
		return "", "", err
	case isDir && info.IsDir():
		return out, "", nil
	case isDir:
		return "", "", usage("%s is there and is not a directory", out)
	case info.IsDir():
		if err := checkName(base); err != nil {
			return "", "", usage("%s is a directory: name the file with -o %s", out, filepath.Join(out, "NAME"))
		}
		return out, base, nil
	}
	return filepath.Dir(out), filepath.Base(out), nil
}

// checkName refuses names that a file system takes for something else.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("empty name")
	case name == "." || name == "..":
		return errors.New("name of a folder that is there already")
	case strings.ContainsAny(name, "/\x00"):
		return errors.New("slash or zero byte in a name")
	case len(name) > nameSizeMax:
		return errors.New("name is too long")
	case strings.HasPrefix(name, tempPrefix):
		return errors.New("name is reserved for files that are being written")
	}
	return checkSystemName(name)
}

// errShrunk means that a file became shorter while it was read.
var errShrunk = errors.New("file became shorter while it was read")
