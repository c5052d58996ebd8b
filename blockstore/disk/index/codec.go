package index

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/dgraph-io/badger/v4"
)

// seal appends the CRC-32C of key and value to value.
func seal(key, value []byte) ([]byte, uint32) {
	sum := crc32.Update(crc32.Checksum(key, crcTable), crcTable, value)
	return binary.BigEndian.AppendUint32(value, sum), sum
}

// unseal checks the CRC and takes it off.
func unseal(key, value []byte) ([]byte, uint32, error) {
	n := len(value) - 4
	if n >= 0 {
		sum := crc32.Update(crc32.Checksum(key, crcTable), crcTable, value[:n])
		if sum == binary.BigEndian.Uint32(value[n:]) {
			return value[:n], sum, nil
		}
	}
	return nil, 0, fmt.Errorf("read index key %x: checksum mismatch: %w", key, ErrDamaged)
}

// A location is segment (u32), offset (u64), header (u16), size (u32), and as
// varints the CID's version and codec.
func appendLocation(key []byte, l Location) ([]byte, uint32) {
	v := binary.BigEndian.AppendUint32(make([]byte, 0, 32), l.Segment)
	v = binary.BigEndian.AppendUint64(v, uint64(l.Offset))
	v = binary.BigEndian.AppendUint16(v, uint16(l.Header))
	v = binary.BigEndian.AppendUint32(v, uint32(l.Size))
	v = binary.AppendUvarint(v, l.Version)
	v = binary.AppendUvarint(v, l.Codec)
	return seal(key, v)
}

func parseLocation(key, value []byte) (Location, uint32, error) {
	v, sum, err := unseal(key, value)
	if err != nil {
		return Location{}, 0, err
	}
	if len(v) < 20 {
		return Location{}, 0, fmt.Errorf("read index key %x: %d bytes: %w", key, len(v), ErrDamaged)
	}
	l := Location{
		Segment: binary.BigEndian.Uint32(v),
		Offset:  int64(binary.BigEndian.Uint64(v[4:])),
		Header:  int(binary.BigEndian.Uint16(v[12:])),
		Size:    int(binary.BigEndian.Uint32(v[14:])),
	}
	v = v[18:]
	version, n := binary.Uvarint(v)
	codec, m := binary.Uvarint(v[max(n, 0):])
	if n <= 0 || m <= 0 || n+m != len(v) {
		return Location{}, 0, fmt.Errorf("read index key %x: bad codec: %w", key, ErrDamaged)
	}
	l.Version, l.Codec = version, codec
	return l, sum, nil
}

func readLocation(txn *badger.Txn, key []byte) (l Location, sum uint32, err error) {
	item, err := txn.Get(key)
	if err != nil {
		return Location{}, 0, err
	}
	return itemLocation(item)
}

func itemLocation(item *badger.Item) (l Location, sum uint32, err error) {
	err = item.Value(func(v []byte) error {
		l, sum, err = parseLocation(item.Key(), v)
		return err
	})
	return l, sum, err
}

// An account is blocks and bytes (u64 each).
func appendAccount(key []byte, a Account) []byte {
	v := binary.BigEndian.AppendUint64(make([]byte, 0, 20), uint64(a.Blocks))
	v, _ = seal(key, binary.BigEndian.AppendUint64(v, uint64(a.Bytes)))
	return v
}

func readAccounts(txn *badger.Txn) (map[uint32]Account, error) {
	o := badger.DefaultIteratorOptions
	o.Prefix = []byte{accountPrefix}
	it := txn.NewIterator(o)
	defer it.Close()
	accounts := make(map[uint32]Account)
	for it.Rewind(); it.Valid(); it.Next() {
		key := it.Item().Key()
		err := it.Item().Value(func(v []byte) error {
			v, _, err := unseal(key, v)
			if err != nil {
				return err
			}
			if len(key) != 5 || len(v) != 16 {
				return fmt.Errorf("read index key %x: bad account: %w", key, ErrDamaged)
			}
			accounts[binary.BigEndian.Uint32(key[1:])] = Account{
				Blocks: int64(binary.BigEndian.Uint64(v)),
				Bytes:  int64(binary.BigEndian.Uint64(v[8:])),
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return accounts, nil
}

// Encode returns the bytes that the state has in the index; equal states have
// equal ones. They are blocks, bytes (u64 each), sum (u32), and the mark's segment
// (u32) and offset (u64).
func (s State) Encode() []byte {
	v := binary.BigEndian.AppendUint64(make([]byte, 0, 36), uint64(s.Blocks))
	v = binary.BigEndian.AppendUint64(v, uint64(s.Bytes))
	v = binary.BigEndian.AppendUint32(v, s.sum)
	v = binary.BigEndian.AppendUint32(v, s.Mark.Segment)
	v = binary.BigEndian.AppendUint64(v, uint64(s.Mark.Offset))
	v, _ = seal([]byte(stateKey), v)
	return v
}

func parseState(value []byte) (State, error) {
	v, _, err := unseal([]byte(stateKey), value)
	if err != nil {
		return State{}, err
	}
	if len(v) != 32 {
		return State{}, fmt.Errorf("read index state: %d bytes: %w", len(v), ErrDamaged)
	}
	return State{
		Blocks: int64(binary.BigEndian.Uint64(v)),
		Bytes:  int64(binary.BigEndian.Uint64(v[8:])),
		sum:    binary.BigEndian.Uint32(v[16:]),
		Mark: Position{
			Segment: binary.BigEndian.Uint32(v[20:]),
			Offset:  int64(binary.BigEndian.Uint64(v[24:])),
		},
	}, nil
}

func readState(txn *badger.Txn) (st State, err error) {
	item, err := txn.Get([]byte(stateKey))
	if err != nil {
		return State{}, err
	}
	err = item.Value(func(v []byte) error {
		st, err = parseState(v)
		return err
	})
	return st, err
}
