package control_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/control"
	"github.com/p2pnode/p2pnode/node"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hello is the CID of "hello\n".
const hello = "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am"

func newNode(t *testing.T) *node.Node {
	t.Helper()
	n, err := node.Open(t.Context(), node.Options{Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func newClient(t *testing.T) *control.Client {
	t.Helper()
	c := control.Local(control.New(newNode(t), control.Options{}))
	t.Cleanup(func() { c.Close() })
	return c
}

func codeOf(err error) control.Code {
	var e *control.Error
	if !errors.As(err, &e) {
		return control.CodeOK
	}
	return e.Code
}

func TestAddAndReadBack(t *testing.T) {
	c, ctx := newClient(t), t.Context()
	root, err := c.AddFile(ctx, strings.NewReader("hello\n"), control.AddOptions{Name: "greeting"})
	if err != nil || root.Cid != hello {
		t.Fatalf("add: %v, %v", root, err)
	}
	d, err := c.Cat(ctx, control.Ref{Ref: hello}, 1, 3, "")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	text, err := io.ReadAll(d)
	if err != nil || string(text) != "ell" || d.Size != 3 {
		t.Fatalf("cat: %q of %d, %v", text, d.Size, err)
	}
	var pins []string
	for p, err := range c.Pins(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		pins = append(pins, p.Name)
	}
	if len(pins) != 1 || pins[0] != "greeting" {
		t.Fatalf("pins: %v", pins)
	}
}

func TestTreeThereAndBack(t *testing.T) {
	c, ctx := newClient(t), t.Context()
	want := map[string]string{"a": "1", "sub/b": strings.Repeat("x", 3<<20), "sub/c": ""}
	pack := func(w *tar.Writer) error {
		for _, name := range []string{"a", "sub/b", "sub/c"} {
			if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(want[name]))}); err != nil {
				return err
			}
			if _, err := io.WriteString(w, want[name]); err != nil {
				return err
			}
		}
		return nil
	}
	names := map[string]bool{}
	root, err := c.AddTree(ctx, pack, control.AddOptions{}, func(it control.Item) { names[it.Name] = true })
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != 4 || !names["sub"] || !names["sub/b"] {
		t.Fatalf("items: %v", names)
	}
	tree, err := c.Get(ctx, control.Ref{Ref: root.Cid}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	for {
		h, err := tree.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(tree)
		if err != nil || h.Typeflag == tar.TypeReg && string(text) != want[h.Name] {
			t.Fatalf("%s: %d bytes, %v", h.Name, len(text), err)
		}
		delete(want, h.Name)
	}
	if len(want) > 0 {
		t.Fatalf("missing: %v", want)
	}
}

// The class of an error is the same on both sides of the socket.
func TestErrorsKeepTheirClass(t *testing.T) {
	c, ctx := newClient(t), t.Context()
	_, catErr := c.Cat(ctx, control.Ref{Ref: hello}, 0, -1, "")
	_, refErr := c.Get(ctx, control.Ref{Ref: "nonsense"}, "")
	_, pinErr := c.Unpin(ctx, hello)
	_, addErr := c.AddFile(ctx, strings.NewReader("x"), control.AddOptions{Profile: "v9"})
	_, carErr := c.ImportCAR(ctx, strings.NewReader("no archive"))
	for _, test := range []struct {
		what string
		err  error
		code control.Code
	}{
		{"missing content", catErr, control.CodeNotFound},
		{"bad reference", refErr, control.CodeUsage},
		{"no pin", pinErr, control.CodeNotFound},
		{"unknown profile", addErr, control.CodeUsage},
		{"bad archive", carErr, control.CodeCorrupt},
		{"offline", c.Provide(ctx, hello), control.CodeUnreachable},
		{"no daemon to stop", c.Stop(ctx), control.CodeUnreachable},
	} {
		if got := codeOf(test.err); got != test.code {
			t.Errorf("%s: code %d, want %d: %v", test.what, got, test.code, test.err)
		}
	}
	if !errors.Is(catErr, block.ErrNotFound) {
		t.Errorf("%v is not block.ErrNotFound", catErr)
	}
}

// What the sender cannot read is the sender's error, and nothing is kept.
func TestAddFailsWithItsSource(t *testing.T) {
	c := newClient(t)
	broken := errors.New("disk on fire")
	_, err := c.AddFile(t.Context(), io.MultiReader(strings.NewReader(strings.Repeat("x", 5<<20)), failing{broken}), control.AddOptions{})
	if !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	for p := range c.Pins(t.Context()) {
		t.Errorf("pinned %s", p.Cid)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A server that fails while the client still sends gets its error through.
func TestErrorArrivesDuringUpload(t *testing.T) {
	c := newClient(t)
	pack := func(w *tar.Writer) error {
		if err := w.WriteHeader(&tar.Header{Name: "device", Typeflag: tar.TypeBlock}); err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: "endless", Typeflag: tar.TypeReg, Size: 1 << 40}); err != nil {
			return err
		}
		_, err := io.Copy(w, endless{})
		return err
	}
	_, err := c.AddTree(t.Context(), pack, control.AddOptions{}, nil)
	if codeOf(err) != control.CodeUsage || !strings.Contains(err.Error(), "device") {
		t.Fatalf("got %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestCallerGivesUp(t *testing.T) {
	c := newClient(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("had enough")
	started := make(chan struct{})
	go func() {
		<-started
		cancel(enough)
	}()
	_, err := c.AddFile(ctx, io.MultiReader(&telling{started: started}, endless{}), control.AddOptions{})
	if !errors.Is(err, enough) {
		t.Fatalf("got %v", err)
	}
}

// telling closes a channel at its first read.
type telling struct{ started chan struct{} }

func (r *telling) Read(p []byte) (int, error) {
	if r.started != nil {
		close(r.started)
		r.started = nil
	}
	return 0, io.EOF
}

func request(t *testing.T, h http.Handler, change func(*http.Request)) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "http://localhost/api/v1/id", nil)
	change(r)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestStrangersAreRefused(t *testing.T) {
	h := control.New(newNode(t), control.Options{Token: "secret"})
	allow := func(r *http.Request) { r.Header.Set("Authorization", "Bearer secret") }
	for _, test := range []struct {
		what   string
		status int
		change func(*http.Request)
	}{
		{"the owner", 200, func(*http.Request) {}},
		{"IPv4", 200, func(r *http.Request) { r.Host = "127.0.0.1:5101" }},
		{"IPv6", 200, func(r *http.Request) { r.Host = "[::1]:5101" }},
		{"own page", 200, func(r *http.Request) { r.Host = "localhost:1"; r.Header.Set("Origin", "http://localhost:1") }},
		{"no token", 401, func(r *http.Request) { r.Header.Del("Authorization") }},
		{"wrong token", 401, func(r *http.Request) { r.Header.Set("Authorization", "Bearer secre") }},
		{"wrong scheme", 401, func(r *http.Request) { r.Header.Set("Authorization", "Basic secret") }},
		{"rebound name", 403, func(r *http.Request) { r.Host = "evil.example" }},
		{"rebound name with port", 403, func(r *http.Request) { r.Host = "evil.example:5101" }},
		{"look-alike name", 403, func(r *http.Request) { r.Host = "127.0.0.1.evil.example" }},
		{"no name", 403, func(r *http.Request) { r.Host = "" }},
		{"foreign page", 403, func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }},
		{"page on another port", 403, func(r *http.Request) { r.Header.Set("Origin", "http://localhost:8080") }},
		{"sandboxed page", 403, func(r *http.Request) { r.Header.Set("Origin", "null") }},
		{"cross-site image", 403, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }},
		{"same-site page", 403, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }},
		{"change by GET", 405, func(r *http.Request) { r.URL.Path = "/api/v1/gc" }},
		{"no route", 404, func(r *http.Request) { r.URL.Path = "/api/v1/nothing" }},
	} {
		resp := request(t, h, func(r *http.Request) { allow(r); test.change(r) })
		if resp.StatusCode != test.status {
			t.Errorf("%s: %s, want %d", test.what, resp.Status, test.status)
		}
		if resp.Header.Get("Access-Control-Allow-Origin") != "" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", test.what, resp.Header)
		}
	}
}

// A body where none belongs is not read without bound.
func TestBodyIsCapped(t *testing.T) {
	h := control.New(newNode(t), control.Options{})
	body := &counting{}
	request(t, h, func(r *http.Request) {
		r.Method, r.URL.Path, r.Body = http.MethodPost, "/api/v1/gc", io.NopCloser(body)
	})
	if body.n > 64<<10 {
		t.Errorf("read %d bytes", body.n)
	}
}

type counting struct{ n int }

func (c *counting) Read(p []byte) (int, error) {
	c.n += len(p)
	return len(p), nil
}

// answers is a daemon that always says the same, and then hangs up.
func answers(t *testing.T, raw string) *control.Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 4096)
			conn.Read(buf)
			io.WriteString(conn, raw)
			conn.Close()
		}
	}()
	c := control.DialTCP(l.Addr().String(), "")
	t.Cleanup(func() { l.Close(); <-done; c.Close() })
	return c
}

// An answer without its end is an error, however it was cut off.
func TestTruncatedAnswers(t *testing.T) {
	chunk := func(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }
	head := "HTTP/1.1 200 OK\r\nTrailer: P2pnode-Result\r\nTransfer-Encoding: chunked\r\n\r\n"
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: ".", Typeflag: tar.TypeDir}), w.Close()); err != nil {
		t.Fatal(err)
	}
	for what, raw := range map[string]string{
		"no answer":          "",
		"no body":            head,
		"cut in a chunk":     head + "ffff\r\nabc",
		"no last chunk":      head + chunk(archive.String()),
		"no trailer":         head + chunk(archive.String()) + "0\r\n\r\n",
		"nonsense trailer":   head + chunk(archive.String()) + "0\r\nP2pnode-Result: nonsense\r\n\r\n",
		"progress as end":    head + chunk(archive.String()) + "0\r\nP2pnode-Result: {\"v\":1,\"type\":\"progress\"}\r\n\r\n",
		"error of no code":   head + "0\r\nP2pnode-Result: {\"v\":1,\"type\":\"error\"}\r\n\r\n",
		"events cut off":     "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"v\":1,\"type\":\"item\"}\n",
		"events of the next": "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"v\":2,\"type\":\"result\"}\n",
	} {
		t.Run(what, func(t *testing.T) {
			c := answers(t, raw)
			if _, err := c.Status(t.Context()); err == nil {
				t.Error("status: no error")
			}
			tree, err := c.Get(t.Context(), control.Ref{Ref: hello}, "")
			if err != nil {
				return
			}
			defer tree.Close()
			for err == nil {
				_, err = tree.Next()
			}
			if errors.Is(err, io.EOF) {
				t.Error("get: ended as if it were complete")
			}
		})
	}
}

func TestSocketIsPrivate(t *testing.T) {
	repo := t.TempDir()
	l, err := control.Listen(repo)
	if err != nil {
		t.Fatal(err)
	}
	srv := control.Server(control.New(newNode(t), control.Options{}))
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	defer func() { srv.Close(); <-done }()
	info, err := os.Stat(filepath.Join(repo, "api.sock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", info.Mode(), err)
	}
	c, err := control.Dial(t.Context(), repo)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if id, err := c.ID(t.Context()); err != nil || id.ID == "" {
		t.Errorf("id: %v, %v", id, err)
	}
	if _, err := control.Dial(t.Context(), t.TempDir()); !errors.Is(err, control.ErrNoDaemon) {
		t.Errorf("dial nothing: %v", err)
	}
}

func TestTokenIsPrivate(t *testing.T) {
	repo := t.TempDir()
	token, err := control.Token(repo)
	if err != nil || len(token) != 64 {
		t.Fatalf("token %q, %v", token, err)
	}
	again, err := control.Token(repo)
	if err != nil || again != token {
		t.Errorf("second time %q, %v", again, err)
	}
	info, err := os.Stat(filepath.Join(repo, "api.token"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("token file: %v, %v", info.Mode(), err)
	}
	if _, err := control.ListenTCP("0.0.0.0:0"); err == nil {
		t.Error("listens for everybody")
	}
}

// TestLimits: they are changed on a node that has a network, and refused where they make
// no sense.
func TestLimits(t *testing.T) {
	ctx := t.Context()
	if _, err := newClient(t).Limits(ctx); codeOf(err) != control.CodeUnreachable {
		t.Errorf("offline: %v", err)
	}
	n, err := node.Open(ctx, node.Options{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, NoMDNS: true, Limits: node.Limits{UpBytesPerSec: 1e6}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	c := control.Local(control.New(n, control.Options{}))
	t.Cleanup(func() { c.Close() })
	if l, err := c.Limits(ctx); err != nil || l != (node.Limits{UpBytesPerSec: 1e6}) {
		t.Errorf("limits: %+v, %v", l, err)
	}
	want := node.Limits{DownBytesPerSec: 2e6}
	if l, err := c.SetLimits(ctx, want); err != nil || l != want {
		t.Errorf("set limits: %+v, %v", l, err)
	}
	for _, l := range []node.Limits{{UpBytesPerSec: node.LimitMin - 1}, {DownBytesPerSec: -1}} {
		if _, err := c.SetLimits(ctx, l); codeOf(err) != control.CodeUsage {
			t.Errorf("set limits %+v: %v", l, err)
		}
	}
	st, err := c.Status(ctx)
	if err != nil || st.Limits != want {
		t.Errorf("status: %+v, %v", st.Limits, err)
	}
}

// Who gives up before a daemon answers has not found out that there is none.
func TestDialCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := control.Dial(ctx, t.TempDir()); !errors.Is(err, context.Canceled) || errors.Is(err, control.ErrNoDaemon) {
		t.Errorf("got %v", err)
	}
}
