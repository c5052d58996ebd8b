package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/blockstore/disk/badgerdb"
)

// The index says where each block is. Its keys are
//
//	'b' multihash        where the block is (see location)
//	'g' segment (u32)    what is alive in the segment (see account)
//	's'                  what the index as a whole holds (see state)
//
// Integers are big endian; every value ends in the CRC-32C of key and value.
// Every transaction writes the state and the accounts that it changes, so that
// a listing can prove that it is complete: badger ends an iteration without an
// error when it cannot read on, and a flipped bit in its log makes it forget
// what came after (whole transactions, and then the mark goes back with them).
const (
	blockPrefix   = 'b'
	accountPrefix = 'g'
	stateKey      = "s"
)

// Badger's sizes in bytes: small, since an entry is about 80 bytes.
const (
	memTableSize = 8 << 20
	tableSize    = 2 << 20
	valueLogSize = 1 << 20 // the least; nothing is ever written to it
	// indexSpaceMin is what badger may need on disk before it can be asked how
	// much that is; its maps turn a full disk into a crash.
	indexSpaceMin = 4 * memTableSize
	// indexChangesMax is how many entries one transaction changes; badger
	// refuses more than 15 % of memTableSize.
	indexChangesMax = 2048
)

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// location is where a block is.
type location struct {
	segment uint32
	offset  int64  // of the section in the segment
	header  int    // bytes from there to the data
	size    int    // bytes of data
	version uint64 // of the CID that the section has
	codec   uint64 // of that CID
}

func (l location) sectionSize() int64 { return int64(l.header) + int64(l.size) }

// account is what is alive in one segment.
type account struct {
	blocks int64
	bytes  int64 // of sections
}

// position is a place between two sections.
type position struct {
	segment uint32
	offset  int64
}

// state is what the index holds: enough to notice that something is missing.
type state struct {
	blocks int64
	bytes  int64  // of data
	sum    uint32 // the entries' checksums, XORed
	mark   position
}

// index is the badger database. One goroutine at a time calls update; anyone
// else may read meanwhile.
type index struct {
	db    *badger.DB
	short atomic.Bool // entries were found missing: whoever opens it next must prove it

	mu       sync.Mutex // guards the following
	state    state
	accounts map[uint32]account
}

// openIndex opens or creates the database in dir. It does not read it.
func openIndex(dir string, log *slog.Logger, sync bool) (*index, error) {
	o := badger.DefaultOptions(dir).
		WithLogger(badgerLog{log}).
		WithSyncWrites(sync).
		WithMemTableSize(memTableSize).
		WithNumMemtables(3).
		WithBaseTableSize(tableSize).
		WithValueThreshold(1 << 20).
		WithValueLogFileSize(valueLogSize).
		WithCompression(options.None).
		WithBlockCacheSize(0). // tables are mapped; a cache would be a copy
		WithIndexCacheSize(0).
		WithNumCompactors(2).
		WithNumVersionsToKeep(1).
		WithDetectConflicts(false). // one writer
		WithMetricsEnabled(false).
		WithChecksumVerificationMode(options.NoVerification) // badgerdb has, just now
	db, err := badgerdb.Open(o)
	if err != nil {
		return nil, err
	}
	return &index{db: db, accounts: make(map[uint32]account)}, nil
}

// load reads state and accounts. It returns false if there is no state.
func (x *index) load() (bool, error) {
	found := false
	err := x.db.View(func(txn *badger.Txn) error {
		st, err := readState(txn)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		found = true
		accounts, err := readAccounts(txn)
		if err != nil {
			return err
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		x.state, x.accounts = st, accounts
		return nil
	})
	return found, err
}

// lookup returns where the block of this multihash is.
func (x *index) lookup(mh string) (l location, found bool, err error) {
	err = x.db.View(func(txn *badger.Txn) error {
		l, _, err = readLocation(txn, blockKey(mh))
		return err
	})
	if errors.Is(err, badger.ErrKeyNotFound) {
		return location{}, false, nil
	}
	return l, err == nil, err
}

// held tells which of the multihashes are there.
func (x *index) held(mhs []string) ([]bool, error) {
	held := make([]bool, len(mhs))
	err := x.db.View(func(txn *badger.Txn) error {
		for i, mh := range mhs {
			_, err := txn.Get(blockKey(mh))
			if err != nil && !errors.Is(err, badger.ErrKeyNotFound) {
				return err
			}
			held[i] = err == nil
		}
		return nil
	})
	return held, err
}

// entry is a block that each found.
type entry struct {
	mh string
	location
}

func (e entry) cid() cid.Cid {
	if e.version == 0 {
		return cid.NewCidV0([]byte(e.mh))
	}
	return cid.NewCidV1(e.codec, []byte(e.mh))
}

// each calls visit with all entries as they are now, until it returns false.
// When each returns nil, and visit never returned false, they were all: their
// number and their checksums agree with the state.
func (x *index) each(visit func(entry) bool) error {
	return x.db.View(func(txn *badger.Txn) error {
		want, err := readState(txn)
		if err != nil && !errors.Is(err, badger.ErrKeyNotFound) {
			return err
		}
		o := badger.DefaultIteratorOptions
		o.Prefix = []byte{blockPrefix}
		o.PrefetchSize = 64
		it := txn.NewIterator(o)
		defer it.Close()
		var got state
		for it.Rewind(); it.Valid(); it.Next() {
			l, crc, err := itemLocation(it.Item())
			if err != nil {
				return err
			}
			got.blocks, got.bytes, got.sum = got.blocks+1, got.bytes+int64(l.size), got.sum^crc
			if !visit(entry{mh: string(it.Item().Key()[1:]), location: l}) {
				return nil
			}
		}
		if got.mark = want.mark; got != want {
			x.short.Store(true)
			return fmt.Errorf("list index: %d blocks of %d bytes, where %d of %d are expected: %w",
				got.blocks, got.bytes, want.blocks, want.bytes, ErrIndex)
		}
		return nil
	})
}

// snapshot returns what is held now.
func (x *index) snapshot() state {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.state
}

// account returns what is alive in a segment; false if nothing ever was.
func (x *index) account(segment uint32) (account, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	a, ok := x.accounts[segment]
	return a, ok
}

// allAccounts returns the accounts of all segments.
func (x *index) allAccounts() map[uint32]account {
	x.mu.Lock()
	defer x.mu.Unlock()
	return maps.Clone(x.accounts)
}

func blockKey(mh string) []byte { return append([]byte{blockPrefix}, mh...) }

func accountKey(segment uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{accountPrefix}, segment)
}

// badgerLog passes badger's chatter on: what it calls information is for
// debugging here.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(f string, a ...any)   { l.log.Error("index: " + fmt.Sprintf(f, a...)) }
func (l badgerLog) Warningf(f string, a ...any) { l.log.Warn("index: " + fmt.Sprintf(f, a...)) }
func (l badgerLog) Infof(f string, a ...any)    { l.log.Debug("index", "badger", lazyf{f, a}) }
func (l badgerLog) Debugf(f string, a ...any)   { l.log.Debug("index", "badger", lazyf{f, a}) }

// lazyf is formatted only if it is logged.
type lazyf struct {
	format string
	args   []any
}

func (l lazyf) LogValue() slog.Value { return slog.StringValue(fmt.Sprintf(l.format, l.args...)) }
