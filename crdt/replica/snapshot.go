package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// A snapshot spares whoever opens a document all of its log but the tail. It is written beside
// the log, and never instead of it: one that cannot be used is as good as none. There is at most
// one of a document.
//
// It is written when the tail has grown long beside it: all such snapshots of a document together
// are, at worst, about as many bytes as its log. And it is written when the document is put away
// or closed with more than a short tail.
const (
	// tailFactor is how many times as many bytes as the snapshot the tail may have.
	tailFactor = 2
	// tailSizeMin is up to how many bytes a tail is not long. It is applied in milliseconds.
	tailSizeMin = 256 << 10
	// restCountMin is how many commits a tail must have for a snapshot when the document is put
	// away, and restFactor how many times its bytes must be those of the snapshot: a byte of a
	// tail takes some twenty times as long to open as one of a snapshot.
	restCountMin = 4
	restFactor   = 64
)

// saved is what the snapshot on disk is of; the zero value if there is none.
type saved struct {
	count uint64 // commits
	log   uint64 // bytes of them
	size  uint64 // of the snapshot
}

// long tells whether the tail of a log, of this size, has grown long.
func (s saved) long(size uint64) bool {
	return size-s.log > max(tailSizeMin, tailFactor*s.size)
}

// worth tells whether a document that is put away had better have another snapshot.
func (s saved) worth(t tip) bool {
	return t.count >= s.count+restCountMin && restFactor*(t.size-s.log) > s.size
}

// restore computes the state from the snapshot and the tail of the log, which ends at t. It
// fails with errNoSnapshot if there is no snapshot.
func (d *Doc) restore(ctx context.Context, t tip) (*state, error) {
	store := d.replica.store
	of, data, err := store.snapshot(ctx, d.id)
	if err != nil {
		return nil, err
	}
	if of.first != t.first || of.parts != t.parts {
		return nil, errNoSnapshot // it is older than the log's beginning
	}
	if of.count > t.count {
		return nil, fmt.Errorf("snapshot of %d commits, %d are there: %w", of.count, t.count, ErrDamaged)
	}
	shelf := newShelf(store)
	core, err := crdt.Restore(data, of.heads, d.replica.author, shelf)
	if err != nil {
		return nil, err
	}
	// As many commits as the log begins with, and the heads among these: so they are the same.
	if core.ID() != d.id || uint64(core.Len()) != of.len() {
		return nil, fmt.Errorf("snapshot of %s with %d commits, not %d: %w", core.ID(), core.Len(), of.len(), ErrDamaged)
	}
	heads, err := core.Heads()
	if err != nil {
		return nil, err
	}
	for _, h := range heads {
		if doc, n, err := store.find(ctx, h.ID); err != nil || doc != d.id || n >= of.count {
			return nil, fmt.Errorf("snapshot of another log: head %s: %w", h.ID, errors.Join(err, ErrDamaged))
		}
	}
	s := &state{core: core, shelf: shelf, tip: t, saved: saved{of.count, of.size, uint64(len(data))}}
	s.tip.lost = of.lost
	return s, d.follow(ctx, s, of.count)
}

// follow applies the log from its first commit that is not applied yet, mark by mark.
func (d *Doc) follow(ctx context.Context, s *state, first uint64) error {
	if first == s.tip.count {
		return nil
	}
	store := d.replica.store
	marks, err := store.marks(ctx, d.id, s.tip)
	if err != nil {
		return err
	}
	for _, m := range marks {
		if m.count <= first {
			continue
		}
		var blocks []block.Block
		err := store.log(ctx, d.id, first, m.count, func(b block.Block) error { blocks = append(blocks, b); return nil })
		if err != nil {
			return err
		}
		report, err := s.core.Apply(blocks, m.heads)
		if err != nil {
			return err
		}
		s.tip.lost += m.count - first - uint64(len(blocks)) + outside(report)
		if got := uint64(s.core.Len()) + s.tip.lost; got != m.count-s.tip.first {
			return fmt.Errorf("%d of %d commits can be applied: %w", got, m.count-s.tip.first, ErrDamaged)
		}
		first = m.count
	}
	return nil
}

// outside is how many commits of the log are no part of the document any more, by a horizon that has
// come into effect.
func outside(report crdt.Report) (n uint64) {
	for _, x := range report.Rejected {
		if errors.Is(x.Err, crdt.ErrBeforeHorizon) {
			n++
		}
	}
	return n + uint64(len(report.Outside))
}

// keep writes a snapshot of the document as of t. The turn is the caller's. That it fails costs
// time when the document is opened, and nothing else.
func (d *Doc) keep(ctx context.Context, s *state, t tip, data []byte) {
	if err := d.replica.store.keepSnapshot(ctx, d.id, t, data); err != nil {
		d.replica.log.Info("write snapshot of document", "doc", d.id, "err", err)
		return
	}
	s.saved = saved{t.count, t.size, uint64(len(data))}
}

// rest writes a snapshot of a document that is not needed for a while, if it is worth it. The
// turn is the caller's.
func (d *Doc) rest(ctx context.Context) {
	d.mu.Lock()
	s := d.state
	if s == nil || s.group != nil || !s.saved.worth(s.tip) {
		d.mu.Unlock()
		return
	}
	data, err := s.core.Snapshot()
	d.mu.Unlock()
	if err != nil {
		d.replica.log.Info("snapshot of document", "doc", d.id, "err", err)
		return
	}
	d.keep(ctx, s, s.tip, data)
}

// errNoSnapshot means that there is none.
var errNoSnapshot = errors.New("no snapshot")

// snapshotPartsMax is how many parts a snapshot may have: 1 GiB. Whatever is larger is not kept.
const snapshotPartsMax = 1 << 12

// snapshotVersion is the first byte of the record of a snapshot; then comes how many parts it
// has (2 bytes, big-endian), the tip of which it is, and a CRC-32C of all that (4 bytes): the
// signatures of the tip are not verified again.
const snapshotVersion = 2

const checksumSize = 4

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func snapshotKey(doc commit.ID) string { return snapshotsPrefix + "/" + doc.String() }

// partKey is that of a part of a snapshot of so many commits.
func partKey(doc commit.ID, count uint64, part int) string {
	return fmt.Sprintf("%s/%010x/%03x", snapshotKey(doc), count, part)
}

// snapshot reads the snapshot of a document, and the tip of which it is.
func (s *store) snapshot(ctx context.Context, doc commit.ID) (of tip, data []byte, err error) {
	record, err := s.ds.Get(ctx, ds.RawKey(snapshotKey(doc)))
	if errors.Is(err, ds.ErrNotFound) {
		return of, nil, errNoSnapshot
	}
	if err != nil {
		return of, nil, fmt.Errorf("read record of snapshot: %w", err)
	}
	n := len(record) - checksumSize
	if n < 3 || record[0] != snapshotVersion {
		return of, nil, fmt.Errorf("read record of snapshot: another version: %w", ErrDamaged)
	}
	if checksum(record[:n]) != binary.BigEndian.Uint32(record[n:]) {
		return of, nil, fmt.Errorf("read record of snapshot: checksum: %w", ErrDamaged)
	}
	parts := int(binary.BigEndian.Uint16(record[1:]))
	if of, err = decodeTip(record[3:n]); err != nil {
		return of, nil, err
	}
	if parts > snapshotPartsMax {
		return of, nil, fmt.Errorf("read snapshot: %d parts: %w", parts, ErrDamaged)
	}
	for i := range parts {
		part, err := s.ds.Get(ctx, ds.RawKey(partKey(doc, of.count, i)))
		if err != nil {
			return of, nil, fmt.Errorf("read part %d of snapshot: %w", i, err)
		}
		if i == 0 {
			data = make([]byte, 0, parts*len(part))
		}
		data = append(data, part...)
	}
	return of, data, nil
}

// keepSnapshot writes the snapshot of a document as of t in the place of the one that is there.
// If it fails, or is cut short, that one stays.
func (s *store) keepSnapshot(ctx context.Context, doc commit.ID, t tip, data []byte) error {
	parts := slices.Collect(slices.Chunk(data, batchSizeMax))
	if len(parts) > snapshotPartsMax {
		return fmt.Errorf("%d bytes: %w", len(data), ErrFull)
	}
	fresh := make(map[string]bool)
	var b ds.Batch
	for i, part := range parts {
		if b != nil {
			if err := b.Commit(ctx); err != nil {
				return err
			}
		}
		var err error
		if b, err = s.ds.Batch(ctx); err != nil {
			return err
		}
		k := partKey(doc, t.count, i)
		fresh[k] = true
		if err := b.Put(ctx, ds.RawKey(k), part); err != nil {
			return err
		}
	}
	for e, err := range ds.QueryIter(ctx, s.ds, query.Query{Prefix: snapshotKey(doc), KeysOnly: true}) {
		if err != nil {
			return err
		}
		if fresh[e.Key] || e.Key == snapshotKey(doc) {
			continue
		}
		if err := b.Delete(ctx, ds.RawKey(e.Key)); err != nil {
			return err
		}
	}
	record := binary.BigEndian.AppendUint16([]byte{snapshotVersion}, uint16(len(parts)))
	record = append(record, t.encode()...)
	record = binary.BigEndian.AppendUint32(record, checksum(record))
	if err := b.Put(ctx, ds.RawKey(snapshotKey(doc)), record); err != nil {
		return err
	}
	return b.Commit(ctx)
}
