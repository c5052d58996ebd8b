package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/netns"
)

const (
	crowdSize    = 50 << 20 // bytes of the file
	crowdPeers   = 8        // that want it
	crowdRTT     = 50 * time.Millisecond
	crowdUp      = 20e6  // bits/s of each, the one that has it included
	crowdDown    = 100e6 // bits/s
	crowdTimeMax = 1.3   // times what the seed needs to send it once
)

// crowd has peers fetch a file at the same time that one of them has, each in a network of its own.
func (v *versus) crowd(ctx context.Context) (err error) {
	lab, err := netns.Open(netns.Options{Hosts: crowdPeers + 1, Latency: func(_, _ int) time.Duration { return crowdRTT / 2 }})
	var none *netns.UnavailableError
	if errors.As(err, &none) {
		v.table.note("The row of the crowd is missing: %v.", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	for _, h := range lab.Hosts() {
		h.SetLine(fabric.Line{Up: crowdUp, Down: crowdDown})
	}
	path := filepath.Join(v.dir, "crowd")
	if err := writeFile(path, crowdSize, 4); err != nil {
		return err
	}
	defer os.Remove(path)
	bound := crowdSize * bitsPerByte / crowdUp
	r := row{what: fmt.Sprintf("the last of %d that get %s from one", crowdPeers, sizeName(crowdSize)), unit: "s", goal: goal{bound: crowdTimeMax * bound}, plain: bound}
	for range v.n {
		if err := v.crowdOnce(ctx, lab, v.ours, get, path, &r.ours); err != nil {
			return err
		}
	}
	// Kubo needs minutes: once each way.
	if err := errors.Join(v.crowdOnce(ctx, lab, v.kubo, cat, path, &r.usual), v.crowdOnce(ctx, lab, v.kubo, pin, path, &r.best)); err != nil {
		return err
	}
	v.table.add(r)
	v.table.note("Crowd: every peer is connected to every other, in network namespaces, with %s round trip, %g Mbit/s up and %g down. Kubo's usual way is `cat`, its best `pin add`, each tried once. Plain code: what the first needs to send the file once (computed).",
		crowdRTT, crowdUp/1e6, crowdDown/1e6)
	return nil
}

// crowdOnce starts a crowd, and adds to took what the last of it needed.
func (v *versus) crowdOnce(ctx context.Context, lab *netns.Lab, s side, w way, path string, took *sample) (err error) {
	peers := make([]peer, 0, crowdPeers+1)
	for _, h := range lab.Hosts() {
		p, done, err2 := v.start(ctx, s, place{host: h, listen: fmt.Sprintf("/ip4/%s/tcp/4001", h.Addr())})
		if err2 != nil {
			return err2
		}
		defer func() { err = errors.Join(err, done()) }()
		for _, o := range peers {
			if err := p.Connect(ctx, o.Addr()); err != nil {
				return err
			}
		}
		peers = append(peers, p)
	}
	cid, err := command(ctx, peers[0], s.add256KiB, path)
	if err != nil {
		return err
	}
	if err := settle(ctx); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(v.dir, "crowd-out")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, empty(dir)) }()
	times, errs := make([]float64, crowdPeers), make([]error, crowdPeers)
	began := time.Now()
	var all sync.WaitGroup
	for i, p := range peers[1:] {
		all.Go(func() {
			out := filepath.Join(dir, fmt.Sprint(i))
			for _, words := range w(lastLine(cid), out) {
				if _, errs[i] = command(ctx, p, words); errs[i] != nil {
					return
				}
			}
			times[i] = time.Since(began).Seconds()
			if _, err := os.Stat(out); err == nil {
				errs[i] = sameTree(out, path)
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	took.add(slices.Max(times))
	v.logf("  crowd %s %s: %.1f s, the first after %.1f s", s.name, w("", "")[0][0], slices.Max(times), slices.Min(times))
	return nil
}

// inHost is a peer in a network of its own, and so is whoever talks to it.
type inHost struct {
	peer
	host *netns.Host
}

func (p inHost) Start(ctx context.Context) error {
	return p.host.Do(func() error { return p.peer.Start(ctx) })
}

func (p inHost) Connect(ctx context.Context, addr string) error {
	return p.host.Do(func() error { return p.peer.Connect(ctx, addr) })
}

func (p inHost) Command(ctx context.Context, args ...string) (out string, err error) {
	err = p.host.Do(func() (err error) {
		out, err = p.peer.Command(ctx, args...)
		return err
	})
	return out, err
}
