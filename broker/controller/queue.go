package controller

import (
	"sync"
	"time"
)

// task is something for the event loop. If it does not come to it (the session expired, the controller is closed), drop is
// called in its place, if there is one.
type task struct {
	run  func()
	drop func()
	at   time.Time // when it was put into the queue
}

// queue is the event loop's: unbounded, since those who put tasks in must not block. Watches are one-shot and answers are to
// requests, so what is in it is bounded by what the controller asked for, and by the requests of clients.
type queue struct {
	mu     sync.Mutex
	tasks  []task
	closed bool
	wake   chan struct{} // has a token while tasks may have something
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

// put adds a task; it is dropped at once if the queue is closed.
func (q *queue) put(t task) {
	t.at = time.Now()
	q.mu.Lock()
	closed := q.closed
	if !closed {
		q.tasks = append(q.tasks, t)
	}
	q.mu.Unlock()
	if closed {
		t.dropped()
		return
	}
	q.poke()
}

// replace drops all that waits and puts t in its place.
func (q *queue) replace(t task) {
	t.at = time.Now()
	q.mu.Lock()
	dropped, closed := q.tasks, q.closed
	if !closed {
		q.tasks = []task{t}
	}
	q.mu.Unlock()
	for _, d := range dropped {
		d.dropped()
	}
	if closed {
		t.dropped()
	}
	q.poke()
}

func (q *queue) take() (t task, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.tasks) == 0 {
		return t, false
	}
	t = q.tasks[0]
	q.tasks[0] = task{}
	q.tasks = q.tasks[1:]
	return t, true
}

// size is how many tasks wait.
func (q *queue) size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.tasks)
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	dropped := q.tasks
	q.tasks = nil
	q.mu.Unlock()
	for _, d := range dropped {
		d.dropped()
	}
}

func (q *queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (t task) dropped() {
	if t.drop != nil {
		t.drop()
	}
}
