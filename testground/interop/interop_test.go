// Package interop proves that a Kubo node is a peer like any other: p2pnode and Kubo 0.43 daemons,
// as users run them, exchange files and directories byte for byte in both directions, give the same
// content the same CID, read each other's CAR files and serve each other's content over HTTP.
//
// It is a module of its own, because Kubo must be built with the dependency versions that it was
// released with, and p2pnode with its own. For the same reason it starts both as programs and
// imports neither.
package interop_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var (
	kuboBinary = flag.String("ipfs", "", "Kubo binary (default: build it)")
	ourBinary  = flag.String("p2pnode", "", "p2pnode binary (default: build it)")
	largeMiB   = flag.Int64("large", 1024, "size of the large file in MiB; -short makes it 64")
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	flag.Parse()
	if testing.Short() {
		*largeMiB = 64
	}
	dir, err := os.MkdirTemp("", "p2pnode-interop")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	for _, b := range []struct {
		path           *string
		name, from, in string
	}{
		{kuboBinary, "ipfs", "github.com/ipfs/kubo/cmd/ipfs", "."},
		{ourBinary, "p2pnode", "./cmd/p2pnode", "../.."},
	} {
		if *b.path != "" {
			continue
		}
		*b.path = filepath.Join(dir, b.name)
		build := exec.Command("go", "build", "-o", *b.path, b.from)
		build.Dir = b.in
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build %s: %v\n%s", b.name, err, out)
			return 1
		}
	}
	return m.Run()
}
