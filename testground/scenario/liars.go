package scenario

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/testground/sim"
)

// liars: some of those who say that they have a file do harm. What they do is in cheat.go.
var liars = Scenario{
	Name: "liars", Doc: "one peer fetches what some have, beside others who only say so", Peers: 4,
	TimeMax: 20 * time.Minute,
	Params: []Param{
		{"liars", "1", "peers that lie; but for the one that fetches, the others have it all"},
		{"kind", kindSilent, "of liars: " + strings.Join(cheatKinds(), ", ")},
		{"shape", "file", "of what is fetched; see fetch"},
		{"size", "16777216", "bytes of the file"},
		{"chunk", "262144", "bytes of a block of it"},
		{"count", "1000", "see fetch"},
		{"way", "pin", "how it is fetched; see fetch"},
		rttParam, wireParam,
	},
	Run: runLiars,
}

func runLiars(ctx context.Context, r *Run) error {
	count, kind := r.Int("liars"), r.Text("kind")
	if !slices.Contains(cheatKinds(), kind) {
		return fmt.Errorf("parameter kind: %q, want one of %s", kind, strings.Join(cheatKinds(), ", "))
	}
	faults := &faultLog{reported: make(map[peer.ID]map[string]int)}
	r.Net.SetLogger(slog.New(faults))
	if err := r.populateAt(r.Duration("rtt")); err != nil {
		return err
	}
	if r.speak(); r.Check() != nil {
		return r.Check()
	}
	peers := r.Net.Peers()
	if count < 0 || count > len(peers)-2 {
		return fmt.Errorf("parameter liars: %d of %d peers, one of which fetches and one of which is honest", count, len(peers))
	}
	reader, honest, lying := peers[0], peers[1:len(peers)-count], peers[len(peers)-count:]
	root, blocks, size, err := r.shape(ctx)
	if err != nil {
		return err
	}
	lie, err := newLie(root, blocks)
	if err != nil {
		return err
	}
	// Nobody knows anybody: the reader meets all in the order below.
	if err := r.Start(ctx, peers[:len(peers)-count]); err != nil {
		return err
	}
	for i, p := range lying {
		c := cheat{lie: lie, kind: kind, number: i, swarm: r.Text(wireParam.Name) == wireBoth}
		if err := p.StartGuest(ctx, c.open); err != nil {
			return err
		}
	}
	for _, p := range honest {
		if err := running[keeper](p).Keep(ctx, root, blocks); err != nil {
			return err
		}
	}
	for _, i := range r.Net.Rand().Perm(len(peers) - 1) { // nobody is to be found first
		if err := r.Net.Connect(ctx, []sim.Pair{{A: reader, B: peers[1+i]}}); err != nil {
			return err
		}
	}
	time.Sleep(settleTime)
	began := time.Now()
	if err := r.get(ctx, reader, root); err != nil {
		return fmt.Errorf("%s fetches %s: %w", reader, root, err)
	}
	took := time.Since(began)
	r.Measure.Add("fetch_time_s", r.Net.Age(), reader.Number(), took.Seconds())
	r.Logf("%d bytes after %v", size, took.Round(time.Millisecond))
	time.Sleep(settleTime) // what is still to be found out
	faults.measure(r, honest, lying)
	return r.Check()
}

// faultLog hears of all misbehaviour that nodes log.
type faultLog struct {
	mu       sync.Mutex // guards reported
	reported map[peer.ID]map[string]int
}

// misbehaviour is how package exchange logs it.
const misbehaviour = "peer misbehaves"

func (l *faultLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *faultLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *faultLog) WithGroup(string) slog.Handler            { return l }

func (l *faultLog) Handle(_ context.Context, rec slog.Record) error {
	if rec.Message != misbehaviour {
		return nil
	}
	var who peer.ID
	var fault string
	rec.Attrs(func(a slog.Attr) bool {
		switch v := a.Value.Any().(type) {
		case peer.ID:
			who = v
		case string:
			fault = v
		}
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reported[who] == nil {
		l.reported[who] = make(map[string]int)
	}
	l.reported[who][fault]++
	return nil
}

// measure notes how many of whom were reported.
func (l *faultLog) measure(r *Run, honest, lying []*sim.Peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for series, peers := range map[string][]*sim.Peer{"honest_reported": honest, "liars_reported": lying} {
		n := 0
		for _, p := range peers {
			faults := l.reported[p.ID()]
			if len(faults) > 0 {
				n++
			}
			for _, f := range slices.Sorted(maps.Keys(faults)) {
				r.Logf("%s: %s is told of %d times: %s", series, p, faults[f], f)
			}
		}
		r.Measure.Add(series, r.Net.Age(), -1, float64(n))
	}
}
