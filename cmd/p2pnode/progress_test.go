package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/control"
)

func TestMeterText(t *testing.T) {
	m := &meter{start: time.Now().Add(-10 * time.Second)}
	m.peers.Store(-1)
	m.bytes.Store(100 << 20)
	m.total.Store(300 << 20)
	if got, want := m.text(), "100 MiB of 300 MiB, 10 MiB/s, 20s left"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	m.set(control.Progress{Peers: 3, Phase: "searching\x1b"})
	if got, want := m.text(), "0 B of 300 MiB, 3 peers, searching\\x1b"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	m.set(control.Progress{Peers: 1})
	if got, want := m.text(), "0 B of 300 MiB, 1 peer"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// What is fetched as a whole has pieces, and those who send them are named.
func TestMeterSwarm(t *testing.T) {
	m := &meter{start: time.Now().Add(-10 * time.Second)}
	m.set(control.Progress{Bytes: 100 << 20, Peers: 4, Phase: "fetching", Pieces: 300, PiecesHere: 100, PiecesAsked: 8, Sources: []control.Source{
		{Peer: "12D3KooWAAAAAA", Bytes: 60 << 20}, {Peer: "12D3KooWBBBBBB", Bytes: 30 << 20}, {Peer: "12D3KooWCCCCCC", Bytes: 10 << 20}, {Peer: "12D3KooWDDDDDD"},
	}})
	want := "100 MiB, 10 MiB/s, 4 peers, 100 of 300 pieces, 8 on their way (…AAAAAA 60 %, …BBBBBB 30 %, …CCCCCC 10 %)"
	if got := m.text(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Without a terminal there is no bar; a line if asked for; nothing when quiet.
func TestMeterModes(t *testing.T) {
	for _, test := range []struct {
		app  app
		want string
	}{
		{app{progress: "auto"}, ""},
		{app{progress: "none"}, ""},
		{app{progress: "plain", quiet: true}, ""},
		{app{progress: "plain", json: true}, ""},
		{app{progress: "plain"}, "p2pnode: get: 0 B"},
	} {
		var stderr bytes.Buffer
		test.app.stderr = &stderr
		m := test.app.meter("get")
		m.end()
		m.end() // does nothing
		if got := stderr.String(); !strings.HasPrefix(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%s: %q", test.app.progress, got)
		}
	}
}
