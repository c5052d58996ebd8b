package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/p2pnode/p2pnode/testground/process"
)

const (
	wanFiles     = 1_000
	wanFilesMax  = 1.2       // seconds, for wanFiles
	wanSize      = 100 << 20 // bytes of the large file
	wanShareMin  = 85        // percent of the line rate
	labReadyMax  = 30 * time.Second
	wanPatience  = 3 * time.Minute // with either program, for any one fetch
	bitsPerByte  = 8
	percent      = 100
	roundsAtBest = 2 // round trips of a fetch that knows nothing but a CID: root, then all the rest
)

// wide is the emulated network.
type wide struct {
	command string
	rtt     time.Duration
	mbit    float64
}

func (w wide) place(host int, port string) place {
	return place{
		prefix: []string{"ip", "netns", "exec", fmt.Sprintf("lab%d", host)},
		listen: fmt.Sprintf("/ip4/10.99.0.%d/tcp/%s", host+1, port),
	}
}

// share is how much of the line's rate the fetch of so many bytes has used, in percent.
func (w wide) share(bytes int64, seconds float64) float64 {
	return percent * float64(bytes) * bitsPerByte / (w.mbit * 1e6) / seconds
}

// overWAN fetches small files, and a large one in chunks of either size, over a slow long link.
func (v *versus) overWAN(ctx context.Context) error {
	if v.wan.command == "" {
		v.table.note("The wide-area rows are missing: -wan names no command that emulates such a network.")
		return nil
	}
	words := strings.Fields(v.wan.command)
	lab, err := process.Start(ctx, process.Command{Path: words[0], Args: words[1:]})
	if err != nil {
		return err
	}
	defer lab.Stop()
	ready, cancel := context.WithTimeout(ctx, labReadyMax)
	defer cancel()
	if _, err := lab.Await(ready, func(s string) bool { return s == "ready" }); err != nil {
		return err
	}
	if err := v.wanSmall(ctx); err != nil {
		return err
	}
	plain, err := v.plainWAN(ctx, wanSize)
	if err != nil {
		return err
	}
	for _, chunks := range []string{"256 KiB", "1 MiB"} {
		if err := v.wanLarge(ctx, chunks, plain); err != nil {
			return err
		}
	}
	v.table.note("Wide area: %s round trip, %g Mbit/s each way, in network namespaces. Kubo's usual way is `get` of the small files, tried once, and `cat` of the large one; its best is `pin add`. Plain code: two round trips and the bytes at the line's rate (computed); a bare TCP connection.", v.wan.rtt, v.wan.mbit)
	return nil
}

func (v *versus) wanSmall(ctx context.Context) error {
	dir := filepath.Join(v.dir, "few")
	total, err := writeSmall(dir, wanFiles)
	if err != nil {
		return err
	}
	r := row{what: fmt.Sprintf("get %d small files, wide area", wanFiles), unit: "s", goal: goal{bound: wanFilesMax}}
	r.plain = roundsAtBest*v.wan.rtt.Seconds() + float64(total)*bitsPerByte/(v.wan.mbit*1e6)
	from, fromKubo := v.wan.place(0, "4001"), v.wan.place(0, "4002")
	err = v.withSources(ctx, dir, from, fromKubo, func(s side, ours bool, source peer, cid string) error {
		w, to := way(get), &r.ours
		if !ours {
			w, to = pin, &r.best
		}
		f, err := v.wanFetch(ctx, s, source, cid, w, dir)
		if err != nil {
			return err
		}
		to.add(f.took.Seconds())
		if ours || len(r.usual.values) > 0 {
			return nil
		}
		f, err = v.wanFetch(ctx, s, source, cid, get, dir)
		r.usual.add(f.took.Seconds())
		r.usual.over = f.over
		return err
	})
	v.table.add(r)
	return err
}

func cat(cid, _ string) [][]string { return [][]string{{"cat", cid}} }

func (v *versus) wanLarge(ctx context.Context, chunks string, plain float64) error {
	path := filepath.Join(v.dir, "large")
	if err := writeFile(path, wanSize, 3); err != nil {
		return err
	}
	defer os.Remove(path)
	r := row{what: fmt.Sprintf("%s in chunks of %s, wide area", sizeName(wanSize), chunks), unit: "% of the line", more: true,
		goal: goal{bound: wanShareMin, least: true}, plain: plain}
	chunked := *v // the same run with other words for add
	chunked.ours.add, chunked.kubo.add = v.ours.add256KiB, v.kubo.add256KiB
	if chunks == "1 MiB" {
		chunked.ours.add, chunked.kubo.add = v.ours.add1MiB, v.kubo.add1MiB
	}
	from, fromKubo := v.wan.place(0, "4001"), v.wan.place(0, "4002")
	err := chunked.withSources(ctx, path, from, fromKubo, func(s side, ours bool, source peer, cid string) error {
		ways := map[*sample]way{&r.ours: cat}
		if !ours {
			ways = map[*sample]way{&r.usual: cat, &r.best: pin}
		}
		for to, w := range ways {
			f, err := v.wanFetch(ctx, s, source, cid, w, "")
			if err != nil {
				return err
			}
			to.add(v.wan.share(wanSize, f.took.Seconds()))
		}
		return nil
	})
	v.table.add(r)
	return err
}

// wanFetch fetches from the other end of the line. Running out of patience is an error except for
// Kubo's get, whose time is then a lower bound.
func (v *versus) wanFetch(ctx context.Context, s side, source peer, cid string, w way, want string) (fetched, error) {
	f, err := v.fetch(ctx, s, v.wan.place(1, "4001"), source, cid, w, want, wanPatience)
	v.logf("  wide area %s %s: %.2f s", s.name, w(cid, "")[0][0], f.took.Seconds())
	if err == nil && f.over && s.name == v.ours.name {
		err = errors.New("fetch over the wide area: not done after " + wanPatience.String())
	}
	return f, err
}

// lastLine is the last line of what a command printed.
func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}
