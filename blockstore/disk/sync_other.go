//go:build !linux

package disk

import "os"

// copySize is how many bytes are gathered for one write where there is no pwritev.
const copySize = 1 << 20

// writeAllAt writes bufs one after the other at off.
func writeAllAt(f *os.File, bufs [][]byte, off int64) error {
	gathered := make([]byte, 0, copySize)
	flush := func(p []byte) error {
		n, err := f.WriteAt(p, off)
		off += int64(n)
		return err
	}
	for _, b := range bufs {
		if len(gathered)+len(b) > copySize {
			if err := flush(gathered); err != nil {
				return err
			}
			gathered = gathered[:0]
		}
		if len(b) >= copySize {
			if err := flush(b); err != nil {
				return err
			}
			continue
		}
		gathered = append(gathered, b...)
	}
	return flush(gathered)
}

// syncData makes what was written to f durable, and its size. On macOS, Sync
// is F_FULLFSYNC, which flushes the drive's cache too.
func syncData(f *os.File) error { return f.Sync() }

// allocate gives f size bytes of the disk.
func allocate(f *os.File, size int64) error { return writeZeros(f, size) }
