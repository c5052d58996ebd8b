package sim_test

import (
	"context"
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
	"github.com/p2pnode/p2pnode/testground/sim"
)

const mbit = 1_000_000

// bench is a fabric with bare hosts on it, each way 25 ms long.
type bench struct {
	t     *testing.T
	name  string
	net   sim.Fabric
	hosts []host.Host
}

const oneWay = 25 * time.Millisecond

// eachMedium runs f on every medium, in virtual time.
func eachMedium(t *testing.T, f func(b *bench)) {
	t.Helper()
	for _, name := range sim.MediumNames() {
		medium, err := sim.MediumOf(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := medium(fabric.Options{Latency: func(a, b netip.Addr) time.Duration { return oneWay }, Seed: 1})
				b := &bench{t: t, name: name, net: n}
				defer func() {
					for _, h := range b.hosts {
						h.Close()
					}
					n.Close()
				}()
				f(b)
			})
		})
	}
}

func (b *bench) host(line fabric.Line) (host.Host, sim.NIC) {
	b.t.Helper()
	return b.hostAt(len(b.hosts)+1, line)
}

func (b *bench) hostAt(number int, line fabric.Line, opts ...libp2p.Option) (host.Host, sim.NIC) {
	b.t.Helper()
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, byte(number), 0, 7}), 4001)
	nic := b.net.NIC(at.Addr(), line)
	h, err := libp2p.New(append(opts, nic.Transport(), libp2p.ListenAddrStrings(b.net.Listen(at)),
		libp2p.DisableIdentifyAddressDiscovery(), libp2p.DisableMetrics(), libp2p.DisableRelay(), libp2p.Ping(false),
		libp2p.UDPBlackHoleSuccessCounter(nil), libp2p.IPv6BlackHoleSuccessCounter(nil),
		libp2p.ResourceManager(&network.NullResourceManager{}))...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.hosts = append(b.hosts, h)
	return h, nic
}

func info(h host.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }

func (b *bench) connect(from, to host.Host) {
	b.t.Helper()
	if err := from.Connect(b.t.Context(), info(to)); err != nil {
		b.t.Fatal(err)
	}
}

// echo has h send back what it gets.
func echo(h host.Host) {
	h.SetStreamHandler("/echo", func(s network.Stream) {
		io.Copy(s, s)
		s.Close()
	})
}

// stream opens a stream that is known to work.
func (b *bench) stream(from, to host.Host) network.Stream {
	b.t.Helper()
	s, err := from.NewStream(b.t.Context(), to.ID(), "/echo")
	if err != nil {
		b.t.Fatal(err)
	}
	b.trip(s)
	return s
}

// trip sends a byte there and back and returns how long it took.
func (b *bench) trip(s network.Stream) time.Duration {
	b.t.Helper()
	began := time.Now()
	if _, err := s.Write([]byte{1}); err != nil {
		b.t.Fatal(err)
	}
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		b.t.Fatal(err)
	}
	return time.Since(began)
}

// transfer sends size bytes and returns how long they took.
func (b *bench) transfer(from, to host.Host, size int) time.Duration {
	b.t.Helper()
	got := make(chan int64, 1)
	to.SetStreamHandler("/sink", func(s network.Stream) {
		n, err := io.Copy(io.Discard, s)
		if err != nil {
			b.t.Error(err)
		}
		got <- n
		s.Close()
	})
	s, err := from.NewStream(b.t.Context(), to.ID(), "/sink")
	if err != nil {
		b.t.Fatal(err)
	}
	began := time.Now()
	if _, err := s.Write(make([]byte, size)); err != nil {
		b.t.Fatal(err)
	}
	s.CloseWrite()
	if n := <-got; n != int64(size) {
		b.t.Errorf("%d of %d bytes arrived", n, size)
	}
	return time.Since(began)
}

// TestLatency: bytes take as long as they should, and jitter no longer than it may.
func TestLatency(t *testing.T) {
	eachMedium(t, func(b *bench) {
		x, nic := b.host(fabric.Line{})
		y, _ := b.host(fabric.Line{})
		echo(y)
		b.connect(x, y)
		s := b.stream(x, y)
		time.Sleep(time.Second)
		if took := b.trip(s); took < 2*oneWay || took > 2*oneWay+5*time.Millisecond {
			b.t.Errorf("there and back in %v", took)
		}
		const jitter = 20 * time.Millisecond
		nic.SetLine(fabric.Line{Jitter: jitter})
		var longest time.Duration
		for range 20 {
			time.Sleep(time.Second)
			longest = max(longest, b.trip(s))
		}
		if longest < 2*oneWay+jitter/4 || longest > 2*oneWay+2*jitter+5*time.Millisecond {
			b.t.Errorf("with jitter, there and back in %v", longest)
		}
	})
}

// TestRate: a transfer goes about as fast as the narrower line, and as the line is
// after it was changed. Each has a connection of its own, for QUIC takes its time to
// find out that there is more room.
func TestRate(t *testing.T) {
	eachMedium(t, func(b *bench) {
		const size = 8 << 20
		x, nic := b.host(fabric.Line{Up: 100 * mbit, Down: 100 * mbit})
		y, far := b.host(fabric.Line{Up: 100 * mbit, Down: 20 * mbit})
		for _, c := range []struct {
			name     string
			up, down int
		}{{"down", 100 * mbit, 20 * mbit}, {"up", 10 * mbit, 100 * mbit}, {"wide", 50 * mbit, 50 * mbit}} {
			nic.SetLine(fabric.Line{Up: c.up, Down: 100 * mbit})
			far.SetLine(fabric.Line{Up: 100 * mbit, Down: c.down})
			b.connect(x, y)
			before := far.Traffic().BytesIn
			took, limit := b.transfer(x, y, size), size*8*time.Second/time.Duration(min(c.up, c.down))
			b.t.Logf("%s: %v, limit %v: %.2f", c.name, took, limit, float64(took)/float64(limit))
			if took < limit || took > limit*13/10 {
				b.t.Errorf("%s: took %v, limit %v", c.name, took, limit)
			}
			if in := far.Traffic().BytesIn - before; in < size || in > size*11/10 {
				b.t.Errorf("%s: counted %d bytes of %d", c.name, in, size)
			}
			x.Network().ClosePeer(y.ID())
			time.Sleep(time.Second)
		}
	})
}

// TestLoss: what is lost is sent again. With QUIC, it also goes slower.
func TestLoss(t *testing.T) {
	eachMedium(t, func(b *bench) {
		const size = 4 << 20
		x, nic := b.host(fabric.Line{Up: 50 * mbit, Down: 50 * mbit})
		y, _ := b.host(fabric.Line{})
		b.connect(x, y)
		clean := b.transfer(x, y, size)
		nic.SetLine(fabric.Line{Up: 50 * mbit, Down: 50 * mbit, Loss: 0.02})
		lossy := b.transfer(x, y, size)
		b.t.Logf("clean %v, with loss %v", clean, lossy)
		if n := nic.Traffic().Lost; n < size/1500/100 {
			b.t.Errorf("%d packets were lost", n)
		}
		if b.name == "quic" && lossy < 2*clean {
			b.t.Errorf("loss costs nothing: %v, and %v without", lossy, clean)
		}
	})
}

// TestCuts: what is sent into a cut that holds arrives when it is mended; one that
// drops ends connections on both sides, and nobody gets through until it is mended.
func TestCuts(t *testing.T) {
	eachMedium(t, func(b *bench) {
		x, _ := b.host(fabric.Line{})
		y, nic := b.host(fabric.Line{})
		z, _ := b.host(fabric.Line{})
		echo(y)
		b.connect(x, y)
		b.connect(x, z)
		s := b.stream(x, y)
		nic.SetGroup(1)
		b.net.SetCut(0, 1, fabric.Hold)
		time.AfterFunc(10*time.Second, func() { b.net.SetCut(0, 1, fabric.Open) })
		if took := b.trip(s); took < 10*time.Second || took > 20*time.Second {
			b.t.Errorf("held for 10 s, and came after %v", took)
		}
		b.net.SetCut(0, 1, fabric.Drop)
		synctest.Wait()
		for _, h := range []host.Host{x, y} {
			if n := len(h.Network().Conns()); h == x && n != 1 || h == y && n != 0 {
				b.t.Errorf("%d connections are left", n)
			}
		}
		ctx, cancel := context.WithTimeout(b.t.Context(), 3*time.Second)
		defer cancel()
		if err := x.Connect(ctx, info(y)); err == nil {
			b.t.Error("connected through a cut")
		}
		b.net.SetCut(0, 1, fabric.Open)
		b.connect(x, y)
		b.trip(b.stream(x, y))
	})
}

// TestPatience: an end of a connection through which nothing gets notices in time.
func TestPatience(t *testing.T) {
	eachMedium(t, func(b *bench) {
		x, _ := b.host(fabric.Line{})
		y, nic := b.host(fabric.Line{})
		echo(y)
		b.connect(x, y)
		s := b.stream(x, y)
		nic.SetGroup(1)
		b.net.SetCut(0, 1, fabric.Hold)
		began := time.Now()
		if _, err := s.Read(make([]byte, 1)); err == nil || time.Since(began) < 20*time.Second || time.Since(began) > 50*time.Second {
			b.t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// TestCrashes: a host that goes silent is missed after a while, and at once if it has
// come back and is sent something.
func TestCrashes(t *testing.T) {
	eachMedium(t, func(b *bench) {
		x, _ := b.host(fabric.Line{})
		down := make(chan struct{}, 1)
		x.Network().Notify(&network.NotifyBundle{DisconnectedF: func(network.Network, network.Conn) { down <- struct{}{} }})
		y, nic := b.hostAt(2, fabric.Line{})
		b.connect(x, y)
		began := time.Now()
		nic.Crash()
		y.Close()
		time.Sleep(10 * time.Second)
		if n := len(x.Network().Conns()); n != 1 {
			b.t.Errorf("there was a goodbye: %d connections after 10 s", n)
		}
		<-down
		if took := time.Since(began); took < 20*time.Second || took > 50*time.Second {
			b.t.Errorf("missed after %v", took)
		}
		key := libp2p.Identity(b.hosts[1].Peerstore().PrivKey(y.ID()))
		y, nic = b.hostAt(2, fabric.Line{}, key)
		echo(y)
		b.connect(x, y)
		s := b.stream(x, y)
		nic.Crash()
		y.Close()
		y, _ = b.hostAt(2, fabric.Line{}, key)
		echo(y)
		began = time.Now()
		s.Write(make([]byte, 100))
		if _, err := s.Read(make([]byte, 1)); err == nil || time.Since(began) > 5*time.Second {
			b.t.Errorf("it came back: %v after %v", err, time.Since(began))
		}
		<-down
		b.connect(x, y)
		b.trip(b.stream(x, y))
	})
}

// TestNAT: nobody gets in, but answers, and whoever is connected already.
func TestNAT(t *testing.T) {
	eachMedium(t, func(b *bench) {
		x, _ := b.host(fabric.Line{})
		y, nic := b.host(fabric.Line{NoInbound: true})
		z, _ := b.host(fabric.Line{})
		echo(x)
		echo(y)
		ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
		defer cancel()
		if err := x.Connect(ctx, info(y)); err == nil {
			b.t.Error("came through a NAT")
		}
		b.connect(y, x)
		s := b.stream(x, y) // of a connection from within
		time.Sleep(10 * time.Minute)
		b.trip(s)
		nic.SetLine(fabric.Line{})
		b.connect(z, y)
		nic.SetLine(fabric.Line{NoInbound: true})
		b.trip(b.stream(z, y))
	})
}

// TestTraces: the same is the same, and what arrives changes it.
func TestTraces(t *testing.T) {
	eachMedium(t, func(b *bench) {
		x, _ := b.host(fabric.Line{})
		y, _ := b.host(fabric.Line{})
		before := b.net.Trace()
		if b.net.Trace() != before {
			b.t.Error("nothing has a trace")
		}
		b.connect(x, y)
		if b.net.Trace() == before {
			b.t.Error("a connection leaves no trace")
		}
	})
}

func TestMediumOf(t *testing.T) {
	if _, err := sim.MediumOf("pigeons"); err == nil {
		t.Error("there are pigeons")
	}
}
