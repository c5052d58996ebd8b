package link_test

import (
	"encoding/binary"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/netns/link"
)

const (
	udp = 17
	tcp = 6

	syn = 0x02
	rst = 0x04
	ack = 0x10
)

// began is when all tests begin, so that times can be told as durations.
var began = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// world is two hosts or more, and what came out.
type world struct {
	*link.Net
	now time.Time
	out []link.Delivery
}

func newWorld(hosts int, o link.Options) *world {
	w := &world{Net: link.New(o), now: began}
	for i := range hosts {
		w.Add(addr(i))
	}
	return w
}

func addr(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}) }

// packet is an IPv4 packet of so many bytes in all.
func packet(from, to, size int, proto byte) []byte {
	p := make([]byte, max(size, 40))
	p[0], p[9] = 0x45, proto
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	src, dst := addr(from).As4(), addr(to).As4()
	copy(p[12:], src[:])
	copy(p[16:], dst[:])
	p[32] = 5 << 4
	return p
}

// run lets everything that is on its way come out.
func (w *world) run() {
	for {
		next, ok := w.Next()
		if !ok {
			return
		}
		w.now = next
		w.out = append(w.out, w.Step(next)...)
	}
}

func (w *world) at(i int) time.Duration { return w.out[i].Due.Sub(began) }

func TestLatencyAndRates(t *testing.T) {
	w := newWorld(3, link.Options{Latency: func(a, b int) time.Duration { return time.Duration(a+b) * 10 * time.Millisecond }})
	w.SetLine(0, fabric.Line{Up: 8_000_000}) // 1 byte a microsecond
	w.SetLine(1, fabric.Line{Down: 4_000_000})
	w.Send(w.now, 0, packet(0, 1, 1000, udp))
	w.Send(w.now, 0, packet(0, 2, 500, udp))
	w.Send(w.now, 0, packet(0, 1, 1000, udp))
	w.run()
	want := []struct {
		host int
		at   time.Duration
	}{
		{1, time.Millisecond + 10*time.Millisecond + 2*time.Millisecond},
		{1, 2500*time.Microsecond + 10*time.Millisecond + 2500*time.Microsecond}, // behind the first on its way down
		{2, 1500*time.Microsecond + 20*time.Millisecond},
	}
	if len(w.out) != len(want) {
		t.Fatalf("%d packets came out, want %d", len(w.out), len(want))
	}
	for i, d := range want {
		if w.out[i].Host != d.host || w.at(i) != d.at {
			t.Errorf("packet %d at host %d after %v, want host %d after %v", i, w.out[i].Host, w.at(i), d.host, d.at)
		}
	}
	if got := w.Traffic(0); got.PacketsOut != 3 || got.BytesOut != 2500 || got.Lost != 0 {
		t.Errorf("host 0 has %+v", got)
	}
	if got := w.Traffic(1); got.PacketsIn != 2 || got.BytesIn != 2000 {
		t.Errorf("host 1 has %+v", got)
	}
}

// A packet from far away must not keep the downlink busy before it is there.
func TestNearPassesFar(t *testing.T) {
	w := newWorld(3, link.Options{Latency: func(a, b int) time.Duration {
		if a == 0 {
			return time.Second
		}
		return time.Millisecond
	}})
	w.SetLine(2, fabric.Line{Down: 8_000_000})
	w.Send(w.now, 0, packet(0, 2, 1000, udp))
	w.Send(w.now, 1, packet(1, 2, 1000, udp))
	w.run()
	if len(w.out) != 2 || w.at(0) != 2*time.Millisecond || w.at(1) != 1001*time.Millisecond {
		t.Errorf("packets come out after %v and %v", w.at(0), w.at(1))
	}
}

func TestQueueIsBounded(t *testing.T) {
	for _, tt := range []struct {
		name string
		line [2]fabric.Line
	}{
		{"up", [2]fabric.Line{{Up: 8_000_000}, {}}},
		{"down", [2]fabric.Line{{}, {Down: 8_000_000}}},
	} {
		w := newWorld(2, link.Options{Queue: 100 * time.Millisecond})
		w.SetLine(0, tt.line[0])
		w.SetLine(1, tt.line[1])
		for range 1000 {
			w.Send(w.now, 0, packet(0, 1, 1000, udp))
		}
		w.run()
		// 100 ms of a byte a microsecond, and the one that is being sent.
		if len(w.out) < 100 || len(w.out) > 102 {
			t.Errorf("%s: %d packets fit into a queue of 100", tt.name, len(w.out))
		}
		if lost := w.Traffic(0).Lost; lost != int64(1000-len(w.out)) {
			t.Errorf("%s: %d are counted as lost, %d came out", tt.name, lost, len(w.out))
		}
	}
	slow := newWorld(2, link.Options{})
	slow.SetLine(0, fabric.Line{Up: 8_000})
	for range 100 {
		slow.Send(slow.now, 0, packet(0, 1, 1500, udp))
	}
	slow.run()
	if len(slow.out) < 16 || len(slow.out) > 18 {
		t.Errorf("%d packets fit into the least queue, want 16", len(slow.out))
	}
}

func TestLossAndJitter(t *testing.T) {
	const packets = 10_000
	for seed := range uint64(3) {
		w := newWorld(2, link.Options{Seed: seed, Latency: func(int, int) time.Duration { return 10 * time.Millisecond }})
		w.SetLine(0, fabric.Line{Loss: 0.1, Jitter: 4 * time.Millisecond})
		w.SetLine(1, fabric.Line{Loss: 0.1, Jitter: 4 * time.Millisecond})
		sent := make(map[uint16]time.Time)
		for i := range packets {
			p := packet(0, 1, 100, udp)
			binary.BigEndian.PutUint16(p[4:], uint16(i))
			sent[uint16(i)] = w.now
			w.Send(w.now, 0, p)
			w.now = w.now.Add(time.Millisecond)
			w.out = append(w.out, w.Step(w.now)...)
		}
		w.run()
		if share := float64(len(w.out)) / packets; math.Abs(share-0.81) > 0.02 {
			t.Errorf("seed %d: %.3f of the packets arrive, want 0.81", seed, share)
		}
		last := -1
		var most time.Duration
		for _, d := range w.out {
			i := binary.BigEndian.Uint16(d.Packet[4:])
			took := d.Due.Sub(sent[i])
			most = max(most, took)
			if int(i) < last || took < 10*time.Millisecond || took > 18*time.Millisecond {
				t.Fatalf("seed %d: packet %d, after %d, took %v", seed, i, last, took)
			}
			last = int(i)
		}
		if most < 16*time.Millisecond {
			t.Errorf("seed %d: no packet took more than %v", seed, most)
		}
	}
}

func TestSameSeedSameFate(t *testing.T) {
	fate := func() (fates []time.Duration) {
		w := newWorld(2, link.Options{Seed: 7})
		w.SetLine(0, fabric.Line{Loss: 0.3, Jitter: 50 * time.Millisecond, Up: 1_000_000})
		for range 200 {
			w.Send(w.now, 0, packet(0, 1, 100, udp))
			w.now = w.now.Add(2 * time.Millisecond)
		}
		w.run()
		for i := range w.out {
			fates = append(fates, w.at(i))
		}
		return fates
	}
	a, b := fate(), fate()
	if len(a) == 0 || len(a) != len(b) {
		t.Fatalf("%d and %d packets came out", len(a), len(b))
	}
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("packet %d came out after %v, then after %v", i, a[i], b[i])
		}
	}
}

func TestCutsAndSilence(t *testing.T) {
	w := newWorld(3, link.Options{Latency: func(int, int) time.Duration { return 10 * time.Millisecond }})
	w.SetGroup(1, 1)
	arrived := func() int {
		w.out = nil
		w.Send(w.now, 0, packet(0, 1, 100, udp))
		w.Send(w.now, 0, packet(0, 2, 100, udp))
		w.run()
		return len(w.out)
	}
	if n := arrived(); n != 2 {
		t.Errorf("%d of 2 arrive before the cut", n)
	}
	w.SetCut(1, 0, fabric.Hold)
	if n := arrived(); n != 1 {
		t.Errorf("%d arrive, want the one on this side of the cut", n)
	}
	w.SetCut(0, 1, fabric.Open)
	w.SetSilent(2, true)
	if n := arrived(); n != 1 {
		t.Errorf("%d arrive, want the one to the host that is not silent", n)
	}
	w.SetSilent(2, false)
	// What is on its way when it is cut is lost.
	w.out = nil
	w.Send(w.now, 0, packet(0, 1, 100, udp))
	w.SetCut(0, 1, fabric.Hold)
	if w.run(); len(w.out) != 0 {
		t.Error("a packet that was on its way has crossed the cut")
	}
	if lost := w.Traffic(0).Lost; lost != 3 {
		t.Errorf("%d packets are counted as lost, want 3", lost)
	}
}

func TestDropResetsTCP(t *testing.T) {
	w := newWorld(2, link.Options{})
	w.SetGroup(1, 1)
	w.SetCut(0, 1, fabric.Drop)
	data := packet(0, 1, 140, tcp)
	copy(data[20:], []byte{0x30, 0x39, 0x0f, 0xa1, 0, 0, 0, 1, 0, 0, 0, 9, 5 << 4, ack})
	w.Send(w.now, 0, data)
	open := packet(0, 1, 40, tcp)
	copy(open[20:], []byte{0x30, 0x39, 0x0f, 0xa1, 0, 0, 0, 1, 0, 0, 0, 0, 5 << 4, syn})
	w.Send(w.now, 0, open)
	w.Send(w.now, 0, packet(0, 1, 140, udp))
	w.run()
	if len(w.out) != 2 {
		t.Fatalf("%d answers, want a reset each for the TCP packets", len(w.out))
	}
	for i, want := range []struct {
		flags    byte
		seq, ack uint32
	}{{rst, 9, 0}, {rst | ack, 0, 2}} {
		p := w.out[i].Packet
		s := p[20:]
		if w.out[i].Host != 0 || [4]byte(p[12:16]) != addr(1).As4() || [4]byte(p[16:20]) != addr(0).As4() {
			t.Errorf("answer %d goes to host %d, from %v to %v", i, w.out[i].Host, p[12:16], p[16:20])
		}
		if binary.BigEndian.Uint16(s) != 4001 || binary.BigEndian.Uint16(s[2:]) != 12345 {
			t.Errorf("answer %d has ports %v", i, s[:4])
		}
		if s[13] != want.flags || binary.BigEndian.Uint32(s[4:]) != want.seq || binary.BigEndian.Uint32(s[8:]) != want.ack {
			t.Errorf("answer %d is flags %#x, seq and ack %v", i, s[13], s[4:12])
		}
	}
	// A reset is answered by nothing, or two of them would never end.
	w.out = nil
	reset := packet(0, 1, 40, tcp)
	reset[33] = rst
	w.Send(w.now, 0, reset)
	if w.run(); len(w.out) != 0 {
		t.Error("a reset is answered")
	}
}

func TestNoInbound(t *testing.T) {
	w := newWorld(2, link.Options{})
	w.SetLine(1, fabric.Line{NoInbound: true})
	for _, flags := range []byte{syn, syn | ack, ack} {
		p := packet(0, 1, 40, tcp)
		p[33] = flags
		w.Send(w.now, 0, p)
	}
	w.run()
	if len(w.out) != 2 || w.out[0].Packet[33] != syn|ack {
		t.Errorf("%d packets come in, want all but the one that opens a connection", len(w.out))
	}
}

// Whatever a host sends, the network takes it or leaves it.
func FuzzSend(f *testing.F) {
	f.Add(packet(0, 1, 40, tcp))
	f.Add(packet(0, 1, 100, udp))
	f.Add(packet(0, 1, 100, udp)[:19])
	f.Add([]byte{0x4f})
	f.Fuzz(func(t *testing.T, p []byte) {
		w := newWorld(2, link.Options{})
		w.SetGroup(1, 1)
		w.SetCut(0, 1, fabric.Drop)
		w.Send(w.now, 0, p)
		w.SetCut(0, 1, fabric.Open)
		w.SetLine(1, fabric.Line{NoInbound: true})
		w.Send(w.now, 0, p)
		w.run()
		sent := w.Traffic(0).PacketsOut
		if came := int64(len(w.out)); sent != 0 && sent != 2 || came > sent {
			t.Errorf("of %d packets, %d came out", sent, came)
		}
	})
}
