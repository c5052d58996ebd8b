package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
)

const (
	smallPerFolder = 100
	smallSizeMin   = 200 // bytes
	smallSizeMax   = 8 << 10
)

// writeFile makes a file that no compression, deduplication or luck makes smaller.
func writeFile(path string, size int64, seed byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.CopyN(f, rand.NewChaCha8([32]byte{seed}), size); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// writeSmall makes n files of 200 B to 8 KB, 100 in a folder, and returns their bytes in total.
func writeSmall(dir string, n int) (total int64, err error) {
	rnd := rand.NewChaCha8([32]byte{1})
	sizes := rand.New(rnd)
	for i := range n {
		folder := filepath.Join(dir, fmt.Sprintf("folder%03d", i/smallPerFolder))
		if i%smallPerFolder == 0 {
			if err := os.MkdirAll(folder, 0o755); err != nil {
				return 0, err
			}
		}
		b := make([]byte, smallSizeMin+sizes.IntN(smallSizeMax-smallSizeMin))
		rnd.Read(b)
		total += int64(len(b))
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("file%05d", i)), b, 0o644); err != nil {
			return 0, err
		}
	}
	return total, nil
}

// sameTree compares two files, or two directories, byte for byte.
func sameTree(got, want string) error {
	g, err := digest(got)
	if err != nil {
		return err
	}
	w, err := digest(want)
	if err != nil {
		return err
	}
	if !bytes.Equal(g, w) {
		return fmt.Errorf("compare %s: not what was added", got)
	}
	return nil
}

// digest hashes the names and bytes of all files under root, in lexical order.
func digest(root string) ([]byte, error) {
	h := sha256.New()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%q %d\n", name, info.Size())
		_, err = io.Copy(h, f)
		return err
	})
	return h.Sum(nil), err
}

// empty frees what the files under root occupy. It leaves the files themselves to the end of the run:
// ext4 takes seconds to make thousands of files where as many were just removed, and whoever came
// next would pay for it.
func empty(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return os.Truncate(path, 0)
	})
}

// settle writes out what earlier steps left in memory, so that the next one does not pay for them.
func settle(ctx context.Context) error {
	if out, err := exec.CommandContext(ctx, "sync").CombinedOutput(); err != nil {
		return fmt.Errorf("sync: %w: %s", err, out)
	}
	return nil
}
