package interop_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// content is something to add: write makes it at path, from a seed.
type content struct {
	name  string
	write func(t *testing.T, path string, rnd *rand.ChaCha8)
}

const (
	smallFiles     = 10_000
	smallPerFolder = 100
	smallSizeMin   = 200 // bytes
	smallSizeMax   = 8 << 10
	shardEntries   = 5_000
)

// contents are what is exchanged under each profile; big ones once, under the default.
func contents(profile string) []content {
	all := []content{
		file("empty", 0), file("1 byte", 1), file("10 KB", 10_000), file("5 MiB", 5<<20),
		{"names", writeNames},
	}
	if profile == profileNew {
		all = append(all, content{"sharded directory", writeShard}, content{"10,000 small files", writeSmall}, file(fmt.Sprintf("%d MiB", *largeMiB), *largeMiB<<20))
	}
	return all
}

func file(name string, size int64) content {
	return content{name, func(t *testing.T, path string, rnd *rand.ChaCha8) { writeFile(t, path, rnd, size) }}
}

func seeded(parts ...string) *rand.ChaCha8 {
	var seed [32]byte
	for _, p := range parts {
		for i := range len(p) {
			seed[i%32] = seed[i%32]*31 + p[i]
		}
	}
	return rand.NewChaCha8(seed)
}

func writeFile(t *testing.T, path string, rnd io.Reader, size int64) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.CopyN(f, rnd, size); err != nil {
		t.Fatal(err)
	}
}

func writeSmall(t *testing.T, path string, rnd *rand.ChaCha8) {
	r := rand.New(rnd)
	for i := range smallFiles {
		name := fmt.Sprintf("folder%03d/file%05d", i/smallPerFolder, i)
		writeFile(t, filepath.Join(path, name), rnd, int64(smallSizeMin+r.IntN(smallSizeMax-smallSizeMin)))
	}
}

func writeShard(t *testing.T, path string, rnd *rand.ChaCha8) {
	for i := range shardEntries {
		writeFile(t, filepath.Join(path, fmt.Sprintf("an entry with quite a long name to reach the limit sooner, number %05d", i)), rnd, 16)
	}
}

func writeNames(t *testing.T, path string, rnd *rand.ChaCha8) {
	for _, name := range []string{
		"a", "a/../b c", "nested/deep/deeper/deepest/file", "Grüße/Ωmega.txt", "日本語/ファイル", "😀", "e\u0301 is not \u00e9",
		"'quotes' and \"more\"", "percent %20 + & ? #", "-dash", "back\\slash", "tab\tname", "emoji/👩‍👩‍👧/x",
	} {
		writeFile(t, filepath.Join(path, name), rnd, int64(len(name)))
	}
	if err := os.Mkdir(filepath.Join(path, "empty folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"link": "nested/deep", "nested/up": "../a", "dangling": "no/such/thing"} {
		if err := os.Symlink(target, filepath.Join(path, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// sameTree fails unless two files or directories are the same: names, kinds, bytes, targets of symlinks.
func sameTree(t *testing.T, got, want string) {
	t.Helper()
	count := func(root string, each func(name string, d fs.DirEntry)) (n int) {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			n++
			name, err := filepath.Rel(root, path)
			if each != nil {
				each(name, d)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	wanted := count(want, func(name string, d fs.DirEntry) {
		sameEntry(t, filepath.Join(got, name), filepath.Join(want, name), d.Type())
	})
	if n := count(got, nil); n != wanted {
		t.Errorf("got %d entries; want %d", n, wanted)
	}
}

func sameEntry(t *testing.T, got, want string, kind fs.FileMode) {
	t.Helper()
	info, err := os.Lstat(got)
	if err != nil {
		t.Error(err)
		return
	}
	if info.Mode().Type() != kind {
		t.Errorf("%s: kind %v; want %v", got, info.Mode().Type(), kind)
		return
	}
	switch kind {
	case fs.ModeSymlink:
		g, _ := os.Readlink(got)
		w, _ := os.Readlink(want)
		if g != w {
			t.Errorf("%s: points to %q; want %q", got, g, w)
		}
	case 0:
		if err := sameBytes(got, want); err != nil {
			t.Error(err)
		}
	}
}

func sameBytes(got, want string) error {
	g, err := os.Open(got)
	if err != nil {
		return err
	}
	defer g.Close()
	w, err := os.Open(want)
	if err != nil {
		return err
	}
	defer w.Close()
	gr, wr := bufio.NewReaderSize(g, 1<<20), bufio.NewReaderSize(w, 1<<20)
	var gb, wb [64 << 10]byte
	for at := int64(0); ; {
		n, errG := io.ReadFull(gr, gb[:])
		m, errW := io.ReadFull(wr, wb[:])
		if !bytes.Equal(gb[:n], wb[:m]) {
			return fmt.Errorf("%s differs within %d bytes from %d", got, len(gb), at)
		}
		if errG != nil || errW != nil {
			return nil // both have ended: the last parts had the same length
		}
		at += int64(n)
	}
}
