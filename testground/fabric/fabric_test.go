package fabric_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/testground/fabric"
)

const mbit = 1_000_000

func addr(i int) netip.Addr { return netip.AddrFrom4([4]byte{20, byte(i), 0, 1}) }

// lab is a fabric with hosts on it.
type lab struct {
	t    *testing.T
	net  *fabric.Fabric
	nics []*fabric.NIC
}

func inLab(t *testing.T, oneWay time.Duration, f func(l *lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := fabric.New(fabric.Options{Latency: func(a, b netip.Addr) time.Duration { return oneWay }, Seed: 1})
		defer n.Close()
		f(&lab{t: t, net: n})
	})
}

// host makes a host; the test closes it by what it returns.
func (l *lab) host(line fabric.Line) (host.Host, *fabric.NIC) {
	l.t.Helper()
	a := addr(len(l.nics) + 1)
	n := l.net.NIC(a, line)
	l.nics = append(l.nics, n)
	h, err := libp2p.New(n.Transport(), libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/tcp/4001", a)),
		libp2p.DisableMetrics(), libp2p.DisableRelay(), libp2p.Ping(false), libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		l.t.Fatal(err)
	}
	return h, n
}

func info(h host.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }

// TestTransfer: bytes arrive, at the pace of the narrower line.
func TestTransfer(t *testing.T) {
	inLab(t, 25*time.Millisecond, func(l *lab) {
		a, _ := l.host(fabric.Line{Up: 100 * mbit, Down: 100 * mbit})
		b, nic := l.host(fabric.Line{Up: 100 * mbit, Down: 50 * mbit})
		defer a.Close()
		defer b.Close()
		const size = 10 << 20
		got := make(chan int64, 1)
		b.SetStreamHandler("/sink", func(s network.Stream) {
			n, err := io.Copy(io.Discard, s)
			if err != nil {
				t.Error(err)
			}
			got <- n
			s.Close()
		})
		if err := a.Connect(l.t.Context(), info(b)); err != nil {
			t.Fatal(err)
		}
		s, err := a.NewStream(l.t.Context(), b.ID(), "/sink")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := s.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		s.CloseWrite()
		if n := <-got; n != size {
			t.Errorf("got %d bytes", n)
		}
		took, limit := time.Since(began), 25*time.Millisecond+size*8*time.Second/(50*mbit)
		t.Logf("%v, limit %v", took, limit)
		if took < limit || took > limit*11/10 {
			t.Errorf("took %v, limit %v", took, limit)
		}
		if tr := nic.Traffic(); tr.BytesIn < size || tr.BytesIn > size*11/10 {
			t.Errorf("counted %+v", tr)
		}
	})
}

// TestShares: connections share an uplink evenly, and small messages do not wait
// behind large ones.
func TestShares(t *testing.T) {
	inLab(t, 10*time.Millisecond, func(l *lab) {
		a, _ := l.host(fabric.Line{Up: 10 * mbit})
		defer a.Close()
		done := make(chan time.Duration, 2)
		var began time.Time
		var streams []network.Stream
		for range 2 {
			b, _ := l.host(fabric.Line{})
			defer b.Close()
			b.SetStreamHandler("/sink", func(s network.Stream) {
				io.Copy(io.Discard, s)
				done <- time.Since(began)
				s.Close()
			})
			if err := a.Connect(l.t.Context(), info(b)); err != nil {
				t.Fatal(err)
			}
			s, err := a.NewStream(l.t.Context(), b.ID(), "/sink")
			if err != nil {
				t.Fatal(err)
			}
			streams = append(streams, s)
		}
		began = time.Now()
		for _, s := range streams {
			go func() {
				s.Write(make([]byte, 2<<20))
				s.CloseWrite()
			}()
		}
		first, second := <-done, <-done
		if second-first > 50*time.Millisecond {
			t.Errorf("one after %v, the other after %v", first, second)
		}
		synctest.Wait()
	})
}

// TestCrash: whoever is connected to a host that goes silent notices in the end,
// and at once if it has come back.
func TestCrash(t *testing.T) {
	inLab(t, 10*time.Millisecond, func(l *lab) {
		a, _ := l.host(fabric.Line{})
		b, nic := l.host(fabric.Line{})
		defer a.Close()
		if err := a.Connect(l.t.Context(), info(b)); err != nil {
			t.Fatal(err)
		}
		down := make(chan struct{})
		a.Network().Notify(&network.NotifyBundle{DisconnectedF: func(network.Network, network.Conn) { close(down) }})
		began := time.Now()
		nic.Crash()
		b.Close()
		<-down
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("noticed after %v", took)
		}
		ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
		defer cancel()
		began = time.Now()
		if err := a.Connect(ctx, info(b)); err == nil {
			t.Error("connected to a host that is gone")
		}
		if took := time.Since(began); took < time.Second || took > time.Minute {
			t.Errorf("dial gave up after %v", took)
		}
	})
}

// TestCut: what was sent into a partition arrives when it is mended.
func TestCut(t *testing.T) {
	inLab(t, 10*time.Millisecond, func(l *lab) {
		a, _ := l.host(fabric.Line{})
		b, nic := l.host(fabric.Line{})
		defer a.Close()
		defer b.Close()
		got := make(chan string, 10)
		b.SetStreamHandler("/sink", func(s network.Stream) {
			buf := make([]byte, 100)
			for {
				n, err := s.Read(buf)
				if err != nil {
					s.Close()
					return
				}
				got <- string(buf[:n])
			}
		})
		if err := a.Connect(l.t.Context(), info(b)); err != nil {
			t.Fatal(err)
		}
		s, err := a.NewStream(l.t.Context(), b.ID(), "/sink")
		if err != nil {
			t.Fatal(err)
		}
		nic.SetGroup(1)
		s.Write([]byte("1"))
		<-got
		l.net.SetCut(0, 1, fabric.Hold)
		began := time.Now()
		s.Write([]byte("2"))
		time.AfterFunc(20*time.Second, func() {
			l.net.SetCut(0, 1, fabric.Open)
			s.Write([]byte("3"))
		})
		text := <-got
		if len(text) < 2 {
			text += <-got
		}
		if text != "23" {
			t.Errorf("got %q", text)
		}
		if took := time.Since(began); took != 20*time.Second+10*time.Millisecond {
			t.Errorf("took %v", took)
		}
		l.net.SetCut(0, 1, fabric.Hold)
		began = time.Now()
		buf := make([]byte, 1)
		if _, err := s.Read(buf); err == nil || time.Since(began) != 30*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// TestDial: nobody, a NAT, the wrong peer.
func TestDial(t *testing.T) {
	inLab(t, 10*time.Millisecond, func(l *lab) {
		a, _ := l.host(fabric.Line{})
		b, _ := l.host(fabric.Line{NoInbound: true})
		c, _ := l.host(fabric.Line{})
		defer a.Close()
		defer b.Close()
		defer c.Close()
		if err := a.Connect(l.t.Context(), info(b)); err == nil {
			t.Error("came through a NAT")
		}
		if err := b.Connect(l.t.Context(), info(a)); err != nil {
			t.Errorf("out of a NAT: %v", err)
		}
		if err := a.Connect(l.t.Context(), peer.AddrInfo{ID: b.ID(), Addrs: c.Addrs()}); err != nil {
			t.Errorf("connected already: %v", err)
		}
		if err := c.Connect(l.t.Context(), peer.AddrInfo{ID: b.ID(), Addrs: a.Addrs()}); err == nil {
			t.Error("connected to another peer than meant")
		}
	})
}

// TestDeadline: reads and writes end in time.
func TestDeadline(t *testing.T) {
	inLab(t, 0, func(l *lab) {
		a, _ := l.host(fabric.Line{})
		b, _ := l.host(fabric.Line{})
		defer a.Close()
		defer b.Close()
		b.SetStreamHandler("/mute", func(s network.Stream) {})
		if err := a.Connect(l.t.Context(), info(b)); err != nil {
			t.Fatal(err)
		}
		s, err := a.NewStream(l.t.Context(), b.ID(), "/mute")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		s.SetDeadline(began.Add(time.Second))
		var timeout interface{ Timeout() bool }
		if _, err := s.Read(make([]byte, 1)); !errors.As(err, &timeout) || time.Since(began) != time.Second {
			t.Errorf("read: %v after %v", err, time.Since(began))
		}
		s.SetDeadline(time.Now().Add(time.Second))
		if n, err := s.Write(make([]byte, 100<<20)); !errors.As(err, &timeout) || n == 0 {
			t.Errorf("write: %d, %v after %v", n, err, time.Since(began))
		}
	})
}

// TestTrace: nothing has a trace of its own, and what arrives changes it.
func TestTrace(t *testing.T) {
	inLab(t, time.Millisecond, func(l *lab) {
		empty := sha256.Sum256(nil)
		a, _ := l.host(fabric.Line{})
		b, _ := l.host(fabric.Line{})
		defer a.Close()
		defer b.Close()
		if got := l.net.Trace(); got != empty {
			t.Errorf("before anything: %x", got)
		}
		if err := a.Connect(l.t.Context(), info(b)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // hosts tell each other who they are
		before := l.net.Trace()
		if before == empty {
			t.Error("a connection leaves no trace")
		}
		time.Sleep(time.Second)
		if got := l.net.Trace(); got != before {
			t.Error("silence leaves a trace")
		}
		if err := a.Network().ClosePeer(b.ID()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := l.net.Trace(); got == before {
			t.Error("a goodbye leaves no trace")
		}
	})
}

// TestSharedBuffer: streams of a connection share what may wait for the line, so that
// writing many messages, each on a stream of its own, takes as long as the line does,
// and all of them end.
func TestSharedBuffer(t *testing.T) {
	inLab(t, 10*time.Millisecond, func(l *lab) {
		a, _ := l.host(fabric.Line{Up: 10 * mbit})
		b, _ := l.host(fabric.Line{})
		defer a.Close()
		defer b.Close()
		const streams, size, buffer = 20, 200 << 10, 512 << 10
		got := make(chan int64, streams)
		b.SetStreamHandler("/sink", func(s network.Stream) {
			n, _ := io.Copy(io.Discard, s)
			s.Close()
			got <- n
		})
		if err := a.Connect(l.t.Context(), info(b)); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		written := make(chan time.Duration, streams)
		for range streams {
			go func() {
				s, err := a.NewStream(l.t.Context(), b.ID(), "/sink")
				if err == nil {
					_, err = s.Write(make([]byte, size))
				}
				if err != nil {
					t.Error(err)
					got <- 0
					return
				}
				written <- time.Since(began)
				s.CloseWrite()
			}()
		}
		for range streams {
			if n := <-got; n != size {
				t.Errorf("got %d bytes", n)
			}
		}
		var last time.Duration
		for range streams {
			last = max(last, <-written)
		}
		if line := (streams*size - buffer) * 8 * time.Second / (10 * mbit); last < line {
			t.Errorf("all was written after %v; the line takes %v", last, line)
		}
	})
}
