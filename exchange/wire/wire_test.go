package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/ipfs/boxo/bitswap/message"
	pb "github.com/ipfs/boxo/bitswap/message/pb"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/wire"
)

func newBlock(t testing.TB, data []byte, p block.Prefix) block.Block {
	t.Helper()
	b, err := block.New(data, p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// kinds are the sorts of CID that are met.
var kinds = []block.Prefix{
	{Codec: cid.Raw},
	{Codec: cid.DagProtobuf, V0: true},
	{Codec: cid.DagProtobuf},
	{Codec: cid.DagCBOR, Hash: multihash.SHA2_512},
	{Codec: cid.Raw, Hash: multihash.BLAKE3},
}

// random makes a message with no CID twice, since boxo merges those.
func random(t testing.TB, rng *rand.Rand, p120 bool) wire.Message {
	m := wire.Message{Full: rng.IntN(2) == 0, Pending: rng.IntN(1 << 30)}
	next := func() block.Block {
		data := make([]byte, rng.IntN(3000))
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		return newBlock(t, binary.LittleEndian.AppendUint64(data, rng.Uint64()), kinds[rng.IntN(len(kinds))])
	}
	for range rng.IntN(20) {
		m.Entries = append(m.Entries, wire.Entry{Cid: next().Cid(), Priority: rng.Int32() - 1<<30,
			Cancel: rng.IntN(3) == 0, Have: p120 && rng.IntN(2) == 0, SendDontHave: rng.IntN(2) == 0})
	}
	for range rng.IntN(10) {
		m.Presences = append(m.Presences, wire.Presence{Cid: next().Cid(), Have: rng.IntN(2) == 0})
	}
	for range rng.IntN(10) {
		m.Payloads = append(m.Payloads, wire.PayloadOf(next()))
	}
	return m
}

func encode(t testing.TB, m *wire.Message, protocol string) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := wire.NewWriter(&out, protocol).Write(m); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func decode(r io.Reader) (wire.Message, error) {
	reader := wire.NewReader(r)
	n, err := reader.Length()
	if err != nil {
		return wire.Message{}, err
	}
	return reader.Body(n, nil)
}

// TestBoxoReadsUs has the reference implementation read what we write.
func TestBoxoReadsUs(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		m := random(t, rng, true)
		got, _, err := message.FromNet(bytes.NewReader(encode(t, &m, wire.Protocol120)))
		if err != nil {
			t.Fatal(err)
		}
		if got.Full() != m.Full || got.PendingBytes() != int32(m.Pending) {
			t.Fatalf("full %v, pending %d; want %v, %d", got.Full(), got.PendingBytes(), m.Full, m.Pending)
		}
		entries := make(map[cid.Cid]message.Entry)
		for _, e := range got.Wantlist() {
			entries[e.Cid] = e
		}
		for _, e := range m.Entries {
			g := entries[e.Cid]
			if g.Priority != e.Priority || g.Cancel != e.Cancel || (g.WantType == pb.Message_Wantlist_Have) != e.Have || g.SendDontHave != e.SendDontHave {
				t.Fatalf("entry %+v was read as %+v", e, g)
			}
		}
		have := make(map[cid.Cid]bool)
		for _, p := range got.BlockPresences() {
			have[p.Cid] = p.Type == pb.Message_Have
		}
		for _, p := range m.Presences {
			if h, ok := have[p.Cid]; !ok || h != p.Have {
				t.Fatalf("presence %+v was not read", p)
			}
		}
		data := make(map[cid.Cid][]byte)
		for _, b := range got.Blocks() {
			data[b.Cid()] = b.RawData()
		}
		for _, p := range m.Payloads {
			b, err := p.Block()
			if err != nil || !bytes.Equal(data[b.Cid()], p.Data) {
				t.Fatalf("payload %s was not read: %v", b, err)
			}
		}
		if len(entries) != len(m.Entries) || len(have) != len(m.Presences) || len(data) != len(m.Payloads) {
			t.Fatal("something was read that was not written")
		}
	}
}

// TestWeReadBoxo reads what the reference implementation writes.
func TestWeReadBoxo(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		want := random(t, rng, true)
		theirs := message.New(want.Full)
		theirs.SetPendingBytes(int32(want.Pending))
		for _, e := range want.Entries {
			if e.Cancel {
				theirs.Cancel(e.Cid)
				continue
			}
			kind := pb.Message_Wantlist_Block
			if e.Have {
				kind = pb.Message_Wantlist_Have
			}
			theirs.AddEntry(e.Cid, e.Priority, kind, e.SendDontHave)
		}
		for _, p := range want.Presences {
			if p.Have {
				theirs.AddHave(p.Cid)
			} else {
				theirs.AddDontHave(p.Cid)
			}
		}
		for _, p := range want.Payloads {
			b, err := p.Block()
			if err != nil {
				t.Fatal(err)
			}
			o, err := blocks.NewBlockWithCid(b.RawData(), b.Cid())
			if err != nil {
				t.Fatal(err)
			}
			theirs.AddBlock(o)
		}
		var out bytes.Buffer
		if err := theirs.ToNetV1(&out); err != nil {
			t.Fatal(err)
		}
		got, err := decode(iotest.HalfReader(&out))
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, want)
	}
}

// same compares messages without regard to order.
func same(t *testing.T, got, want wire.Message) {
	t.Helper()
	if got.Full != want.Full || got.Pending != want.Pending || len(got.Entries) != len(want.Entries) ||
		len(got.Presences) != len(want.Presences) || len(got.Payloads) != len(want.Payloads) {
		t.Fatalf("got %d entries, %d presences, %d payloads; want %d, %d, %d", len(got.Entries), len(got.Presences), len(got.Payloads),
			len(want.Entries), len(want.Presences), len(want.Payloads))
	}
	for _, e := range want.Entries {
		if !slices.ContainsFunc(got.Entries, func(g wire.Entry) bool {
			return g == e || e.Cancel && g.Cancel && g.Cid == e.Cid // boxo writes cancels its own way
		}) {
			t.Fatalf("entry %+v is missing", e)
		}
	}
	for _, p := range want.Presences {
		if !slices.Contains(got.Presences, p) {
			t.Fatalf("presence %+v is missing", p)
		}
	}
	for _, p := range want.Payloads {
		if !slices.ContainsFunc(got.Payloads, func(g wire.Payload) bool {
			return g.Prefix == p.Prefix && bytes.Equal(g.Data, p.Data)
		}) {
			t.Fatalf("payload of %d bytes is missing", len(p.Data))
		}
	}
}

func TestOldProtocols(t *testing.T) {
	v0 := newBlock(t, []byte("old"), block.Prefix{Codec: cid.DagProtobuf, V0: true})
	v1 := newBlock(t, []byte("new"), block.Prefix{Codec: cid.Raw})
	m := wire.Message{
		Entries:   []wire.Entry{{Cid: v0.Cid()}, {Cid: v1.Cid()}, {Cid: v0.Cid(), Have: true}},
		Presences: []wire.Presence{{Cid: v0.Cid()}},
		Payloads:  []wire.Payload{wire.PayloadOf(v0), wire.PayloadOf(v1)},
	}
	for _, c := range []struct {
		protocol                     string
		entries, presences, payloads int
	}{{wire.Protocol120, 3, 1, 2}, {wire.Protocol110, 2, 0, 2}, {wire.Protocol100, 1, 0, 1}} {
		got, err := decode(bytes.NewReader(encode(t, &m, c.protocol)))
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Entries) != c.entries || len(got.Presences) != c.presences || len(got.Payloads) != c.payloads {
			t.Errorf("%s: %d entries, %d presences, %d payloads", c.protocol, len(got.Entries), len(got.Presences), len(got.Payloads))
		}
		if b, err := got.Payloads[0].Block(); err != nil || b.Cid() != v0.Cid() {
			t.Errorf("%s: got %v, %v", c.protocol, b, err)
		}
	}
}

// field is a length-delimited protobuf field.
func field(num int, data ...byte) []byte {
	return append(binary.AppendUvarint([]byte{byte(num<<3 | 2)}, uint64(len(data))), data...)
}

func framed(body []byte) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(body))), body...)
}

func TestRefused(t *testing.T) {
	c := newBlock(t, []byte("x"), block.Prefix{Codec: cid.Raw}).Cid().Bytes()
	entry := field(1, field(1, c...)...)
	for name, c := range map[string]struct {
		in   []byte
		want error
	}{
		"length over the limit":   {binary.AppendUvarint(nil, wire.MessageSizeMax+1), wire.ErrLimit},
		"torn length":             {[]byte{0x80}, io.ErrUnexpectedEOF},
		"torn body":               {append(binary.AppendUvarint(nil, 1<<20), 1, 2, 3), io.ErrUnexpectedEOF},
		"no body":                 {binary.AppendUvarint(nil, 5), io.ErrUnexpectedEOF},
		"field beyond the end":    {framed([]byte{1<<3 | 2, 200, 1}), wire.ErrMalformed},
		"field number 0":          {framed([]byte{2, 0}), wire.ErrMalformed},
		"group":                   {framed([]byte{1<<3 | 3}), wire.ErrMalformed},
		"entry without CID":       {framed(field(1, field(1)...)), wire.ErrMalformed},
		"entry with half a CID":   {framed(field(1, field(1, field(1, c[:20]...)...)...)), wire.ErrMalformed},
		"presence without CID":    {framed(field(4)), wire.ErrMalformed},
		"prefix too short":        {framed(field(3, field(1, 1, 0x55)...)), wire.ErrMalformed},
		"prefix of version 2":     {framed(field(3, field(1, 2, 0x55, 0x12, 0x20)...)), wire.ErrMalformed},
		"block over the limit":    {framed(field(2, make([]byte, block.SizeMax+1)...)), wire.ErrLimit},
		"too many entries":        {framed(field(1, bytes.Repeat(entry, wire.EntriesMax+1)...)), wire.ErrLimit},
		"too many payloads":       {framed(bytes.Repeat(field(2), wire.PayloadsMax+1)), wire.ErrLimit},
		"overlong varint in data": {framed(append([]byte{5 << 3}, bytes.Repeat([]byte{0xff}, 11)...)), wire.ErrMalformed},
	} {
		if _, err := decode(bytes.NewReader(c.in)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// TestLeftOut: what we could never have is not an error, but is not kept.
func TestLeftOut(t *testing.T) {
	mh, _ := multihash.Sum([]byte("inline"), multihash.IDENTITY, -1)
	inline := cid.NewCidV1(cid.Raw, mh).Bytes()
	long := append([]byte{1, 0x55, 0x13, 0x80, 2}, make([]byte, 256)...)
	body := slices.Concat(
		field(1, slices.Concat(field(1, field(1, inline...)...), field(1, field(1, long...)...))...),
		field(4, field(1, inline...)...),
		field(3, slices.Concat(field(1, 1, 0x55, 0, 5), field(2, []byte("hello")...))...),
		[]byte{9<<3 | 5, 1, 2, 3, 4, 10<<3 | 1, 1, 2, 3, 4, 5, 6, 7, 8}, // fields of the future
	)
	m, err := decode(bytes.NewReader(framed(body)))
	if err != nil || !m.Empty() {
		t.Errorf("got %+v, %v", m, err)
	}
}

func TestEndOfStream(t *testing.T) {
	if _, err := wire.NewReader(bytes.NewReader(nil)).Length(); err != io.EOF {
		t.Errorf("got %v, want EOF", err)
	}
}

// TestDeclaredLength: a length that is not followed by bytes buys no memory.
func TestDeclaredLength(t *testing.T) {
	in := append(binary.AppendUvarint(nil, wire.MessageSizeMax), make([]byte, 100)...)
	largest := 0
	r := wire.NewReader(bytes.NewReader(in))
	n, err := r.Length()
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Body(n, func(have, size int) error {
		largest = max(largest, size)
		return nil
	})
	if !errors.Is(err, io.ErrUnexpectedEOF) || largest > 16<<10 {
		t.Errorf("held %d bytes for 100: %v", largest, err)
	}
}

func TestGateStopsTheRead(t *testing.T) {
	in := framed(field(2, make([]byte, 1<<20)...))
	r := wire.NewReader(bytes.NewReader(in))
	n, _ := r.Length()
	stop := errors.New("stop")
	if _, err := r.Body(n, func(have, _ int) error {
		if have > 100<<10 {
			return stop
		}
		return nil
	}); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}
