package node

import (
	"fmt"
	"path/filepath"

	"github.com/gofrs/flock"
)

// Locked tells whether a process owns the repo in dir.
func Locked(dir string) (bool, error) {
	lock := flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o600))
	free, err := lock.TryRLock()
	if err != nil {
		return false, fmt.Errorf("look at the lock of %s: %w", dir, err)
	}
	if !free {
		return true, nil
	}
	return false, lock.Unlock()
}
