package control

import (
	"context"
	"errors"
	"net/http"
	"syscall"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore/disk"
	"github.com/p2pnode/p2pnode/blockstore/disk/badgerdb"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/archive"
	"github.com/p2pnode/p2pnode/crdt/replica"
	"github.com/p2pnode/p2pnode/exchange"
	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/codec"
)

// Code is the class of an error. It is the exit code of the command line, and
// survives the way through the socket.
type Code int

// The codes. They are documented and never change their meaning.
const (
	CodeOK          Code = 0
	CodeGeneral     Code = 1   // anything else
	CodeUsage       Code = 2   // malformed command, CID, path or address
	CodePartial     Code = 3   // done in part
	CodeAuth        Code = 4   // token or role missing or wrong, request refused
	CodeNotFound    Code = 5   // content that nobody has, a name that is not there
	CodeTimeout     Code = 6   // the given time is over
	CodeCorrupt     Code = 7   // bytes that do not verify
	CodeUnreachable Code = 8   // no daemon, or it went away
	CodeNoRepo      Code = 10  // no repo in the folder
	CodeLocked      Code = 11  // another process owns the repo
	CodeFull        Code = 12  // no space left
	CodeConfig      Code = 13  // invalid configuration
	CodeInterrupted Code = 130 // cancelled by the user
)

// Error is an error as it goes over the wire and onto the screen.
type Error struct {
	Code      Code   `json:"code"`
	Message   string `json:"message"`
	Hint      string `json:"hint,omitempty"`      // what the user can do
	Retryable bool   `json:"retryable,omitempty"` // the same call may work later

	cause error // nil when it came over the wire
}

func (e *Error) Error() string { return e.Message }
func (e *Error) Unwrap() error { return e.cause }

// Is makes errors that came over the wire answer to the errors of the same class
// that callers ask for.
func (e *Error) Is(target error) bool {
	switch target {
	case block.ErrNotFound:
		return e.Code == CodeNotFound
	case context.DeadlineExceeded:
		return e.Code == CodeTimeout
	case context.Canceled:
		return e.Code == CodeInterrupted
	case node.ErrNoRepo:
		return e.Code == CodeNoRepo
	}
	return false
}

// class is a row of the table that gives errors their code: the first whose is
// says yes.
type class struct {
	code      Code
	hint      string
	retryable bool
	is        func(error) bool
}

// classes is ordered: a corrupt block, for one, is also one that is not found.
func classes() []class {
	return []class{
		{CodeInterrupted, "", true, is(context.Canceled)},
		{CodeLocked, "end that process, or wait for it", true, as[*node.LockedError]},
		{CodeNoRepo, "run p2pnode init, or name another repo with --repo", false, is(node.ErrNoRepo)},
		{CodeFull, "free some space; p2pnode gc removes what is not pinned", true, is(disk.ErrFull, syscall.ENOSPC)},
		{CodeGeneral, "the repo is on a read-only file system: it can be read, and nothing else", false, is(node.ErrReadOnly)},
		{CodeCorrupt, "it is no archive as p2pnode doc export writes it, or not all of it", false, is(archive.ErrMalformed, archive.ErrIncomplete)},
		{CodeUsage, "", false, is(archive.ErrLimit)},
		{CodeCorrupt, "run p2pnode verify; damaged blocks are fetched again when a peer has them", false, corrupt},
		{CodeCorrupt, "", false, as[*codec.FormatError]},
		{CodeCorrupt, "", false, is(node.ErrCAR)},
		{CodeCorrupt, "keep a copy of the repo; the files in its blocks/segments are CARs, which p2pnode car import reads", false, is(badgerdb.ErrDamaged)},
		{CodeCorrupt, "", false, is(replica.ErrDamaged)},
		{CodeNotFound, "others who have the document must be connected: p2pnode peers ls", true, is(replica.ErrEmpty)},
		{CodeTimeout, "try a longer --timeout", true, is(context.DeadlineExceeded)},
		{CodeNotFound, "", false, as[*unixfs.NoLinkError]},
		{CodeNotFound, "", false, as[*unixfs.NotDirError]},
		{CodeNotFound, "p2pnode pin ls lists what is pinned", false, is(node.ErrNotPinned)},
		{CodeNotFound, "connect to a peer that has it: p2pnode peers connect MULTIADDR", true, is(block.ErrNotFound)},
		{CodeNotFound, "p2pnode doc log lists the commits of a document that are here", false, is(crdt.ErrMissing)},
		{CodeNotFound, "p2pnode doc compact has forgotten what is older", false, is(crdt.ErrBeforeHorizon)},
		{CodeNotFound, "p2pnode doc ls lists the documents", false, is(replica.ErrUnknown)},
		{CodeUnreachable, "start one with p2pnode daemon", true, is(node.ErrOffline, replica.ErrOffline)},
		{CodeGeneral, "p2pnode peers connect reaches it; peers that speak bitswap alone take no offers", true, is(exchange.ErrNoSwarm)},
		{CodeAuth, "p2pnode doc writers NAME lists who may", false, is(crdt.ErrRole)},
		{CodeAuth, "ask for another one: p2pnode doc share makes it", false, is(replica.ErrRedeemed)},
		{CodeUsage, "", false, is(replica.ErrName, replica.ErrTicket)},
		{CodeUsage, "a REF is a CID, /ipfs/CID/path or ipfs://CID/path", false, as[*unixfs.PathError]},
		{CodeUsage, "0 is unlimited", false, is(exchange.ErrLimits)},
		{CodeUsage, "an address is /ip4/ADDR/tcp/PORT/p2p/ID, as p2pnode id prints it", false, is(node.ErrAddress)},
	}
}

func is(targets ...error) func(error) bool {
	return func(err error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
}

func as[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

func corrupt(err error) bool {
	return as[*block.MismatchError](err) || as[*disk.CorruptError](err) ||
		is(disk.ErrIndex, node.ErrPinsDamaged)(err)
}

// Explain gives err its code and hint. It returns nil for nil. An *Error inside
// err keeps its class and gets the message of the whole.
func Explain(err error) *Error {
	if err == nil {
		return nil
	}
	var known *Error
	if errors.As(err, &known) {
		whole := *known
		whole.Message, whole.cause = err.Error(), err
		return &whole
	}
	e := &Error{Code: CodeGeneral, Message: err.Error(), cause: err}
	for _, c := range classes() {
		if c.is(err) {
			e.Code, e.Hint, e.Retryable = c.code, c.hint, c.retryable
			break
		}
	}
	return e
}

// status is the HTTP status for an error that is known before the first byte.
func (e *Error) status() int {
	switch e.Code {
	case CodeUsage, CodeConfig:
		return http.StatusBadRequest
	case CodeAuth:
		return http.StatusForbidden
	case CodeNotFound:
		return http.StatusNotFound
	case CodeTimeout:
		return http.StatusGatewayTimeout
	case CodeFull:
		return http.StatusInsufficientStorage
	case CodeUnreachable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}
