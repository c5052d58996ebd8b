package swap_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/swap"
)

// rewrite replaces what the scripts expect by what the machine does. Read the
// difference, and be able to say why each line of it changed.
var rewrite = flag.Bool("rewrite", false, "rewrite the scripts in testdata")

// TestScripts plays the stories of testdata. A line is a command; what the
// machine does about it stands indented below. Commands:
//
//	search                      the machine may search (first line only)
//	up PEER [rtt=TIME] [old]    old peers know no HAVE
//	down PEER
//	want SESSION BLOCK...       drop SESSION BLOCK...       close SESSION
//	recv PEER ITEM...           where ITEM is BLOCK:x have:x dont:x junk:SIZE
//	                            want:x ask:x (WANT_HAVE) quiet:x (no DONT_HAVE) cancel:x full
//	looked PEER x=SIZE...       SIZE -1: not there
//	served PEER SEQ             held x=SIZE...
//	provider x PEER             found x                     undialable PEER
//	wait TIME
//
// A block x is the bytes of its name, repeated to 2000 bytes. Messages sent are
// taken to be written at once.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			in, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(in))
			if *rewrite {
				if err := os.WriteFile(f, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(in) {
				t.Errorf("%s: the machine does:\n%s", f, got)
			}
		})
	}
}

// player is a machine under a script.
type player struct {
	t     *testing.T
	m     *swap.Machine
	start time.Time
	now   time.Time
	names map[cid.Cid]string
	out   strings.Builder
}

func play(t *testing.T, script string) string {
	p := &player{t: t, start: time.Unix(1e9, 0), names: make(map[cid.Cid]string)}
	p.now = p.start
	o := swap.Options{Seed: 1}
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "\t"):
			continue // an expectation
		case line == "" || strings.HasPrefix(line, "#"):
			p.out.WriteString(line + "\n")
			continue
		}
		p.out.WriteString(line + "\n")
		if line == "search" {
			o.Search = true
			continue
		}
		if p.m == nil {
			p.m = swap.New(o)
		}
		p.command(strings.Fields(line))
	}
	return p.out.String()
}

func (p *player) block(name string) block.Block {
	b, err := block.New([]byte(strings.Repeat(name, 2000/len(name))), block.Prefix{Codec: cid.Raw})
	if err != nil {
		p.t.Fatal(err)
	}
	p.names[b.Cid()] = name
	return b
}

func (p *player) cids(names []string) []cid.Cid {
	var cids []cid.Cid
	for _, n := range names {
		cids = append(cids, p.block(n).Cid())
	}
	return cids
}

func (p *player) sized(items []string) []swap.Sized {
	var list []swap.Sized
	for _, i := range items {
		name, size, _ := strings.Cut(i, "=")
		n, err := strconv.Atoi(size)
		if err != nil {
			p.t.Fatal(err)
		}
		list = append(list, swap.Sized{Cid: p.block(name).Cid(), Size: n})
	}
	return list
}

func (p *player) command(w []string) {
	arg := w[len(w)-1]
	switch w[0] {
	case "up":
		e := swap.PeerUp{Peer: peer.ID(w[1])}
		for _, o := range w[2:] {
			if d, ok := strings.CutPrefix(o, "rtt="); ok {
				e.RTT, _ = time.ParseDuration(d)
			}
			e.Caps.BlocksOnly = e.Caps.BlocksOnly || o == "old"
		}
		p.step(e)
	case "down":
		p.step(swap.PeerDown{Peer: peer.ID(arg)})
	case "want", "drop", "close":
		id, _ := strconv.ParseUint(w[1], 10, 64)
		switch w[0] {
		case "want":
			p.step(swap.Want{Session: id, Cids: p.cids(w[2:])})
		case "drop":
			p.step(swap.Drop{Session: id, Cids: p.cids(w[2:])})
		default:
			p.step(swap.CloseSession{Session: id})
		}
	case "recv":
		p.step(p.message(w[1], w[2:]))
	case "looked":
		p.step(swap.Looked{Peer: peer.ID(w[1]), Blocks: p.sized(w[2:])})
	case "held":
		p.step(swap.Held{Blocks: p.sized(w[1:])})
	case "served":
		seq, _ := strconv.ParseUint(w[2], 10, 64)
		p.step(swap.Served{Peer: peer.ID(w[1]), Seq: seq})
	case "provider":
		p.step(swap.Provider{Cid: p.block(w[1]).Cid(), Peer: peer.ID(w[2])})
	case "found":
		p.step(swap.Found{Cid: p.block(w[1]).Cid()})
	case "undialable":
		p.step(swap.DialFailed{Peer: peer.ID(arg)})
	case "wait":
		d, err := time.ParseDuration(arg)
		if err != nil {
			p.t.Fatal(err)
		}
		end := p.now.Add(d)
		for next := p.m.Next(); !next.IsZero() && !next.After(end); next = p.m.Next() {
			p.now = next
			p.step(swap.Wake{})
		}
		p.now = end
	default:
		p.t.Fatalf("unknown command %q", w[0])
	}
}

func (p *player) message(from string, items []string) swap.Received {
	e := swap.Received{Peer: peer.ID(from)}
	for _, i := range items {
		kind, name, _ := strings.Cut(i, ":")
		if kind == "full" {
			e.Full = true
			continue
		}
		if kind == "junk" {
			e.JunkSize, _ = strconv.Atoi(name)
			continue
		}
		b := p.block(name)
		switch kind {
		case "block":
			e.Blocks = append(e.Blocks, b)
		case "have":
			e.Haves = append(e.Haves, b.Cid())
		case "dont":
			e.DontHaves = append(e.DontHaves, b.Cid())
		case "want", "ask", "quiet", "cancel":
			e.Entries = append(e.Entries, swap.Entry{Cid: b.Cid(), Have: kind == "ask", Cancel: kind == "cancel", SendDontHave: kind != "quiet"})
		default:
			p.t.Fatalf("unknown item %q", i)
		}
	}
	return e
}

func (p *player) step(e swap.Event) {
	var sent []peer.ID
	for _, a := range p.m.Step(p.now, e) {
		fmt.Fprintf(&p.out, "\t%-7v %s\n", p.now.Sub(p.start), p.describe(a))
		if s, ok := a.(swap.Send); ok {
			sent = append(sent, s.Peer)
		}
	}
	if err := p.m.Invariants(); err != nil {
		p.t.Fatalf("after %+v: invariant %v", e, err)
	}
	for _, id := range sent {
		p.step(swap.Sent{Peer: id})
	}
}

func (p *player) list(cids []cid.Cid) string {
	var names []string
	for _, c := range cids {
		names = append(names, p.names[c])
	}
	return strings.Join(names, " ")
}

func (p *player) describe(a swap.Action) string {
	switch a := a.(type) {
	case swap.Send:
		var parts []string
		if a.Full {
			parts = append(parts, "full")
		}
		for _, e := range a.Entries {
			verb := "want"
			if e.Cancel {
				verb = "cancel"
			} else if e.Have {
				verb = "ask"
			}
			parts = append(parts, verb+" "+p.names[e.Cid])
		}
		if len(a.Haves) > 0 {
			parts = append(parts, "have "+p.list(a.Haves))
		}
		if len(a.DontHaves) > 0 {
			parts = append(parts, "don't have "+p.list(a.DontHaves))
		}
		return fmt.Sprintf("to %s: %s", string(a.Peer), strings.Join(parts, ", "))
	case swap.Serve:
		return fmt.Sprintf("to %s: blocks %s (#%d, %d bytes later)", string(a.Peer), p.list(a.Cids), a.Seq, a.Pending)
	case swap.Look:
		return fmt.Sprintf("look up %s for %s", p.list(a.Cids), string(a.Peer))
	case swap.Deliver:
		return fmt.Sprintf("deliver %s", p.names[a.Block.Cid()])
	case swap.Fail:
		return fmt.Sprintf("fail %s: %s (%d asked, %d providers, %d undialable)", p.names[a.Cid], a.Reason.Phase, a.Reason.Asked, a.Reason.Providers, a.Reason.Undialable)
	case swap.Find:
		return "search for " + p.names[a.Cid]
	case swap.StopFind:
		return "stop the search for " + p.names[a.Cid]
	case swap.Dial:
		return "dial " + string(a.Peer)
	case swap.Report:
		return fmt.Sprintf("report %s: %s", string(a.Peer), a.Fault)
	case swap.Ban:
		return fmt.Sprintf("ban %s for %v", string(a.Peer), a.For)
	}
	return fmt.Sprintf("%T", a)
}
