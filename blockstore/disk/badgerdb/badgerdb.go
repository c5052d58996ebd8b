// Package badgerdb opens badger databases, whatever a crash left in their folders,
// and says what is wrong with those that it cannot open.
//
// It is not a layer above badger: what it returns is a *badger.DB. It repairs
// nothing and rebuilds nothing; that is for those who know what is inside.
//
// Invariant: what was acknowledged by a commit with SyncWrites is in the database
// that is returned; or there is an error, and nothing of it was removed.
//
// Sources: badger v4.9, for what it does and in what order: db.go (Open),
// memtable.go, value.go, manifest.go, levels.go and table/table.go.
package badgerdb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"

	"github.com/p2pnode/p2pnode/blockstore/disk/volume"
)

// ErrDamaged means that a badger database cannot be opened: its files are not
// what badger has written.
var ErrDamaged = errors.New("database is damaged")

// Open opens the badger database in o.Dir, which nobody else may have
// open, whatever a crash has left there; and it names what is wrong if it
// cannot: volume.ErrFull, a syscall.Errno, or ErrDamaged. It expects one folder for
// everything, no encryption and no compression.
//
// It differs from badger.Open in what badger gets wrong:
//
//   - A log that was being made or removed when the process died has no bytes.
//     Badger takes it for new and then complains that it is; here it is removed.
//   - A damaged table is a panic in a goroutine of badger's, which ends the
//     process; here it is ErrDamaged.
//   - Without its manifest, badger takes all its tables for leftovers, removes
//     them and reports success; here it is ErrDamaged, and nothing is touched.
//   - It writes through maps of sparse files, to which a full disk is SIGBUS; here
//     half a memtable must be free, or it is volume.ErrFull.
//   - Of the cause of an error badger keeps only the text; here errors.Is works.
func Open(o badger.Options) (db *badger.DB, err error) {
	defer func() {
		if p := recover(); p != nil { // some kinds of damage
			db, err = nil, fmt.Errorf("open database %s: %v: %w", o.Dir, p, ErrDamaged)
		}
	}()
	if err = os.MkdirAll(o.Dir, 0o700); err == nil {
		err = volume.CheckSpace(o.Dir, o.MemTableSize/2)
	}
	if err == nil {
		err = removeEmptyLogs(o.Dir)
	}
	if err == nil {
		err = checkTables(o)
	}
	if err == nil {
		db, err = badger.Open(o)
	}
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", o.Dir, explain(err))
	}
	return db, nil
}

// removeEmptyLogs removes the logs that have no bytes. Badger makes a log, then
// gives it its size, then writes; and when all of a log is in tables, on disk
// and in the manifest, it cuts the log to nothing and then removes it. So an
// empty one never holds what was acknowledged.
func removeEmptyLogs(dir string) error {
	for _, pattern := range []string{"*.mem", "*.vlog"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, name := range files {
			info, err := os.Lstat(name)
			if err != nil {
				return err
			}
			if info.Size() > 0 || !info.Mode().IsRegular() {
				continue
			}
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkTables opens and checksums the tables of the manifest. Others are
// leftovers of a crash, half written perhaps, which badger will remove.
func checkTables(o badger.Options) error {
	f, err := os.Open(filepath.Join(o.Dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return checkNew(o.Dir)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	manifest, _, err := badger.ReplayManifestFile(f, o.ExternalMagicVersion, o)
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	for id := range manifest.Tables {
		if err := checkTable(table.NewFilename(id, o.Dir)); err != nil {
			return fmt.Errorf("check table %d: %w", id, err)
		}
	}
	return nil
}

// checkNew makes sure that a database without a manifest is one that was never
// used: the manifest is on disk before anything else is made.
func checkNew(dir string) error {
	for _, pattern := range []string{"*.sst", "*.mem", "*.vlog"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		if len(files) > 0 {
			return fmt.Errorf("there is %s and no %s: %w", filepath.Base(files[0]), badger.ManifestFilename, ErrDamaged)
		}
	}
	return nil
}

func checkTable(name string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its structure is damaged: %w", ErrDamaged)
		}
	}()
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("it is missing: %w", ErrDamaged)
	}
	if err != nil {
		return err
	}
	t, err := table.OpenInMemoryTable(data, 0, &table.Options{BlockSize: 4 << 10, Compression: options.None})
	if err != nil {
		return err
	}
	return t.VerifyChecksum()
}

// explain gives an error of badger's the cause that only its text tells.
func explain(err error) error {
	text := err.Error()
	// A lock means another process, on Windows in the latter words.
	if errors.Is(err, ErrDamaged) || strings.Contains(text, "directory lock") || strings.Contains(text, "lock file") {
		return err
	}
	if errors.Is(err, volume.ErrFull) {
		return err
	}
	if volume.IsFull(err) {
		return fmt.Errorf("%w: %w", volume.ErrFull, err)
	}
	for _, cause := range volume.OuterCauses() {
		if !errors.Is(err, cause) && !strings.Contains(text, cause.Error()) {
			continue
		}
		if volume.IsFull(cause) {
			return fmt.Errorf("%w: %w", volume.ErrFull, &causedError{err, cause})
		}
		return &causedError{err, cause}
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// causedError is an error whose text already tells the cause.
type causedError struct{ err, cause error }

func (e *causedError) Error() string   { return e.err.Error() }
func (e *causedError) Unwrap() []error { return []error{e.err, e.cause} }
