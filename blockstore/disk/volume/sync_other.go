//go:build !linux

package volume

import "os"

// SyncData makes what was written to f durable, and its size. On macOS, Sync
// is F_FULLFSYNC, which flushes the drive's cache too.
func SyncData(f *os.File) error { return f.Sync() }

// allocate gives f size bytes of the disk.
func allocate(f *os.File, size int64) error { return writeZeros(f, size) }
