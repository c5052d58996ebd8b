package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	id "github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/testground/process"
)

const (
	streamServ     = "stream-serve" // words that make this program one end of a libp2p stream
	streamRead     = "stream-read"
	streamProtocol = "/p2pnode/versus/stream"
)

// stream plays one end of a libp2p stream over TCP, with what libp2p does by default:
// "stream-serve BYTES" or "stream-read ADDR".
func stream(ctx context.Context, args []string) error {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay(), libp2p.DisableMetrics())
	if err != nil {
		return err
	}
	defer h.Close()
	if args[0] == streamServ {
		size, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil {
			return err
		}
		h.SetStreamHandler(streamProtocol, func(s network.Stream) {
			defer s.Close()
			_, _ = io.CopyN(s, rand.NewChaCha8([32]byte{}), size) // the reader counts
		})
		fmt.Printf("%s/p2p/%s\n", h.Addrs()[0], h.ID())
		<-ctx.Done()
		return nil
	}
	from, err := id.AddrInfoFromString(args[1])
	if err != nil {
		return err
	}
	if err := h.Connect(ctx, *from); err != nil {
		return err
	}
	start := time.Now()
	s, err := h.NewStream(ctx, from.ID, streamProtocol)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, s)
	fmt.Println(n, time.Since(start).Seconds())
	return err
}

// plainStream is the rate, in MB/s, at which a libp2p stream carries so many bytes over loopback
// that nobody hashes or stores.
func (v *versus) plainStream(ctx context.Context, size int64) (rate float64, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, stepMax)
	defer cancel()
	serve, err := process.Start(ctx, process.Command{Path: self, Args: []string{streamServ, strconv.FormatInt(size, 10)}})
	if err != nil {
		return 0, err
	}
	defer serve.Kill()
	addr, err := serve.Await(ctx, func(s string) bool { return strings.Contains(s, "/p2p/") })
	if err != nil {
		return 0, err
	}
	out, err := process.Run(ctx, process.Command{Path: self, Args: []string{streamRead, addr}})
	if err != nil {
		return 0, err
	}
	words := strings.Fields(out)
	if len(words) != 2 || words[0] != strconv.FormatInt(size, 10) {
		return 0, errors.New("libp2p stream: incomplete: " + out)
	}
	seconds, err := strconv.ParseFloat(words[1], 64)
	return float64(size) / mb / seconds, err
}
