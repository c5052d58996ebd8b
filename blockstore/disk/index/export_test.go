package index

import (
	"errors"

	"github.com/dgraph-io/badger/v4"
)

// Lose takes an entry away behind the index's back, as a damaged database would.
func (x *Index) Lose(mh string) error {
	txn := x.db.NewTransaction(true)
	defer txn.Discard()
	return errors.Join(txn.Delete(blockKey(mh)), txn.Commit())
}

// Damage flips a bit in the value of every key.
func (x *Index) Damage() error {
	return x.db.Update(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			v, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			v[0] ^= 1
			if err := txn.Set(it.Item().KeyCopy(nil), v); err != nil {
				return err
			}
		}
		return nil
	})
}

// The codec, for its fuzz target.
func ParseLocation(key, value []byte) (Location, error) {
	l, _, err := parseLocation(key, value)
	return l, err
}

func AppendLocation(key []byte, l Location) []byte {
	v, _ := appendLocation(key, l)
	return v
}

func ParseState(value []byte) (State, error) { return parseState(value) }

// Seal appends the checksum that makes a value one of the key's.
func Seal(key, value []byte) []byte {
	v, _ := seal(key, value)
	return v
}
