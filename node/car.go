package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-car/v2"
	carstorage "github.com/ipld/go-car/v2/storage"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/codec"
)

// carRootsMax bounds the roots that an import may pin.
const carRootsMax = 1024

// ErrCAR means an archive that is cut off, malformed or holds a block that does
// not hash to its CID.
var ErrCAR = errors.New("bad CAR")

// ExportCAR writes the DAG below path to w as CARv1, in depth-first order, each
// block once.
func (n *Node) ExportCAR(ctx context.Context, path unixfs.Path, w io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := n.Session(ctx)
	link, err := unixfs.Resolve(ctx, s, path)
	if err != nil {
		return err
	}
	n.store.hold(link.Cid)
	defer n.store.drop(link.Cid)
	buf := bufio.NewWriterSize(w, 1<<20)
	archive, err := carstorage.NewWritable(buf, []cid.Cid{link.Cid}, car.WriteAsCarV1(true))
	if err != nil {
		return fmt.Errorf("export %s: %w", path, err)
	}
	err = n.eachBlock(ctx, s, link.Cid, func(b block.Block) error {
		return archive.Put(ctx, b.Cid().KeyString(), b.RawData())
	})
	if err == nil {
		err = buf.Flush()
	}
	if err != nil {
		return fmt.Errorf("export %s: %w", path, err)
	}
	return nil
}

// eachBlock visits every block below root once, depth first. A block that is
// not in the store is fetched together with all that is below it, in parallel,
// before the visit goes on.
func (n *Node) eachBlock(ctx context.Context, s *Session, root cid.Cid, visit func(block.Block) error) error {
	seen := make(marks)
	stack := []cid.Cid{root}
	for len(stack) > 0 {
		c := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen.has(c) {
			continue
		}
		seen[markOf(c)] = struct{}{}
		b, err := n.Local().Get(ctx, c)
		if errors.Is(err, block.ErrNotFound) && s.network != nil {
			if _, err := unixfs.Fetch(ctx, s, c, unixfs.FetchOptions{}); err != nil {
				return err
			}
			b, err = s.Get(ctx, c)
		}
		if err != nil {
			return err
		}
		if _, inline := block.Inline(c); !inline {
			if err := visit(b); err != nil {
				return err
			}
		}
		links, err := codec.Links(b)
		if err != nil {
			return err
		}
		for _, l := range slices.Backward(links) {
			stack = append(stack, l.Cid)
		}
	}
	return nil
}

// ImportCAR stores the blocks of a CARv1 or CARv2 and pins its roots, which
// must be complete with what the node already has. Nothing of it is pinned on
// an error; what was stored is then garbage.
func (n *Node) ImportCAR(ctx context.Context, r io.Reader) ([]cid.Cid, error) {
	archive, err := car.NewBlockReader(bufio.NewReaderSize(r, 1<<20),
		car.WithTrustedCAR(true), // block.Verify below is the one check
		car.MaxAllowedSectionSize(block.SizeMax+block.CIDSizeMax),
		car.MaxAllowedHeaderSize(carRootsMax*block.CIDSizeMax))
	if err != nil {
		return nil, fmt.Errorf("import: %w: %w", ErrCAR, err)
	}
	if len(archive.Roots) > carRootsMax {
		return nil, fmt.Errorf("import: %d roots (limit %d): %w", len(archive.Roots), carRootsMax, ErrCAR)
	}
	a := n.NewAdd(AddOptions{})
	defer a.Abort()
	for {
		raw, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("import: %w: %w", ErrCAR, err)
		}
		if _, inline := block.Inline(raw.Cid()); inline {
			continue
		}
		b, err := block.Verify(raw.Cid(), raw.RawData())
		if err != nil {
			return nil, fmt.Errorf("import: %w: %w", ErrCAR, err)
		}
		if err := a.put.Put(ctx, b); err != nil {
			return nil, fmt.Errorf("import: %w", err)
		}
	}
	if err := a.batch.flush(ctx); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	return archive.Roots, n.pinImported(ctx, archive.Roots)
}

func (n *Node) pinImported(ctx context.Context, roots []cid.Cid) error {
	for _, root := range roots {
		if _, err := unixfs.Fetch(ctx, n.Local(), root, unixfs.FetchOptions{}); err != nil {
			return fmt.Errorf("import: root %s is not complete: %w: %w", root, ErrCAR, err)
		}
	}
	for _, root := range roots {
		if err := n.pins.put(ctx, Pin{Cid: root, Created: time.Now().UTC()}); err != nil {
			return fmt.Errorf("pin %s: %w", root, err)
		}
		if err := n.provide(ctx, root); err != nil {
			return err
		}
	}
	return nil
}
