//go:build !linux

package directio

import "os"

// copySize is how many bytes are gathered for one write where there is no pwritev.
const copySize = 1 << 20

// gather writes bufs one after the other at off.
func gather(f *os.File, bufs [][]byte, off int64) error {
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
