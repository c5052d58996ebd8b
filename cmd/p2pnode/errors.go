package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/p2pnode/p2pnode/control"
)

// Exit codes: 0 ok, 1 general, 2 usage, 3 partial, 4 refused, 5 not found,
// 6 timeout, 7 verification failed, 8 daemon unreachable, 10 no repo, 11 repo
// locked, 12 no space, 13 invalid configuration, 130 interrupted. They are those
// of package control, which gives the node's errors theirs; what is added here
// are the errors of the command line itself.

// usage is an error in how the program was called.
func usage(format string, args ...any) *control.Error {
	return &control.Error{Code: control.CodeUsage, Message: fmt.Sprintf(format, args...)}
}

// invalid is an error in the configuration.
func invalid(hint, format string, args ...any) *control.Error {
	return &control.Error{Code: control.CodeConfig, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// nameError means a name in a fetched directory that must not reach the file system.
type nameError struct {
	Path string
	What string
}

func (e *nameError) Error() string {
	return fmt.Sprintf("extract %s: %s", display(e.Path), e.What)
}

// classify gives an error its code, hint and message.
func (a *app) classify(err error) *control.Error {
	var (
		name *nameError
		path *fs.PathError
	)
	e := *control.Explain(err)
	switch {
	case !a.running && e.Code == control.CodeGeneral:
		e.Code, e.Hint = control.CodeUsage, "see p2pnode --help"
	case errors.As(err, &name):
		e.Code = control.CodeCorrupt
		e.Hint = "whoever made this directory made it to harm or by mistake; p2pnode cat reads single files of it"
	case errors.Is(err, errSignal):
		e.Code, e.Message, e.Hint = control.CodeInterrupted, "interrupted", ""
	case e.Code == control.CodeGeneral && errors.As(err, &path) && errors.Is(err, fs.ErrPermission):
		e.Hint = "see who owns " + display(path.Path)
	}
	return &e
}

// each runs f on every argument. It goes on after one that fails, unless all
// others would fail as well, and then tells how many did.
func (a *app) each(ctx context.Context, args []string, f func(arg string) error) error {
	var first error
	failed := 0
	for _, arg := range args {
		err := f(arg)
		if err == nil {
			continue
		}
		code := control.Explain(err).Code
		if len(args) == 1 || ctx.Err() != nil || code == control.CodeUnreachable || code == control.CodeFull {
			return err
		}
		fmt.Fprintf(a.stderr, "p2pnode: %s: %s\n", display(arg), display(strings.ReplaceAll(err.Error(), "\n", "; ")))
		if failed++; first == nil {
			first = err
		}
	}
	if failed == 0 || failed == len(args) {
		return first
	}
	return &control.Error{Code: control.CodePartial, Retryable: true,
		Message: fmt.Sprintf("failed: %d of %s; the first: %v", failed, count(len(args), "argument"), first)}
}

// report prints an error and returns the exit code.
func (a *app) report(err error) int {
	if err == nil {
		return int(control.CodeOK)
	}
	e := a.classify(err)
	if a.json {
		a.stdout.Write(control.EncodeEvent("error", e)) // stderr tells it too
	}
	fmt.Fprintf(a.stderr, "p2pnode: error: %s\n", display(strings.ReplaceAll(e.Message, "\n", "; ")))
	if e.Hint != "" {
		fmt.Fprintf(a.stderr, "hint: %s\n", display(e.Hint))
	}
	return int(e.Code)
}

// errSignal is the cause of a context that a signal has ended.
var errSignal = fmt.Errorf("interrupted: %w", context.Canceled)
