package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/p2pnode/p2pnode/gateway"
)

// BenchmarkSmallFile gets a file of 10 KB over one connection that is kept:
// the short way, and as a request that boxo answers.
func BenchmarkSmallFile(b *testing.B) {
	for name, extra := range map[string]string{"quick": "", "boxo": "Cache-Control: max-age=0\r\n"} {
		b.Run(name, func(b *testing.B) {
			d := newDAG(b)
			c := d.file(noise(10<<10), 1<<20, true).Cid()
			s := newSite(b, always(missing("no peers")), d.memory(), gateway.Options{})
			conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
			d.must(err)
			defer conn.Close()
			r := bufio.NewReader(conn)
			b.SetBytes(10 << 10)
			b.ReportAllocs()
			for b.Loop() {
				fmt.Fprintf(conn, "GET /ipfs/%s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n", c, extra)
				res, err := http.ReadResponse(r, nil)
				d.must(err)
				if n, err := io.Copy(io.Discard, res.Body); n != 10<<10 || err != nil {
					b.Fatalf("%d bytes, error %v", n, err)
				}
			}
		})
	}
}
