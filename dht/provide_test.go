package dht_test

import (
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-msgio/pbio"

	"github.com/p2pnode/p2pnode/dht"
)

// A stream can take a record and never deliver it, as when the peer has just ended it because
// nothing had come for a minute. That the peer answers on another stream does not mean that it
// has the record.
func TestRecordsThatGetLost(t *testing.T) {
	var lost, kept atomic.Int64
	h := newHost(t)
	defer h.Close()
	h.SetStreamHandler("/p2pnode/kad/1.0.0", func(s network.Stream) {
		defer s.Close()
		r, w := pbio.NewDelimitedReader(s, network.MessageSizeMax), pbio.NewDelimitedWriter(s)
		for {
			var m dht_pb.Message
			if r.ReadMsg(&m) != nil {
				return
			}
			if m.GetType() == dht_pb.Message_ADD_PROVIDER {
				if lost.CompareAndSwap(0, 1) {
					s.Reset()
					return
				}
				kept.Add(1)
				continue
			}
			if w.WriteMsg(&dht_pb.Message{Type: m.Type, Key: m.Key}) != nil {
				return
			}
		}
	})
	owner := start(t, dht.Options{Bootstrap: []peer.AddrInfo{{ID: h.ID(), Addrs: h.Addrs()}}})
	if err := owner.Provide(t.Context(), cidOf(t, "lost once")); err != nil {
		t.Fatal(err)
	}
	until(t, "provide", func() bool { return owner.Stats().ProvidesDone > 0 })
	if lost.Load() == 0 || kept.Load() == 0 {
		t.Errorf("a record counts as sent, and %d arrived", kept.Load())
	}
}
