//go:build !windows

package volume

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Space returns the bytes that this user may still write to the file system of
// dir, and its size in bytes.
func Space(dir string) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}

// IsFull tells whether a write failed for lack of space.
func IsFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

// IsReadOnly tells whether the file system cannot be written to.
func IsReadOnly(err error) bool { return errors.Is(err, unix.EROFS) }

// OuterCauses are the errors of a system call that say nothing about the file:
// the same call may work elsewhere, or later.
func OuterCauses() []error {
	return []error{
		unix.ENOSPC, unix.EDQUOT, unix.EFBIG, unix.EROFS, unix.EACCES, unix.EPERM,
		unix.EMFILE, unix.ENFILE, unix.ENOMEM,
	}
}
