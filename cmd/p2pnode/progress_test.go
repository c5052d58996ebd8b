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
