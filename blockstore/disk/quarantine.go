package disk

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore/disk/index"
	"github.com/p2pnode/p2pnode/blockstore/disk/segment"
)

// quarantineFilesMax is how many corrupt sections are kept for whoever wants to
// know what happened; more are only reported.
const quarantineFilesMax = 256

// quarantine gives up the block at l: its bytes are kept aside, the index
// forgets it, so that it can be put again, and OnCorrupt hears of it. The
// result is a *CorruptError, or segment.ErrGone if the block is elsewhere by now.
func (s *Store) quarantine(c cid.Cid, l index.Location, cause error) error {
	ctx := context.Background() // whoever asked for the block may be gone; it is corrupt all the same
	mh := string(c.Hash())
	if now, held, err := s.index.Lookup(mh); err == nil && held && now != l {
		return segment.ErrGone
	}
	err := &CorruptError{Cid: c, Segment: s.segs.Path(l.Segment), Offset: l.Offset, Cause: cause}
	if s.readOnly {
		return err
	}
	if keepErr := s.keepAside(mh, l); keepErr != nil {
		s.opts.Logger.Warn("corrupt section is not kept", "cid", c, "err", keepErr)
	}
	s.cache.remove(mh)
	if dropErr := s.committer.submit(ctx, &request{changes: []index.Change{{Multihash: mh, From: &l}}}); dropErr != nil {
		s.opts.Logger.Error("index keeps a corrupt block", "cid", c, "err", dropErr)
	}
	s.corrupt.Add(1)
	s.opts.Logger.Error("block is corrupt", "cid", c, "segment", err.Segment, "offset", l.Offset, "cause", cause)
	s.opts.OnCorrupt(c, err)
	return err
}

// lost is quarantine for a block whose segment is gone.
func (s *Store) lost(c cid.Cid, cause error) error {
	l, held, err := s.index.Lookup(string(c.Hash()))
	if err != nil {
		return fmt.Errorf("get %s: %w", c, err)
	}
	if !held {
		return &block.NotFoundError{Cid: c}
	}
	return s.quarantine(c, l, cause)
}

func (s *Store) keepAside(mh string, l index.Location) error {
	entries, err := os.ReadDir(s.quarantineDir())
	if err != nil {
		return err
	}
	if len(entries) >= quarantineFilesMax {
		return fmt.Errorf("quarantine holds %d sections already", len(entries))
	}
	if err := s.checkSpace(l.SectionSize(), false); err != nil {
		return err
	}
	bad := make([]byte, l.SectionSize())
	n, err := s.segs.ReadAt(l.Segment, bad, l.Offset)
	if err != nil && err != io.EOF {
		return err
	}
	name := fmt.Sprintf("%s.%d-%d", hex.EncodeToString([]byte(mh)), l.Segment, l.Offset)
	return os.WriteFile(filepath.Join(s.quarantineDir(), name), bad[:n], 0o600)
}
