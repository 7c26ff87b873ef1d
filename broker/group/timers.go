package group

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// timers wakes every group at its next deadline: one heap, one goroutine and one runtime timer for all groups. A deadline that
// moves back (each heartbeat moves one) is not worth a change: the group is woken early, and says when the next is.
type timers struct {
	mu    sync.Mutex
	heap  deadlines
	woken chan struct{} // something earlier than before has been set
}

// deadline is the place of one group in the heap.
type deadline struct {
	at    time.Time
	index int // in the heap; -1 while it is not there
	fire  func()
}

func newTimers() *timers { return &timers{woken: make(chan struct{}, 1)} }

// set makes sure that d fires at the given time or before; the zero time means that it need not. fire runs on the timers'
// goroutine, without their lock. The caller may hold the lock of a shard.
func (t *timers) set(d *deadline, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case at.IsZero():
		if d.index >= 0 {
			heap.Remove(&t.heap, d.index)
		}
		return
	case d.index < 0:
		d.at = at
		heap.Push(&t.heap, d)
	case at.Before(d.at):
		d.at = at
		heap.Fix(&t.heap, d.index)
	default:
		return
	}
	if t.heap[0] == d {
		select {
		case t.woken <- struct{}{}:
		default:
		}
	}
}

// run fires deadlines until ctx ends.
func (t *timers) run(ctx context.Context) {
	clock := time.NewTimer(0)
	defer clock.Stop()
	for {
		due, next := t.take(time.Now())
		for _, d := range due {
			d.fire()
		}
		if len(due) > 0 {
			continue // firing takes time
		}
		var alarm <-chan time.Time
		if !next.IsZero() {
			clock.Reset(time.Until(next))
			alarm = clock.C
		}
		select {
		case <-ctx.Done():
			return
		case <-t.woken:
		case <-alarm:
		}
	}
}

// take removes what is due from the heap, and says when the next is.
func (t *timers) take(now time.Time) (due []*deadline, next time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.heap) > 0 {
		if t.heap[0].at.After(now) {
			return due, t.heap[0].at
		}
		due = append(due, heap.Pop(&t.heap).(*deadline))
	}
	return due, time.Time{}
}

// deadlines is the heap, by time.
type deadlines []*deadline

func (h deadlines) Len() int           { return len(h) }
func (h deadlines) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h deadlines) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *deadlines) Push(x any) {
	d := x.(*deadline)
	d.index = len(*h)
	*h = append(*h, d)
}

func (h *deadlines) Pop() any {
	old := *h
	d := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	d.index = -1
	return d
}
