// Package index keeps where each block is: its segment, offset and length, by
// multihash, in a badger database.
//
// It never looks at a segment, and holds nothing that is not in the segments too:
// whoever is told ErrDamaged can make it anew from them.
//
// Invariant: an index that has lost something says so. Its state counts and sums
// up the entries, and every transaction that changes some rewrites it; a listing
// that does not come to the same is ErrDamaged. It has to prove that, since badger
// ends an iteration without an error when it cannot read on, and a flipped bit in
// its log makes it forget what came after (whole transactions, and then the mark,
// the place up to which the index knows the segments, goes back with them).
//
// Sources: badger v4.9; CRC-32C of RFC 3720, section 12.1, by package hash/crc32.
package index

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

// ErrDamaged means that the index cannot be opened or read, or has lost entries.
var ErrDamaged = errors.New("index is damaged and must be rebuilt")

// Options of an index. The zero value works.
type Options struct {
	// NoSync leaves updates in memory until Close, or until badger sees fit.
	// Default: each is on disk when it returns.
	NoSync bool
	// Logger hears what badger says. Default: nothing is logged.
	Logger *slog.Logger
}

// The keys of the database are
//
//	'b' multihash        where the block is (see Location)
//	'g' segment (u32)    what is alive in the segment (see Account)
//	's'                  what the index as a whole holds (see State)
//
// Integers are big endian; every value ends in the CRC-32C of key and value.
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
)

// What must be free on disk, in bytes: badger's maps turn a full disk into a
// crash.
const (
	// SpaceMin is what badger may need before it can be asked how much that is.
	SpaceMin = 4 * memTableSize
	// UpdateSpaceMin is for one update: the record, and the table that badger
	// may write at that moment.
	UpdateSpaceMin = memTableSize
	// CloseSpaceMin is for badger's last table. It is less, so that what could
	// be opened can be closed.
	CloseSpaceMin = UpdateSpaceMin / 2
)

// ChangesMax is how many entries one transaction changes; badger refuses more
// than 15 % of memTableSize.
const ChangesMax = 2048

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// Location is where a block is.
type Location struct {
	Segment uint32
	Offset  int64  // of the section in the segment
	Header  int    // bytes from there to the data
	Size    int    // bytes of data
	Version uint64 // of the CID that the section has
	Codec   uint64 // of that CID
}

// SectionSize returns the bytes of the section.
func (l Location) SectionSize() int64 { return int64(l.Header) + int64(l.Size) }

// Account is what is alive in one segment.
type Account struct {
	Blocks int64
	Bytes  int64 // of sections
}

// Position is a place between two sections.
type Position struct {
	Segment uint32
	Offset  int64
}

// State is what the index holds: enough to notice that something is missing.
type State struct {
	Blocks int64
	Bytes  int64    // of data
	sum    uint32   // the entries' checksums, XORed
	Mark   Position // up to which the index knows the segments
}

// Index is the badger database. One goroutine at a time calls Update and
// Forget; anyone else may read meanwhile.
type Index struct {
	db    *badger.DB
	short atomic.Bool // entries were found missing

	mu       sync.Mutex // guards the following
	state    State
	accounts map[uint32]Account
}

// Open opens or creates the index in dir, which nobody else may have open. It
// does not read it: call Load. The error is ErrDamaged for what only a new index
// can cure, and else that of package badgerdb.
func Open(dir string, o Options) (*Index, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	db, err := badgerdb.Open(badgerOptions(dir, o))
	if errors.Is(err, badgerdb.ErrDamaged) {
		return nil, fmt.Errorf("open index: %w: %w", ErrDamaged, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	return &Index{db: db, accounts: make(map[uint32]Account)}, nil
}

func badgerOptions(dir string, o Options) badger.Options {
	return badger.DefaultOptions(dir).
		WithLogger(badgerLog{o.Logger}).
		WithSyncWrites(!o.NoSync).
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
}

// Close closes the index. Badger writes a table then, for which there must be
// CloseSpaceMin; without that, drop the index as it is, which is what a kill
// would leave.
func (x *Index) Close() error { return x.db.Close() }

// VerifyTables checks the checksums of all files that badger keeps tables in.
func (x *Index) VerifyTables() error {
	if err := x.db.VerifyChecksum(); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// Load reads state and accounts, before anything else. It returns false if there
// is no state: the index is new, or has lost all.
func (x *Index) Load() (bool, error) {
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

// Lookup returns where the block of this multihash is.
func (x *Index) Lookup(mh string) (l Location, found bool, err error) {
	err = x.db.View(func(txn *badger.Txn) error {
		l, _, err = readLocation(txn, blockKey(mh))
		return err
	})
	if errors.Is(err, badger.ErrKeyNotFound) {
		return Location{}, false, nil
	}
	return l, err == nil, err
}

// Held tells which of the multihashes are there.
func (x *Index) Held(mhs []string) ([]bool, error) {
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

// Entry is a block that Each found.
type Entry struct {
	Multihash string
	Location
}

// Cid returns the CID that the block was stored by.
func (e Entry) Cid() cid.Cid {
	if e.Version == 0 {
		return cid.NewCidV0([]byte(e.Multihash))
	}
	return cid.NewCidV1(e.Codec, []byte(e.Multihash))
}

// Each calls visit with all entries as they are now, until it returns false.
// When Each returns nil, and visit never returned false, they were all: their
// number and their checksums agree with the state.
func (x *Index) Each(visit func(Entry) bool) error {
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
		var got State
		for it.Rewind(); it.Valid(); it.Next() {
			l, crc, err := itemLocation(it.Item())
			if err != nil {
				return err
			}
			got.Blocks, got.Bytes, got.sum = got.Blocks+1, got.Bytes+int64(l.Size), got.sum^crc
			if !visit(Entry{Multihash: string(it.Item().Key()[1:]), Location: l}) {
				return nil
			}
		}
		if got.Mark = want.Mark; got != want {
			x.short.Store(true)
			return fmt.Errorf("list index: %d blocks of %d bytes, where %d of %d are expected: %w",
				got.Blocks, got.Bytes, want.Blocks, want.Bytes, ErrDamaged)
		}
		return nil
	})
}

// State returns what is held now.
func (x *Index) State() State {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.state
}

// Account returns what is alive in a segment; false if nothing ever was.
func (x *Index) Account(segment uint32) (Account, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	a, ok := x.accounts[segment]
	return a, ok
}

// Accounts returns the accounts of all segments.
func (x *Index) Accounts() map[uint32]Account {
	x.mu.Lock()
	defer x.mu.Unlock()
	return maps.Clone(x.accounts)
}

// Incomplete tells whether Each found entries missing since Open: then whoever
// opens the index next must list it again.
func (x *Index) Incomplete() bool { return x.short.Load() }

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
