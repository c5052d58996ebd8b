package sim

import (
	"maps"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Traffic counts the bytes of a peer's streams by protocol. libp2p's own counter
// has a goroutine that never ends, which no bubble allows.
type Traffic struct {
	mu sync.Mutex // guards the following
	by map[protocol.ID]Bytes
}

// Bytes are bytes sent and received, without what the line adds.
type Bytes struct {
	Out, In int64
	// Writes are how many times something was sent. Software that writes each of its
	// messages at once, as all of libp2p's does while they are short, has sent so many.
	Writes int64
}

// ByProtocol returns the bytes of each protocol.
func (t *Traffic) ByProtocol() map[protocol.ID]Bytes {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.by)
}

func (t *Traffic) add(id protocol.ID, more Bytes) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by == nil {
		t.by = make(map[protocol.ID]Bytes)
	}
	b := t.by[id]
	t.by[id] = Bytes{b.Out + more.Out, b.In + more.In, b.Writes + more.Writes}
}

var _ metrics.Reporter = (*Traffic)(nil)

func (t *Traffic) LogSentMessageStream(n int64, id protocol.ID, _ peer.ID) {
	t.add(id, Bytes{Out: n, Writes: 1})
}
func (t *Traffic) LogRecvMessageStream(n int64, id protocol.ID, _ peer.ID) {
	t.add(id, Bytes{In: n})
}

// Nobody here asks for the rest.
func (t *Traffic) LogSentMessage(int64)                                  {}
func (t *Traffic) LogRecvMessage(int64)                                  {}
func (t *Traffic) GetBandwidthForPeer(peer.ID) metrics.Stats             { return metrics.Stats{} }
func (t *Traffic) GetBandwidthForProtocol(protocol.ID) metrics.Stats     { return metrics.Stats{} }
func (t *Traffic) GetBandwidthTotals() metrics.Stats                     { return metrics.Stats{} }
func (t *Traffic) GetBandwidthByPeer() map[peer.ID]metrics.Stats         { return nil }
func (t *Traffic) GetBandwidthByProtocol() map[protocol.ID]metrics.Stats { return nil }
func (t *Traffic) Reset()                                                {}
func (t *Traffic) TrimIdle(time.Time)                                    {}
