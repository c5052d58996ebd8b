package machine

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/swap"
)

// What things are taken to be on the wire, in bytes.
const (
	entrySize   = 46
	messageSize = 12
)

// do carries out an action, as the driver in package exchange would.
func (x *Exchange) do(a swap.Action) {
	switch a := a.(type) {
	case swap.Send:
		x.send(a)
	case swap.Look:
		x.look(a)
	case swap.Serve:
		x.p.After(readTime, func() { x.serve(a) })
	case swap.Deliver:
		x.deliver(a.Block)
	case swap.Fail:
		x.Tally.Failed++
		x.answer(a.Cid, a.Reason)
	case swap.Find:
		x.find(a.Cid)
	case swap.StopFind:
		if s := x.finds[a.Cid]; s != nil {
			s.end()
		}
	case swap.Dial:
		// Of no effect if the peer came up.
		x.p.Dial(a.Peer, func(bool) { x.step(swap.DialFailed{Peer: a.Peer}) })
	case swap.Report:
		x.Tally.Faults[a.Fault]++
	case swap.Ban:
		x.Tally.Bans++
		delete(x.sending, a.Peer)
		delete(x.looking, a.Peer)
		x.p.Ban(a.Peer, a.For)
	}
}

func (x *Exchange) send(a swap.Send) {
	if x.sending[a.Peer] {
		x.p.w.Fail(fmt.Errorf("%s: begins a Send to %s before the last has ended", x.p, a.Peer))
	}
	x.sending[a.Peer] = true
	e := swap.Received{Full: a.Full, Entries: a.Entries, Haves: a.Haves, DontHaves: a.DontHaves}
	size := messageSize + entrySize*(len(a.Entries)+len(a.Haves)+len(a.DontHaves))
	x.p.Send(a.Peer, Control, size, e, nil, func(ok bool) {
		if x.sending[a.Peer] {
			delete(x.sending, a.Peer)
			x.step(swap.Sent{Peer: a.Peer, Failed: !ok})
		}
	})
}

func (x *Exchange) look(a swap.Look) {
	if x.looking[a.Peer] {
		x.p.w.Fail(fmt.Errorf("%s: begins a Look for %s before the last has ended", x.p, a.Peer))
	}
	x.looking[a.Peer] = true
	e := swap.Looked{Peer: a.Peer, Blocks: make([]swap.Sized, len(a.Cids))}
	for i, c := range a.Cids {
		e.Blocks[i] = swap.Sized{Cid: c, Size: -1}
		if b, has := x.store[c]; has {
			e.Blocks[i].Size = b.Size()
		}
	}
	x.p.After(lookTime, func() {
		x.p.Do(func() {
			if x.looking[a.Peer] {
				delete(x.looking, a.Peer)
				x.step(e)
			}
		})
	})
}

func (x *Exchange) serve(a swap.Serve) {
	e := swap.Served{Peer: a.Peer, Seq: a.Seq}
	var m swap.Received
	for _, c := range a.Cids {
		if b, has := x.store[c]; has {
			m.Blocks = append(m.Blocks, b)
			e.Size += b.Size()
		} else {
			e.Missing = append(e.Missing, c)
		}
	}
	if len(m.Blocks) == 0 {
		x.p.Do(func() { x.step(e) })
		return
	}
	x.p.Send(a.Peer, Data, messageSize+e.Size+entrySize*len(m.Blocks)/4, m, func(size int) {
		x.step(swap.Serving{Peer: a.Peer, Seq: a.Seq, Size: size})
	}, func(ok bool) {
		e.Failed = !ok
		x.step(e)
	})
}

// deliver stores a block, announces it then, and hands it to those that wait.
func (x *Exchange) deliver(b block.Block) {
	c := b.Cid()
	if len(x.waiting[c]) == 0 {
		x.p.w.Fail(fmt.Errorf("%s: %s is delivered, and nobody waits for it", x.p, c))
		return
	}
	x.Tally.Delivered++
	x.p.After(storeTime, func() {
		x.store[c] = b
		x.p.Do(func() { x.step(swap.Held{Blocks: []swap.Sized{{Cid: c, Size: b.Size()}}}) })
	})
	x.answer(c, swap.Reason{})
}

func (x *Exchange) find(c cid.Cid) {
	x.finds[c] = x.p.find(c,
		func(o *Peer) { x.step(swap.Provider{Cid: c, Peer: o.id}) },
		func() {
			delete(x.finds, c)
			x.step(swap.Found{Cid: c})
		})
}

// encode appends what is to be traced of an action: its kind, and all that it says.
func encode(buf []byte, a swap.Action) []byte {
	switch a := a.(type) {
	case swap.Send:
		buf = text(append(buf, 's', flag(a.Full)), string(a.Peer))
		buf = binary.AppendUvarint(buf, uint64(len(a.Entries)))
		for _, e := range a.Entries {
			buf = append(text(buf, e.Cid.KeyString()), flag(e.Cancel)|flag(e.Have)<<1|flag(e.SendDontHave)<<2)
			buf = binary.AppendVarint(buf, int64(e.Priority))
		}
		buf = names(names(buf, a.Haves), a.DontHaves)
	case swap.Look:
		buf = names(text(append(buf, 'l'), string(a.Peer)), a.Cids)
	case swap.Serve:
		buf = names(text(append(buf, 'v'), string(a.Peer)), a.Cids)
		buf = binary.AppendUvarint(binary.AppendUvarint(buf, a.Seq), uint64(a.Pending))
	case swap.Deliver:
		buf = text(text(append(buf, 'd'), string(a.From)), a.Block.Cid().KeyString())
	case swap.Fail:
		buf = text(text(append(buf, 'x'), a.Cid.KeyString()), string(a.Reason.Phase))
		for _, n := range []int{a.Reason.Providers, a.Reason.Undialable, a.Reason.Asked} {
			buf = binary.AppendUvarint(buf, uint64(n))
		}
	case swap.Find:
		buf = text(append(buf, 'f'), a.Cid.KeyString())
	case swap.StopFind:
		buf = text(append(buf, 'e'), a.Cid.KeyString())
	case swap.Dial:
		buf = text(append(buf, 'c'), string(a.Peer))
	case swap.Report:
		buf = text(text(append(buf, 'r'), string(a.Peer)), string(a.Fault))
	case swap.Ban:
		buf = binary.AppendUvarint(text(append(buf, 'b'), string(a.Peer)), uint64(min(a.For, math.MaxInt64)))
	default:
		panic(fmt.Sprintf("machine: no encoding of %T", a))
	}
	return buf
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func text(buf []byte, s string) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(s))), s...)
}

func names(buf []byte, cids []cid.Cid) []byte {
	buf = binary.AppendUvarint(buf, uint64(len(cids)))
	for _, c := range cids {
		buf = text(buf, c.KeyString())
	}
	return buf
}
