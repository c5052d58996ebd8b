package process_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/testground/process"
)

// TestMain lets this test binary play the program under test.
func TestMain(m *testing.M) {
	switch os.Getenv("PLAY") {
	case "":
		os.Exit(m.Run())
	case "well":
		fmt.Println("data")
		fmt.Fprintln(os.Stderr, "note")
	case "badly":
		fmt.Fprintln(os.Stderr, "no such thing")
		os.Exit(5)
	case "loud":
		for i := range 10_000 {
			fmt.Println("line", i)
		}
		fmt.Println("last")
		<-time.After(time.Hour)
	}
}

func play(t *testing.T, part string) process.Command {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return process.Command{Path: self, Env: []string{"PLAY=" + part}}
}

func TestRun(t *testing.T) {
	out, err := process.Run(t.Context(), play(t, "well"))
	if err != nil || out != "data\n" {
		t.Errorf("got %q, %v; want the standard output alone", out, err)
	}
	_, err = process.Run(t.Context(), play(t, "badly"))
	if process.Code(err) != 5 || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("got %v; want exit 5 and what was printed", err)
	}
}

func TestAwaitThenKill(t *testing.T) {
	p, err := process.Start(t.Context(), play(t, "loud"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Await(t.Context(), func(s string) bool { return s == "last" }); err != nil {
		t.Error(err)
	}
	if m, err := p.Memory(); err != nil || m.RSS < 1<<20 || m.Peak < m.RSS {
		t.Errorf("memory %+v, %v", m, err)
	}
	p.Kill()
	var exit *process.ExitError
	if err := p.Wait(); !errors.As(err, &exit) || exit.Signal != syscall.SIGKILL {
		t.Errorf("got %v; want killed", err)
	}
	if _, err := p.Await(t.Context(), func(s string) bool { return s == "never" }); err == nil {
		t.Error("awaited a line of a process that has ended")
	}
}

func TestContextEndsProcess(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := process.Run(ctx, play(t, "loud"))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v; want the context's error", err)
	}
}

func TestThread(t *testing.T) {
	thread := process.NewThread()
	var p *process.Process
	err := thread.Do(func() (err error) {
		c := play(t, "loud")
		c.Tied = true
		p, err = process.Start(t.Context(), c)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Await(t.Context(), func(s string) bool { return s == "last" }); err != nil {
		t.Error(err)
	}
	thread.End()
	if err := thread.Do(func() error { return nil }); !errors.Is(err, process.ErrEnded) {
		t.Errorf("after its end: %v", err)
	}
	if runtime.GOOS != "linux" {
		p.Kill()
	}
	var exit *process.ExitError
	if err := p.Wait(); !errors.As(err, &exit) || exit.Signal != syscall.SIGKILL {
		t.Errorf("what is tied to a thread that ends has ended in %v", err)
	}
}
