package netns

import (
	"errors"
	"runtime"
)

// thread is one thread of the system, on which functions can be run. A namespace belongs
// to a thread, and so do the programs that are tied to whoever has started them.
type thread struct {
	calls chan call
	done  chan struct{}
}

type call struct {
	f   func() error
	err chan error
}

var errClosed = errors.New("the lab is closed")

func newThread() *thread {
	t := &thread{calls: make(chan call), done: make(chan struct{})}
	go func() {
		// It is never unlocked, so that the thread ends with this goroutine.
		runtime.LockOSThread()
		for {
			select {
			case c := <-t.calls:
				c.err <- c.f()
			case <-t.done:
				return
			}
		}
	}()
	return t
}

func (t *thread) do(f func() error) error {
	c := call{f, make(chan error, 1)}
	select {
	case t.calls <- c:
		return <-c.err
	case <-t.done:
		return errClosed
	}
}

// end may be called once.
func (t *thread) end() { close(t.done) }
