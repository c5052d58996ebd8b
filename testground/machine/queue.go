package machine

import "time"

// happening is something to be done at its time.
type happening struct {
	at  time.Duration
	seq uint64 // orders what happens at the same time
	do  func()
	// idle means that nothing comes of it if all is well: it is a deadline.
	idle bool
}

func (a happening) before(b happening) bool {
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

// queue is a binary heap of happenings. It is not container/heap, which would cost
// an allocation for each.
type queue struct {
	heap []happening
	seq  uint64
	live int // that are not idle
}

func (q *queue) push(at time.Duration, do func()) {
	q.live++
	q.add(happening{at: at, do: do})
}

// watch has do called at a deadline.
func (q *queue) watch(at time.Duration, do func()) { q.add(happening{at: at, do: do, idle: true}) }

func (q *queue) add(e happening) {
	q.seq++
	e.seq = q.seq
	q.heap = append(q.heap, e)
	i := len(q.heap) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !q.heap[i].before(q.heap[up]) {
			return
		}
		q.heap[i], q.heap[up] = q.heap[up], q.heap[i]
		i = up
	}
}

func (q *queue) pop() happening {
	top, last := q.heap[0], len(q.heap)-1
	q.heap[0] = q.heap[last]
	q.heap[last] = happening{}
	q.heap = q.heap[:last]
	if !top.idle {
		q.live--
	}
	for i := 0; ; {
		least := i
		for _, down := range [2]int{2*i + 1, 2*i + 2} {
			if down < last && q.heap[down].before(q.heap[least]) {
				least = down
			}
		}
		if least == i {
			return top
		}
		q.heap[i], q.heap[least] = q.heap[least], q.heap[i]
		i = least
	}
}
