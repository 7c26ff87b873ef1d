package bench

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// exchange lays out requests and judges answers. Both are called in order, next and answer from goroutines of their own.
type exchange interface {
	// next appends a request with its length to b. due is when it should be, or in a closed loop is, sent.
	next(b []byte, due time.Time) []byte
	// answer judges an answer, without its length, and says how many records and bytes it moved. It does not keep it.
	answer(frame []byte) (records, bytes int, err error)
}

// span is a run: requests are sent from begin to until, and count if they are due, or in a closed loop sent, from measure on.
type span struct{ begin, measure, until time.Time }

func newSpan(warmup, measured time.Duration) span {
	begin := time.Now().Add(50 * time.Millisecond)
	return span{begin, begin.Add(warmup), begin.Add(warmup + measured)}
}

func (s span) seconds() float64 { return s.until.Sub(s.measure).Seconds() }

// tally is what one connection did within the span: what was answered in it, and the latency of what was due in it.
type tally struct {
	Histogram
	operations, records, bytes uint64
}

func (t *tally) add(s span, due, now time.Time, records, bytes int) {
	if due.Before(s.measure) {
		return
	}
	t.Add(now.Sub(due))
	if now.Before(s.until) {
		t.operations++
		t.records += uint64(records)
		t.bytes += uint64(bytes)
	}
}

const (
	writeMax  = 128 << 10        // bytes of requests sent at once
	backlog   = 1 << 16          // requests of an open loop without an answer
	answerMax = 256 << 20        // bytes
	patience  = 15 * time.Second // for the last answers
)

// pipe is one connection under load.
type pipe struct {
	conn        net.Conn
	x           exchange
	outstanding int
	gap         time.Duration // between requests of an open loop; 0: closed
	phase       time.Duration // of this connection among the others
	tally       tally

	r   *bufio.Reader
	buf []byte
}

func newPipe(conn net.Conn, x exchange, outstanding int) *pipe {
	return &pipe{conn: conn, x: x, outstanding: outstanding, r: bufio.NewReaderSize(conn, 64<<10)}
}

// run drives the connection until the span is over and everything is answered.
func (p *pipe) run(s span) error {
	defer p.conn.Close()
	if err := p.conn.SetDeadline(s.until.Add(patience)); err != nil {
		return err
	}
	time.Sleep(time.Until(s.begin))
	var err error
	switch {
	case p.gap > 0:
		err = p.open(s)
	case p.outstanding == 1:
		err = p.single(s)
	default:
		err = p.closed(s)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("no answer within %v after the end of the run", patience)
	}
	return err
}

// single sends the next request after the answer: no second goroutine has to be woken.
func (p *pipe) single(s span) error {
	var b []byte
	for {
		now := time.Now()
		if !now.Before(s.until) {
			return nil
		}
		b = p.x.next(b[:0], now)
		if _, err := p.conn.Write(b); err != nil {
			return err
		}
		if err := p.receive(s, now); err != nil {
			return err
		}
	}
}

// closed keeps requests outstanding.
func (p *pipe) closed(s span) error {
	return p.both(p.outstanding, s, func(q *queue) {
		for time.Now().Before(s.until) && q.send(time.Time{}) && q.flush() {
		}
	})
}

// open sends each request when it is due, late ones at once and together.
func (p *pipe) open(s span) error {
	return p.both(backlog, s, func(q *queue) {
		sleep, done := precise()
		defer done()
		for due := s.begin.Add(p.phase); due.Before(s.until); due = due.Add(p.gap) {
			if time.Until(due) > 0 {
				if !q.flush() {
					return
				}
				sleep(due)
			}
			if !q.send(due) {
				return
			}
		}
		q.flush()
	})
}

// queue is the sender's side of a connection.
type queue struct {
	p      *pipe
	places chan struct{}  // has an element for each request without an answer
	sent   chan time.Time // when each was due; for the receiver
	over   chan struct{}  // closed when the receiver has ended
	b      []byte         // requests that flush will write
	err    error
}

// send lays out the request that was due, or, without a time, as many as there are places for. It returns false when the
// connection is over.
func (q *queue) send(due time.Time) bool {
	select {
	case q.places <- struct{}{}:
	default: // what was laid out must leave before anything can be answered
		if !q.flush() {
			return false
		}
		select {
		case q.places <- struct{}{}:
		case <-q.over:
			return false
		}
	}
	greedy := due.IsZero()
	if greedy {
		due = time.Now()
	}
	for {
		q.sent <- due
		q.b = q.p.x.next(q.b, due)
		if len(q.b) >= writeMax {
			return q.flush()
		}
		if !greedy {
			return true
		}
		select {
		case q.places <- struct{}{}:
		default:
			return true
		}
	}
}

func (q *queue) flush() bool {
	if len(q.b) > 0 {
		_, q.err = q.p.conn.Write(q.b)
		q.b = q.b[:0]
	}
	return q.err == nil
}

// both runs a sender beside the receiver, with room for so many requests without an answer.
func (p *pipe) both(room int, s span, sender func(q *queue)) error {
	q := &queue{p: p, places: make(chan struct{}, room), sent: make(chan time.Time, room), over: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(q.sent)
		sender(q)
	})
	var err error
	for due := range q.sent {
		if err = p.receive(s, due); err != nil {
			break
		}
		<-q.places
	}
	close(q.over)
	if err != nil {
		p.conn.Close() // ends a sender that writes
		for range q.sent {
		}
	}
	wg.Wait()
	if err == nil {
		err = q.err
	}
	return err
}

// receive reads an answer and counts it.
func (p *pipe) receive(s span, due time.Time) error {
	frame, err := p.frame()
	if err != nil {
		return err
	}
	records, bytes, err := p.x.answer(frame)
	if err != nil {
		return err
	}
	p.tally.add(s, due, time.Now(), records, bytes)
	return nil
}

// frame reads what is behind a length. The slice is good until the next call.
func (p *pipe) frame() ([]byte, error) {
	var h [4]byte
	if _, err := io.ReadFull(p.r, h[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(h[:]))
	if n < 4 || n > answerMax {
		return nil, fmt.Errorf("an answer of %d bytes: is this the right protocol?", n)
	}
	if cap(p.buf) < n {
		p.buf = make([]byte, n)
	}
	_, err := io.ReadFull(p.r, p.buf[:n])
	return p.buf[:n], err
}

// drive runs all pipes for the span and adds up what they did. The first error ends nothing early, but is returned.
func drive(pipes []*pipe, rate float64, s span) (*tally, error) {
	errs := make([]error, len(pipes))
	var wg sync.WaitGroup
	for i, p := range pipes {
		if rate > 0 {
			p.gap = time.Duration(float64(time.Second) * float64(len(pipes)) / rate)
			p.phase = p.gap * time.Duration(i) / time.Duration(len(pipes))
		}
		wg.Go(func() { errs[i] = p.run(s) })
	}
	wg.Wait()
	var first error // the others will have failed for the same reason
	for _, err := range errs {
		if first == nil {
			first = err
		}
	}
	sum := &tally{}
	for _, p := range pipes {
		sum.Merge(&p.tally.Histogram)
		sum.operations += p.tally.operations
		sum.records += p.tally.records
		sum.bytes += p.tally.bytes
	}
	return sum, first
}
