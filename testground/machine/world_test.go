package machine_test

import (
	"errors"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/testground/machine"
)

// pair is two peers that are connected, of which one has content.
func pair(o machine.Options, a, b machine.PeerOptions, size int) (w *machine.World, seed, reader *machine.Peer, c machine.Content) {
	w = machine.New(o)
	seed, reader = w.Add(a, machine.NewExchange(machine.Honest)), w.Add(b, machine.NewExchange(machine.Honest))
	c = machine.NewContent(w.Rand(), size, 256<<10)
	machine.ExchangeOf(seed).Keep(c...)
	w.Connect(seed, reader)
	return w, seed, reader, c
}

// TestLine: a transfer takes about what the slower line allows.
func TestLine(t *testing.T) {
	for _, c := range []struct {
		up, down int
		loss     float64
		min, max time.Duration
	}{
		{10e6, 0, 0, 6700 * time.Millisecond, 8 * time.Second}, // 8 MiB
		{0, 10e6, 0, 6700 * time.Millisecond, 8 * time.Second},
		{40e6, 20e6, 0, 3350 * time.Millisecond, 4500 * time.Millisecond},
		{0, 0, 0, 0, time.Second},
		{10e6, 0, 0.01, 6700 * time.Millisecond, 20 * time.Second},
	} {
		line := machine.Line{Up: c.up, Down: c.down, Loss: c.loss}
		w, _, reader, content := pair(machine.Options{}, machine.PeerOptions{Line: line}, machine.PeerOptions{Line: line}, 8<<20)
		f := machine.ExchangeOf(reader).Fetch(content.Cids(), time.Minute, nil)
		if err := w.Run(time.Minute, f.Over); err != nil {
			t.Error(err)
		}
		if f.Took < c.min || f.Took > c.max || !f.OK() {
			t.Errorf("%+v: took %v, ok %v", c, f.Took, f.OK())
		}
	}
}

// TestChangedLine: a line that becomes slow while a transfer runs slows it down.
func TestChangedLine(t *testing.T) {
	fast := machine.PeerOptions{Line: machine.Line{Up: 40e6, Down: 40e6}}
	w, seed, reader, content := pair(machine.Options{}, fast, fast, 8<<20)
	w.After(time.Second, func() { seed.SetLine(machine.Line{Up: 4e6, Down: 4e6}) })
	f := machine.ExchangeOf(reader).Fetch(content.Cids(), time.Minute, nil)
	if err := w.Run(time.Minute, f.Over); err != nil {
		t.Error(err)
	}
	if f.Took < 5*time.Second || !f.OK() {
		t.Errorf("took %v, ok %v", f.Took, f.OK())
	}
}

// TestCrash: a crashed peer is noticed after KeepAlive, and what is on disk is there
// when it comes back, unless it is lost.
func TestCrash(t *testing.T) {
	for _, keep := range []bool{true, false} {
		w, seed, reader, content := pair(machine.Options{KeepAlive: 10 * time.Second}, machine.PeerOptions{}, machine.PeerOptions{}, 1<<20)
		w.Run(time.Second, nil)
		seed.Crash()
		w.Run(9*time.Second, nil)
		if len(reader.Neighbours()) != 1 {
			t.Errorf("%d neighbours before KeepAlive is over", len(reader.Neighbours()))
		}
		w.Run(2*time.Second, nil)
		if len(reader.Neighbours()) != 0 || machine.ExchangeOf(reader).Machine().Stats().Peers != 0 {
			t.Error("the crash was not noticed")
		}
		seed.Start(keep)
		if has := machine.ExchangeOf(seed).Has(content[0].Cid()); has != keep {
			t.Errorf("kept %v, has it %v", keep, has)
		}
		if !w.Connect(reader, seed) {
			t.Error("not connected again")
		}
		f := machine.ExchangeOf(reader).Fetch(content.Cids(), time.Minute, nil)
		if err := w.Run(time.Minute, f.Over); err != nil {
			t.Error(err)
		}
		if f.OK() != keep {
			t.Errorf("kept %v, fetched %v: %v", keep, f.OK(), f.Phases)
		}
	}
}

// TestUnnoticedRestart: a peer crashes and is back before the other has noticed; what
// was asked of its former life is asked again.
func TestUnnoticedRestart(t *testing.T) {
	line := machine.PeerOptions{Line: machine.Line{Up: 10e6, Down: 10e6}}
	w, seed, reader, content := pair(machine.Options{}, line, line, 4<<20)
	f := machine.ExchangeOf(reader).Fetch(content.Cids(), time.Minute, nil)
	w.After(time.Second, seed.Crash)
	w.After(2*time.Second, func() {
		seed.Start(true)
		w.Connect(seed, reader)
	})
	if err := w.Run(time.Minute, f.Over); err != nil {
		t.Error(err)
	}
	if !f.OK() {
		t.Errorf("%d delivered, %d failed: %v", f.Delivered, f.Failed, f.Phases)
	}
}

// TestDeadline: what is not answered in time fails the world, with seed and time.
func TestDeadline(t *testing.T) {
	slow := machine.PeerOptions{Line: machine.Line{Up: 64e3}}
	w, _, reader, content := pair(machine.Options{Seed: 9}, slow, slow, 4<<20)
	machine.ExchangeOf(reader).Fetch(content.Cids(), 20*time.Second, nil)
	err := w.Run(time.Minute, nil)
	var e *machine.Error
	if !errors.As(err, &e) || e.Seed != 9 || e.At != 20*time.Second || !strings.Contains(err.Error(), "not answered") {
		t.Errorf("got %v", err)
	}
}

// TestThousands: ten thousand machines, of which some hundreds are active, or with
// -big all of them.
func TestThousands(t *testing.T) {
	const peers = 10_000
	active := 300
	if *big {
		active = peers - 1
	}
	began := time.Now()
	res, err := find(t, "flash-crowd").Run(1, peers, map[string]string{"active": strconv.Itoa(active), "size": "2097152"})
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	t.Logf("%d machines, %d active: %.0f s of the world in %v, %d events, %d steps, %d blocks delivered, trace %.16s",
		peers, active, res.Time.Seconds(), took.Round(time.Millisecond), res.Events, res.Tally.Steps, res.Tally.Delivered, res.Trace)
	if want := int64(active) * 9; res.Tally.Delivered != want {
		t.Errorf("%d blocks delivered, want %d", res.Tally.Delivered, want)
	}
	if took > time.Minute && !*big {
		t.Errorf("took %v", took)
	}
}

// TestMemory: what a machine costs that does nothing, and what ten thousand do.
func TestMemory(t *testing.T) {
	const peers, degree, most = 10_000, 8, 40 << 10 // bytes of a machine
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	w := machine.New(machine.Options{Seed: 1})
	for range peers {
		w.Add(machine.PeerOptions{}, machine.NewExchange(machine.Honest))
	}
	for i, p := range w.Peers() {
		for k := range degree / 2 {
			w.Connect(p, w.Peers()[(i+1+k*k*k)%peers])
		}
	}
	if err := w.Settle(time.Minute); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (after.HeapAlloc - before.HeapAlloc) / peers
	t.Logf("%d bytes for each machine with %d connections, %d MB in all", each, degree, (after.HeapAlloc-before.HeapAlloc)>>20)
	if each > most {
		t.Errorf("%d bytes for each machine, want %d at most", each, most)
	}
	runtime.KeepAlive(w)
}
