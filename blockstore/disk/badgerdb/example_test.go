package badgerdb_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"

	"github.com/p2pnode/p2pnode/blockstore/disk/badgerdb"
)

func Example() {
	dir, err := os.MkdirTemp("", "database-*")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	// A log that was made, and not yet written, when the power failed.
	if err := os.WriteFile(filepath.Join(dir, "00001.mem"), nil, 0o600); err != nil {
		fmt.Println(err)
		return
	}
	db, err := badgerdb.Open(badger.DefaultOptions(dir).WithSyncWrites(true).WithCompression(0).WithLogger(nil))
	if err != nil {
		fmt.Println(err)
		return
	}
	err = db.Update(func(txn *badger.Txn) error { return txn.Set([]byte("key"), []byte("value")) })
	fmt.Println(errors.Join(err, db.Close()))

	// Badger would take the tables for leftovers and remove them.
	if err := os.Remove(filepath.Join(dir, badger.ManifestFilename)); err != nil {
		fmt.Println(err)
		return
	}
	_, err = badgerdb.Open(badger.DefaultOptions(dir).WithCompression(0).WithLogger(nil))
	fmt.Println(errors.Is(err, badgerdb.ErrDamaged))
	// Output:
	// <nil>
	// true
}
