package gateway_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/gateway"
)

func TestHost(t *testing.T) {
	d := newDAG(t)
	c := d.block([]byte("x"), cid.Raw).String()
	s := newSite(t, always(missing("no peers")), d.memory(), gateway.Options{Hosts: []string{"gw.example", "192.0.2.7"}})
	for host, want := range map[string]int{
		"127.0.0.1": 200, "127.0.0.1:1": 200, "[::1]": 200, "[::1]:99": 200, "192.0.2.7:80": 200,
		"localhost": 301, "LOCALHOST:80": 301, "gw.example:443": 301,
		"evil.example": 403, "evil.example:8080": 403, "127.0.0.1.evil.example": 403, "localhost.evil.example": 403,
		"127.0.0.2": 403, "192.0.2.8": 403, "0.0.0.0": 403, "sub.localhost": 403, "ipfs.localhost": 403,
		".ipfs.localhost": 403, c + ".ipfs.evil.example": 403, "x.ipfs.gw.example.evil": 403, "x.p2p.localhost": 403,
	} {
		a := s.get("/ipfs/"+c, "Host: "+host).want(t, want, "X-Content-Type-Options: nosniff")
		if want == 403 {
			a.wantText(t, "does not serve the requested host")
		}
	}
	s.get("/", "Host: "+c+".ipfs.localhost").want(t, 200)
	s.get("/ipfs/"+c, "X-Forwarded-Host: evil.example").want(t, 403)
	s.get("/ipfs/"+c, "X-Forwarded-Host: gw.example", "X-Forwarded-Proto: https").want(t, 301, "Location: https://"+c+".ipfs.gw.example/")
	for _, host := range []string{"*.example", "a/b", "", "a b"} {
		if _, err := gateway.New(always(missing("")), d.memory(), gateway.Options{Hosts: []string{host}}); err == nil {
			t.Errorf("host %q was accepted", host)
		}
	}
}

func TestMethods(t *testing.T) {
	s := newSite(t, always(missing("no peers")), newDAG(t).memory(), gateway.Options{})
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "TRACE", "NONSENSE"} {
		s.do(method, "/ipfs/bafkqaaa").want(t, 405, "Allow: GET, HEAD, OPTIONS")
	}
	s.do("OPTIONS", "/ipfs/bafkqaaa", "Origin: https://page.example").want(t, 200,
		"Access-Control-Allow-Origin: *", "Access-Control-Allow-Methods: GET,HEAD,OPTIONS")
	s.get("/ipfs/bafkqaaa"+strings.Repeat("/a", 200)).want(t, 414)
	s.get("/ipfs/bafkqaaa", "Service-Worker: script").want(t, 400)
}

// TestProxy uses the gateway as an HTTP proxy: with absolute URIs, and through
// a tunnel.
func TestProxy(t *testing.T) {
	d := newDAG(t)
	c := d.block([]byte("x"), cid.Raw).String()
	s := newSite(t, always(missing("no peers")), d.memory(), gateway.Options{})
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	host := c + ".ipfs.localhost:80"
	for _, request := range []string{
		"GET http://" + host + "/ HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
		"CONNECT " + host + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
	} {
		fmt.Fprint(conn, request)
		method, _, _ := strings.Cut(request, " ")
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%.30s: %v, error %v", request, res, err)
		}
		if method == http.MethodGet {
			if _, err := r.Discard(int(res.ContentLength)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestListen(t *testing.T) {
	first, err := gateway.Listen(":0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if !first.Addr().(*net.TCPAddr).IP.IsLoopback() {
		t.Errorf("listens on %s without having been told", first.Addr())
	}
	second, err := gateway.Listen(first.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if a, b := first.Addr().(*net.TCPAddr).Port, second.Addr().(*net.TCPAddr).Port; b <= a || b > a+15 {
		t.Errorf("port %d is taken, got %d", a, b)
	}
	for _, addr := range []string{"127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536", "256.0.0.1:1"} {
		if l, err := gateway.Listen(addr); err == nil {
			l.Close()
			t.Errorf("listens on %q", addr)
		}
	}
}

func TestServerLimits(t *testing.T) {
	s := gateway.Server(http.NotFoundHandler())
	if s.ReadHeaderTimeout != 5*time.Second || s.MaxHeaderBytes != 64<<10 || s.IdleTimeout == 0 {
		t.Errorf("limits %+v", s)
	}
}
