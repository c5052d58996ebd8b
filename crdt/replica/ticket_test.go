package replica_test

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/replica"
)

// FuzzParseTicket reads arbitrary texts: what is a ticket is written as one again.
func FuzzParseTicket(f *testing.F) {
	id, err := peer.Decode("12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq")
	if err != nil {
		f.Fatal(err)
	}
	at := ma.StringCast("/ip4/127.0.0.1/tcp/4101")
	f.Add(replica.Ticket{Doc: commit.ID{1}, Peer: peer.AddrInfo{ID: id}}.String())
	f.Add(replica.Ticket{Doc: commit.ID{1}, Secret: new([32]byte), Peer: peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{at, at}}}.String())
	f.Add("p2pdoc")
	f.Fuzz(func(t *testing.T, text string) {
		ticket, err := replica.ParseTicket(text)
		if err != nil {
			return
		}
		again, err := replica.ParseTicket(ticket.String())
		if err != nil || again.String() != ticket.String() {
			t.Errorf("%q becomes %q, %v", text, again, err)
		}
	})
}
