package wiretap_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"
	kad "github.com/libp2p/go-libp2p-kad-dht/pb"
	pubsub "github.com/libp2p/go-libp2p-pubsub/pb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/frame"
	"github.com/p2pnode/p2pnode/exchange/wire"
	"github.com/p2pnode/p2pnode/testground/wiretap"
)

func ExampleTap() {
	tap := wiretap.New()
	s := tap.Stream()
	fmt.Fprint(s, "\x13/multistream/1.0.0\n", "\x10/ipfs/kad/1.0.0\n", "\x02\x08\x05") // a PING
	for _, c := range tap.Counts() {
		fmt.Println(c.Protocol, c.Type, c.Count)
	}
	// Output: /ipfs/kad/1.0.0 PING 1
}

// said is what multistream-select and then some messages look like.
func said(protocol string, messages ...[]byte) []byte {
	var b []byte
	for _, token := range []string{"/multistream/1.0.0\n", "na\n", "/other/1.0.0\n", protocol + "\n"} {
		b = protowire.AppendBytes(b, []byte(token))
	}
	for _, m := range messages {
		b = protowire.AppendBytes(b, m)
	}
	return b
}

func encode(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func samples(t testing.TB) map[string]struct {
	bytes []byte
	want  []wiretap.Count
} {
	type sample = struct {
		bytes []byte
		want  []wiretap.Count
	}
	const dht, mesh, swap = "/p2pnode/sim/kad/1.0.0", "/meshsub/1.2.0", wire.Protocol120
	topic := "news"
	rpc := &pubsub.RPC{
		Subscriptions: []*pubsub.RPC_SubOpts{{Topicid: &topic}},
		Publish:       []*pubsub.Message{{Data: make([]byte, 100_000), Topic: &topic}, {Topic: &topic}},
		Control:       &pubsub.ControlMessage{Graft: []*pubsub.ControlGraft{{TopicID: &topic}}, Ihave: []*pubsub.ControlIHave{{}, {}}},
	}
	large, err := block.New(make([]byte, 300_000), block.Prefix{Codec: cid.Raw})
	if err != nil {
		t.Fatal(err)
	}
	small, err := block.New([]byte("small"), block.Prefix{Codec: cid.Raw})
	if err != nil {
		t.Fatal(err)
	}
	var message bytes.Buffer
	err = wire.NewWriter(&message, wire.Protocol120).Write(&wire.Message{
		Entries: []wire.Entry{{Cid: small.Cid()}, {Cid: large.Cid(), Have: true}, {Cid: large.Cid(), Cancel: true}},
		Payloads: []wire.Payload{
			wire.PayloadOf(large), wire.PayloadOf(small),
		},
		Presences: []wire.Presence{{Cid: small.Cid(), Have: true}, {Cid: large.Cid()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var frames bytes.Buffer
	err = frame.NewWriter(&frames).Write(
		frame.Open{Channel: 1, Root: large.Cid(), Nodes: true}, frame.Request{Channel: 1, Ranges: []frame.Range{{First: 3, Count: 2}, {First: 9, Count: 5}}},
		frame.Block{Channel: 1, Data: large.RawData()}, frame.Block{Channel: 1, Number: 1, Data: small.RawData()},
		frame.Nodes{Channel: 1, Items: []frame.Item{{Data: large.RawData()}}}, frame.Nodes{Channel: 1, Items: []frame.Item{{Data: large.RawData()[:1000]}, {Leaves: 7}}},
		frame.Allow{Size: 5})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]sample{
		"kad-dht": {
			said(dht, encode(t, &kad.Message{Type: kad.Message_FIND_NODE, Key: []byte("key")}), encode(t, &kad.Message{Type: kad.Message_ADD_PROVIDER}),
				encode(t, &kad.Message{Type: kad.Message_FIND_NODE}), encode(t, &kad.Message{})),
			[]wiretap.Count{{dht, "ADD_PROVIDER", 1}, {dht, "FIND_NODE", 2}, {dht, "PUT_VALUE", 1}},
		},
		"gossipsub": {
			said(mesh, encode(t, rpc), encode(t, &pubsub.RPC{})),
			[]wiretap.Count{{mesh, "GRAFT", 1}, {mesh, "IHAVE", 2}, {mesh, "message", 2}, {mesh, "subscription", 1}},
		},
		"bitswap": {
			append(said(swap), message.Bytes()...),
			[]wiretap.Count{{swap, "CANCEL", 1}, {swap, "DONT_HAVE", 1}, {swap, "HAVE", 1}, {swap, "WANT_BLOCK", 1}, {swap, "WANT_HAVE", 1}, {swap, "block", 2}},
		},
		"swarm": {
			append(said(frame.Protocol), frames.Bytes()...),
			[]wiretap.Count{{frame.Protocol, "ALLOW", 1}, {frame.Protocol, "BLOCK", 2}, {frame.Protocol, "NODES", 2}, {frame.Protocol, "OPEN", 1}, {frame.Protocol, "REQUEST", 7}},
		},
		"identify": {said("/ipfs/id/1.0.0", []byte{}), []wiretap.Count{{"/ipfs/id/1.0.0", "identify", 1}}},
		"unknown":  {append(said("/x/1"), "anything"...), nil},
		"garbage":  {[]byte("\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), nil},
	}
}

// TestCounts: in whatever pieces the bytes come.
func TestCounts(t *testing.T) {
	for name, s := range samples(t) {
		for _, piece := range []int{1, 7, 1000, len(s.bytes)} {
			tap := wiretap.New()
			to := tap.Stream()
			for p := range slices.Chunk(s.bytes, piece) {
				if n, err := to.Write(p); n != len(p) || err != nil {
					t.Fatalf("%s: wrote %d of %d: %v", name, n, len(p), err)
				}
			}
			if got := tap.Counts(); !slices.Equal(got, s.want) {
				t.Errorf("%s in pieces of %d: got %v, want %v", name, piece, got, s.want)
			}
		}
	}
}

// FuzzStream: no bytes, in no pieces, do more than to be counted, and pieces make no
// difference.
func FuzzStream(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.bytes[:min(len(s.bytes), 2000)], 3)
	}
	f.Fuzz(func(t *testing.T, b []byte, piece int) {
		whole, parts := wiretap.New(), wiretap.New()
		whole.Stream().Write(b)
		to := parts.Stream()
		for p := range slices.Chunk(b, min(max(piece, 1), 100)) {
			to.Write(p)
		}
		if a, b := whole.Counts(), parts.Counts(); !slices.Equal(a, b) {
			t.Errorf("whole %v, in pieces %v", a, b)
		}
	})
}
