package main

import (
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	off = "off"
	// networkNameMax bounds a network's name in bytes; it is part of protocol names.
	networkNameMax = 32
	pskSize        = 32
)

func checkNetwork(name string) error {
	strange := strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	})
	if name == "" || len(name) > networkNameMax || strange >= 0 {
		return fmt.Errorf("%q is not a network's name: 1 to %d of a-z, 0-9 and hyphens", name, networkNameMax)
	}
	return nil
}

func checkAddr(addr string) error {
	if _, err := ma.NewMultiaddr(addr); err != nil {
		return fmt.Errorf("%q is not a multiaddr: %w", addr, err)
	}
	return nil
}

func checkPeerAddr(addr string) error {
	if _, err := peer.AddrInfoFromString(addr); err != nil {
		return fmt.Errorf("%q is not a multiaddr with /p2p/ID: %w", addr, err)
	}
	return nil
}

func checkListen(addr string) error {
	if addr == off {
		return nil
	}
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q is not host:port or off", addr)
	}
	return nil
}

// checkAPI refuses what other machines could reach.
func checkAPI(addr string) error {
	if err := checkListen(addr); err != nil || addr == off {
		return err
	}
	host, _, _ := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%q is not a loopback address", addr)
	}
	return nil
}

func checkLevel(level string) error {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return fmt.Errorf("%q is not debug, info, warn or error", level)
	}
	return nil
}

// readPSK reads the key of a private network: 32 bytes in hex, by themselves or
// in the format of go-libp2p and Kubo's swarm.key.
func readPSK(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, invalid("", "read psk_file: %v", err)
	}
	lines := strings.Fields(string(data))
	if len(lines) == 3 && strings.HasPrefix(lines[0], "/key/swarm/psk/") && lines[1] == "/base16/" {
		lines = lines[2:]
	}
	if len(lines) == 1 {
		if key, err := hex.DecodeString(lines[0]); err == nil && len(key) == pskSize {
			return key, nil
		}
	}
	return nil, invalid("openssl rand -hex 32 makes one", "read psk_file %s: not a key of %d bytes in hex", path, pskSize)
}
