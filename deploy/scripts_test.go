package deploy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/testground/process"
)

// engine stands in for a container engine: its docker and kubectl run p2pnode on repos of
// this machine that are called as the containers would be.
type engine struct{ dir string }

// standIn takes the words of either engine until the name of a container, and runs what
// follows it on the repo of that name.
const standIn = `#!/bin/sh
set -eu
echo "$0 $*" >>"$ENGINE/calls"
name=
index=0
while [ "$1" != p2pnode ]; do
	case "$1" in
	--index) index=$2; shift ;;
	-f | -n) shift ;;
	-*) ;;
	*) name=$1 ;;
	esac
	shift
done
shift
[ "$name" = peer ] && name=peers-$((index - 1))
exec "$P2PNODE" --repo "$ENGINE/$name" "$@"
`

// newEngine is an engine with so many bootstrappers, which need not run to tell who they are.
func newEngine(t *testing.T, bootstrappers int) engine {
	t.Helper()
	e := engine{t.TempDir()}
	for _, name := range []string{"docker", "kubectl"} {
		if err := os.WriteFile(filepath.Join(e.dir, name), []byte(standIn), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i := range bootstrappers {
		if _, err := p2pnode(t, nil, "--repo", e.repo("bootstrap", i), "init"); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func (e engine) repo(name string, i int) string {
	return filepath.Join(e.dir, fmt.Sprintf("%s-%d", name, i))
}

// script runs a script of this folder, and returns what it prints.
func script(t *testing.T, e engine, name string, args ...string) string {
	t.Helper()
	out, err := process.Run(t.Context(), process.Command{Path: "./" + name, Args: args, Env: []string{
		"PATH=" + e.dir + string(os.PathListSeparator) + os.Getenv("PATH"), "ENGINE=" + e.dir, "P2PNODE=" + binary,
	}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The addresses that the script prints are those of the first three, and a daemon takes them.
func TestAddresses(t *testing.T) {
	for _, kind := range []struct {
		name, host string
		find       func(out string) string
	}{
		{"compose", "bootstrap-%d", func(out string) string {
			return strings.TrimPrefix(strings.TrimSpace(out), "P2PNODE_BOOTSTRAP=")
		}},
		{"kubernetes", "bootstrap-%d.bootstrap", func(out string) string {
			return decode[object](t, "addresses", out)[0].Data["P2PNODE_BOOTSTRAP"]
		}},
	} {
		e := newEngine(t, 3)
		list := kind.find(script(t, e, "addresses", kind.name))
		checkSetting(t, kind.name, "bootstrap", list)
		addrs := strings.Split(list, ",")
		if len(addrs) != 3 {
			t.Fatalf("%s: %d addresses: %q", kind.name, len(addrs), list)
		}
		for i, addr := range addrs {
			info, err := peer.AddrInfoFromString(addr)
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("/dns4/"+kind.host+"/tcp/%d", i, peerPort)
			if id, err := p2pnode(t, nil, "--repo", e.repo("bootstrap", i), "id"); err != nil || !strings.HasPrefix(id, info.ID.String()) || info.Addrs[0].String() != want {
				t.Errorf("%s: address %d is %s, its peer %q: %v", kind.name, i, addr, id, err)
			}
		}
	}
	compose := decode[composeFile](t, "compose.yaml", read(t, "compose.yaml"))[0]
	for i := range 3 {
		if _, ok := compose.Services["bootstrap-"+strconv.Itoa(i)]; !ok {
			t.Errorf("compose.yaml: no service bootstrap-%d, which is in the addresses", i)
		}
	}
}

// The scenario runs on real daemons, which join by a name as in the addresses.
func TestFlashCrowd(t *testing.T) {
	const peers = 3
	e := newEngine(t, 0)
	first := &process.P2PNode{Binary: binary, Repo: e.repo("bootstrap", 0)}
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer first.Stop()
	joinBy := strings.Replace(first.Addr(), "/ip4/127.0.0.1/", "/dns4/localhost/", 1)
	for i := range peers {
		n := &process.P2PNode{Binary: binary, Repo: e.repo("peers", i), Args: []string{"--bootstrap", joinBy}}
		if err := n.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer n.Stop()
	}
	for _, kind := range []string{"compose", "kubernetes"} {
		out := script(t, e, "flash-crowd", kind, strconv.Itoa(peers), "2000000")
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if len(lines) != peers-1 {
			t.Fatalf("%s prints %q", kind, out)
		}
		for i, line := range lines {
			var number int
			var seconds float64
			if _, err := fmt.Sscanf(line, "peer %d: %g s", &number, &seconds); err != nil || number != i+1 || seconds <= 0 || seconds > 60 {
				t.Errorf("%s prints %q: %v", kind, line, err)
			}
		}
	}
	// Each time, everyone has pinned what the first has added.
	for i := range peers {
		pins, err := p2pnode(t, nil, "--repo", e.repo("peers", i), "pin", "ls")
		if err != nil || strings.Count(pins, "\n") != 2 {
			t.Errorf("peer %d has pinned %q: %v", i, pins, err)
		}
	}
}

// importsOf lists what a package is made of.
func importsOf(t *testing.T, pkg string) string {
	t.Helper()
	out, err := process.Run(t.Context(), process.Command{Path: "go", Args: []string{"list", "-deps", pkg}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
