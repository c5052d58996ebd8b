package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	gatewaySize     = 10_000 // bytes of the file
	gatewayConns    = 16
	gatewayWarm     = time.Second
	gatewayTime     = 5 * time.Second
	gatewayRatioMin = 1.5
)

// gateway asks the HTTP gateways for the same file over and over.
func (v *versus) gateway(ctx context.Context) (err error) {
	path := filepath.Join(v.dir, "page")
	if err := writeFile(path, gatewaySize, 4); err != nil {
		return err
	}
	defer os.Remove(path)
	r := row{what: "gateway, a file of 10 KB", unit: "requests/s", more: true, goal: goal{bound: gatewayRatioMin, ratio: true, least: true}}
	err = v.withSources(ctx, path, place{}, place{}, func(s side, ours bool, source peer, cid string) error {
		rate, err := askFor(ctx, strings.TrimPrefix(source.Gateway(), "http://"), "/ipfs/"+cid)
		v.logf("  gateway %s: %.0f requests/s", s.name, rate)
		if ours {
			r.ours.add(rate)
		} else {
			r.usual.add(rate)
		}
		return err
	})
	if err != nil {
		return err
	}
	if r.plain, err = bareServer(ctx, path); err != nil {
		return err
	}
	v.table.add(r)
	v.table.note("Gateway: %d connections kept alive, %s each after %s of warming up; the load comes from the same machine. Plain code: a bare net/http server that answers from memory.", gatewayConns, gatewayTime, gatewayWarm)
	return nil
}

func askFor(ctx context.Context, addr, path string) (float64, error) {
	l := load{addr: addr, path: path, conns: gatewayConns, size: gatewaySize}
	if _, err := l.run(ctx, gatewayWarm); err != nil {
		return 0, err
	}
	return l.run(ctx, gatewayTime)
}

// bareServer is the rate of a server that does nothing but answer.
func bareServer(ctx context.Context, path string) (float64, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body)
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(listener)
	}()
	defer func() {
		server.Close()
		<-served
	}()
	return askFor(ctx, listener.Addr().String(), "/")
}
