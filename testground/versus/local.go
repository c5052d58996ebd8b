package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	smallFiles   = 10_000
	smallTimeMax = 2.5 // seconds, for smallFiles

	addRatioMax      = 0.6
	loopbackRatioMin = 4
	streamShareMin   = 70  // percent of what a libp2p stream carries
	busyMemoryMax    = 250 // MB
	idleMemoryMax    = 70
	binarySizeMax    = 60
)

const mb = 1e6 // bytes

func sizeName(bytes int64) string {
	if bytes%(1<<30) == 0 {
		return fmt.Sprintf("%d GiB", bytes>>30)
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}

// each runs f for both sides in turn, v.n times, so that what else the machine does meets both.
func (v *versus) each(f func(rep int, s side, ours bool) error) error {
	for rep := range v.n {
		if err := errors.Join(f(rep, v.ours, true), f(rep, v.kubo, false)); err != nil {
			return err
		}
	}
	return nil
}

// add adds a large file.
func (v *versus) add(ctx context.Context) error {
	path := filepath.Join(v.dir, "large")
	if err := writeFile(path, v.size, 1); err != nil {
		return err
	}
	defer os.Remove(path)
	took := row{what: "add " + sizeName(v.size) + ", durable", unit: "s", goal: goal{bound: addRatioMax, ratio: true}}
	peak := row{what: "memory at most while adding it", unit: "MB", goal: goal{bound: busyMemoryMax}}
	var synced sample
	err := v.each(func(_ int, s side, ours bool) error {
		seconds, withSync, peakMB, err := v.addOnce(ctx, s, path)
		if err != nil {
			return err
		}
		if ours {
			took.ours.add(seconds)
			peak.ours.add(peakMB)
			return nil
		}
		took.usual.add(seconds)
		synced.add(withSync)
		peak.usual.add(peakMB)
		return nil
	})
	if err != nil {
		return err
	}
	if took.plain, err = best(func() (float64, error) { return v.plainStore(path) }); err != nil {
		return err
	}
	v.table.add(took)
	v.table.add(peak)
	v.table.note("`add`: p2pnode's is on the disk when the CID is printed. Kubo's default does not sync: followed by a `sync` it takes %s s. Plain code: write and fsync the same bytes, or hash them on all cores, whichever is slower.", synced)
	return nil
}

// addOnce returns what an add took, in seconds, what it took until all was on the disk, and the
// daemon's memory.
func (v *versus) addOnce(ctx context.Context, s side, path string) (seconds, withSync, peakMB float64, err error) {
	p, done, err := v.start(ctx, s, place{})
	if err != nil {
		return 0, 0, 0, err
	}
	defer func() { err = errors.Join(err, done()) }()
	if err := settle(ctx); err != nil {
		return 0, 0, 0, err
	}
	start := time.Now()
	if _, err := command(ctx, p, s.add, path); err != nil {
		return 0, 0, 0, err
	}
	seconds = time.Since(start).Seconds()
	if err := settle(ctx); err != nil {
		return 0, 0, 0, err
	}
	withSync = time.Since(start).Seconds()
	m, err := p.Memory()
	v.logf("  add %s: %.2f s, %.0f MB", s.name, seconds, float64(m.Peak)/mb)
	return seconds, withSync, float64(m.Peak) / mb, err
}

// loopback fetches a large file from the peer next door.
func (v *versus) loopback(ctx context.Context) error {
	path := filepath.Join(v.dir, "large")
	if err := writeFile(path, v.size, 2); err != nil {
		return err
	}
	defer os.Remove(path)
	rate := row{what: "get " + sizeName(v.size) + ", loopback", unit: "MB/s", more: true, goal: goal{bound: loopbackRatioMin, ratio: true, least: true}}
	pinned := row{what: "pin " + sizeName(v.size) + ", loopback", unit: "MB/s", more: true}
	peak := row{what: "memory at most while fetching it", unit: "MB", goal: goal{bound: busyMemoryMax}}
	share := row{what: "the same against a libp2p stream", unit: "% of its rate", more: true, goal: goal{bound: streamShareMin, least: true}}
	err := v.withSources(ctx, path, place{}, place{}, func(s side, ours bool, source peer, cid string) error {
		got, err := v.fetch(ctx, s, place{}, source, cid, get, path, stepMax)
		if err != nil {
			return err
		}
		pins, err := v.fetch(ctx, s, place{}, source, cid, pin, "", stepMax)
		if err != nil {
			return err
		}
		mbps := func(f fetched) float64 { return float64(v.size) / mb / f.took.Seconds() }
		v.logf("  loopback %s: get %.0f MB/s, pin %.0f MB/s, %.0f MB", s.name, mbps(got), mbps(pins), float64(got.peak)/mb)
		if ours {
			stream, err := v.plainStream(ctx, v.size)
			if err != nil {
				return err
			}
			v.logf("  loopback libp2p stream: %.0f MB/s", stream)
			share.ours.add(percent * mbps(got) / stream)
			rate.ours.add(mbps(got))
			pinned.ours.add(mbps(pins))
			peak.ours.add(float64(got.peak) / mb)
			return nil
		}
		rate.usual.add(mbps(got))
		pinned.usual.add(mbps(pins))
		peak.usual.add(float64(got.peak) / mb)
		return nil
	})
	if err != nil {
		return err
	}
	if rate.plain, err = v.plainCopy(path); err != nil {
		return err
	}
	v.table.add(rate)
	share.plain = percent
	v.table.add(share)
	v.table.add(pinned)
	v.table.add(peak)
	v.table.note("Loopback: into an empty repo and, for `get`, a file. Plain code: the same bytes over a bare TCP connection into a file. The libp2p stream, measured right after each `get`, is one over TCP with libp2p's defaults, between two processes; nobody hashes or stores what it carries.")
	return nil
}

// withSources adds path to a peer of each side, and runs f for both in turn, v.n times.
func (v *versus) withSources(ctx context.Context, path string, at, atKubo place, f func(s side, ours bool, source peer, cid string) error) (err error) {
	sources := map[string]peer{}
	cids := map[string]string{}
	for _, s := range []side{v.ours, v.kubo} {
		where := at
		if s.name == v.kubo.name {
			where = atKubo
		}
		p, done, err2 := v.start(ctx, s, where)
		if err2 != nil {
			return err2
		}
		defer func() { err = errors.Join(err, done()) }()
		cid, err2 := command(ctx, p, s.add, path)
		if err2 != nil {
			return err2
		}
		sources[s.name], cids[s.name] = p, lastLine(cid)
	}
	if err := settle(ctx); err != nil {
		return err
	}
	return v.each(func(_ int, s side, ours bool) error { return f(s, ours, sources[s.name], cids[s.name]) })
}

// small fetches many small files.
func (v *versus) small(ctx context.Context) error {
	dir := filepath.Join(v.dir, "small")
	if _, err := writeSmall(dir, smallFiles); err != nil {
		return err
	}
	r := row{what: fmt.Sprintf("get %d small files, loopback", smallFiles), unit: "s", goal: goal{bound: smallTimeMax}}
	usual := func(s side, source peer, cid string) error {
		f, err := v.fetch(ctx, s, place{}, source, cid, get, dir, v.patience)
		r.usual.add(f.took.Seconds())
		r.usual.over = f.over
		return err
	}
	err := v.withSources(ctx, dir, place{}, place{}, func(s side, ours bool, source peer, cid string) error {
		w := get
		if !ours {
			w = pinThenGet
		}
		f, err := v.fetch(ctx, s, place{}, source, cid, w, dir, stepMax)
		if err != nil {
			return err
		}
		v.logf("  small %s: %.2f s", s.name, f.took.Seconds())
		if ours {
			r.ours.add(f.took.Seconds())
			return nil
		}
		r.best.add(f.took.Seconds())
		if len(r.usual.values) == 0 {
			return usual(s, source, cid)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if r.plain, err = best(func() (float64, error) { return v.plainTree(dir) }); err != nil {
		return err
	}
	v.table.add(r)
	v.table.note("Small files: %d of 200 B to 8 KB, 100 in a folder. Kubo's usual way is `get`, tried once; its best is `pin add`, then `get`. Plain code: write the same files and folders.", smallFiles)
	return nil
}

// memory looks at daemons that do nothing, and at the binaries.
func (v *versus) memory(ctx context.Context) error {
	idle := row{what: "memory when idle", unit: "MB", goal: goal{bound: idleMemoryMax}}
	err := v.each(func(_ int, s side, ours bool) error {
		rss, err := v.idleMemory(ctx, s)
		if ours {
			idle.ours.add(rss)
		} else {
			idle.usual.add(rss)
		}
		return err
	})
	if err != nil {
		return err
	}
	v.table.add(idle)
	binary := row{what: "binary", unit: "MB", goal: goal{bound: binarySizeMax}}
	for _, b := range []struct {
		s  side
		to *sample
	}{{v.ours, &binary.ours}, {v.kubo, &binary.usual}} {
		info, err := os.Stat(b.s.binary)
		if err != nil {
			return err
		}
		b.to.add(float64(info.Size()) / mb)
	}
	v.table.add(binary)
	v.table.note("Memory is the resident set of the daemon: after %s with nothing to do, or its highest so far. Both binaries are as `go build` makes them.", v.idle)
	return nil
}

func (v *versus) idleMemory(ctx context.Context, s side) (rss float64, err error) {
	p, done, err := v.start(ctx, s, place{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, done()) }()
	timer := time.NewTimer(v.idle)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	m, err := p.Memory()
	return float64(m.RSS) / mb, err
}
