package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/p2pnode/p2pnode/node"
)

// TestSessionPhase: the gateway can ask the sessions it is given what they do.
func TestSessionPhase(t *testing.T) {
	n, err := node.Open(t.Context(), node.Options{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, NoMDNS: true, Network: "phase"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := session{n.Session(ctx)}
	if got := s.Phase(); got != "idle" {
		t.Errorf("phase %q before anything was asked for", got)
	}

	f, err := openGateway(n, "127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- f.server.Serve(f.listener) }()
	resp, err := http.Get("http://" + f.listener.Addr().String() + "/ipfs/bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusGatewayTimeout || !strings.Contains(string(text), "no providers") {
		t.Errorf("%s: %s, %v", resp.Status, text, err)
	}
	resp.Body.Close()
	if err := errors.Join(f.server.Close(), <-served); !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}
