package exchange

import (
	"context"
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/exchange/swap"
)

// Phase is how far a fetch had come when it was given up.
type Phase = swap.Phase

// The phases. See exchange/swap.
const (
	PhaseNoPeers     = swap.PhaseNoPeers
	PhaseNoProviders = swap.PhaseNoProviders
	PhaseUndialable  = swap.PhaseUndialable
	PhaseRefused     = swap.PhaseRefused
	PhaseStalled     = swap.PhaseStalled
)

// NotFoundError says that a block could not be fetched, and what was tried. It
// is a block.ErrNotFound.
type NotFoundError struct {
	Cid    cid.Cid
	Reason swap.Reason
}

// Phase is how far the fetch had come, in words for people.
func (e *NotFoundError) Phase() string { return string(e.Reason.Phase) }

// Providers is how many peers the search named.
func (e *NotFoundError) Providers() int { return e.Reason.Providers }

// Undialable is how many of these could not be connected to.
func (e *NotFoundError) Undialable() int { return e.Reason.Undialable }

// PeersAsked is how many peers were asked for the block.
func (e *NotFoundError) PeersAsked() int { return e.Reason.Asked }

func (e *NotFoundError) Error() string {
	what := string(e.Reason.Phase)
	switch e.Reason.Phase {
	case PhaseUndialable:
		what = plural(e.Reason.Undialable, "provider") + " undialable"
		if e.Reason.DialErr != nil {
			what += ": " + firstLine(e.Reason.DialErr)
		}
	case PhaseRefused:
		what = plural(e.Reason.Providers, "provider") + " found, none of which has it"
	case PhaseStalled:
		what = fmt.Sprintf("stalled: %s, %d undialable", plural(e.Reason.Providers, "provider"), e.Reason.Undialable)
	}
	return fmt.Sprintf("fetch %s: %s (%s asked)", e.Cid, what, plural(e.Reason.Asked, "peer"))
}

// firstLine leaves out the list of addresses that an error of a dial goes on with.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Unwrap makes errors.Is(err, block.ErrNotFound) true.
func (e *NotFoundError) Unwrap() error { return block.ErrNotFound }

// NotFound satisfies the interface by which the IPFS libraries recognise a
// missing block.
func (e *NotFoundError) NotFound() bool { return true }

// TimeoutError says that the time given for a fetch was over, and what the
// session was doing then. It is a context.DeadlineExceeded.
type TimeoutError struct {
	Cid  cid.Cid
	Step string // "fetching", "asking", "searching" or "connecting"
}

// Phase is what the session was doing.
func (e *TimeoutError) Phase() string { return e.Step }

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("fetch %s: out of time while %s", e.Cid, e.Step)
}

// Unwrap makes errors.Is(err, context.DeadlineExceeded) true.
func (e *TimeoutError) Unwrap() error { return context.DeadlineExceeded }
