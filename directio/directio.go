// Package directio writes large amounts to files around the page cache, where the
// system can (Linux, and file systems with O_DIRECT); elsewhere it just writes.
//
// What will not be read again soon gains nothing from a copy in memory; making one
// costs up to a processor second per GiB, and drives out what other programs need.
// It is not a promise: what was written is durable after a sync, as ever.
//
// Invariant: a page is written by one way at a time. It is filled up through the
// cache before direct writes begin behind it.
package directio

import "os"

// Writer writes to one file, which its owner closes. It is not for concurrent use.
type Writer struct {
	file   *os.File // through the page cache
	direct direct
}

// NewWriter returns a writer to f, which must be open for writing.
func NewWriter(f *os.File) *Writer {
	w := &Writer{file: f}
	w.direct.open(f)
	return w
}

// Close frees what the writer holds beside the file.
func (w *Writer) Close() error { return w.direct.close() }

// WriteAt writes bufs, one after the other, at off. It changes bufs, not what they
// hold. Less than 1 MiB goes through the page cache.
func (w *Writer) WriteAt(bufs [][]byte, off int64) error {
	var size int64
	for _, b := range bufs {
		size += int64(len(b))
	}
	return w.write(bufs, size, off)
}
