package disk

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
)

// checkTables opens and checksums each of badger's tables in dir. Badger does
// that too, but in goroutines of its own, where a damaged length is a panic that
// nobody can catch.
func checkTables(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return err
	}
	for _, name := range files {
		if err := checkTable(name); err != nil {
			return fmt.Errorf("check table %s: %w", filepath.Base(name), err)
		}
	}
	return nil
}

func checkTable(name string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its structure is damaged: %w", ErrIndex)
		}
	}()
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	t, err := table.OpenInMemoryTable(data, 0, &table.Options{BlockSize: 4 << 10, Compression: options.None})
	if err != nil {
		return err
	}
	return t.VerifyChecksum()
}
