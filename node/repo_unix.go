//go:build !windows

package node

import (
	"errors"
	"os"
)

// modesKept tells whether the file system keeps Unix permissions.
const modesKept = true

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
