package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
)

// refetchTimeout bounds the search for a good copy of one damaged block.
const refetchTimeout = 20 * time.Second

// ErrNoDisk means that the node keeps its blocks in memory or in an injected
// store: there is no disk to verify.
var ErrNoDisk = errors.New("node has no disk store")

// VerifyOptions says what to do with what is found. A damaged index cannot be
// repaired on a running node: see Options.RebuildIndex.
type VerifyOptions struct {
	// Problem, if not nil, is told of every damaged block.
	Problem func(VerifyProblem)
}

// VerifyProblem is a block that was on disk and no longer hashes to its CID. It
// has been moved to quarantine.
type VerifyProblem struct {
	Cid      string `json:"cid"`
	Error    string `json:"error"`
	Repaired bool   `json:"repaired"` // a peer had a good copy, which is stored
}

// VerifyResult counts what Verify found.
type VerifyResult struct {
	Blocks   int64 `json:"blocks"`  // read, damaged ones included
	Bytes    int64 `json:"bytes"`   // of them
	Corrupt  int64 `json:"corrupt"` // damaged
	Repaired int64 `json:"repaired"`
	Pins     int   `json:"pins"` // which are proven complete
}

// Verify reads and hashes every block, and proves that no pin is lost. A
// damaged block is put in quarantine and, on a node with a network, fetched
// again. Its error means that not everything could be checked.
func (n *Node) Verify(ctx context.Context, o VerifyOptions) (VerifyResult, error) {
	if n.disk == nil {
		return VerifyResult{}, fmt.Errorf("verify: %w", ErrNoDisk)
	}
	if err := n.flush(ctx); err != nil {
		return VerifyResult{}, fmt.Errorf("verify: %w", err)
	}
	type damaged struct {
		cid cid.Cid
		err error
	}
	var found []damaged
	store, err := n.disk.Verify(ctx, func(c cid.Cid, err error) { found = append(found, damaged{c, err}) })
	res := VerifyResult{Blocks: store.Blocks, Bytes: store.Bytes, Corrupt: store.Corrupt}
	for _, d := range found {
		p := VerifyProblem{Cid: d.cid.String(), Error: d.err.Error(), Repaired: n.refetch(ctx, d.cid)}
		if p.Repaired {
			res.Repaired++
		}
		if o.Problem != nil {
			o.Problem(p)
		}
	}
	if err != nil {
		return res, err
	}
	list, err := n.pins.list(ctx)
	if err != nil {
		return res, fmt.Errorf("verify: %w", err)
	}
	res.Pins = len(list)
	return res, nil
}

// refetch asks the network for a block that the store has lost.
func (n *Node) refetch(ctx context.Context, c cid.Cid) bool {
	if n.exchange == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, refetchTimeout)
	defer cancel()
	s := n.Session(ctx)
	_, err := s.Get(ctx, c)
	if err == nil {
		err = s.flush(ctx)
	}
	if err != nil {
		n.log.Warn("refetch damaged block", "cid", c, "err", err)
	}
	return err == nil
}
