package process

import (
	"errors"
	"runtime"
)

// ErrEnded is returned by a Thread that has ended.
var ErrEnded = errors.New("the thread has ended")

// Thread is one thread of the system, on which functions can be run. Some of what a system
// knows of belongs to threads: network namespaces, and processes that are tied to whoever
// has started them. Its methods are safe for concurrent use.
type Thread struct {
	calls chan call
	done  chan struct{}
}

type call struct {
	f   func() error
	err chan error
}

// NewThread makes a thread that lives until End.
func NewThread() *Thread {
	t := &Thread{calls: make(chan call), done: make(chan struct{})}
	found := make(chan struct{})
	go t.run(found)
	<-found
	return t
}

// run runs what is to be run on a thread of its own, once it has found one.
func (t *Thread) run(found chan struct{}) {
	runtime.LockOSThread()
	if onMainThread() {
		// That one does not end before the process. While it is held here, the next
		// try gets another.
		go t.run(found)
		<-found
		runtime.UnlockOSThread()
		return
	}
	close(found)
	// It is never unlocked, so that the thread ends with this goroutine.
	for {
		select {
		case c := <-t.calls:
			c.err <- c.f()
		case <-t.done:
			return
		}
	}
}

// Do runs f on the thread, after all that were to run before.
func (t *Thread) Do(f func() error) error {
	c := call{f, make(chan error, 1)}
	select {
	case t.calls <- c:
		return <-c.err
	case <-t.done:
		return ErrEnded
	}
}

// End ends the thread, and processes that are tied to it. It is called once.
func (t *Thread) End() { close(t.done) }
