package grouptest

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
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
}

// Broker is a Target at an address. Close it.
type Broker struct {
	address string
	began   time.Time

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

// Dial is the broker at an address; connections are made when they are needed.
func Dial(address string) *Broker {
	return &Broker{address: address, began: time.Now(), all: map[net.Conn]bool{}}
}

// Now is Target's.
func (b *Broker) Now() time.Duration { return time.Since(b.began) }

// Pace is Target's.
func (b *Broker) Pace() time.Duration { return brokerPace }

// Sleep is Target's.
func (b *Broker) Sleep(d time.Duration) { time.Sleep(d) }

// Slack is Target's.
func (b *Broker) Slack() time.Duration { return brokerSlack }

// Close closes the connections; requests that wait fail.
func (b *Broker) Close() {
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
