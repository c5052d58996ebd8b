package netns

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/netns/link"
	"github.com/p2pnode/p2pnode/testground/process"
)

// Lab is a network of hosts. Its methods are safe for concurrent use.
type Lab struct {
	hosts []*Host
	tuns  []*os.File
	poke  chan struct{} // something is due earlier than before
	done  chan struct{} // closed by Close
	tasks sync.WaitGroup
	once  sync.Once
	nice  int // of this process without a lab

	mu   sync.Mutex // guards the following
	net  *link.Net
	late Lateness
}

// Lateness is how much later than the model wants it packets have come out.
type Lateness struct {
	Packets int
	Sum     time.Duration
	Max     time.Duration
}

// Mean is the lateness of a packet.
func (l Lateness) Mean() time.Duration { return l.Sum / time.Duration(max(1, l.Packets)) }

// Open makes a lab. An error of type *UnavailableError says that this machine, or this
// user, can have none.
func Open(o Options) (*Lab, error) {
	l := &Lab{
		net:  link.New(link.Options{Latency: o.Latency, Queue: o.Queue, Seed: o.Seed}),
		poke: make(chan struct{}, 1), done: make(chan struct{}),
	}
	if o.Hosts > HostsMax {
		return nil, fmt.Errorf("open lab: %d hosts, want %d at most", o.Hosts, HostsMax)
	}
	if o.MTU == 0 {
		o.MTU = 1500
	}
	var err error
	if l.nice, err = niceness(); err != nil {
		return nil, fmt.Errorf("open lab: %w", err)
	}
	for i := range o.Hosts {
		t := process.NewThread()
		l.hosts = append(l.hosts, &Host{lab: l, number: i, thread: t})
		l.net.Add(hostAddr(i))
		var tun *os.File
		err := t.Do(func() (err error) { tun, err = enter(hostAddr(i), o.MTU); return err })
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		l.tuns = append(l.tuns, tun)
	}
	// Without the right to, packets are late more often.
	_ = l.hurry()
	for i, tun := range l.tuns {
		l.tasks.Go(func() { l.read(i, tun) })
	}
	l.tasks.Go(l.deliver)
	return l, nil
}

// hurry lets this process run before all others, but not what it starts in the hosts.
func (l *Lab) hurry() error {
	err := setNiceness(urgentNice)
	for _, h := range l.hosts {
		err = errors.Join(err, h.Do(func() error { return calm(l.nice) }))
	}
	return err
}

// Hosts are all hosts.
func (l *Lab) Hosts() []*Host { return l.hosts }

// SetCut separates the groups a and b, or joins them again; see link.Net.
func (l *Lab) SetCut(a, b int, c fabric.Cut) { l.with(func(n *link.Net) { n.SetCut(a, b, c) }) }

// Lateness tells whether the machine keeps up with the model.
func (l *Lab) Lateness() Lateness {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.late
}

func (l *Lab) with(f func(*link.Net)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l.net)
}

// Close removes the hosts. Programs that still run in one keep its namespace, without a
// way out, unless they are tied.
func (l *Lab) Close() error {
	var err error
	l.once.Do(func() {
		close(l.done)
		for _, t := range l.tuns {
			err = errors.Join(err, t.Close())
		}
		_ = setNiceness(l.nice) // see Open
		l.tasks.Wait()
		for _, h := range l.hosts {
			h.thread.End()
		}
	})
	return err
}

const (
	packetMax = 1 << 16 // bytes
	// urgentNice is how nice this process is while it has a lab, of -20 to 19: what it
	// delivers too late, the hosts take for the network's fault.
	urgentNice = -10
)

// read takes what a host sends.
func (l *Lab) read(host int, tun *os.File) {
	buf := make([]byte, packetMax)
	for {
		n, err := tun.Read(buf)
		if err != nil {
			return // closed
		}
		packet := append([]byte(nil), buf[:n]...)
		l.mu.Lock()
		before, had := l.net.Next()
		l.net.Send(time.Now(), host, packet)
		after, has := l.net.Next()
		l.mu.Unlock()
		if has && (!had || after.Before(before)) {
			select {
			case l.poke <- struct{}{}:
			default:
			}
		}
	}
}

// deliver brings packets out when they are due.
func (l *Lab) deliver() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		l.mu.Lock()
		now := time.Now()
		due := l.net.Step(now)
		for _, d := range due {
			late := now.Sub(d.Due)
			l.late.Packets++
			l.late.Sum += late
			l.late.Max = max(l.late.Max, late)
		}
		next, has := l.net.Next()
		l.mu.Unlock()
		for _, d := range due {
			// It fails when the lab is closed, or the host's queue is full: the packet is lost.
			_, _ = l.tuns[d.Host].Write(d.Packet)
		}
		wait := time.Hour
		if has {
			wait = time.Until(next)
		}
		if wait <= 0 {
			select {
			case <-l.done:
				return
			default:
				continue
			}
		}
		timer.Reset(wait)
		select {
		case <-l.done:
			return
		case <-l.poke:
		case <-timer.C:
		}
	}
}
