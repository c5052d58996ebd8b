package procs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/p2pnode/p2pnode/control"
	"github.com/p2pnode/p2pnode/node"
)

const (
	callMax  = 10 * time.Second       // of a call that asks nobody else
	pollTime = 100 * time.Millisecond // between looks at what tells nobody when it is done
)

// profiles name the chunk sizes that a daemon can be asked for, in bytes.
func profile(chunk int) (name string, err error) {
	switch chunk {
	case 0, 1 << 20:
		return "", nil
	case 256 << 10:
		return "unixfs-v0-2015", nil
	}
	return "", fmt.Errorf("a daemon has no chunks of %d bytes; want 262144 or 1048576", chunk)
}

// Add adds a file. When it returns, the file is durable, and will be provided.
func (d *Daemon) Add(ctx context.Context, r io.Reader, chunk int) (cid.Cid, error) {
	name, err := profile(chunk)
	if err != nil {
		return cid.Undef, err
	}
	item, err := d.api.AddFile(ctx, r, control.AddOptions{Profile: name})
	if err != nil {
		return cid.Undef, err
	}
	return cid.Decode(item.Cid)
}

// Open reads a file, from wherever it is.
func (d *Daemon) Open(ctx context.Context, root cid.Cid) (io.ReadCloser, error) {
	return d.api.Cat(ctx, control.Ref{Ref: root.String()}, 0, -1, "")
}

// Received is how many bytes of blocks have come, and how many of them were there already.
func (d *Daemon) Received() (all, again int64) {
	x := d.stats().Exchange
	if x == nil {
		return 0, 0
	}
	again = x.DupBytes + x.JunkBytes + x.Swarm.DupBytes
	return x.BytesIn + x.Swarm.BytesIn + again, again
}

// Table is how many peers the daemon's routing table holds.
func (d *Daemon) Table() int {
	if s := d.stats().DHT; s != nil {
		return s.TableSize
	}
	return 0
}

// stats are the daemon's counters; none if it does not answer.
func (d *Daemon) stats() node.Stats {
	ctx, cancel := context.WithTimeout(context.Background(), callMax)
	defer cancel()
	s, err := d.api.Stat(ctx)
	if err != nil {
		return node.Stats{}
	}
	return s
}

// Provide adds some bytes, and returns when all that the daemon has is provided, or ctx is done.
func (d *Daemon) Provide(ctx context.Context, data []byte) (cid.Cid, error) {
	c, err := d.Add(ctx, bytes.NewReader(data), 0)
	if err != nil {
		return cid.Undef, err
	}
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for {
		s, err := d.api.Stat(ctx)
		switch {
		case ctx.Err() != nil:
			return c, fmt.Errorf("provide %s: %w", c, ctx.Err())
		case err != nil:
			return cid.Undef, fmt.Errorf("provide %s: %w", c, err)
		case s.DHT != nil && s.DHT.Pending == 0:
			return c, nil
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// FindProviders yields peers that say they have c, as they are found.
func (d *Daemon) FindProviders(ctx context.Context, c cid.Cid) iter.Seq2[peer.AddrInfo, error] {
	return func(yield func(peer.AddrInfo, error) bool) {
		for found, err := range d.api.Find(ctx, control.Ref{Ref: c.String()}) {
			var info peer.AddrInfo
			if err == nil {
				info, err = infoOf(found)
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

func infoOf(p control.Provider) (info peer.AddrInfo, err error) {
	if info.ID, err = peer.Decode(p.ID); err != nil {
		return info, fmt.Errorf("read provider %q: %w", p.ID, err)
	}
	for _, text := range p.Addrs {
		addr, err := ma.NewMultiaddr(text)
		if err != nil {
			return info, fmt.Errorf("read provider %s: %w", p.ID, err)
		}
		info.Addrs = append(info.Addrs, addr)
	}
	return info, nil
}

// Connect implements sim.Remote.
func (d *Daemon) Connect(ctx context.Context, to peer.AddrInfo) error {
	if len(to.Addrs) == 0 {
		return fmt.Errorf("connect to %s: no address", to.ID)
	}
	return d.api.Connect(ctx, fmt.Sprintf("%s/p2p/%s", to.Addrs[0], to.ID))
}

// Connected implements sim.Remote; a daemon that does not answer has none.
func (d *Daemon) Connected() []peer.ID {
	ctx, cancel := context.WithTimeout(context.Background(), callMax)
	defer cancel()
	peers, err := d.api.Peers(ctx)
	if err != nil {
		return nil
	}
	var ids []peer.ID
	for _, o := range peers.Peers {
		if id, err := peer.Decode(o.ID); err == nil { // the daemon knows no others
			ids = append(ids, id)
		}
	}
	return ids
}
