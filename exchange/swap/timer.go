package swap

import (
	"container/heap"
	"time"
)

// alarm calls fire when its time has come. Putting one off is free: the entry
// in the heap stays where it is and is renewed when it surfaces.
type alarm struct {
	fire  func()
	due   time.Time // zero if not set
	armed time.Time // time of the one valid entry in the heap; zero if none
}

type timed struct {
	at  time.Time
	seq uint64 // orders equal times by when they were set
	a   *alarm
}

// alarms is a heap of alarms by time.
type alarms struct {
	heap []timed
	seq  uint64
}

// set makes a ring at the given time, and at no other.
func (t *alarms) set(a *alarm, at time.Time) {
	a.due = at
	if a.armed.IsZero() || at.Before(a.armed) {
		a.armed = at
		t.seq++
		heap.Push(t, timed{at: at, seq: t.seq, a: a})
	}
}

func (t *alarms) stop(a *alarm) { a.due = time.Time{} }

// next is the time of the earliest alarm, zero if there is none.
func (t *alarms) next() time.Time {
	for len(t.heap) > 0 {
		top := t.heap[0]
		switch {
		case !top.at.Equal(top.a.armed) || top.a.due.IsZero():
			if top.at.Equal(top.a.armed) {
				top.a.armed = time.Time{}
			}
			heap.Pop(t)
		case top.a.due.After(top.at):
			heap.Pop(t)
			top.a.armed = time.Time{}
			t.set(top.a, top.a.due)
		default:
			return top.at
		}
	}
	return time.Time{}
}

// ring fires all alarms that are due.
func (t *alarms) ring(now time.Time) {
	for {
		at := t.next()
		if at.IsZero() || at.After(now) {
			return
		}
		a := heap.Pop(t).(timed).a
		a.due, a.armed = time.Time{}, time.Time{}
		a.fire()
	}
}

func (t *alarms) Len() int { return len(t.heap) }
func (t *alarms) Less(i, j int) bool {
	if !t.heap[i].at.Equal(t.heap[j].at) {
		return t.heap[i].at.Before(t.heap[j].at)
	}
	return t.heap[i].seq < t.heap[j].seq
}
func (t *alarms) Swap(i, j int) { t.heap[i], t.heap[j] = t.heap[j], t.heap[i] }
func (t *alarms) Push(x any)    { t.heap = append(t.heap, x.(timed)) }
func (t *alarms) Pop() any {
	last := t.heap[len(t.heap)-1]
	t.heap = t.heap[:len(t.heap)-1]
	return last
}
