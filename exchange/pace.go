package exchange

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/time/rate"
)

// Limits bound the bytes per second of blocks that go to and come from peers, those of all
// peers together. 0 is unlimited. Peers on the same network or machine do not count, nor does
// what is said about blocks.
type Limits struct {
	UpBytesPerSec   int64 `json:"up_bytes_per_sec"`
	DownBytesPerSec int64 `json:"down_bytes_per_sec"`
}

// LimitMin is the lowest limit, in bytes/s. With less, blocks of a megabyte take so long
// that peers give them up.
const LimitMin = 500_000 / 8

// Check tells whether limits can be kept.
func (l Limits) Check() error {
	for _, n := range []int64{l.UpBytesPerSec, l.DownBytesPerSec} {
		if n != 0 && n < LimitMin {
			return fmt.Errorf("%w: %d bytes/s, the least is %d", ErrLimits, n, LimitMin)
		}
	}
	return nil
}

// ErrLimits is returned for limits that cannot be kept.
var ErrLimits = errors.New("limit too low")

// SetLimits sets the limits from now on. The error is ErrLimits, if there is one.
func (x *Exchange) SetLimits(l Limits) error {
	if err := l.Check(); err != nil {
		return fmt.Errorf("set limits: %w", err)
	}
	x.up.set(l.UpBytesPerSec)
	x.down.set(l.DownBytesPerSec)
	if x.started.Load() {
		x.spawn(func() { x.post(context.Background(), limit{}) })
	}
	return nil
}

// Limits returns those that hold.
func (x *Exchange) Limits() Limits {
	return Limits{UpBytesPerSec: x.up.get(), DownBytesPerSec: x.down.get()}
}

// pacer lets bytes pass no faster than a limit. Streams take turns, one piece each, so that
// who moves much does not keep the others waiting.
type pacer struct {
	turn    chan struct{}                // holds a token while no stream has its turn
	limiter atomic.Pointer[rate.Limiter] // nil while there is no limit
}

func newPacer(limit int64) *pacer {
	p := &pacer{turn: make(chan struct{}, 1)}
	p.turn <- struct{}{}
	p.set(limit)
	return p
}

// set takes bytes/s. Of those that wait, only who has the turn goes by what held before.
func (p *pacer) set(limit int64) {
	if limit == p.get() {
		return
	}
	var l *rate.Limiter
	if limit > 0 {
		l = rate.NewLimiter(rate.Limit(limit), max(paceSize, int(float64(limit)*paceBurst.Seconds())))
	}
	p.limiter.Store(l)
}

func (p *pacer) get() int64 {
	if l := p.limiter.Load(); l != nil {
		return int64(l.Limit())
	}
	return 0
}

// pass waits until size more bytes may pass, or done is closed, and returns for how long. It
// calls waiting now and then meanwhile.
func (p *pacer) pass(size int, done <-chan struct{}, waiting func()) time.Duration {
	began := time.Now()
	tick := time.NewTicker(waitingEvery)
	defer tick.Stop()
	for size > 0 && p.limiter.Load() != nil && p.piece(min(size, paceSize), done, tick, waiting) {
		size -= paceSize
	}
	return time.Since(began)
}

// piece waits for a turn, and then for the limiter. It returns false if done was closed.
func (p *pacer) piece(size int, done <-chan struct{}, tick *time.Ticker, waiting func()) bool {
	if !await(p.turn, done, tick, waiting) {
		return false
	}
	defer func() { p.turn <- struct{}{} }()
	l := p.limiter.Load()
	if l == nil {
		return true
	}
	r := l.ReserveN(time.Now(), size)
	delay := time.NewTimer(r.Delay())
	defer delay.Stop()
	if !await(delay.C, done, tick, waiting) {
		r.Cancel()
		return false
	}
	return true
}

// await returns true when c has something, false when done was closed.
func await[T any](c <-chan T, done <-chan struct{}, tick *time.Ticker, waiting func()) bool {
	for {
		select {
		case <-c:
			return true
		case <-done:
			return false
		case <-tick.C:
			waiting()
		}
	}
}

// near tells whether all connections to a peer are to the same machine or network.
func (x *Exchange) near(p peer.ID) bool {
	conns := x.host.Network().ConnsToPeer(p)
	return len(conns) > 0 && !slices.ContainsFunc(conns, func(c network.Conn) bool { return !near(c.RemoteMultiaddr()) })
}

// near tells whether the peer is on the same machine or network, as far as an address can
// tell. One that is reached through a relay is not, wherever the relay is.
func near(addr ma.Multiaddr) bool {
	if _, err := addr.ValueForProtocol(ma.P_CIRCUIT); err == nil {
		return false
	}
	ip, err := manet.ToIP(addr)
	return err == nil && (ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast())
}
