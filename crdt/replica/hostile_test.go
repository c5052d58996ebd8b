package replica_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/reconcile"
	"github.com/p2pnode/p2pnode/crdt/replica"
	"github.com/p2pnode/p2pnode/crdt/wire"
)

// liar is a peer that a test plays, in the topic of a document.
type liar struct {
	l     *lab
	host  host.Host
	topic *topic
}

func (l *lab) liar(n byte, doc commit.ID, victim *person) *liar {
	l.t.Helper()
	h := l.host(n)
	if err := h.Connect(l.ctx, peer.AddrInfo{ID: victim.host.ID(), Addrs: victim.host.Addrs()}); err != nil {
		l.t.Fatal(err)
	}
	synctest.Wait()
	tag := wire.Topic(doc)
	s := &station{hub: &l.hub, host: h}
	t, err := s.Join("crdt/"+hex.EncodeToString(tag[:]), nil)
	if err != nil {
		l.t.Fatal(err)
	}
	return &liar{l, h, t.(*topic)}
}

// verdict is what the victim makes of an announcement.
func (x *liar) verdict(data []byte) replica.Verdict {
	x.l.t.Helper()
	list := x.l.hub.audience(x.topic)
	if len(list) != 1 {
		x.l.t.Fatalf("%d in the topic", len(list))
	}
	return list[0].judge(x.l.ctx, replica.Message{From: x.host.ID(), Via: x.host.ID(), Data: data})
}

// made is a commit by somebody who has a copy of a document.
func made(t *testing.T, n byte, doc commit.ID, blocks []block.Block, heads []crdt.Head, f func(*crdt.Tx)) (block.Block, crdt.Head) {
	t.Helper()
	d := crdt.New(doc, authorOf(n), nil)
	if _, err := d.Apply(blocks, heads); err != nil {
		t.Fatal(err)
	}
	if err := d.Update(func(tx *crdt.Tx) error { f(tx); return nil }); err != nil {
		t.Fatal(err)
	}
	b, h, err := d.Seal(keyOf(n), 0)
	if err != nil {
		t.Fatal(err)
	}
	return b, h
}

// genesis is how a document of the first person begins, in which the second writes.
func genesis(t *testing.T, l *lab, a *person, d *replica.Doc) ([]block.Block, []crdt.Head) {
	t.Helper()
	b, err := a.Block(l.ctx, d.ID().Cid())
	if err != nil {
		t.Fatal(err)
	}
	return []block.Block{b}, []crdt.Head{{ID: d.ID(), Signature: commit.Sign(keyOf(1), d.ID(), d.ID())}}
}

func announce(n byte, b block.Block, h crdt.Head) wire.Announcement {
	return wire.Announcement{
		Commits: 2,
		Heads:   []wire.Head{{ID: h.ID, Author: authorOf(n), Signature: *h.Signature}},
		Blocks:  []block.Block{b},
	}
}

// Announcements that no honest peer can have passed on are rejected and reported.
func TestForgedAnnouncements(t *testing.T) {
	inLab(t, func(l *lab) {
		a := l.person(1, replica.Options{})
		d, foreign := a.create("notes", writer(2)), a.create("other", writer(2))
		blocks, heads := genesis(t, l, a, d)
		b, h := made(t, 2, d.ID(), blocks, heads, set("k", 1))
		blocks, heads = genesis(t, l, a, foreign)
		fb, fh := made(t, 2, foreign.ID(), blocks, heads, set("k", 1))
		x := l.liar(2, d.ID(), a)

		good := announce(2, b, h)
		unsigned := announce(2, b, h)
		unsigned.Heads[0].Signature[7] ^= 1
		stolen := announce(2, b, h)
		stolen.Heads[0].Author = authorOf(1)
		stranger := announce(3, b, crdt.Head{ID: h.ID, Signature: commit.Sign(keyOf(3), d.ID(), h.ID)})
		junk := announce(2, b, h)
		junk.Blocks[0], _ = commit.Block([]byte("no commit"))
		for name, c := range map[string]struct {
			data []byte
			want replica.Verdict
			says replica.Fault
		}{
			"good":             {good.Append(nil), replica.Accept, ""},
			"no message":       {[]byte{1, 2, 3}, replica.Reject, replica.FaultMalformed},
			"newer version":    {[]byte{2, 2, 3}, replica.Ignore, ""},
			"bad signature":    {unsigned.Append(nil), replica.Reject, replica.FaultForged},
			"another's name":   {stolen.Append(nil), replica.Reject, replica.FaultForged},
			"another document": {announceBytes(2, fb, fh), replica.Reject, replica.FaultForged},
			"no writer":        {stranger.Append(nil), replica.Ignore, ""},
			"junk along":       {junk.Append(nil), replica.Reject, replica.FaultMalformed},
		} {
			if got := x.verdict(c.data); got != c.want {
				t.Errorf("%s: got verdict %v, want %v", name, got, c.want)
			}
			list := a.judge.take()
			if c.says == "" && len(list) > 0 || c.says != "" && !slices.Equal(list, []replica.Fault{c.says}) {
				t.Errorf("%s: got reports %q, want %q", name, list, c.says)
			}
		}
		if err := x.topic.Publish(l.ctx, good.Append(nil)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if v := view(t, d); v["k"] != int64(1) {
			t.Errorf("the good announcement brought %v", v)
		}
		if n, err := d.Len(l.ctx); err != nil || n != 2 {
			t.Errorf("%d commits, %v", n, err)
		}
	})
}

func announceBytes(n byte, b block.Block, h crdt.Head) []byte {
	a := announce(n, b, h)
	return a.Append(nil)
}

// bundle makes the bytes of a bundle with one section.
func bundle(t *testing.T, heads []crdt.Head, blocks ...block.Block) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := wire.NewBundleWriter(&buf)
	if err := w.Heads(heads); err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		if err := w.Block(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// Whatever a peer answers, a pull ends soon, with an error that says why, and the document is
// unharmed.
func TestHostileAnswers(t *testing.T) {
	inLab(t, func(l *lab) {
		a := l.person(1, replica.Options{Interval: time.Hour})
		d, foreign := a.create("notes", writer(2)), a.create("other", writer(2))
		blocks, heads := genesis(t, l, a, d)
		b, h := made(t, 2, d.ID(), blocks, heads, set("k", 1))
		b2, h2 := made(t, 2, d.ID(), []block.Block{blocks[0], b}, []crdt.Head{heads[0], h}, set("k", 2))
		fblocks, fheads := genesis(t, l, a, foreign)
		fb, fh := made(t, 2, foreign.ID(), fblocks, fheads, set("k", 1))
		whole := bundle(t, []crdt.Head{h}, b)
		b3, h3 := made(t, 2, d.ID(), blocks, heads, set("k", 3))
		forged := crdt.Head{ID: h3.ID, Signature: commit.Sign(keyOf(3), d.ID(), h3.ID)}
		x := l.liar(2, d.ID(), a)

		send := func(data ...[]byte) func(network.Stream) { return answer(t, data...) }
		ok := []byte{byte(wire.OK)}
		for _, c := range []struct {
			name string
			play func(network.Stream)
			want error
			says []replica.Fault
			most time.Duration
		}{
			{"nothing", send(), io.EOF, nil, time.Second},
			{"unknown status", send([]byte{99}), wire.ErrMalformed, []replica.Fault{replica.FaultMalformed}, time.Second},
			{"no such document", send([]byte{byte(wire.Unknown)}), errStatus, nil, time.Second},
			{"no bundle", send(ok, []byte("junk junk junk")), wire.ErrMalformed, []replica.Fault{replica.FaultMalformed}, time.Second},
			{"truncated", send(ok, whole[:len(whole)/2]), wire.ErrMalformed, []replica.Fault{replica.FaultMalformed}, time.Second},
			{"no heads", send(ok, bundle(t, nil, b)), wire.ErrMalformed, []replica.Fault{replica.FaultMalformed}, time.Second},
			{"head without commit", send(ok, bundle(t, []crdt.Head{h})), wire.ErrMalformed, []replica.Fault{replica.FaultIncomplete}, time.Second},
			{"without parents", send(ok, bundle(t, []crdt.Head{h2}, b2)), wire.ErrMalformed, []replica.Fault{replica.FaultIncomplete}, time.Second},
			{"forged head", send(ok, bundle(t, []crdt.Head{forged}, b3)), crdt.ErrInvalid, []replica.Fault{replica.FaultInvalid}, time.Second},
			{"another document", send(ok, bundle(t, []crdt.Head{fh}, fblocks[0], fb)), crdt.ErrInvalid, []replica.Fault{replica.FaultInvalid}, time.Second},
			{"silence", func(s network.Stream) {}, os.ErrDeadlineExceeded, nil, time.Minute},
			{"a byte now and then", drip(whole), os.ErrDeadlineExceeded, nil, 6 * time.Minute},
			{"survey of noise", surveyed(t, []byte("junk")), wire.ErrMalformed, []replica.Fault{replica.FaultMalformed}, time.Second},
			{"survey that fits nothing", surveyed(t, wire.AppendAnswer(nil, reconcile.Answer{Parts: make([]reconcile.Part, 2)})), reconcile.ErrMalformed, []replica.Fault{replica.FaultMalformed}, time.Second},
			{"one survey after another", send([]byte{byte(wire.Unclear)}), errStatus, nil, time.Second},
			{"without end", send(ok, bomb(t)), wire.ErrLimit, []replica.Fault{replica.FaultMalformed}, time.Second},
		} {
			x.host.SetStreamHandler(wire.Protocol, c.play)
			began := time.Now()
			err := d.Pull(l.ctx, x.host.ID())
			if took := time.Since(began); took > c.most {
				t.Errorf("%s: took %v", c.name, took)
			}
			if c.want == errStatus {
				var status *replica.StatusError
				if !errors.As(err, &status) || status.Status == wire.OK {
					t.Errorf("%s: got %v", c.name, err)
				}
			} else if !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", c.name, err, c.want)
			}
			if list := a.judge.take(); !slices.Equal(list, c.says) {
				t.Errorf("%s: got reports %q, want %q", c.name, list, c.says)
			}
		}
		time.Sleep(time.Minute) // of virtual time, for who drips to notice
		if n, err := d.Len(l.ctx); err != nil || n != 1 {
			t.Errorf("%d commits after lies, %v", n, err)
		}
		x.host.SetStreamHandler(wire.Protocol, send(ok, bundle(t, []crdt.Head{h2}, b, b2)))
		if err := d.Pull(l.ctx, x.host.ID()); err != nil || view(t, d)["k"] != int64(2) {
			t.Errorf("the truth: %v, %v", view(t, d), err)
		}
	})
}

// answer waits for a request and answers it.
func answer(t *testing.T, data ...[]byte) func(network.Stream) {
	return func(s network.Stream) {
		if _, err := io.ReadAll(s); err != nil {
			t.Error(err)
		}
		for _, part := range data {
			if _, err := s.Write(part); err != nil {
				return
			}
		}
		s.Close()
	}
}

// surveyed asks for a survey, and answers it.
func surveyed(t *testing.T, data []byte) func(network.Stream) {
	return func(s network.Stream) {
		request, err := io.ReadAll(s)
		if err != nil {
			t.Error(err)
		}
		if wire.Kind(request[0]) == wire.Survey {
			s.Write(append([]byte{byte(wire.OK)}, data...))
		} else {
			s.Write([]byte{byte(wire.Unclear)})
		}
		s.Close()
	}
}

// errStatus stands for a StatusError.
var errStatus = errors.New("a status")

// drip sends a byte every ten seconds, which is not silence.
func drip(data []byte) func(network.Stream) {
	return func(s network.Stream) {
		s.Write([]byte{byte(wire.OK)})
		for _, b := range data {
			time.Sleep(10 * time.Second)
			if _, err := s.Write([]byte{b}); err != nil {
				return
			}
		}
	}
}

// bomb is a section that does not end, in few bytes that become many.
func bomb(t *testing.T) []byte {
	t.Helper()
	var buf bytes.Buffer
	z, err := zstd.NewWriter(&buf, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	z.Write([]byte{1, 0})
	b := append([]byte{0x80, 0x80, 0x10}, make([]byte, commit.SizeMax)...)
	for range wire.SectionSizeMax/commit.SizeMax + 1 {
		z.Write(b)
	}
	if err := z.Flush(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// What a peer asks that is wrong gets no answer, and nobody learns which documents are here
// who does not know them.
func TestHostileRequests(t *testing.T) {
	inLab(t, func(l *lab) {
		a := l.person(1, replica.Options{})
		d := a.create("notes")
		x := l.liar(2, d.ID(), a)
		ask := func(data []byte) ([]byte, error) {
			t.Helper()
			s, err := x.host.NewStream(l.ctx, a.host.ID(), wire.Protocol)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Reset()
			if _, err := s.Write(data); err != nil {
				return nil, err
			}
			s.CloseWrite()
			return io.ReadAll(s)
		}
		request := wire.Request{Kind: wire.Pull, Topic: wire.Topic(d.ID()), Proof: wire.Proof(d.ID(), x.host.ID(), a.host.ID())}
		if got, err := ask(request.Append(nil)); err != nil || len(got) == 0 || got[0] != byte(wire.OK) {
			t.Errorf("a good request: got %x, %v", got, err)
		}
		unknown := request
		unknown.Topic[0] ^= 1
		unproven := request
		unproven.Proof = wire.Proof(d.ID(), a.host.ID(), x.host.ID()) // what the victim has sent the liar
		for _, r := range []wire.Request{unknown, unproven} {
			if got, err := ask(r.Append(nil)); err != nil || !bytes.Equal(got, []byte{byte(wire.Unknown)}) {
				t.Errorf("got %x, %v", got, err)
			}
		}
		if list := a.judge.take(); len(list) > 0 {
			t.Errorf("got reports %q", list)
		}
		for _, data := range [][]byte{nil, {1}, make([]byte, wire.RequestSizeMax+100), append(request.Append(nil), 0)} {
			if got, err := ask(data); err == nil {
				t.Errorf("%d bytes: got %x", len(data), got)
			}
		}
		redeem := request
		redeem.Kind, redeem.Secret = wire.Redeem, [32]byte{1}
		if got, err := ask(redeem.Append(nil)); err != nil || !bytes.Equal(got, []byte{byte(wire.Refused)}) {
			t.Errorf("a made-up ticket: got %x, %v", got, err)
		}
	})
}
