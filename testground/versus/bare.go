package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/p2pnode/p2pnode/testground/process"
)

const (
	bareAddr = "10.99.0.1:4003" // of lab0
	bareServ = "bare-serve"     // words that make this program one end of a bare connection
	bareRead = "bare-read"
)

// bare plays one end of a bare TCP connection, for processes started in a namespace:
// "bare-serve ADDR BYTES" or "bare-read ADDR".
func bare(args []string) error {
	if args[0] == bareRead {
		conn, err := net.Dial("tcp", args[1])
		if err != nil {
			return err
		}
		defer conn.Close()
		start := time.Now()
		n, err := io.Copy(io.Discard, conn)
		fmt.Println(n, time.Since(start).Seconds())
		return err
	}
	size, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", args[1])
	if err != nil {
		return err
	}
	defer l.Close()
	fmt.Println("ready")
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = io.CopyN(conn, rand.NewChaCha8([32]byte{}), size)
	return err
}

// plainWAN is the share of the line, in percent, that a bare TCP connection uses for so many bytes.
func (v *versus) plainWAN(ctx context.Context, size int64) (share float64, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, wanPatience)
	defer cancel()
	serve, err := process.Start(ctx, process.Command{
		Path: self, Args: []string{bareServ, bareAddr, strconv.FormatInt(size, 10)}, Prefix: v.wan.place(0, "").prefix,
	})
	if err != nil {
		return 0, err
	}
	defer serve.Kill()
	if _, err := serve.Await(ctx, func(s string) bool { return s == "ready" }); err != nil {
		return 0, err
	}
	out, err := process.Run(ctx, process.Command{Path: self, Args: []string{bareRead, bareAddr}, Prefix: v.wan.place(1, "").prefix})
	if err != nil {
		return 0, err
	}
	words := strings.Fields(out)
	if len(words) != 2 || words[0] != strconv.FormatInt(size, 10) {
		return 0, errors.New("bare connection: incomplete: " + out)
	}
	seconds, err := strconv.ParseFloat(words[1], 64)
	return v.wan.share(size, seconds), err
}
