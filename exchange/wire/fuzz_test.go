package wire_test

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/p2pnode/p2pnode/exchange/wire"
)

// FuzzRead feeds arbitrary bytes to the decoder. It must not panic, must not
// allocate far more than it was sent, and what it accepts must survive being
// written and read again.
func FuzzRead(f *testing.F) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 10 {
		m := random(f, rng, true)
		f.Add(encode(f, &m, wire.Protocol120))
		f.Add(encode(f, &m, wire.Protocol100))
	}
	f.Add([]byte{0})
	f.Add([]byte{0xff, 0xff, 0xff, 0x01, 1, 2, 3})
	f.Fuzz(func(t *testing.T, in []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := decode(bytes.NewReader(in))
		runtime.ReadMemStats(&after)
		// Entries of 8 bytes become structs of 40 and a string, and lists grow
		// by doubling; 4 KiB and 16 KiB are the buffers.
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(64<<10+64*len(in)); got > most {
			t.Fatalf("%d bytes allocated for %d", got, len(in))
		}
		if err != nil {
			return
		}
		again, err := decode(bytes.NewReader(encode(t, &m, wire.Protocol120)))
		if err != nil {
			t.Fatalf("read what was written: %v", err)
		}
		same(t, again, m)
		for _, p := range m.Payloads {
			p.Block() // must not panic
		}
	})
}

func BenchmarkDecodeWants(b *testing.B) {
	rng := rand.New(rand.NewPCG(7, 8))
	var m wire.Message
	for len(m.Entries) < 512 {
		m.Entries = append(m.Entries, random(b, rng, true).Entries...)
	}
	in := encode(b, &m, wire.Protocol120)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decode(bytes.NewReader(in)); err != nil {
			b.Fatal(err)
		}
	}
}
