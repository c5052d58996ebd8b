// Package netns is a network of real processes on one machine: each host is a network
// namespace of Linux, whose only way out is a TUN device that this process reads and
// writes, and package link says when which packet comes out where. The programs in it
// run unchanged. It needs root, but no queueing discipline of the kernel, no other
// program and no name in the file system.
//
// It is no container: hosts share all but the network with this machine. Its time is the
// clock's, so a busy machine delivers late; Lateness tells how late.
//
// Invariant: nothing outlives the process. A namespace is held by a thread and a device by
// a descriptor, so that the kernel removes both whatever ends the process, and programs
// that are started tied (package process) go with them.
package netns

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/p2pnode/p2pnode/testground/fabric"
	"github.com/p2pnode/p2pnode/testground/netns/link"
	"github.com/p2pnode/p2pnode/testground/process"
)

// HostsMax is how many hosts a lab may have: each has a thread, and a program at least.
const HostsMax = 250

// Options say what a lab is like. The zero value is a lab without hosts.
type Options struct {
	Hosts int
	// Latency is how long a packet takes between two hosts, one way. Nil: none.
	Latency func(from, to int) time.Duration
	// Queue is how long a packet may wait before a line that is busy. 0: link.DefaultQueue.
	Queue time.Duration
	// Seed decides jitter and loss.
	Seed uint64
	// MTU of the hosts' devices, in bytes. 0: 1500.
	MTU int
}

// UnavailableError says why there can be no lab on this machine.
type UnavailableError struct{ Cause error }

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("no network namespaces here: %v", e.Cause)
}

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Cause }

// hostAddr is the address of a host. Each has a /16 of its own, as package sim has it, so
// that nobody takes them for one operator; to the hosts, all of them are neighbours.
func hostAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{20, byte(i), 0, 7}) }

var netmask = [4]byte{255, 0, 0, 0} // of hostAddr

// Host is one host of a lab. Its methods are safe for concurrent use.
type Host struct {
	lab    *Lab
	number int
	thread *process.Thread
}

// Addr is the host's address.
func (h *Host) Addr() netip.Addr { return hostAddr(h.number) }

// Do runs f on a thread inside the host: sockets that f makes and programs that it starts
// are the host's, and stay so when f has returned. One f runs at a time.
func (h *Host) Do(f func() error) error { return h.thread.Do(f) }

// SetLine changes the host's line from now on.
func (h *Host) SetLine(l fabric.Line) { h.lab.with(func(n *link.Net) { n.SetLine(h.number, l) }) }

// SetGroup puts the host into a group; all begin in group 0.
func (h *Host) SetGroup(group int) { h.lab.with(func(n *link.Net) { n.SetGroup(h.number, group) }) }

// SetSilent loses everything from and to the host, as if its power were gone.
func (h *Host) SetSilent(silent bool) {
	h.lab.with(func(n *link.Net) { n.SetSilent(h.number, silent) })
}

// Traffic returns what went over the host's line so far.
func (h *Host) Traffic() (t link.Traffic) {
	h.lab.with(func(n *link.Net) { t = n.Traffic(h.number) })
	return t
}
