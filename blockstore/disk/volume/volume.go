// Package volume asks a file system for what package os does not: how much
// space it has left, that data and names are durable, that bytes are really
// taken, and what is meant by the error of one that is full or read-only.
//
// It opens no store and knows no format; large writes are package directio's.
//
// Invariant: what was synced or written whole here survives a power loss, as far
// as the drive tells the truth; after a sync that failed nobody knows what is on
// disk (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX
// ATC 2020), so none is tried again.
//
// Sources: fdatasync(2), fallocate(2), statfs(2); fcntl(2) of macOS for
// F_FULLFSYNC; FlushFileBuffers and GetDiskFreeSpaceExW of Windows.
package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrFull means that there is not enough free space left.
var ErrFull = errors.New("not enough free space")

// CheckSpace fails with ErrFull unless need bytes are free where dir is.
func CheckSpace(dir string, need int64) error {
	free, _, err := Space(dir)
	if err != nil {
		return fmt.Errorf("check free space: %w", err)
	}
	if free < need {
		return fmt.Errorf("%w: %d bytes are free in %s, %d are needed", ErrFull, free, dir, need)
	}
	return nil
}

// WriteFile makes the file durable, whole or not at all.
func WriteFile(path string, data []byte) error {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		os.Remove(tmp)
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// Reserve makes path a file of size bytes that are really taken, so that
// removing it frees them.
func Reserve(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = allocate(f, size)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(path)
	}
	return err
}

// writeZeros is allocate where the system offers nothing better.
func writeZeros(f *os.File, size int64) error {
	zeros := make([]byte, 1<<20)
	for off := int64(0); off < size; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-off)], off); err != nil {
			return err
		}
	}
	return nil
}
