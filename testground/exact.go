package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/p2pnode/p2pnode/testground/det"
)

// exactProgram is this program with a runtime that the seed decides, or why there is
// none.
type exactProgram struct {
	path string
	err  error
}

// build builds it.
func build(ctx context.Context) *exactProgram {
	path, err := det.Build(ctx, det.Program)
	return &exactProgram{path, err}
}

// prepared builds what several exact runs need, and keeps it aside: whoever changes
// the source while they run does not change the program. Call remove after the last.
// Where there is an error, runs are not exact.
func (c cli) prepared(ctx context.Context, exact bool) (with cli, remove func(), err error) {
	if !exact || c.built != nil {
		return c, func() {}, nil
	}
	c.built = build(ctx)
	if c.built.err != nil {
		return c, func() {}, c.built.err
	}
	dir, err := os.MkdirTemp("", "testground-*")
	if err == nil {
		to := filepath.Join(dir, filepath.Base(c.built.path))
		err = copyFile(to, c.built.path)
		c.built.path = to
	}
	if err != nil {
		c.built.err = fmt.Errorf("keep the program aside: %w", err)
	}
	return c, func() { os.RemoveAll(dir) }, c.built.err
}

// notExact tells why runs are not exact that were to be.
func (c cli) notExact(err error) { fmt.Fprintln(c.errs, "testground: not exact:", err) }

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if e := out.Close(); err == nil {
		err = e
	}
	return err
}
