//go:build !linux

package directio

import "os"

// direct is nothing where there are no direct writes.
type direct struct{}

func (direct) open(*os.File) {}
func (direct) close() error  { return nil }

// write writes bufs at off.
func (w *Writer) write(bufs [][]byte, _, off int64) error { return gather(w.file, bufs, off) }
