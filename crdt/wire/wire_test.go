package wire_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/reconcile"
	"github.com/p2pnode/p2pnode/crdt/wire"
)

func random32(rng *rand.Rand) (b [32]byte) {
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// commits are a first commit, and its head.
func first(t testing.TB, seed byte) (block.Block, crdt.Head) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	b, h, err := crdt.Create(key, crdt.Genesis{Nonce: [crdt.NonceSize]byte{seed}})
	if err != nil {
		t.Fatal(err)
	}
	return b, h
}

func announcement(t testing.TB) wire.Announcement {
	t.Helper()
	a := wire.Announcement{Commits: 300}
	for i := range byte(3) {
		b, h := first(t, i)
		a.Blocks = append(a.Blocks, b)
		a.Heads = append(a.Heads, wire.Head{ID: h.ID, Author: commit.Author{i}, Signature: *h.Signature})
	}
	return a
}

func TestAnnouncement(t *testing.T) {
	a := announcement(t)
	data := a.Append(nil)
	got, err := wire.DecodeAnnouncement(data)
	if err != nil || !reflect.DeepEqual(got, a) {
		t.Fatalf("got %v, %v; want %v", got, err, a)
	}
	for n := range data {
		if _, err := wire.DecodeAnnouncement(data[:n]); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("first %d of %d bytes: got %v", n, len(data), err)
		}
	}
	if _, err := wire.DecodeAnnouncement(append(data, 0)); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("a byte too many: got %v", err)
	}
	if _, err := wire.DecodeAnnouncement([]byte{2}); !errors.Is(err, wire.ErrVersion) {
		t.Errorf("version 2: got %v", err)
	}
	if _, err := wire.DecodeAnnouncement([]byte{1, 0, wire.HeadsMax + 1}); !errors.Is(err, wire.ErrLimit) {
		t.Errorf("many heads: got %v", err)
	}
	if _, err := wire.DecodeAnnouncement([]byte{1, 0, 0, 1, 0x81, 0x20}); !errors.Is(err, wire.ErrLimit) {
		t.Errorf("long block: got %v", err)
	}
}

func requests() []wire.Request {
	rng := rand.New(rand.NewPCG(1, 1))
	pull := wire.Request{Kind: wire.Pull, Topic: random32(rng), Proof: random32(rng), Commits: 12345}
	for range wire.LandmarksMax {
		pull.Have = append(pull.Have, random32(rng))
	}
	survey := wire.Request{Kind: wire.Survey, Topic: random32(rng), Proof: random32(rng)}
	for i := range uint64(reconcile.RangesMax) {
		from, to := reconcile.Point{Gen: 2 * i, Prefix: rng.Uint64()}, reconcile.Point{Gen: 2*i + 1}
		survey.Ranges = append(survey.Ranges, reconcile.Range{From: from, To: to})
	}
	return []wire.Request{
		pull,
		survey,
		{Kind: wire.Pull, Topic: random32(rng), Proof: random32(rng)},
		{Kind: wire.Redeem, Topic: random32(rng), Proof: random32(rng), Secret: random32(rng)},
	}
}

func TestRequest(t *testing.T) {
	for _, r := range requests() {
		data := r.Append(nil)
		got, err := wire.DecodeRequest(data)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Fatalf("got %v, %v; want %v", got, err, r)
		}
		if len(data) > wire.RequestSizeMax {
			t.Errorf("%d bytes, over %d", len(data), wire.RequestSizeMax)
		}
		for n := range data {
			if _, err := wire.DecodeRequest(data[:n]); n > 0 && !errors.Is(err, wire.ErrMalformed) {
				t.Fatalf("first %d of %d bytes: got %v", n, len(data), err)
			}
		}
	}
	if _, err := wire.DecodeRequest(append([]byte{9}, make([]byte, 64)...)); !errors.Is(err, wire.ErrVersion) {
		t.Errorf("kind 9: got %v", err)
	}
	if _, err := wire.StatusOf(9); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("status 9: got %v", err)
	}
}

// Ranges that overlap would let somebody be asked to look at the same commits again and again.
func TestSurveyOverlaps(t *testing.T) {
	a, b, c := reconcile.Point{Gen: 1}, reconcile.Point{Gen: 2}, reconcile.Point{Gen: 3}
	for _, ranges := range [][]reconcile.Range{{{From: b, To: a}}, {{From: a, To: a}}, {{From: a, To: c}, {From: b, To: c}}, {{From: b, To: c}, {From: a, To: b}}} {
		r := wire.Request{Kind: wire.Survey, Ranges: ranges}
		if _, err := wire.DecodeRequest(r.Append(nil)); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%v: got %v", ranges, err)
		}
	}
}

// answers are two to a survey.
func answers() []reconcile.Answer {
	rng := rand.New(rand.NewPCG(1, 2))
	var list, parts reconcile.Answer
	for range reconcile.ListMax {
		list.Prefixes = append(list.Prefixes, rng.Uint64())
	}
	for range reconcile.PartsMax {
		parts.Parts = append(parts.Parts, reconcile.Part{To: reconcile.Point{Gen: rng.Uint64(), Prefix: rng.Uint64()}, Print: reconcile.Print{byte(rng.Int())}})
	}
	return []reconcile.Answer{list, {}, parts}
}

func appendAnswers(list []reconcile.Answer) (b []byte) {
	for _, a := range list {
		b = wire.AppendAnswer(b, a)
	}
	return b
}

func TestAnswers(t *testing.T) {
	want := answers()
	data := appendAnswers(want)
	if got, err := wire.DecodeAnswers(data, len(want)); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, %v; want %v", got, err, want)
	}
	if len(data) > wire.AnswersSizeMax/reconcile.RangesMax*len(want) {
		t.Errorf("%d bytes of %d answers are over the limit", len(data), len(want))
	}
	for n := range data {
		if _, err := wire.DecodeAnswers(data[:n], len(want)); !errors.Is(err, wire.ErrMalformed) {
			t.Fatalf("first %d of %d bytes: got %v", n, len(data), err)
		}
	}
	for name, data := range map[string][]byte{"kind 3": {3, 0}, "no parts": {2, 0}, "a byte too many": {1, 0, 0}} {
		if _, err := wire.DecodeAnswers(data, 1); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := wire.DecodeAnswers([]byte{1, reconcile.ListMax + 1}, 1); !errors.Is(err, wire.ErrLimit) {
		t.Errorf("long list: got %v", err)
	}
}

func FuzzDecodeAnswers(f *testing.F) {
	f.Add(appendAnswers(answers()), 3)
	f.Fuzz(func(t *testing.T, in []byte, n int) {
		list, err := wire.DecodeAnswers(in, n)
		if err == nil && !bytes.Equal(appendAnswers(list), in) {
			t.Errorf("%x becomes %x", in, appendAnswers(list))
		}
	})
}

// A proof is good for one document, one asker and one who is asked.
func TestProof(t *testing.T) {
	type asked struct {
		doc      commit.ID
		from, to peer.ID
	}
	seen := make(map[[32]byte]asked)
	for _, doc := range []commit.ID{{1}, {2}} {
		for _, from := range []peer.ID{"a", "ab", "b"} {
			for _, to := range []peer.ID{"a", "bc", "c"} {
				p := wire.Proof(doc, from, to)
				if other, ok := seen[p]; ok {
					t.Errorf("the same proof for %v and %v", other, asked{doc, from, to})
				}
				seen[p] = asked{doc, from, to}
			}
		}
	}
	if wire.Topic(commit.ID{1}) == wire.Topic(commit.ID{2}) {
		t.Error("two documents have one topic")
	}
}

func sections(t testing.TB) []wire.Section {
	t.Helper()
	var list []wire.Section
	for i := range byte(3) {
		var s wire.Section
		for k := range 4 * i {
			b, h := first(t, 10*i+k)
			s.Blocks, s.Heads = append(s.Blocks, b), append(s.Heads, h)
		}
		list = append(list, s)
	}
	return list
}

func bundle(t testing.TB, list []wire.Section) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := wire.NewBundleWriter(&buf)
	for _, s := range list {
		if s.Base != nil {
			if err := w.Base(*s.Base); err != nil {
				t.Fatal(err)
			}
			continue
		}
		err := w.Heads(s.Heads)
		for _, b := range s.Blocks {
			err = errors.Join(err, w.Block(b))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// based is sections that begin with a base.
func based(t testing.TB) []wire.Section {
	rng := rand.New(rand.NewPCG(1, 3))
	base := crdt.Base{At: random32(rng), Author: random32(rng), Bytes: bytes.Repeat([]byte("base"), 1000)}
	return append([]wire.Section{{Base: &base}}, sections(t)...)
}

func readBundle(r io.Reader) (list []wire.Section, err error) {
	b := wire.NewBundleReader(r)
	defer b.Close()
	for {
		s, err := b.Next()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		list = append(list, s)
	}
}

func TestBundle(t *testing.T) {
	if _, err := readBundle(bytes.NewReader(bundle(t, append(based(t)[:1], based(t)...)))); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("a base in the middle: got %v", err)
	}
	large := crdt.Base{Bytes: make([]byte, crdt.BaseSizeMax+1)}
	if _, err := readBundle(bytes.NewReader(bundle(t, []wire.Section{{Base: &large}}))); !errors.Is(err, wire.ErrLimit) {
		t.Errorf("a large base: got %v", err)
	}
	want := based(t)
	data := bundle(t, want)
	got, err := readBundle(bytes.NewReader(data))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, %v", got, err)
	}
	if got, err := readBundle(bytes.NewReader(bundle(t, nil))); err != nil || len(got) != 0 {
		t.Errorf("empty bundle: got %v, %v", got, err)
	}
	for n := range len(data) - 4 { // the checksum of the frame comes after all
		if _, err := readBundle(bytes.NewReader(data[:n])); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("first %d of %d bytes: got %v", n, len(data), err)
		}
	}
	broken := errors.New("line is cut")
	if _, err := readBundle(io.MultiReader(bytes.NewReader(data[:99]), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("cut line: got %v", err)
	}
	if err := wire.NewBundleWriter(io.Discard).Heads(make([]crdt.Head, wire.SectionHeadsMax+1)); !errors.Is(err, wire.ErrLimit) {
		t.Errorf("many heads: got %v", err)
	}
}

// endless yields a bundle whose first section does not end: few bytes that become many.
func endless(t *testing.T) io.Reader {
	t.Helper()
	zeros := make([]byte, commit.SizeMax)
	r, w := io.Pipe()
	go func() {
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
		if err == nil {
			_, err = z.Write([]byte{1, 0})
		}
		for err == nil {
			if _, err = z.Write([]byte{0x80, 0x80, 0x10}); err == nil {
				_, err = z.Write(zeros)
			}
		}
	}()
	t.Cleanup(func() { r.Close() })
	return r
}

func TestBundleBomb(t *testing.T) {
	if _, err := readBundle(endless(t)); !errors.Is(err, wire.ErrLimit) {
		t.Errorf("a section without end: got %v", err)
	}
	var buf bytes.Buffer
	z, err := zstd.NewWriter(&buf, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(64<<20))
	if err != nil {
		t.Fatal(err)
	}
	z.Write(make([]byte, 1<<20))
	z.Close()
	if _, err := readBundle(&buf); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("a large window: got %v", err)
	}
}

func FuzzDecodeAnnouncement(f *testing.F) {
	a := announcement(f)
	f.Add(a.Append(nil))
	f.Add([]byte{1, 0, 16})
	f.Fuzz(func(t *testing.T, in []byte) {
		a, err := wire.DecodeAnnouncement(in)
		if err == nil && !bytes.Equal(a.Append(nil), in) {
			t.Errorf("%x becomes %x", in, a.Append(nil))
		}
	})
}

func FuzzDecodeRequest(f *testing.F) {
	for _, r := range requests() {
		f.Add(r.Append(nil))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := wire.DecodeRequest(in)
		if err == nil && !bytes.Equal(r.Append(nil), in) {
			t.Errorf("%x becomes %x", in, r.Append(nil))
		}
	})
}

// FuzzBundle reads arbitrary bundles: what is read is written and read again, and memory is
// in proportion to what was compressed.
func FuzzBundle(f *testing.F) {
	f.Add(bundle(f, sections(f)))
	f.Add(bundle(f, based(f)))
	f.Add(bundle(f, nil))
	f.Fuzz(func(t *testing.T, in []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		list, err := readBundle(bytes.NewReader(in))
		runtime.ReadMemStats(&after)
		size := 0
		for _, s := range list {
			size += 256 * len(s.Heads)
			if s.Base != nil {
				size += len(s.Base.Bytes)
			}
			for _, b := range s.Blocks {
				size += b.Size() + wire.BlockSize
			}
		}
		if got := after.TotalAlloc - before.TotalAlloc; err == nil && got > uint64(8<<20+8*size) {
			t.Errorf("%d bytes allocated for %d", got, size)
		}
		if err != nil {
			return
		}
		again, err := readBundle(bytes.NewReader(bundle(t, list)))
		if err != nil || !reflect.DeepEqual(again, list) {
			t.Errorf("%v becomes %v, %v", list, again, err)
		}
	})
}
