package node

import (
	"log/slog"
	"time"

	"github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"

	"github.com/p2pnode/p2pnode/blockstore"
)

// DefaultNetwork is the network that a node joins when none is named.
const DefaultNetwork = "p2pnode"

// Options says what a node is made of. The zero value is a node that keeps
// everything in memory, listens on free ports of all interfaces and joins
// DefaultNetwork.
type Options struct {
	// Repo is the folder that holds the node's key, blocks and state; it is
	// made if it is missing. Empty means memory: nothing outlives Close.
	Repo string

	// RebuildIndex makes the index of the block store anew from the segments
	// before it is opened: the cure for disk.ErrIndex.
	RebuildIndex bool

	// Offline opens the repo alone: no host, no network, no listening.
	Offline bool

	// Network is the name of the network; empty means DefaultNetwork, "ipfs"
	// the public IPFS network. Nodes of different networks do not see each other.
	Network string

	// Listen holds the multiaddrs to listen on; nil means TCP and QUIC on all
	// interfaces, port 4101 if it is free and any other if not.
	Listen []string

	// Bootstrap holds multiaddrs, with /p2p/ID, of peers to join the network by.
	Bootstrap []string

	// NoMDNS turns off looking for peers on the local network.
	NoMDNS bool

	// NoSwarm has the node speak bitswap alone, as other software does, and not the swarm
	// protocol beside it: DAGs are fetched and served block by block.
	NoSwarm bool

	// PSK is the pre-shared key (32 bytes) of a private network; it restricts
	// the node to TCP, because QUIC cannot carry it.
	PSK []byte

	// Limits bound the bytes per second of blocks to and from peers that are not on the
	// same network; the zero value is unlimited. SetLimits changes them.
	Limits Limits

	// Host is used instead of making one; Close leaves it open. Listen, PSK
	// and Libp2p are then ignored.
	Host host.Host

	// Libp2p holds further options for the host that Open makes. Those that set
	// the identity, the connection manager or the resource manager replace ours.
	Libp2p []libp2p.Option

	// Store is used instead of the repo's block store; Close leaves it open.
	Store blockstore.Store

	// State is used instead of the repo's database of pins, provider journal
	// and settings; Close leaves it open. Its batches must be atomic.
	State datastore.Batching

	// CacheSizeMax bounds the verified blocks kept in memory, in bytes;
	// 0 means 32 MiB.
	CacheSizeMax int64

	// DocWindow is for how long edits of a document wait for others, to become one commit with
	// them. Each Update takes so much longer; 0 waits only while the disk is busy.
	DocWindow time.Duration

	// Logger gets what an operator may want to know; nil discards it.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Network == "" {
		o.Network = DefaultNetwork
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
