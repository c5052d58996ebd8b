package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"time"
)

// load asks one HTTP server for one thing, over connections that stay open. It speaks just enough
// HTTP/1.1 to cost little beside the server that it measures.
type load struct {
	addr, path string
	conns      int
	size       int // bytes of the body that must come
}

// run asks for the given time and returns the requests answered per second.
func (l load) run(ctx context.Context, duration time.Duration) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	counts, errs := make([]int, l.conns), make([]error, l.conns)
	var all sync.WaitGroup
	start := time.Now()
	for i := range l.conns {
		all.Go(func() { counts[i], errs[i] = l.ask(ctx) })
	}
	all.Wait()
	took := time.Since(start)
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / took.Seconds(), errors.Join(errs...)
}

// ask asks over one connection until ctx ends.
func (l load) ask(ctx context.Context) (n int, err error) {
	conn, err := net.Dial("tcp", l.addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	request := []byte("GET " + l.path + " HTTP/1.1\r\nHost: " + l.addr + "\r\n\r\n")
	r := bufio.NewReaderSize(conn, 32<<10)
	for ; ctx.Err() == nil; n++ {
		if _, err := conn.Write(request); err != nil {
			return n, err
		}
		if err := l.answer(r); err != nil {
			return n, fmt.Errorf("ask %s for %s: %w", l.addr, l.path, err)
		}
	}
	return n, nil
}

func (l load) answer(r *bufio.Reader) error {
	status, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(status), "HTTP/1.1 200") {
		return fmt.Errorf("answer %q", status)
	}
	size := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		key, value, _ := strings.Cut(string(line), ":")
		if textproto.CanonicalMIMEHeaderKey(key) == "Content-Length" {
			if size, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return err
			}
		}
	}
	if size != l.size {
		return fmt.Errorf("answer of %d bytes; want %d", size, l.size)
	}
	_, err = io.CopyN(io.Discard, r, int64(size))
	return err
}
