package swap_test

import (
	"slices"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/swap"
)

// TestTell: what others say to a peer goes with what the machine says, in order, one message
// at a time, and never takes back what the machine wants.
func TestTell(t *testing.T) {
	var cids []cid.Cid
	for i := range 5 {
		b, err := block.New([]byte{byte(i)}, block.Prefix{Codec: cid.Raw})
		if err != nil {
			t.Fatal(err)
		}
		cids = append(cids, b.Cid())
	}
	m, now := swap.New(swap.Options{}), time.Unix(1e9, 0)
	step := func(e swap.Event) (sends []swap.Send) {
		t.Helper()
		now = now.Add(10 * ms)
		for _, a := range m.Step(now, e) {
			if a, ok := a.(swap.Send); ok {
				sends = append(sends, a)
			}
		}
		if err := m.Invariants(); err != nil {
			t.Fatal(err)
		}
		return sends
	}
	tell := func(entries ...swap.Entry) []swap.Send { return step(swap.Tell{Peer: "p", Entries: entries}) }
	ask, takeBack := func(i int) swap.Entry { return swap.Entry{Cid: cids[i], Have: true, Priority: 7} }, func(i int) swap.Entry { return swap.Entry{Cid: cids[i], Cancel: true} }

	step(swap.PeerUp{Peer: "p"})
	if s := tell(ask(0)); len(s) != 1 || !s[0].Full || len(s[0].Entries) != 0 {
		t.Fatalf("the first that is told is %v, want a full wantlist to which the teller adds", s)
	}
	if s := tell(ask(1), ask(2), takeBack(1), takeBack(3), ask(3)); len(s) != 0 {
		t.Fatalf("%v is sent beside another message", s)
	}
	s := step(swap.Sent{Peer: "p"})
	if len(s) != 1 || s[0].Full || len(s[0].Entries) != 3 || s[0].Entries[0] != ask(2) || s[0].Entries[1] != takeBack(1) || s[0].Entries[2] != ask(3) {
		t.Fatalf("then %v is sent, want what was said last of each", s)
	}
	step(swap.Want{Session: 1, Cids: cids[4:]})
	tell(takeBack(4), ask(0))
	if s = step(swap.Sent{Peer: "p"}); len(s) != 1 || len(s[0].Entries) != 2 || s[0].Entries[0].Cid != cids[4] || s[0].Entries[0].Cancel || s[0].Entries[1] != ask(0) {
		t.Fatalf("then %v is sent, want what the machine wants, and not that it does not", s)
	}
	step(swap.Want{Session: 1, Cids: cids[2:3]})
	tell(takeBack(2))
	step(swap.CloseSession{Session: 1})
	s = step(swap.Sent{Peer: "p"})
	if len(s) != 1 || !slices.Contains(s[0].Entries, takeBack(2)) || !slices.Contains(s[0].Entries, takeBack(4)) {
		t.Fatalf("when the machine wants nothing any more %v is sent, want that all is taken back that was asked", s)
	}
	if s = step(swap.Sent{Peer: "p", Broken: true}); len(s) != 1 || !s[0].Full {
		t.Fatalf("after a broken stream %v is sent, want a full wantlist", s)
	}
}
