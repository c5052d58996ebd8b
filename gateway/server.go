package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

const (
	// AddrDefault is where Listen listens if it is not told.
	AddrDefault = "127.0.0.1:8080"
	// portsMax is the number of ports that Listen tries.
	portsMax = 16
)

// Server serves h with the limits that no handler can set for itself.
func Server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second, // nothing that is served has a request body
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
}

// Listen listens on addr, "host:port", or on the next free port after it, up to
// 16. Without a host it is the loopback address: whoever wants to be reached
// from elsewhere must name the address, such as 0.0.0.0. The listener tells
// where it ended up.
func Listen(addr string) (net.Listener, error) {
	if addr == "" {
		addr = AddrDefault
	}
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", addr, err)
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", addr, err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	for try := uint64(0); ; try++ {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.FormatUint(port+try, 10)))
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) || try+1 == portsMax || port+try == 1<<16-1 {
			return nil, fmt.Errorf("listen on %q or the %d ports after it: %w", addr, try, err)
		}
	}
}
