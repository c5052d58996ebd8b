package disk

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
	return nil, 0, fmt.Errorf("read index key %x: checksum mismatch: %w", key, ErrIndex)
}

// A location is segment (u32), offset (u64), header (u16), size (u32), and as
// varints the CID's version and codec.
func appendLocation(key []byte, l location) ([]byte, uint32) {
	v := binary.BigEndian.AppendUint32(make([]byte, 0, 32), l.segment)
	v = binary.BigEndian.AppendUint64(v, uint64(l.offset))
	v = binary.BigEndian.AppendUint16(v, uint16(l.header))
	v = binary.BigEndian.AppendUint32(v, uint32(l.size))
	v = binary.AppendUvarint(v, l.version)
	v = binary.AppendUvarint(v, l.codec)
	return seal(key, v)
}

func parseLocation(key, value []byte) (location, uint32, error) {
	v, sum, err := unseal(key, value)
	if err != nil {
		return location{}, 0, err
	}
	if len(v) < 20 {
		return location{}, 0, fmt.Errorf("read index key %x: %d bytes: %w", key, len(v), ErrIndex)
	}
	l := location{
		segment: binary.BigEndian.Uint32(v),
		offset:  int64(binary.BigEndian.Uint64(v[4:])),
		header:  int(binary.BigEndian.Uint16(v[12:])),
		size:    int(binary.BigEndian.Uint32(v[14:])),
	}
	v = v[18:]
	version, n := binary.Uvarint(v)
	codec, m := binary.Uvarint(v[max(n, 0):])
	if n <= 0 || m <= 0 || n+m != len(v) {
		return location{}, 0, fmt.Errorf("read index key %x: bad codec: %w", key, ErrIndex)
	}
	l.version, l.codec = version, codec
	return l, sum, nil
}

func readLocation(txn *badger.Txn, key []byte) (l location, sum uint32, err error) {
	item, err := txn.Get(key)
	if err != nil {
		return location{}, 0, err
	}
	return itemLocation(item)
}

func itemLocation(item *badger.Item) (l location, sum uint32, err error) {
	err = item.Value(func(v []byte) error {
		l, sum, err = parseLocation(item.Key(), v)
		return err
	})
	return l, sum, err
}

// An account is blocks and bytes (u64 each).
func appendAccount(key []byte, a account) []byte {
	v := binary.BigEndian.AppendUint64(make([]byte, 0, 20), uint64(a.blocks))
	v, _ = seal(key, binary.BigEndian.AppendUint64(v, uint64(a.bytes)))
	return v
}

func readAccounts(txn *badger.Txn) (map[uint32]account, error) {
	o := badger.DefaultIteratorOptions
	o.Prefix = []byte{accountPrefix}
	it := txn.NewIterator(o)
	defer it.Close()
	accounts := make(map[uint32]account)
	for it.Rewind(); it.Valid(); it.Next() {
		key := it.Item().Key()
		err := it.Item().Value(func(v []byte) error {
			v, _, err := unseal(key, v)
			if err != nil {
				return err
			}
			if len(key) != 5 || len(v) != 16 {
				return fmt.Errorf("read index key %x: bad account: %w", key, ErrIndex)
			}
			accounts[binary.BigEndian.Uint32(key[1:])] = account{
				blocks: int64(binary.BigEndian.Uint64(v)),
				bytes:  int64(binary.BigEndian.Uint64(v[8:])),
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return accounts, nil
}

// The state is blocks, bytes (u64 each), sum (u32), and the mark's segment
// (u32) and offset (u64).
func appendState(s state) []byte {
	v := binary.BigEndian.AppendUint64(make([]byte, 0, 36), uint64(s.blocks))
	v = binary.BigEndian.AppendUint64(v, uint64(s.bytes))
	v = binary.BigEndian.AppendUint32(v, s.sum)
	v = binary.BigEndian.AppendUint32(v, s.mark.segment)
	v = binary.BigEndian.AppendUint64(v, uint64(s.mark.offset))
	v, _ = seal([]byte(stateKey), v)
	return v
}

func parseState(value []byte) (state, error) {
	v, _, err := unseal([]byte(stateKey), value)
	if err != nil {
		return state{}, err
	}
	if len(v) != 32 {
		return state{}, fmt.Errorf("read index state: %d bytes: %w", len(v), ErrIndex)
	}
	return state{
		blocks: int64(binary.BigEndian.Uint64(v)),
		bytes:  int64(binary.BigEndian.Uint64(v[8:])),
		sum:    binary.BigEndian.Uint32(v[16:]),
		mark: position{
			segment: binary.BigEndian.Uint32(v[20:]),
			offset:  int64(binary.BigEndian.Uint64(v[24:])),
		},
	}, nil
}

func readState(txn *badger.Txn) (st state, err error) {
	item, err := txn.Get([]byte(stateKey))
	if err != nil {
		return state{}, err
	}
	err = item.Value(func(v []byte) error {
		st, err = parseState(v)
		return err
	})
	return st, err
}
