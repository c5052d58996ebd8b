package interop_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestExchange adds to one peer and fetches from another, in every direction and under both
// profiles. The fetching peer must also find the same CID when it adds what it got.
func TestExchange(t *testing.T) {
	for _, profile := range []string{profileNew, profileOld} {
		t.Run(profile, func(t *testing.T) {
			ours, other, kubo := startOurs(t, "p2pnode", profile), startOurs(t, "p2pnode2", profile), startKubo(t, "kubo", profile)
			ours.do(t, ours.words.connect, kubo.addr)
			ours.do(t, ours.words.connect, other.addr)
			for _, c := range contents(profile) {
				for _, way := range [][2]*peer{{ours, kubo}, {kubo, ours}, {ours, other}} {
					from, to := way[0], way[1]
					t.Run(c.name+" from "+from.name+" to "+to.name, func(t *testing.T) { exchange(t, c, from, to) })
				}
			}
		})
	}
}

func exchange(t *testing.T, c content, from, to *peer) {
	path := filepath.Join(t.TempDir(), "content")
	c.write(t, path, seeded(c.name, from.name, to.name, from.profile))
	cid := from.do(t, from.words.add, path)
	got := to.fetch(t, cid)
	sameTree(t, got, path)
	if again := to.do(t, to.words.hash, got); again != cid {
		t.Errorf("%s names it %s; %s named it %s", to.name, again, from.name, cid)
	}
}

// TestDiscovery fetches from an owner that the fetching node has never heard of: both know only a
// third node, and the DHT.
func TestDiscovery(t *testing.T) {
	hub := startOurs(t, "hub", profileNew)
	owner := startOurs(t, "owner", profileNew, "--bootstrap", hub.addr)
	reader := startOurs(t, "reader", profileNew, "--bootstrap", hub.addr)
	path := filepath.Join(t.TempDir(), "content")
	writeFile(t, path, seeded(t.Name()), 3<<20)
	cid := owner.do(t, owner.words.add, path)
	sameTree(t, reader.fetch(t, cid), path)
	id := owner.addr[strings.LastIndex(owner.addr, "/")+1:]
	if found := reader.run(t, "find", cid); !strings.Contains(found, id) {
		t.Errorf("find printed %q; want the owner, %s", found, id)
	}
}
