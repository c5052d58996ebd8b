package control_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/p2pnode/p2pnode/control"
)

// On TCP everybody on the machine can connect: the token tells the owner.
func TestTCPNeedsToken(t *testing.T) {
	token, err := control.Token(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l, err := control.ListenTCP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := control.Server(control.New(newNode(t), control.Options{Token: token}))
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	defer func() { srv.Close(); <-done }()

	owner := control.DialTCP(l.Addr().String(), token)
	defer owner.Close()
	if _, err := owner.ID(t.Context()); err != nil {
		t.Errorf("owner: %v", err)
	}
	stranger := control.DialTCP(l.Addr().String(), "")
	defer stranger.Close()
	if _, err := stranger.ID(t.Context()); codeOf(err) != control.CodeAuth {
		t.Errorf("stranger: %v", err)
	}
}

// Close returns when the last call has: the node under it may be closed then.
func TestLocalCloseWaits(t *testing.T) {
	entered, left := make(chan struct{}), false
	c := control.Local(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		left = true
	}))
	failed := make(chan error, 1)
	go func() {
		_, err := c.ID(context.Background())
		failed <- err
	}()
	<-entered
	if err := c.Close(); err != nil || !left {
		t.Errorf("closed before the call had ended: %v", err)
	}
	if err := <-failed; codeOf(err) != control.CodeUnreachable {
		t.Errorf("call: %v", err)
	}
}
