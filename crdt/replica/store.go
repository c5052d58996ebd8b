package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// The store holds documents as logs of the commits that were applied, parents before children:
//
//	/crdt/docs/<doc>                → name
//	/crdt/tips/<doc>                → tip
//	/crdt/log/<doc>/<page>/<entry>  → block
//	/crdt/marks/<doc>/<number>      → tip
//	/crdt/commits/<commit>          → doc (32 bytes), number (8, big-endian)
//	/crdt/tickets/<doc>/<hash>      → ticket
//	/crdt/bases/<doc>/<first>/<part> → part of the base that the log follows from commit first on
//	/crdt/cuts/<doc>                → number (a varint): what is in the log from there to the first is being removed
//	/crdt/forgotten/<doc>           → nothing: what there is of doc is being removed
//	/crdt/snapshots/<doc>           → record: how many parts, and the tip of which it is
//	/crdt/snapshots/<doc>/<count>/<part> → part of the bytes
//
// doc, commit and hash are CIDs or hex; the page is a commit's number in the log without its
// last eight bits, and the entry these bits; all three in hex digits.
//
// The tip says where the log begins and ends, and which its heads are, with their signatures. A batch
// holds a tip and the last commits before it; when commits do not fit into one batch, those
// that come before have no tip. So what is in the log beyond the tip is what a crash has left
// of them; it counts as not there, and is overwritten. The heads of a tip are always tips of
// the log, and nothing has to be repaired.
//
// Marks are tips as they were when the log would have grown by markSize: from one to the next,
// commits can be proven, and so read or sent, by themselves. There is at most markSize between
// two, or what was appended at once.
//
// A log that was cut begins with the commit after a horizon, and what is before that is in a base,
// see crdt.Base, whose parts are written before the tip that says so. An entry of no bytes is that of
// a commit outside of the horizon.
//
// A snapshot has parts under the number of commits in it, which may take several batches; the
// last of them writes the record, and removes the parts of the one before. So the record is
// always that of a whole snapshot. Its tip is one that the log had then.
const (
	docsPrefix      = "/crdt/docs"
	tipsPrefix      = "/crdt/tips"
	logPrefix       = "/crdt/log"
	marksPrefix     = "/crdt/marks"
	commitsPrefix   = "/crdt/commits"
	snapshotsPrefix = "/crdt/snapshots"
	basesPrefix     = "/crdt/bases"
	cutsPrefix      = "/crdt/cuts"
	forgottenPrefix = "/crdt/forgotten"
)

const (
	pageBits = 8
	// pageFew is up to how many commits of a page are read one by one, and not with all the page.
	pageFew = 32
	// batchSizeMax is how many bytes of commits go into one batch, if it is not a single one.
	// Stores whose batches are transactions have limits of their own.
	batchSizeMax = 256 << 10
	// markSize is how many bytes of commits are between two marks, about.
	markSize = 4 << 20
)

// ErrDamaged means that what is in the store is not what was written there.
var ErrDamaged = errors.New("document is damaged on disk")

// tip is where a document's log begins and ends.
type tip struct {
	first  uint64 // number of the first commit
	count  uint64 // 1 more than that of the last
	lost   uint64 // commits from first on that are no part of the document
	parts  uint64 // of the base that the log follows, or 0
	size   uint64 // bytes of the commits from first on
	marked uint64 // size at the last mark
	heads  []crdt.Head
}

// len is how many commits of the document are in the log.
func (t *tip) len() uint64 { return t.count - t.first - t.lost }

// tipVersion is the first byte of a tip. Version 1 had no first, lost and parts.
const tipVersion = 2

// encode makes bytes of a tip: its version, all numbers in the order of the fields, and how many
// heads (unsigned varints); of each head its ID and signature.
func (t *tip) encode() []byte {
	b := []byte{tipVersion}
	for _, n := range []uint64{t.first, t.count, t.lost, t.parts, t.size, t.marked, uint64(len(t.heads))} {
		b = binary.AppendUvarint(b, n)
	}
	for _, h := range t.heads {
		b = append(append(b, h.ID[:]...), h.Signature[:]...)
	}
	return b
}

const headSize = len(commit.ID{}) + len(commit.Signature{})

func decodeTip(b []byte) (t tip, err error) {
	if len(b) == 0 || b[0] == 0 || b[0] > tipVersion {
		return t, fmt.Errorf("decode tip: %w", ErrDamaged)
	}
	var heads uint64
	numbers := []*uint64{&t.first, &t.count, &t.lost, &t.parts, &t.size, &t.marked, &heads}
	if b[0] == 1 {
		numbers = []*uint64{&t.count, &t.size, &t.marked, &heads}
	}
	b = b[1:]
	for _, n := range numbers {
		v, size := binary.Uvarint(b)
		if size <= 0 {
			return t, fmt.Errorf("decode tip: %w", ErrDamaged)
		}
		*n, b = v, b[size:]
	}
	if uint64(len(b)) != heads*uint64(headSize) {
		return t, fmt.Errorf("decode tip: %d bytes for %d heads: %w", len(b), heads, ErrDamaged)
	}
	for ; len(b) > 0; b = b[headSize:] {
		h := crdt.Head{ID: commit.ID(b), Signature: new(commit.Signature)}
		copy(h.Signature[:], b[len(h.ID):])
		t.heads = append(t.heads, h)
	}
	return t, nil
}

// store keeps documents in a datastore.
type store struct{ ds ds.Batching }

func key(prefix string, parts ...string) ds.Key {
	for _, p := range parts {
		prefix += "/" + p
	}
	return ds.RawKey(prefix)
}

func pageKey(doc commit.ID, page uint64) string {
	return logPrefix + "/" + doc.String() + "/" + fmt.Sprintf("%08x", page)
}

func entryKey(doc commit.ID, n uint64) ds.Key {
	return key(pageKey(doc, n>>pageBits), fmt.Sprintf("%02x", n&(1<<pageBits-1)))
}

func markKey(doc commit.ID, n uint64) ds.Key {
	return key(marksPrefix, doc.String(), fmt.Sprintf("%010x", n))
}

// names are the names of all documents.
func (s *store) names(ctx context.Context) (map[commit.ID]string, error) {
	names := make(map[commit.ID]string)
	for e, err := range ds.QueryIter(ctx, s.ds, query.Query{Prefix: docsPrefix}) {
		if err != nil {
			return nil, fmt.Errorf("list documents: %w", err)
		}
		id, err := ParseID(ds.RawKey(e.Key).BaseNamespace())
		if err != nil {
			return nil, fmt.Errorf("list documents: %s: %w", e.Key, ErrDamaged)
		}
		names[id] = string(e.Value)
	}
	return names, nil
}

// begin notes a document under a name. Commits may be given that it begins with.
func (s *store) begin(ctx context.Context, doc commit.ID, name string, blocks []block.Block, heads []crdt.Head) error {
	b, err := s.ds.Batch(ctx)
	if err != nil {
		return err
	}
	if err := b.Put(ctx, key(docsPrefix, doc.String()), []byte(name)); err != nil {
		return err
	}
	if len(blocks) == 0 {
		return b.Commit(ctx)
	}
	_, err = s.put(ctx, b, doc, tip{}, blocks, heads)
	return err
}

// tip reads the end of a document's log, which is zero before the first commit.
func (s *store) tip(ctx context.Context, doc commit.ID) (tip, error) {
	b, err := s.ds.Get(ctx, key(tipsPrefix, doc.String()))
	if errors.Is(err, ds.ErrNotFound) {
		return tip{}, nil
	}
	if err != nil {
		return tip{}, fmt.Errorf("read tip of %s: %w", doc, err)
	}
	return decodeTip(b)
}

// append appends commits to a document's log, which ends at t, and after which the heads are
// these. When it returns, all is on disk; if it fails or is cut short, nothing is there.
func (s *store) append(ctx context.Context, doc commit.ID, t tip, blocks []block.Block, heads []crdt.Head) (tip, error) {
	b, err := s.ds.Batch(ctx)
	if err == nil {
		t, err = s.put(ctx, b, doc, t, blocks, heads)
	}
	if err != nil {
		return t, fmt.Errorf("keep commits of %s: %w", doc, err)
	}
	return t, nil
}

// put is append with a batch that is begun.
func (s *store) put(ctx context.Context, b ds.Batch, doc commit.ID, t tip, blocks []block.Block, heads []crdt.Head) (tip, error) {
	b, t, err := s.lay(ctx, b, doc, t, blocks)
	if err != nil {
		return t, err
	}
	t.heads = heads
	if err := b.Put(ctx, key(tipsPrefix, doc.String()), t.encode()); err != nil {
		return t, err
	}
	return t, b.Commit(ctx)
}

// lay writes commits after a log, which is no longer for it. What is left to be committed is in the
// batch that it returns.
func (s *store) lay(ctx context.Context, b ds.Batch, doc commit.ID, t tip, blocks []block.Block) (ds.Batch, tip, error) {
	if t.size > t.marked && t.size+sizeOf(blocks)-t.marked > markSize {
		t.marked = t.size
		if err := b.Put(ctx, markKey(doc, t.count), t.encode()); err != nil {
			return b, t, err
		}
	}
	size := 0
	for _, c := range blocks {
		if size > 0 && size+c.Size() > batchSizeMax {
			if err := b.Commit(ctx); err != nil {
				return b, t, err
			}
			var err error
			if b, err = s.ds.Batch(ctx); err != nil {
				return b, t, err
			}
			size = 0
		}
		id, _ := commit.IDOf(c.Cid())
		at := binary.BigEndian.AppendUint64(doc[:], t.count)
		err := errors.Join(b.Put(ctx, entryKey(doc, t.count), c.RawData()), b.Put(ctx, key(commitsPrefix, id.String()), at))
		if err != nil {
			return b, t, err
		}
		size += c.Size()
		t.count++
		t.size += uint64(c.Size())
	}
	return b, t, nil
}

func sizeOf(blocks []block.Block) (size uint64) {
	for _, b := range blocks {
		size += uint64(b.Size())
	}
	return size
}

// marks are the tips of a document's log before t at which it can be cut, and t.
func (s *store) marks(ctx context.Context, doc commit.ID, t tip) ([]tip, error) {
	var marks []tip
	for e, err := range ds.QueryIter(ctx, s.ds, query.Query{Prefix: marksPrefix + "/" + doc.String()}) {
		if err != nil {
			return nil, fmt.Errorf("read marks of %s: %w", doc, err)
		}
		m, err := decodeTip(e.Value)
		if err != nil {
			return nil, fmt.Errorf("read mark %s: %w", e.Key, err)
		}
		if m.count < t.count {
			marks = append(marks, m)
		}
	}
	slices.SortFunc(marks, func(a, b tip) int { return int(int64(a.count) - int64(b.count)) })
	return append(marks, t), nil
}

// log yields the commits first to end-1 of a document's log, but for those that are empty.
func (s *store) log(ctx context.Context, doc commit.ID, first, end uint64, yield func(block.Block) error) error {
	return s.walk(ctx, doc, first, end, func(_ uint64, b block.Block) error {
		if b.Size() == 0 {
			return nil
		}
		return yield(b)
	})
}

// walk yields the entries first to end-1 of a document's log, the zero Block for those that are empty.
func (s *store) walk(ctx context.Context, doc commit.ID, first, end uint64, yield func(uint64, block.Block) error) error {
	for n := first; n < end; {
		until := min(end, (n>>pageBits+1)<<pageBits)
		page := s.page
		if until-n <= pageFew {
			page = s.few
		}
		blocks, err := page(ctx, doc, n, until)
		if err != nil {
			return err
		}
		for ; n < until; n++ {
			b, ok := blocks[n&(1<<pageBits-1)]
			if !ok {
				return fmt.Errorf("read commit %d of %s: it is missing: %w", n, doc, ErrDamaged)
			}
			if err := yield(n, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// few reads the commits first to end-1, of one page, one by one: blocks by their entry.
func (s *store) few(ctx context.Context, doc commit.ID, first, end uint64) (map[uint64]block.Block, error) {
	blocks := make(map[uint64]block.Block)
	for n := first; n < end; n++ {
		data, err := s.ds.Get(ctx, entryKey(doc, n))
		if errors.Is(err, ds.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read commit %d of %s: %w", n, doc, err)
		}
		if blocks[n&(1<<pageBits-1)], err = entry(data); err != nil {
			return nil, fmt.Errorf("read commit %d of %s: %w", n, doc, err)
		}
	}
	return blocks, nil
}

// entry is what an entry of a log holds: the zero Block if it is empty.
func entry(data []byte) (block.Block, error) {
	if len(data) == 0 {
		return block.Block{}, nil
	}
	return commit.Block(data)
}

// page reads all of the page that holds commit first.
func (s *store) page(ctx context.Context, doc commit.ID, first, _ uint64) (map[uint64]block.Block, error) {
	blocks := make(map[uint64]block.Block)
	for e, err := range ds.QueryIter(ctx, s.ds, query.Query{Prefix: pageKey(doc, first>>pageBits)}) {
		if err != nil {
			return nil, fmt.Errorf("read log of %s: %w", doc, err)
		}
		n, err := strconv.ParseUint(ds.RawKey(e.Key).BaseNamespace(), 16, pageBits)
		if err != nil {
			return nil, fmt.Errorf("read log of %s: entry %s: %w", doc, e.Key, ErrDamaged)
		}
		if blocks[n], err = entry(e.Value); err != nil {
			return nil, fmt.Errorf("read log of %s: entry %s: %w", doc, e.Key, err)
		}
	}
	return blocks, nil
}

// find tells where a commit is in the log of which document. It may be beyond its tip.
func (s *store) find(ctx context.Context, id commit.ID) (doc commit.ID, n uint64, err error) {
	at, err := s.ds.Get(ctx, key(commitsPrefix, id.String()))
	if errors.Is(err, ds.ErrNotFound) {
		return doc, 0, &block.NotFoundError{Cid: id.Cid()}
	}
	if err != nil {
		return doc, 0, fmt.Errorf("find commit %s: %w", id, err)
	}
	if len(at) != len(doc)+8 {
		return doc, 0, fmt.Errorf("find commit %s: %w", id, ErrDamaged)
	}
	copy(doc[:], at)
	return doc, binary.BigEndian.Uint64(at[len(doc):]), nil
}

// block reads a commit.
func (s *store) block(ctx context.Context, id commit.ID) (block.Block, error) {
	doc, n, err := s.find(ctx, id)
	if err != nil {
		return block.Block{}, err
	}
	data, err := s.ds.Get(ctx, entryKey(doc, n))
	if err != nil && !errors.Is(err, ds.ErrNotFound) {
		return block.Block{}, fmt.Errorf("read commit %s: %w", id, err)
	}
	b, err := commit.Block(data)
	if got, ok := commit.IDOf(b.Cid()); err != nil || !ok || got != id {
		// A crash had left it beyond the tip, and another one was written there.
		return block.Block{}, &block.NotFoundError{Cid: id.Cid()}
	}
	return b, nil
}
