// Package process runs the programs under test: it starts them, waits for what they print, reads
// their memory, and ends them by their own pid. On top of it, P2PNode and Kubo are one daemon each,
// with a repo of its own, so that a campaign or a comparison reads as what it does.
//
// It is not a supervisor: a process that ends is not started again, and what it printed last is kept
// so that a failure can show it.
//
// Invariant: a Process ends with its context. Nothing is ever ended by name, only by the pid that
// Start returned.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	linesMax   = 4096             // lines kept of each process
	lineMax    = 64 << 10         // bytes kept of one line
	drainMax   = 2 * time.Second  // for output still in the pipes when a process has ended
	stopMax    = 20 * time.Second // between SIGTERM and SIGKILL
	excerptMax = 30               // lines shown in an error
)

// Command is a program with its arguments, not yet started.
type Command struct {
	Path   string
	Args   []string
	Prefix []string  // put before Path, e.g. "ip netns exec lab0"; it must exec, not fork
	Env    []string  // added to this process's own
	Dir    string    // default: the current directory
	Stdin  io.Reader // default: none
	Stdout io.Writer // default: kept as lines
	// Tied kills the process when the thread that starts it ends, and so whatever ends this
	// process (Linux; elsewhere it changes nothing). The caller must be locked to its thread:
	// threads that are not locked come and go.
	Tied bool
}

func (c Command) cmd(ctx context.Context) *exec.Cmd {
	words := append(append(append([]string{}, c.Prefix...), c.Path), c.Args...)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Dir = c.Dir
	cmd.Stdin = c.Stdin
	cmd.WaitDelay = drainMax
	if c.Tied {
		tie(cmd)
	}
	return cmd
}

// String is the command as one would type it.
func (c Command) String() string {
	return strings.Join(append(append(append([]string{}, c.Prefix...), c.Path), c.Args...), " ")
}

// ExitError says that a command ended otherwise than well.
type ExitError struct {
	Command string
	Code    int // -1 where a signal ended it
	Signal  syscall.Signal
	Output  string // its last lines
}

func (e *ExitError) Error() string {
	how := fmt.Sprintf("exit %d", e.Code)
	if e.Signal != 0 {
		how = e.Signal.String()
	}
	return fmt.Sprintf("run %s: %s\n%s", e.Command, how, e.Output)
}

// Code is the exit code in err: 0 for nil, -1 where the process did not exit by itself.
func Code(err error) int {
	if err == nil {
		return 0
	}
	var exit *ExitError
	if errors.As(err, &exit) {
		return exit.Code
	}
	return -1
}

var errEnded = errors.New("the process has ended")

// Process is a running program.
type Process struct {
	command Command
	cmd     *exec.Cmd
	out     lines
	done    chan struct{}
	err     error // set before done is closed
}

// Start starts c; it is killed when ctx ends.
func Start(ctx context.Context, c Command) (*Process, error) {
	p := &Process{command: c, cmd: c.cmd(ctx), done: make(chan struct{})}
	p.out.grown = make(chan struct{})
	p.cmd.Stdout, p.cmd.Stderr = &lineWriter{to: &p.out}, &lineWriter{to: &p.out}
	if c.Stdout != nil {
		p.cmd.Stdout = c.Stdout
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c, err)
	}
	go func() {
		defer close(p.done)
		p.err = p.exit(p.cmd.Wait())
	}()
	return p, nil
}

func (p *Process) exit(err error) error {
	if err == nil {
		return nil
	}
	e := &ExitError{Command: p.command.String(), Code: -1, Output: p.Tail()}
	if s, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok {
		e.Code = s.ExitStatus()
		if s.Signaled() {
			e.Signal = s.Signal()
		}
	}
	return e
}

// Run runs c to its end and returns its standard output.
func Run(ctx context.Context, c Command) (string, error) {
	var out bytes.Buffer
	if c.Stdout == nil {
		c.Stdout = &out
	}
	p, err := Start(ctx, c)
	if err != nil {
		return "", err
	}
	err = p.Wait()
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return out.String(), err
}

// Pid is the id of the process.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for the end of the process; its error is nil or an *ExitError.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Kill ends the process at once (SIGKILL) and waits for it.
func (p *Process) Kill() {
	p.cmd.Process.Kill() // fails only where it has ended, which is what is wanted
	<-p.done
}

// Stop asks the process to end (SIGTERM), kills it when it does not, and waits for it.
func (p *Process) Stop() error {
	p.cmd.Process.Signal(syscall.SIGTERM)
	late := time.NewTimer(stopMax)
	defer late.Stop()
	select {
	case <-p.done:
		return p.err
	case <-late.C:
		p.Kill()
		return fmt.Errorf("stop %s: still running after %s", p.command, stopMax)
	}
}

// Await returns the first line, printed already or still to come, for which match holds.
func (p *Process) Await(ctx context.Context, match func(line string) bool) (string, error) {
	ended := false
	for next := 0; ; {
		fresh, after, grown := p.out.from(next)
		for _, line := range fresh {
			if match(line) {
				return line, nil
			}
		}
		if next = after; ended {
			return "", fmt.Errorf("await a line of %s: %w", p.command, errors.Join(errEnded, p.err))
		}
		select {
		case <-grown:
		case <-p.done:
			ended = true
		case <-ctx.Done():
			return "", fmt.Errorf("await a line of %s: %w\n%s", p.command, context.Cause(ctx), p.Tail())
		}
	}
}

// Tail is what the process printed last.
func (p *Process) Tail() string {
	all, _, _ := p.out.from(0)
	return strings.Join(all[max(0, len(all)-excerptMax):], "\n")
}

// lines are what a process printed, the oldest forgotten beyond linesMax.
type lines struct {
	mu    sync.Mutex // guards the following fields
	kept  []string
	first int           // number of kept[0]
	grown chan struct{} // closed and replaced with every line
}

func (l *lines) add(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.kept) >= linesMax {
		forget := linesMax / 2
		l.kept, l.first = append([]string{}, l.kept[forget:]...), l.first+forget
	}
	l.kept = append(l.kept, s)
	close(l.grown)
	l.grown = make(chan struct{})
}

// from returns the lines kept from number n on, the number after them, and what closes when there are more.
func (l *lines) from(n int) ([]string, int, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := min(max(0, n-l.first), len(l.kept))
	return append([]string{}, l.kept[i:]...), l.first + len(l.kept), l.grown
}

// lineWriter cuts one stream into lines.
type lineWriter struct {
	to   *lines
	part []byte
}

func (w *lineWriter) Write(b []byte) (int, error) {
	w.part = append(w.part, b...)
	for {
		i := bytes.IndexAny(w.part, "\r\n")
		if i < 0 && len(w.part) < lineMax {
			return len(b), nil
		}
		if i < 0 {
			i = len(w.part) - 1
		}
		w.to.add(string(w.part[:i]))
		w.part = w.part[i+1:]
	}
}
