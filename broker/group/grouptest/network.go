package grouptest

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Answer is what became of a request.
type Answer struct {
	Response kmsg.Response
	Err      error
}

// Target is a coordinator.
type Target interface {
	// Ask sends a request on a connection that nobody else waits on. Its version is set.
	Ask(kmsg.Request) <-chan Answer
	// Now is the time since some moment; timers of the coordinator run by the same clock, at most Slack behind.
	Now() time.Duration
	Sleep(time.Duration)
	Slack() time.Duration
	// Pace is how long a request is on its way at most.
	Pace() time.Duration
	// Late says that the target was seen to be slower than that.
	Late() bool
}

// Broker is a Target at an address. Close it.
type Broker struct {
	address string
	began   time.Time
	scale   time.Duration
	done    chan struct{} // closed by Close
	pinged  atomic.Int64  // when the last ping was sent, as Now
	behind  atomic.Int64  // most that a ping, or its answer, was late by

	mu     sync.Mutex
	idle   []net.Conn
	all    map[net.Conn]bool
	closed bool
	work   sync.WaitGroup
}

// brokerSlack is how late a timer or a request may be on a busy machine.
const brokerSlack = 350 * time.Millisecond

// brokerPace is how long a request is on its way at most. Nothing tells that one has arrived that is not answered.
const brokerPace = 80 * time.Millisecond

// Dial is the broker at an address; connections are made when they are needed. Scale is how many times slower than usual it, and the
// machine, may be.
func Dial(address string, scale int) *Broker {
	b := &Broker{address: address, began: time.Now(), scale: time.Duration(scale), done: make(chan struct{}), all: map[net.Conn]bool{}}
	b.work.Go(b.ping)
	return b
}

// ping asks the broker something simple again and again: while that takes long, so do its timers and the requests that it parks.
func (b *Broker) ping() {
	for {
		b.pinged.Store(int64(b.Now()))
		r := kmsg.NewPtrApiVersionsRequest()
		select {
		case a := <-b.Ask(r):
			if a.Err != nil {
				return // who plays will see it
			}
		case <-b.done:
			return
		}
		select {
		case <-time.After(b.Pace()):
		case <-b.done:
			return
		}
		b.behind.Store(max(b.behind.Load(), int64(b.overdue())))
	}
}

// overdue is how long the next ping should have been sent for.
func (b *Broker) overdue() time.Duration { return b.Now() - time.Duration(b.pinged.Load()) - b.Pace() }

// Late is Target's.
func (b *Broker) Late() bool { return max(time.Duration(b.behind.Load()), b.overdue()) > b.Pace()/2 }

// Now is Target's.
func (b *Broker) Now() time.Duration { return time.Since(b.began) }

// Pace is Target's.
func (b *Broker) Pace() time.Duration { return brokerPace * b.scale }

// Sleep is Target's.
func (b *Broker) Sleep(d time.Duration) { time.Sleep(d) }

// Slack is Target's.
func (b *Broker) Slack() time.Duration { return brokerSlack * b.scale }

// Close closes the connections; requests that wait fail.
func (b *Broker) Close() {
	close(b.done)
	b.mu.Lock()
	b.closed = true
	for c := range b.all {
		_ = c.Close()
	}
	b.mu.Unlock()
	b.work.Wait()
}

// Ask is Target's.
func (b *Broker) Ask(r kmsg.Request) <-chan Answer {
	answer := make(chan Answer, 1)
	c, err := b.connection()
	if err == nil {
		f := kmsg.NewRequestFormatter(kmsg.FormatterClientID("model"))
		_, err = c.Write(f.AppendRequest(nil, r, 7))
	}
	if err != nil {
		answer <- Answer{nil, err}
		return answer
	}
	b.work.Go(func() {
		resp, err := b.read(c, r)
		answer <- Answer{resp, err}
	})
	return answer
}

func (b *Broker) connection() (net.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, net.ErrClosed
	}
	if n := len(b.idle); n > 0 {
		c := b.idle[n-1]
		b.idle = b.idle[:n-1]
		return c, nil
	}
	c, err := net.Dial("tcp", b.address)
	if err == nil {
		b.all[c] = true
	}
	return c, err
}

// read reads the answer to r.
func (b *Broker) read(c net.Conn, r kmsg.Request) (kmsg.Response, error) {
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, frame); err != nil {
		return nil, err
	}
	resp := r.ResponseKind()
	resp.SetVersion(r.GetVersion())
	body := frame[4:]
	if r.IsFlexible() {
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("answer to %T version %d: %w", r, r.GetVersion(), err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.idle = append(b.idle, c)
	return resp, nil
}
