//go:build !windows

package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// space returns the bytes that this user may still write to the file system of
// dir, and its size in bytes.
func space(dir string) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}

// isFull tells whether a write failed for lack of space.
func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

// isReadOnly tells whether the file system cannot be written to.
func isReadOnly(err error) bool { return errors.Is(err, unix.EROFS) }

// outerCauses are the errors of a system call that say nothing about the file:
// the same call may work elsewhere, or later.
func outerCauses() []error {
	return []error{
		unix.ENOSPC, unix.EDQUOT, unix.EFBIG, unix.EROFS, unix.EACCES, unix.EPERM,
		unix.EMFILE, unix.ENFILE, unix.ENOMEM,
	}
}
