package network

import (
	"net"
	"sync"

	"ottla/broker/api"
)

// pending holds the answers of a connection that are not there yet, in the order of their requests, and the goroutine that
// writes them as they come. The goroutine is alive exactly while busy; then it alone uses conn.out.
type pending struct {
	c *conn

	mu      sync.Mutex
	queue   []pendingAnswer
	running bool
	idle    chan struct{} // closed when running ends; made by who waits for it
	less    chan struct{} // closed when the queue got shorter; made by who waits for it
}

type pendingAnswer struct {
	h header
	s span
	a api.Answer
}

func (p *pending) busy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running
}

// push queues an answer. The caller has flushed conn.out if the queue was not busy.
func (p *pending) push(h header, s *span, a api.Answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, pendingAnswer{h, *s, a})
	if !p.running {
		p.running = true
		p.c.srv.connWG.Add(1) // the connection holds it above zero
		go p.drain()
	}
}

// drain writes answers until the queue is empty or the connection dead. Answers that are ready together are one write.
func (p *pending) drain() {
	defer p.c.srv.connWG.Done()
	var err error
	for {
		p.mu.Lock()
		if len(p.queue) > 0 && err != nil {
			left := p.queue
			p.queue = nil
			p.mu.Unlock()
			for _, q := range left {
				abandon(q.a)
			}
			continue
		}
		if len(p.queue) == 0 {
			p.queue, p.running = nil, false
			for _, ch := range []*chan struct{}{&p.idle, &p.less} {
				if *ch != nil {
					close(*ch)
					*ch = nil
				}
			}
			p.mu.Unlock()
			return
		}
		head := p.queue[0]
		p.mu.Unlock()
		if ch := head.a.Ready(); ch != nil {
			select {
			case <-ch:
			case <-p.c.dead:
				err = net.ErrClosed
				continue
			}
		}
		if err = p.write(); err != nil {
			p.c.stop()
		}
	}
}

// write answers the head of the queue, which is ready, and all ready ones that follow.
func (p *pending) write() error {
	done := 0
	var failed error // ends the connection, after what was answered before
	for failed == nil {
		p.mu.Lock()
		if done == len(p.queue) {
			p.mu.Unlock()
			break
		}
		next := p.queue[done]
		p.mu.Unlock()
		if !ready(next.a) {
			break
		}
		var resp api.Response
		done++
		if resp, failed = next.a.Result(); failed == nil {
			next.s.answered = p.c.now()
			failed = p.c.out.answer(next.h, &next.s, resp)
		}
	}
	if err := p.c.out.flush(); err != nil {
		failed = err
	}
	p.c.out.release()
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.queue[:done])
	p.queue = p.queue[done:]
	if p.less != nil {
		close(p.less)
		p.less = nil
	}
	return failed
}

// abandon ends an answer that nobody is there to read, so that what it holds and where it waits is given up.
func abandon(a api.Answer) {
	resp, err := a.Result()
	if s, ok := resp.(api.Streamed); ok && err == nil {
		s.Close()
	}
}

// wait returns when nothing is pending.
func (p *pending) wait() {
	for {
		p.mu.Lock()
		if !p.running {
			p.mu.Unlock()
			return
		}
		if p.idle == nil {
			p.idle = make(chan struct{})
		}
		idle := p.idle
		p.mu.Unlock()
		<-idle
	}
}

// drained is wait that fails when the connection is dead.
func (p *pending) drained(dead <-chan struct{}) error {
	p.wait() // ends soon after dead does
	select {
	case <-dead:
		return net.ErrClosed
	default:
		return nil
	}
}

// room returns when another sweep may be added.
func (p *pending) room(dead <-chan struct{}) error {
	for {
		p.mu.Lock()
		if len(p.queue) < pendingMax {
			p.mu.Unlock()
			return nil
		}
		if p.less == nil {
			p.less = make(chan struct{})
		}
		less := p.less
		p.mu.Unlock()
		select {
		case <-less:
		case <-dead:
			return net.ErrClosed
		}
	}
}
