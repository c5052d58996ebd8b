package netns_test

import (
	"errors"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/netns"
)

const (
	latency  = 20 * time.Millisecond // one way
	patience = 10 * time.Second
	port     = 9
)

// open makes a lab that is closed with the test. Where there can be none it is nil, and
// the test has seen why.
func open(t *testing.T, hosts int) *netns.Lab {
	t.Helper()
	lab, err := netns.Open(netns.Options{Hosts: hosts, Seed: 1, Latency: func(int, int) time.Duration { return latency }})
	var no *netns.UnavailableError
	if errors.As(err, &no) {
		t.Logf("asserting no more than a clear refusal: %v", err)
		if runtime.GOOS == "linux" && !errors.Is(err, os.ErrPermission) && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENODEV) {
			t.Errorf("refused without a good reason: %v", err)
		}
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Errorf("close lab: %v", err)
		}
	})
	return lab
}

// listenUDP opens a socket inside of a host.
func listenUDP(t *testing.T, h *netns.Host) (c *net.UDPConn) {
	t.Helper()
	err := h.Do(func() (err error) {
		c, err = net.ListenUDP("udp4", &net.UDPAddr{IP: h.Addr().AsSlice(), Port: port})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func udpAddr(h *netns.Host) *net.UDPAddr { return &net.UDPAddr{IP: h.Addr().AsSlice(), Port: port} }

// dialTCP connects two hosts.
func dialTCP(t *testing.T, from, to *netns.Host) (near, far net.Conn) {
	t.Helper()
	var l net.Listener
	at := net.JoinHostPort(to.Addr().String(), strconv.Itoa(port))
	err := to.Do(func() (err error) { l, err = net.Listen("tcp4", at); return err })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = from.Do(func() (err error) { near, err = net.DialTimeout("tcp4", at, patience); return err })
	if err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	for _, c := range []net.Conn{near, far} {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	return near, far
}

func TestRoundTrip(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) }) // after the lab's own
	lab := open(t, 2)
	if lab == nil {
		return
	}
	a, b := listenUDP(t, lab.Hosts()[0]), listenUDP(t, lab.Hosts()[1])
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := b.ReadFrom(buf)
			if err != nil {
				return
			}
			if _, err := b.WriteTo(buf[:n], from); err != nil {
				return
			}
		}
	}()
	a.SetDeadline(time.Now().Add(patience))
	least := time.Hour
	for i := range 10 {
		began := time.Now()
		if _, err := a.WriteTo([]byte("ping"), udpAddr(lab.Hosts()[1])); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Read(make([]byte, 100)); err != nil {
			t.Fatalf("ping %d: %v", i, err)
		}
		least = min(least, time.Since(began))
	}
	t.Logf("round trip %v, packets come out %v late in the mean", least, lab.Lateness().Mean())
	if least < 2*latency || least > 2*latency+20*time.Millisecond {
		t.Errorf("round trip of %v, want a little more than %v", least, 2*latency)
	}
	if got := lab.Hosts()[0].Traffic(); got.PacketsOut != 10 || got.PacketsIn != 10 || got.Lost != 0 || got.BytesIn != 10*32 {
		t.Errorf("host 0 has %+v", got)
	}
	b.Close()
}

func TestRate(t *testing.T) {
	lab := open(t, 2)
	if lab == nil {
		return
	}
	const bits, size = 10_000_000, 1 << 20
	lab.Hosts()[0].SetLine(fabric.Line{Up: bits})
	near, far := dialTCP(t, lab.Hosts()[0], lab.Hosts()[1])
	began := time.Now()
	sent := make(chan error, 1)
	go func() {
		_, err := near.Write(make([]byte, size))
		sent <- errors.Join(err, near.Close())
	}()
	n, err := io.Copy(io.Discard, far)
	took := time.Since(began)
	if err := errors.Join(err, <-sent); err != nil || n != size {
		t.Fatalf("%d of %d bytes arrive: %v", n, size, err)
	}
	share := float64(size) * 8 / took.Seconds() / bits
	t.Logf("%.2f of the rate", share)
	if share < 0.5 || share > 1 {
		t.Errorf("%d bytes took %v, %.2f of the rate", size, took, share)
	}
}

func TestLoss(t *testing.T) {
	lab := open(t, 2)
	if lab == nil {
		return
	}
	const packets, loss = 300, 0.3
	lab.Hosts()[0].SetLine(fabric.Line{Loss: loss})
	a, b := listenUDP(t, lab.Hosts()[0]), listenUDP(t, lab.Hosts()[1])
	for range packets {
		if _, err := a.WriteTo([]byte("x"), udpAddr(lab.Hosts()[1])); err != nil {
			t.Fatal(err)
		}
	}
	came, quiet := 0, 500*time.Millisecond
	for {
		b.SetReadDeadline(time.Now().Add(quiet))
		if _, err := b.Read(make([]byte, 10)); err != nil {
			break // all that comes has come
		}
		came++
	}
	if lost := lab.Hosts()[0].Traffic().Lost; lost != int64(packets-came) {
		t.Errorf("%d of %d packets arrive, %d are counted as lost", came, packets, lost)
	}
	if share := float64(came) / packets; math.Abs(share-(1-loss)) > 0.12 { // more than four deviations
		t.Errorf("%.3f of the packets arrive, want %.2f", share, 1-loss)
	}
}

func TestCuts(t *testing.T) {
	lab := open(t, 2)
	if lab == nil {
		return
	}
	lab.Hosts()[1].SetGroup(1)
	near, far := dialTCP(t, lab.Hosts()[0], lab.Hosts()[1])
	lab.SetCut(0, 1, fabric.Hold)
	if _, err := near.Write([]byte("held")); err != nil {
		t.Fatal(err)
	}
	far.SetReadDeadline(time.Now().Add(20 * latency))
	buf := make([]byte, 4)
	if _, err := io.ReadFull(far, buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %q across a cut: %v", buf, err)
	}
	lab.SetCut(0, 1, fabric.Open)
	far.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(far, buf); err != nil || string(buf) != "held" {
		t.Errorf("after the cut came %q: %v", buf, err)
	}
	lab.SetCut(0, 1, fabric.Drop)
	if _, err := near.Write([]byte("lost")); err != nil {
		t.Fatal(err)
	}
	if _, err := near.Read(buf); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection across a cut that refuses ends in %v", err)
	}
}

func TestClosed(t *testing.T) {
	defer goleak.VerifyNone(t)
	lab := open(t, 1)
	if lab == nil {
		return
	}
	h := lab.Hosts()[0]
	if err := lab.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.Do(func() error { return nil }); err == nil {
		t.Error("a function runs in a lab that is closed")
	}
	if err := lab.Close(); err != nil {
		t.Errorf("close once more: %v", err)
	}
}

func TestTooManyHosts(t *testing.T) {
	if lab, err := netns.Open(netns.Options{Hosts: netns.HostsMax + 1}); err == nil {
		t.Error("there are more hosts than addresses")
		lab.Close()
	}
}
