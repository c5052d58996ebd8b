package badgerdb_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/p2pnode/p2pnode/blockstore/disk/badgerdb"
	"github.com/p2pnode/p2pnode/blockstore/disk/volume"
)

// bigBytes is the size in bytes of a log or a table that was given its size, but
// not yet its content.
const bigBytes = 1 << 20

func badgerOptions(dir string) badger.Options {
	return badger.DefaultOptions(dir).WithSyncWrites(true).WithLogger(nil).WithMemTableSize(1 << 20).
		WithValueLogFileSize(1 << 20).WithValueThreshold(1 << 10).WithCompression(0).WithBlockCacheSize(0)
}

// killedBadger returns a database as a kill leaves it, with key 1 in a table and
// key 2 in a log.
func killedBadger(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for i := range 2 {
		db, err := badger.Open(badgerOptions(dir))
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(txn *badger.Txn) error { return txn.Set([]byte{byte(1 + i)}, []byte("value")) })
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			defer db.Close()
			break
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return image(t, dir)
}

// mustHold opens the database, twice, and looks for both keys.
func mustHold(t *testing.T, dir string) {
	t.Helper()
	for range 2 {
		db, err := badgerdb.Open(badgerOptions(dir))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			err := db.View(func(txn *badger.Txn) error { _, err := txn.Get([]byte{byte(1 + i)}); return err })
			if err != nil {
				t.Errorf("key %d: %v", 1+i, err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOpenAfterCrash leaves what a kill or a power loss can leave between
// two steps of badger's, and expects it to open with all that it held.
func TestOpenAfterCrash(t *testing.T) {
	killed := killedBadger(t)
	for name, leftover := range map[string]struct {
		file string
		size int64
	}{
		"log without bytes":               {"00099.mem", 0},
		"log without content":             {"00099.mem", bigBytes},
		"old log without bytes":           {"00000.mem", 0},
		"old log without content":         {"00000.mem", bigBytes},
		"value log without bytes":         {"000099.vlog", 0},
		"value log without content":       {"000099.vlog", bigBytes},
		"first value log without bytes":   {"000000.vlog", 0},
		"table without bytes":             {"000099.sst", 0},
		"table without content":           {"000099.sst", bigBytes},
		"new manifest without bytes":      {"MANIFEST-REWRITE", 0},
		"new manifest without content":    {"MANIFEST-REWRITE", 100},
		"new key registry without bytes":  {"KEYREGISTRY-REWRITE", 0},
		"discard statistics without size": {"DISCARD", 0},
		"discard statistics of zeros":     {"DISCARD", 1 << 20},
		"pid of the killed":               {"LOCK", 5},
	} {
		t.Run(name, func(t *testing.T) {
			dir := image(t, killed)
			path := filepath.Join(dir, leftover.file)
			if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, leftover.size)); err != nil {
				t.Fatal(err)
			}
			mustHold(t, dir)
		})
	}
}

// TestOpenKillsAtBirth leaves a database that was killed while it was made.
func TestOpenKillsAtBirth(t *testing.T) {
	for _, files := range [][]string{
		{"LOCK"},
		{"LOCK", "MANIFEST-REWRITE"},
		{"LOCK", "KEYREGISTRY-REWRITE"},
	} {
		t.Run(fmt.Sprint(files), func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range files {
				if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			db, err := badgerdb.Open(badgerOptions(dir))
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestOpenRefuses: what a crash cannot have done is said, and made no worse.
func TestOpenRefuses(t *testing.T) {
	killed := killedBadger(t)
	for name, damage := range map[string]func(dir string) error{
		"no manifest":      func(dir string) error { return remove(dir, "MANIFEST") },
		"garbled manifest": func(dir string) error { return overwrite(dir, "MANIFEST") },
		"no table":         func(dir string) error { return remove(dir, "*.sst") },
		"garbled table":    func(dir string) error { return overwrite(dir, "*.sst") },
		"empty table":      func(dir string) error { return each(dir, "*.sst", func(p string) error { return os.Truncate(p, 0) }) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := image(t, killed)
			if err := damage(dir); err != nil {
				t.Fatal(err)
			}
			before := names(t, dir)
			for range 2 {
				db, err := badgerdb.Open(badgerOptions(dir))
				if !errors.Is(err, badgerdb.ErrDamaged) {
					t.Fatalf("got %v, want ErrDamaged", err)
				}
				if db != nil {
					t.Fatal("and a database")
				}
			}
			if after := names(t, dir); after != before {
				t.Errorf("files before: %s; after: %s", before, after)
			}
		})
	}
}

// TestOpenOnFullDisk: there may be no byte left, or no inode, and of the
// latter badger keeps only the text.
func TestOpenOnFullDisk(t *testing.T) {
	for name, size := range map[string]string{"no bytes": "4m", "no inodes": "64m,nr_inodes=3"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if !mount(t, dir, size) {
				return
			}
			if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 8<<20), 0o600); name == "no bytes" && !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("fill the disk: %v", err)
			}
			_, err := badgerdb.Open(badgerOptions(filepath.Join(dir, "db")))
			if !errors.Is(err, volume.ErrFull) || errors.Is(err, badgerdb.ErrDamaged) {
				t.Errorf("got %v, want ErrFull", err)
			}
		})
	}
}

// image copies a database as it is: while it is open and at rest, that is what a
// kill would leave.
func image(t *testing.T, dir string) string {
	t.Helper()
	for {
		dst := filepath.Join(t.TempDir(), "image")
		before := names(t, dir)
		err := os.CopyFS(dst, os.DirFS(dir))
		if names(t, dir) != before {
			continue // badger wrote a table meanwhile: this is no one moment
		}
		if err != nil {
			t.Fatal(err)
		}
		return dst
	}
}

// names lists the files of a database.
func names(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("files of %s: %v, %v", dir, files, err)
	}
	return strings.Join(files, " ")
}

func overwrite(dir, pattern string) error {
	return each(dir, pattern, func(path string) error {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i := range data {
			data[i] ^= 0x55
		}
		return os.WriteFile(path, data, 0o600)
	})
}

func remove(dir, pattern string) error { return each(dir, pattern, os.Remove) }

func each(dir, pattern string, do func(path string) error) error {
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err == nil && len(files) == 0 {
		err = errors.New("no file " + pattern)
	}
	for _, f := range files {
		err = errors.Join(err, do(f))
	}
	return err
}

// mount mounts a file system of the given size in bytes; false without the right to.
func mount(t *testing.T, dir, size string) bool {
	t.Helper()
	if os.Getuid() != 0 {
		t.Log("not root: nothing can be mounted, so this is not tested here")
		if os.Getenv("CI") != "" {
			t.Error("the CI must run this as root")
		}
		return false
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return true
}
