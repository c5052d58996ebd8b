package scenario

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/build"
)

// ours is a node as scripts see it that run with other software too. It is the whole
// node, through the door that any program has.
type ours struct{ node *node.Node }

func (o ours) Add(ctx context.Context, r io.Reader, chunk int) (cid.Cid, error) {
	profile := build.V1_2025
	if chunk > 0 {
		profile.ChunkSize = chunk
	}
	root, err := o.node.Add(ctx, r, node.AddOptions{Profile: profile})
	return root.Cid, err
}

func (o ours) Open(ctx context.Context, root cid.Cid) (io.ReadCloser, error) {
	return o.node.OpenFile(ctx, unixfs.Path{Root: root})
}

// Keep takes the blocks as a CAR, as any program would.
func (o ours) Keep(ctx context.Context, root cid.Cid, blocks []block.Block) error {
	var archive bytes.Buffer
	head := carHeader(root)
	archive.Write(binary.AppendUvarint(nil, uint64(len(head))))
	archive.Write(head)
	for _, b := range blocks {
		archive.Write(binary.AppendUvarint(nil, uint64(b.Cid().ByteLen()+b.Size())))
		archive.Write(b.Cid().Bytes())
		archive.Write(b.RawData())
	}
	_, err := o.node.ImportCAR(ctx, &archive)
	return err
}

// carHeader is {"roots": [root], "version": 1} in dag-cbor, for a root of the usual 36 bytes.
func carHeader(root cid.Cid) []byte {
	b := append([]byte{0xa2, 0x65}, "roots"...)
	b = append(b, 0x81, 0xd8, 0x2a, 0x58, byte(1+root.ByteLen()), 0)
	b = append(b, root.Bytes()...)
	b = append(b, 0x67)
	return append(append(b, "version"...), 1)
}

func (o ours) Pin(ctx context.Context, root cid.Cid) error {
	_, err := o.node.Pin(ctx, unixfs.Path{Root: root}, "", nil)
	return err
}

func (o ours) Received() (all, again int64) {
	s := o.node.Stats().Exchange
	again = s.DupBytes + s.JunkBytes + s.Swarm.DupBytes
	return s.BytesIn + s.Swarm.BytesIn + again, again
}

func (o ours) Provide(ctx context.Context, data []byte) (cid.Cid, error) {
	c, err := o.Add(ctx, bytes.NewReader(data), 0)
	if err != nil {
		return cid.Undef, err
	}
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for o.node.Stats().DHT.Pending > 0 {
		select {
		case <-ctx.Done():
			return c, fmt.Errorf("provide %s: %w", c, ctx.Err())
		case <-tick.C:
		}
	}
	return c, nil
}

func (o ours) FindProviders(ctx context.Context, c cid.Cid) iter.Seq2[peer.AddrInfo, error] {
	return o.node.FindProviders(ctx, c)
}

func (o ours) Table() int { return o.node.Stats().DHT.TableSize }

func (o ours) Listen(topic string, hear func(data []byte, via peer.ID)) (publish func(context.Context, []byte) error, err error) {
	t, err := o.node.Gossip().Join(topic, nil)
	if err != nil {
		return nil, err
	}
	s, err := t.Subscribe()
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			// It ends when the node does.
			m, err := s.Next(context.Background())
			if err != nil {
				return
			}
			hear(m.Data, m.Via)
		}
	}()
	return t.Publish, nil
}

func (o ours) Repeated() uint64 { return o.node.Stats().Gossip.Duplicate }
