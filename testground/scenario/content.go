package scenario

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/testground/sim"
)

// content is a file that somebody has added, and what it must be.
type content struct {
	root cid.Cid
	sum  [sha256.Size]byte
	size int
}

// add has a peer add size random bytes.
func (r *Run) add(ctx context.Context, p *sim.Peer, size int) (content, error) {
	return r.addChunks(ctx, p, size, 0)
}

// addChunks is add in chunks of some bytes, or of the software's own size if that is 0.
func (r *Run) addChunks(ctx context.Context, p *sim.Peer, size, chunk int) (content, error) {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], r.Net.Rand().Uint64())
	b := make([]byte, size)
	rand.NewChaCha8(seed).Read(b)
	root, err := running[sharer](p).Add(ctx, bytes.NewReader(b), chunk)
	if err != nil {
		return content{}, fmt.Errorf("%s adds %d bytes: %w", p, size, err)
	}
	return content{root, sha256.Sum256(b), size}, nil
}

// fetch has a peer read content whole, and fails if a byte is wrong or missing. How
// long it took is measured.
func (r *Run) fetch(ctx context.Context, p *sim.Peer, c content, series string) error {
	began := time.Now()
	if err := r.read(ctx, p, c); err != nil {
		return err
	}
	r.Measure.Add(series, r.Net.Age(), p.Number(), time.Since(began).Seconds())
	return nil
}

// fetchPinned is fetch of somebody who first pins it, and reads it afterwards: only the
// first is measured.
func (r *Run) fetchPinned(ctx context.Context, p *sim.Peer, c content, series string) error {
	began := time.Now()
	if err := running[keeper](p).Pin(ctx, c.root); err != nil {
		return fmt.Errorf("%s pins %s: %w", p, c.root, err)
	}
	r.Measure.Add(series, r.Net.Age(), p.Number(), time.Since(began).Seconds())
	return r.read(ctx, p, c)
}

// read has a peer read content, and fails if a byte is wrong or missing.
func (r *Run) read(ctx context.Context, p *sim.Peer, c content) error {
	f, err := running[sharer](p).Open(ctx, c.root)
	if err != nil {
		return fmt.Errorf("%s fetches %s: %w", p, c.root, err)
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return fmt.Errorf("%s fetches %s, after %d of %d bytes: %w", p, c.root, n, c.size, err)
	}
	if [sha256.Size]byte(h.Sum(nil)) != c.sum {
		return fmt.Errorf("%s fetched %s: wrong bytes", p, c.root)
	}
	return nil
}

// answered turns a fetch of what may be out of reach into an answer: nil if it came
// or was refused in time, an error if it hung or was wrong.
func (r *Run) answered(ctx context.Context, p *sim.Peer, c content, most time.Duration) (came bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	err = r.fetch(ctx, p, c, "fetch_time_s")
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil:
		return false, fmt.Errorf("no answer within %v: %w", most, err)
	default:
		r.Measure.Add("refused", r.Net.Age(), p.Number(), 1)
		return false, nil
	}
}

// sample notes the counters of all running peers now and then, until ctx ends.
func (r *Run) sample(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.sampleNow()
		}
	}
}

func (r *Run) sampleNow() {
	at := r.Net.Age()
	up := r.Net.Up()
	r.Measure.Add("peers_up", at, -1, float64(len(up)))
	for _, p := range up {
		f, knows := runs(p).(finder)
		if !knows {
			continue
		}
		t := p.NIC().Traffic()
		r.Measure.Add("connections", at, p.Number(), float64(len(p.Connected())))
		r.Measure.Add("table_peers", at, p.Number(), float64(f.Table()))
		r.Measure.Add("sent_bytes", at, p.Number(), float64(t.BytesOut))
		r.Measure.Add("received_bytes", at, p.Number(), float64(t.BytesIn))
	}
}
