package frame_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/frame"
	"github.com/p2pnode/p2pnode/exchange/wire"
)

// named is the CID of a raw block.
func named(t testing.TB, text string) cid.Cid {
	t.Helper()
	b, err := block.New([]byte(text), block.Prefix{Codec: cid.Raw})
	if err != nil {
		t.Fatal(err)
	}
	return b.Cid()
}

// randomFrame makes a frame of the kind.
func randomFrame(t testing.TB, rng *rand.Rand, kind int) frame.Frame {
	c := func() cid.Cid { return named(t, fmt.Sprint(rng.Uint64())) }
	data := func() []byte {
		b := make([]byte, 1+rng.IntN(300))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	channel := rng.Uint32() >> (1 + rng.IntN(31))
	var ranges []frame.Range
	for end := 0; rng.IntN(10) > 0; end = ranges[len(ranges)-1].First + ranges[len(ranges)-1].Count {
		ranges = append(ranges, frame.Range{First: end + rng.IntN(300), Count: 1 + rng.IntN(300)})
	}
	switch kind {
	case 0:
		f := frame.Open{Channel: channel, Root: c(), Nodes: rng.IntN(2) == 0, From: rng.IntN(1000), Leaves: rng.IntN(1000), Credit: rng.IntN(1 << 24)}
		for range rng.IntN(5) {
			f.Stops = append(f.Stops, c())
		}
		return f
	case 1:
		return frame.Request{Channel: channel, Ranges: ranges}
	case 2:
		return frame.Cancel{Channel: channel, Ranges: ranges}
	case 3:
		return frame.Got{Channel: channel, Ranges: ranges}
	case 4:
		return frame.Close{Channel: channel}
	case 5:
		f := frame.Nodes{Channel: channel}
		for range rng.IntN(10) {
			if rng.IntN(2) == 0 {
				f.Items = append(f.Items, frame.Item{Leaves: 1 + rng.IntN(1<<20)})
			} else {
				f.Items = append(f.Items, frame.Item{Data: data()})
			}
		}
		return f
	case 6:
		return frame.Index{Channel: channel, Nodes: rng.IntN(1 << 20), Leaves: rng.IntN(1 << 20), Pushed: rng.IntN(100)}
	case 7:
		return frame.Have{Channel: channel, Ranges: ranges}
	case 8:
		return frame.Block{Channel: channel, Number: rng.IntN(1 << 20), Data: data()}
	case 9:
		return frame.Miss{Channel: channel, Reason: frame.MissReason(rng.IntN(4)), Ranges: ranges}
	case 10:
		return frame.Allow{Size: rng.IntN(1 << 24)}
	case 11:
		return frame.End{Channel: channel, Reason: frame.EndReason(rng.IntN(4))}
	case 12:
		return frame.Idle{}
	}
	return frame.Offer{Root: c(), Size: rng.Int64N(1 << 50)}
}

const frameKinds = 14

func encodeFrames(t testing.TB, frames ...frame.Frame) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := frame.NewWriter(&out).Write(frames...); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func readFrame(r *wire.Reader) (frame.Frame, error) {
	n, err := r.Length()
	if err != nil {
		return nil, err
	}
	b, err := r.Bytes(n, nil)
	if err != nil {
		return nil, err
	}
	return frame.Decode(b)
}

// TestFrames: what is written is read, frame after frame.
func TestFrames(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var frames []frame.Frame
	for i := range 100 * frameKinds {
		frames = append(frames, randomFrame(t, rng, i%frameKinds))
	}
	r := wire.NewReader(bytes.NewReader(encodeFrames(t, frames...)))
	for i, want := range frames {
		if got, err := readFrame(r); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("frame %d: got %+v, %v; want %+v", i, got, err, want)
		}
	}
	if _, err := readFrame(r); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

// TestFrameBytes pins the layout that ProtocolSwarm promises.
func TestFrameBytes(t *testing.T) {
	for _, c := range []struct {
		frame frame.Frame
		want  string
	}{
		{frame.Close{Channel: 300}, "\x03\x14\xac\x02"},
		{frame.Request{Channel: 7, Ranges: []frame.Range{{First: 2, Count: 3}, {First: 10, Count: 1}}}, "\x07\x11\x07\x02\x02\x02\x05\x00"},
		{frame.Nodes{Channel: 1, Items: []frame.Item{{Data: []byte("ab")}, {Leaves: 3}}}, "\x06\x20\x01\x04ab\x07"},
		{frame.Block{Channel: 1, Number: 130, Data: []byte("xyz")}, "\x07\x23\x01\x82\x01xyz"},
		{frame.Miss{Channel: 1, Reason: frame.MissChoked}, "\x04\x24\x01\x02\x00"},
		{frame.Allow{}, "\x02\x25\x00"},
		{frame.Idle{}, "\x01\x27"},
	} {
		if got := encodeFrames(t, c.frame); string(got) != c.want {
			t.Errorf("%#v is %x, want %x", c.frame, got, c.want)
		}
	}
	root := named(t, "x")
	want := "\x2c\x10\x01\x01\x24" + root.KeyString() + "\x00\x00\x05\x00"
	if got := encodeFrames(t, frame.Open{Channel: 1, Root: root, Nodes: true, Credit: 5}); string(got) != want {
		t.Errorf("an Open is %x, want %x", got, want)
	}
}

// TestBadFrames: what is wrong is named, and what is not known passed over.
func TestBadFrames(t *testing.T) {
	many := func(n int) (list []frame.Range) {
		for i := range n {
			list = append(list, frame.Range{First: 2 * i, Count: 1})
		}
		return list
	}
	for _, c := range []struct {
		name string
		in   []byte
		want error
	}{
		{"empty", []byte{0}, frame.ErrMalformed},
		{"torn", []byte{5, 0x14, 1}, io.ErrUnexpectedEOF},
		{"too long", []byte{3, 0x14, 1, 1}, frame.ErrMalformed},
		{"channel", []byte{6, 0x14, 0xff, 0xff, 0xff, 0xff, 0x0f}, frame.ErrMalformed},
		{"no channel", []byte{1, 0x14}, frame.ErrMalformed},
		{"ranges", encodeFrames(t, frame.Have{Ranges: many(frame.RangesMax + 1)}), frame.ErrLimit},
		{"more ranges than bytes", []byte{4, 0x22, 1, 100, 1}, frame.ErrMalformed},
		{"range", []byte{15, 0x22, 1, 2, 0xff, 0xff, 0xff, 0xff, 3, 0, 0xff, 0xff, 0xff, 0xff, 3, 0}, frame.ErrLimit},
		{"CID", []byte{5, 0x30, 2, 1, 1, 0}, frame.ErrMalformed},
		{"CID beyond the end", []byte{4, 0x30, 90, 1, 1}, frame.ErrMalformed},
		{"flags", []byte{4, 0x10, 1, 9, 0}, frame.ErrMalformed},
		{"no leaves", []byte{3, 0x20, 1, 1}, frame.ErrMalformed},
		{"node beyond the end", []byte{4, 0x20, 1, 40, 1}, frame.ErrMalformed},
		{"frame", []byte{0x80, 0x80, 0x80, 0x80, 1}, wire.ErrLimit},
		{"block", encodeFrames(t, frame.Block{Data: make([]byte, block.SizeMax+1)}), frame.ErrLimit},
	} {
		if f, err := readFrame(wire.NewReader(bytes.NewReader(c.in))); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, %v; want %v", c.name, f, err, c.want)
		}
	}
	if f, err := readFrame(wire.NewReader(bytes.NewReader([]byte{3, 0x7f, 1, 2}))); f != nil || err != nil {
		t.Errorf("a frame of a type to come: %v, %v", f, err)
	}
	large := frame.Block{Data: make([]byte, frame.SizeMax)}
	if err := frame.NewWriter(io.Discard).Write(large); !errors.Is(err, frame.ErrLimit) {
		t.Errorf("written: %v", err)
	}
}

// FuzzDecode feeds arbitrary bytes to the decoder of frames. It must not panic, must not
// allocate far more than it was sent, and what it accepts must survive being written and
// read again.
func FuzzDecode(f *testing.F) {
	rng := rand.New(rand.NewPCG(5, 6))
	for kind := range frameKinds {
		f.Add(encodeFrames(f, randomFrame(f, rng, kind)))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, err := readFrame(wire.NewReader(bytes.NewReader(in)))
		runtime.ReadMemStats(&after)
		// A byte may be an item of 32, and lists grow by doubling; 4 KiB and 16 KiB
		// are the buffers.
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(64<<10+128*len(in)); got > most {
			t.Fatalf("%d bytes allocated for %d", got, len(in))
		}
		if err != nil || f == nil {
			return
		}
		again, err := readFrame(wire.NewReader(bytes.NewReader(encodeFrames(t, f))))
		if err != nil || !reflect.DeepEqual(again, f) {
			t.Fatalf("read %+v, %v, wrote %+v", again, err, f)
		}
	})
}
