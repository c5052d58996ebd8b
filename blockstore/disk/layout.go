package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/p2pnode/p2pnode/blockstore/disk/index"
	"github.com/p2pnode/p2pnode/blockstore/disk/volume"
)

// version is the whole content of the VERSION file.
const version = "p2pnode blocks 1\n"

// openLayout checks the version and makes what is missing.
func (s *Store) openLayout() error {
	if !s.readOnly {
		err := s.makeLayout()
		if volume.IsReadOnly(err) {
			s.opts.Logger.Warn("file system is read-only, and so is the store", "dir", s.dir)
			s.readOnly = true
		} else if err != nil {
			return err
		}
	}
	got, err := os.ReadFile(s.versionPath())
	if err != nil {
		return fmt.Errorf("read version: %w", err)
	}
	if string(got) != version {
		return fmt.Errorf("%w: it says %.40q, this program knows %q", ErrVersion, got, version)
	}
	return nil
}

func (s *Store) makeLayout() error {
	for _, d := range []string{s.dir, s.segmentsDir(), s.quarantineDir()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	probe, err := os.CreateTemp(s.dir, "probe-*") // existing directories prove nothing
	if err != nil && !volume.IsFull(err) {
		return err
	}
	if err == nil {
		probe.Close()
		os.Remove(probe.Name())
	}
	if err := os.RemoveAll(s.indexDir() + ".new"); err != nil {
		return err
	}
	if _, err := os.Stat(s.versionPath()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return volume.WriteFile(s.versionPath(), []byte(version))
}

// writeClean says that the store was closed when its index held st. Until it is
// opened again, an index that holds anything else has lost something.
func writeClean(path string, st index.State) error { return volume.WriteFile(path, st.Encode()) }

// wasClean tells whether the store was closed with the index at st.
func wasClean(path string, st index.State) bool {
	got, err := os.ReadFile(path)
	return err == nil && bytes.Equal(got, st.Encode())
}

// copyDir copies the files of a flat directory.
func copyDir(dst, src string) error {
	entries, err := os.ReadDir(src)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || strings.EqualFold(e.Name(), "LOCK") {
			continue
		}
		if err := copyFile(filepath.Join(dst, e.Name()), filepath.Join(src, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(dst, src string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = out.ReadFrom(in)
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	return err
}
