// Package alarm calls functions when their time has come, for machines to which time is
// told: it has no clock and starts nothing.
//
// Invariant: an Alarm that is set rings once, at the first Ring at its time or after,
// those of equal times in the order in which they were set.
package alarm

import (
	"container/heap"
	"time"
)

// Alarm calls Fire when its time has come. Putting one off is free: the entry
// in the heap stays where it is and is renewed when it surfaces.
type Alarm struct {
	Fire  func()
	due   time.Time // zero if not set
	armed time.Time // time of the one valid entry in the heap; zero if none
}

type timed struct {
	at  time.Time
	seq uint64 // orders equal times by when they were set
	a   *Alarm
}

// IsSet tells whether it is to ring.
func (a *Alarm) IsSet() bool { return !a.due.IsZero() }

// Alarms are those that may be set. The zero value is ready; it is not safe for
// concurrent use.
type Alarms struct {
	heap queue
	seq  uint64
}

// Set makes a ring at the given time, and at no other.
func (t *Alarms) Set(a *Alarm, at time.Time) {
	a.due = at
	if a.armed.IsZero() || at.Before(a.armed) {
		a.armed = at
		t.seq++
		heap.Push(&t.heap, timed{at: at, seq: t.seq, a: a})
	}
}

// Stop makes a not ring.
func (t *Alarms) Stop(a *Alarm) { a.due = time.Time{} }

// Next is the time of the earliest alarm, zero if there is none.
func (t *Alarms) Next() time.Time {
	for len(t.heap) > 0 {
		top := t.heap[0]
		switch {
		case !top.at.Equal(top.a.armed) || top.a.due.IsZero():
			if top.at.Equal(top.a.armed) {
				top.a.armed = time.Time{}
			}
			heap.Pop(&t.heap)
		case top.a.due.After(top.at):
			heap.Pop(&t.heap)
			top.a.armed = time.Time{}
			t.Set(top.a, top.a.due)
		default:
			return top.at
		}
	}
	return time.Time{}
}

// Ring fires all alarms that are due.
func (t *Alarms) Ring(now time.Time) {
	for {
		at := t.Next()
		if at.IsZero() || at.After(now) {
			return
		}
		a := heap.Pop(&t.heap).(timed).a
		a.due, a.armed = time.Time{}, time.Time{}
		a.Fire()
	}
}

// queue is a heap by time.
type queue []timed

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if !q[i].at.Equal(q[j].at) {
		return q[i].at.Before(q[j].at)
	}
	return q[i].seq < q[j].seq
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(timed)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
