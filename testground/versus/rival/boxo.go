package rival

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/boxo/bitswap/client"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/ipfs/boxo/blockservice"
	"github.com/ipfs/boxo/blockstore"
	chunker "github.com/ipfs/boxo/chunker"
	"github.com/ipfs/boxo/files"
	"github.com/ipfs/boxo/ipld/merkledag"
	unixfile "github.com/ipfs/boxo/ipld/unixfs/file"
	"github.com/ipfs/boxo/ipld/unixfs/importer/balanced"
	"github.com/ipfs/boxo/ipld/unixfs/importer/helpers"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/libp2p/go-libp2p/core/host"
	routed "github.com/libp2p/go-libp2p/p2p/host/routed"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/testground/sim"
)

// Boxo is what Kubo is made of as far as files go: boxo's bitswap, client and server,
// a block service over it, and DAGs over that; providers from kad-dht, and every block
// announced there. Blocks are kept in memory.
type Boxo struct {
	kad      *Kad
	host     host.Host
	provider *provider
	bitswap  *bitswap.Bitswap
	blocks   blockservice.BlockService
	dag      ipld.DAGService
	way      Way
}

// Way is how files are fetched.
type Way int

// Ways of Kubo's commands.
const (
	Cat Way = iota // in order, some blocks ahead
	Pin            // all of the DAG, 32 branches at once, then read
)

// OpenBoxo seats a peer that fetches one way.
func OpenBoxo(ctx context.Context, s sim.Seat, way Way) (*Boxo, error) {
	inner, err := newHost(s)
	if err != nil {
		return nil, err
	}
	k, err := newKad(ctx, inner, s)
	if err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	// A host that looks up the addresses it lacks.
	b := &Boxo{kad: k, host: routed.Wrap(inner, k.dht), way: way}
	state := dssync.MutexWrap(ds.NewMapDatastore())
	if b.provider, err = newProvider(k, state); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	store := blockstore.NewBlockstore(state, blockstore.Provider(b.provider))
	b.bitswap = bitswap.New(context.Background(), bsnet.NewFromIpfsHost(b.host), k.dht, store,
		bitswap.WithClientOption(client.BroadcastControlEnable(true))) // as Kubo has it
	b.blocks = blockservice.New(store, b.bitswap)
	b.dag = merkledag.NewDAGService(b.blocks)
	return b, nil
}

// Host is what it talks over.
func (b *Boxo) Host() host.Host { return b.host }

// Close ends all of it.
func (b *Boxo) Close() error {
	return errors.Join(b.bitswap.Close(), b.provider.Close(), b.kad.Close())
}

// Add cuts a file into chunks, keeps its blocks, and has them announced.
func (b *Boxo) Add(ctx context.Context, r io.Reader, chunk int) (cid.Cid, error) {
	p := helpers.DagBuilderParams{
		Maxlinks: helpers.DefaultLinksPerBlock, RawLeaves: true,
		CidBuilder: merkledag.V1CidPrefix(), Dagserv: b.dag,
	}
	if chunk == 0 {
		chunk = int(chunker.DefaultBlockSize)
	}
	builder, err := p.New(chunker.NewSizeSplitter(r, int64(chunk)))
	if err != nil {
		return cid.Undef, fmt.Errorf("add: %w", err)
	}
	root, err := balanced.Layout(builder)
	if err != nil {
		return cid.Undef, fmt.Errorf("add: %w", err)
	}
	return root.Cid(), nil
}

// Keep keeps the blocks of a DAG, and has them announced.
func (b *Boxo) Keep(ctx context.Context, _ cid.Cid, list []block.Block) error {
	theirs := make([]blocks.Block, len(list))
	for i, l := range list {
		theirs[i] = l // it is one
	}
	return b.blocks.AddBlocks(ctx, theirs)
}

// Pin fetches all of a DAG, as pins are.
func (b *Boxo) Pin(ctx context.Context, root cid.Cid) error {
	if err := merkledag.FetchGraph(ctx, root, b.dag); err != nil {
		return fmt.Errorf("fetch %s: %w", root, err)
	}
	return nil
}

// Open fetches a file, or begins to.
func (b *Boxo) Open(ctx context.Context, root cid.Cid) (io.ReadCloser, error) {
	if b.way == Pin {
		if err := b.Pin(ctx, root); err != nil {
			return nil, err
		}
	}
	session := merkledag.NewReadOnlyDagService(merkledag.NewSession(ctx, b.dag))
	node, err := session.Get(ctx, root)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", root, err)
	}
	f, err := unixfile.NewUnixfsFile(ctx, session, node)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", root, err)
	}
	file, ok := f.(files.File)
	if !ok {
		return nil, fmt.Errorf("open %s: it is no file", root)
	}
	return file, nil
}

// Received is how many bytes of blocks have come, and how many of them had come before.
func (b *Boxo) Received() (all, again int64) {
	s, err := b.bitswap.Stat()
	if err != nil {
		return 0, 0 // it does not fail
	}
	return int64(s.DataReceived), int64(s.DupDataReceived)
}
