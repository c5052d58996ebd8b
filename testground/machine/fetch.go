package machine

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/swap"
)

// NewBlock makes a block of random content.
func NewBlock(rng *rand.Rand, size int) block.Block { return newBlock(rng, size, cid.Raw) }

func newBlock(rng *rand.Rand, size int, codec uint64) block.Block {
	data := make([]byte, max(size, 16)) // all but 16 bytes are zero: who looks?
	binary.LittleEndian.PutUint64(data, rng.Uint64())
	binary.LittleEndian.PutUint64(data[8:], rng.Uint64())
	b, err := block.New(data, block.Prefix{Codec: codec})
	if err != nil {
		panic(fmt.Sprintf("machine: make a block of %d bytes: %v", size, err))
	}
	return b
}

// Content is blocks; the first is asked for before the others, as the root of a
// file is.
type Content []block.Block

// linkSize is what a block takes in the root of its file, in bytes.
const linkSize = 50

// NewContent makes content of size bytes: leaves of at most blockSize, and a root.
func NewContent(rng *rand.Rand, size, blockSize int) Content {
	c := Content{newBlock(rng, min(linkSize*(1+size/blockSize), blockSize), cid.DagProtobuf)}
	for left := max(size, 1); left > 0; left -= blockSize {
		c = append(c, NewBlock(rng, min(left, blockSize)))
	}
	return c
}

// Cids names the blocks.
func (c Content) Cids() []cid.Cid {
	list := make([]cid.Cid, len(c))
	for i, b := range c {
		list[i] = b.Cid()
	}
	return list
}

// aheadMax is how many wants of a Fetch are open at a time, as in package unixfs.
const aheadMax = 1024

// Fetch is blocks that a peer wants, in one session.
type Fetch struct {
	Began time.Duration // in the world's time
	Took  time.Duration // once it has ended
	// Delivered, Failed and Local count blocks; Local were there already.
	Delivered, Failed, Local int
	Phases                   map[swap.Phase]int // of those that failed
	Ended                    bool               // each block was delivered or has failed

	x       *Exchange
	life    int // of the peer
	session uint64
	rest    []cid.Cid
	open    map[cid.Cid]struct{}
	done    func(*Fetch)
}

// OK tells whether all blocks came.
func (f *Fetch) OK() bool { return f.Ended && f.Failed == 0 }

// Over tells whether nothing more will come of it: it has ended, or the peer went
// down before.
func (f *Fetch) Over() bool { return f.Ended || f.life != f.x.p.life }

// Fetch wants blocks: the first alone, then the others. Each must be delivered or
// fail within the time that is given, or the world fails. done, which may be nil,
// is called at the end.
func (x *Exchange) Fetch(cids []cid.Cid, within time.Duration, done func(*Fetch)) *Fetch {
	x.session++
	f := &Fetch{Began: x.p.w.now, x: x, life: x.p.life, session: x.session, rest: cids, done: done,
		open: make(map[cid.Cid]struct{}), Phases: make(map[swap.Phase]int)}
	x.p.Do(func() { f.ask(1) })
	x.p.w.queue.watch(x.p.w.now+within, func() {
		if !f.Over() {
			x.p.w.Fail(fmt.Errorf("%s: %d of %d blocks are not answered within %v: %s",
				x.p, len(f.rest)+len(f.open), len(cids), within, x.m.SessionInfo(f.session).Phase))
		}
	})
	return f
}

// ask wants more, as long as no more than most are open.
func (f *Fetch) ask(most int) {
	var cids []cid.Cid
	for len(f.rest) > 0 && len(f.open) < most {
		c := f.rest[0]
		f.rest = f.rest[1:]
		if _, twice := f.open[c]; f.x.Has(c) || twice {
			f.Local++
			continue
		}
		f.open[c] = struct{}{}
		if len(f.x.waiting) == 0 {
			f.x.since = f.x.p.w.now
		}
		f.x.waiting[c] = append(f.x.waiting[c], f)
		cids = append(cids, c)
	}
	if len(cids) > 0 {
		f.x.step(swap.Want{Session: f.session, Cids: cids})
	} else if len(f.open) == 0 {
		f.end()
	}
}

// end closes the session.
func (f *Fetch) end() {
	if f.Ended {
		return
	}
	f.Ended, f.Took = true, f.x.p.w.now-f.Began
	f.x.step(swap.CloseSession{Session: f.session})
	if f.done != nil {
		f.x.p.w.After(0, func() { f.done(f) })
	}
}

// Cancel ends a fetch before its time.
func (f *Fetch) Cancel() {
	if f.Over() {
		return
	}
	f.x.p.Do(func() {
		for c := range f.open {
			f.x.forget(c, f)
		}
		f.rest = nil
		f.end()
	})
}

// forget ends a fetch's waiting for a block.
func (x *Exchange) forget(c cid.Cid, f *Fetch) {
	delete(f.open, c)
	x.waiting[c] = slices.DeleteFunc(x.waiting[c], func(o *Fetch) bool { return o == f })
	if len(x.waiting[c]) == 0 {
		delete(x.waiting, c)
		if len(x.waiting) == 0 {
			x.waited += x.p.w.now - x.since
		}
	}
}

// answer tells all that wait for a block that it has come, or why not.
func (x *Exchange) answer(c cid.Cid, r swap.Reason) {
	list := slices.Clone(x.waiting[c])
	if len(list) == 0 {
		x.p.w.Fail(fmt.Errorf("%s: %s is answered (%q), and nobody waits for it", x.p, c, r.Phase))
	}
	for _, f := range list {
		x.forget(c, f)
		if r.Phase == "" {
			f.Delivered++
		} else {
			f.Failed++
			f.Phases[r.Phase]++
		}
		// What comes next is another event: a machine is not fed while it decides.
		x.p.Do(func() {
			if !f.Ended {
				f.ask(aheadMax)
			}
		})
	}
}
