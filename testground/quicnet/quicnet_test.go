package quicnet_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/marcopolo/simnet"

	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/quicnet"
)

func at(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, byte(i), 0, 7}), 4001)
}

// inNetwork runs f in a network in virtual time, each way 10 ms long.
func inNetwork(t *testing.T, f func(t *testing.T, n *quicnet.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := quicnet.New(quicnet.Options{Latency: func(a, b netip.Addr) time.Duration { return 10 * time.Millisecond }, Seed: 1})
		defer n.Close()
		f(t, n)
	})
}

// socket opens a socket that is closed at the end of the bubble.
func socket(t *testing.T, n *quicnet.Network, i int, line fabric.Line) (net.PacketConn, *quicnet.NIC) {
	t.Helper()
	nic := n.NIC(at(i).Addr(), line)
	s, err := quicnet.Socket(nic, net.UDPAddrFromAddrPort(at(i)))
	if err != nil {
		t.Fatal(err)
	}
	return s, nic
}

// receive reads packets until there has been none for a second.
func receive(t *testing.T, s net.PacketConn) (numbers []uint64) {
	t.Helper()
	buf := make([]byte, 1500)
	for {
		s.SetReadDeadline(time.Now().Add(time.Second))
		n, _, err := s.ReadFrom(buf)
		if errors.Is(err, simnet.ErrDeadlineExceeded) {
			return numbers
		}
		if err != nil || n < 8 {
			t.Fatalf("read %d bytes: %v", n, err)
		}
		numbers = append(numbers, binary.LittleEndian.Uint64(buf))
	}
}

// send writes numbered packets, one each millisecond.
func send(t *testing.T, s net.PacketConn, to int, count int) {
	t.Helper()
	for i := range count {
		if _, err := s.WriteTo(binary.LittleEndian.AppendUint64(nil, uint64(i)), net.UDPAddrFromAddrPort(at(to))); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestOrder: jitter delays packets, and does not have them overtake.
func TestOrder(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *quicnet.Network) {
		a, _ := socket(t, n, 1, fabric.Line{Jitter: 50 * time.Millisecond})
		b, _ := socket(t, n, 2, fabric.Line{})
		go send(t, a, 2, 500)
		got := receive(t, b)
		for i, k := range got {
			if k != uint64(i) {
				t.Fatalf("packet %d is number %d", i, k)
			}
		}
		if len(got) != 500 {
			t.Errorf("%d of 500 packets arrived", len(got))
		}
	})
}

// TestLoss: as much is lost as both lines lose, and counted.
func TestLoss(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *quicnet.Network) {
		a, near := socket(t, n, 1, fabric.Line{Loss: 0.1})
		b, far := socket(t, n, 2, fabric.Line{Loss: 0.2})
		go send(t, a, 2, 2000)
		got := len(receive(t, b))
		if got < 1350 || got > 1530 { // of 1440
			t.Errorf("%d of 2000 packets arrived", got)
		}
		out, in := near.Traffic(), far.Traffic()
		if out.PacketsOut != 2000 || out.BytesOut != 2000*36 || in.PacketsIn != int64(got) || in.BytesIn != 36*int64(got) || out.Lost+in.Lost != int64(2000-got) {
			t.Errorf("counted %+v and %+v", out, in)
		}
	})
}

// TestNAT: what comes in was asked for, lately.
func TestNAT(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *quicnet.Network) {
		a, _ := socket(t, n, 1, fabric.Line{NoInbound: true})
		b, _ := socket(t, n, 2, fabric.Line{})
		for _, c := range []struct {
			asks  bool
			later time.Duration
			in    int
		}{{false, 0, 0}, {true, 0, 1}, {false, 4 * time.Minute, 1}, {false, 2 * time.Minute, 0}, {true, time.Second, 1}} {
			if c.asks {
				send(t, a, 2, 1)
			}
			time.Sleep(c.later)
			go send(t, b, 1, 1)
			if got := len(receive(t, a)); got != c.in {
				t.Errorf("%+v: %d came in", c, got)
			}
		}
	})
}

// TestSilence: who has crashed sends nothing and gets nothing, whatever it tries, and
// does not hold others up.
func TestSilence(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *quicnet.Network) {
		a, nic := socket(t, n, 1, fabric.Line{})
		b, _ := socket(t, n, 2, fabric.Line{})
		c, _ := socket(t, n, 3, fabric.Line{})
		nic.Crash()
		go send(t, a, 2, 100)
		if got := receive(t, b); len(got) > 0 {
			t.Errorf("%d packets of a crashed host arrived", len(got))
		}
		go a.ReadFrom(make([]byte, 1500))
		send(t, b, 1, 200)
		if got := n.NIC(at(1).Addr(), fabric.Line{}).Traffic(); got.PacketsIn > 0 {
			t.Errorf("%+v", got)
		}
		go send(t, b, 3, 10)
		if got := receive(t, c); len(got) != 10 {
			t.Errorf("%d of 10 packets arrived", len(got))
		}
		a.Close()
	})
}

// TestSockets: one at a time, of the NIC's address, closed at once and for good.
func TestSockets(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *quicnet.Network) {
		s, nic := socket(t, n, 1, fabric.Line{})
		for _, a := range []netip.AddrPort{at(1), at(2)} {
			if _, err := quicnet.Socket(nic, net.UDPAddrFromAddrPort(a)); err == nil {
				t.Errorf("opened %s", a)
			}
		}
		read := make(chan error)
		go func() {
			_, _, err := s.ReadFrom(nil)
			read <- err
		}()
		synctest.Wait()
		nic.SetLine(fabric.Line{Up: 1e6}) // the reader goes on
		synctest.Wait()
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := <-read; !errors.Is(err, net.ErrClosed) {
			t.Errorf("read: %v", err)
		}
		if _, err := s.WriteTo(nil, s.LocalAddr()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write: %v", err)
		}
		s, err := quicnet.Socket(nic, &net.UDPAddr{IP: net.IPv4zero})
		if err != nil || s.LocalAddr().(*net.UDPAddr).Port == 0 {
			t.Fatal(s, err)
		}
		s.Close()
	})
}

// TestChange: lines may change all the time, and no byte is lost or wrong.
func TestChange(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *quicnet.Network) {
		var hosts []host.Host
		var nics []*quicnet.NIC
		for i := range 2 {
			nic := n.NIC(at(i+1).Addr(), fabric.Line{Up: 20e6, Down: 20e6})
			h, err := libp2p.New(nic.Transport(), libp2p.ListenAddrStrings(n.Listen(at(i+1))), libp2p.DisableIdentifyAddressDiscovery(),
				libp2p.DisableMetrics(), libp2p.DisableRelay(), libp2p.Ping(false), libp2p.ResourceManager(&network.NullResourceManager{}))
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			hosts, nics = append(hosts, h), append(nics, nic)
		}
		sent := make([]byte, 2<<20)
		rand.NewChaCha8([32]byte{}).Read(sent)
		got := make(chan []byte)
		hosts[1].SetStreamHandler("/sink", func(s network.Stream) {
			b, err := io.ReadAll(s)
			if err != nil {
				t.Error(err)
			}
			s.Close()
			got <- b
		})
		if err := hosts[0].Connect(t.Context(), peer.AddrInfo{ID: hosts[1].ID(), Addrs: hosts[1].Addrs()}); err != nil {
			t.Fatal(err)
		}
		s, err := hosts[0].NewStream(t.Context(), hosts[1].ID(), "/sink")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			s.Write(sent)
			s.CloseWrite()
		}()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case b := <-got:
				if i < 10 || !bytes.Equal(b, sent) {
					t.Errorf("%d bytes of %d after %d changes", len(b), len(sent), i)
				}
				return
			case <-tick.C:
				nics[i%2].SetLine(fabric.Line{Up: (5 + i%7) * 1e6, Down: (5 + i%5) * 1e6, Loss: float64(i%3) / 200})
			case <-time.After(5 * time.Minute):
				t.Fatal(fmt.Errorf("it hangs after %d changes", i))
			}
		}
	})
}
