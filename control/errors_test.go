package control_test

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/blockstore/disk"
	"github.com/p2pnode/p2pnode/control"
	"github.com/p2pnode/p2pnode/exchange"
	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/codec"
)

// Every typed error that a user may meet has the exit code that is documented.
func TestExplain(t *testing.T) {
	for _, test := range []struct {
		err  error
		code control.Code
	}{
		{errors.New("anything"), control.CodeGeneral},
		{context.Canceled, control.CodeInterrupted},
		{context.DeadlineExceeded, control.CodeTimeout},
		{&node.LockedError{Repo: "r", PID: 7}, control.CodeLocked},
		{node.ErrNoRepo, control.CodeNoRepo},
		{node.ErrOffline, control.CodeUnreachable},
		{node.ErrAddress, control.CodeUsage},
		{node.ErrNotPinned, control.CodeNotFound},
		{node.ErrPinsDamaged, control.CodeCorrupt},
		{node.ErrCAR, control.CodeCorrupt},
		{disk.ErrFull, control.CodeFull},
		{disk.ErrIndex, control.CodeCorrupt},
		{syscall.ENOSPC, control.CodeFull},
		{&disk.CorruptError{}, control.CodeCorrupt},
		{&block.MismatchError{}, control.CodeCorrupt},
		{block.ErrNotFound, control.CodeNotFound},
		{&exchange.NotFoundError{}, control.CodeNotFound},
		{&codec.FormatError{}, control.CodeCorrupt},
		{&unixfs.NoLinkError{}, control.CodeNotFound},
		{&unixfs.NotDirError{}, control.CodeNotFound},
		{&unixfs.PathError{}, control.CodeUsage},
		{&control.Error{Code: control.CodePartial, Message: "half"}, control.CodePartial},
	} {
		e := control.Explain(fmt.Errorf("do something: %w", test.err))
		if e.Code != test.code {
			t.Errorf("%T %v: code %d, want %d", test.err, test.err, e.Code, test.code)
		}
		if want := "do something: " + test.err.Error(); e.Message != want {
			t.Errorf("message %q, want %q", e.Message, want)
		}
		if !errors.Is(e, test.err) {
			t.Errorf("%v has lost its cause", e)
		}
	}
	if control.Explain(nil) != nil {
		t.Error("nil is an error")
	}
}
