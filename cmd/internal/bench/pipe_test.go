package bench

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// echo answers every frame with itself; delay, if not nil, is called before each answer.
func echo(t *testing.T, delay func(n int)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for n := 0; ; n++ {
					var h [4]byte
					if _, err := io.ReadFull(r, h[:]); err != nil {
						return
					}
					b := make([]byte, binary.BigEndian.Uint32(h[:]))
					if _, err := io.ReadFull(r, b); err != nil {
						return
					}
					if delay != nil {
						delay(n)
					}
					if _, err := c.Write(append(h[:], b...)); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

// numbered sends its number and wants it back.
type numbered struct {
	t       *testing.T
	sent    uint32
	got     uint32
	waiting atomic.Int64
	most    int64
}

func (x *numbered) next(b []byte, _ time.Time) []byte {
	x.sent++
	x.most = max(x.most, x.waiting.Add(1))
	return binary.BigEndian.AppendUint32(append(b, 0, 0, 0, 4), x.sent)
}

func (x *numbered) answer(frame []byte) (int, int, error) {
	x.waiting.Add(-1)
	if x.got++; binary.BigEndian.Uint32(frame) != x.got {
		x.t.Errorf("answer %d to request %d", binary.BigEndian.Uint32(frame), x.got)
	}
	return 1, len(frame), nil
}

func run(t *testing.T, address string, outstanding int, rate float64, measured time.Duration) (*numbered, *tally, error) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	x := &numbered{t: t}
	sum, err := drive([]*pipe{newPipe(c, x, outstanding)}, rate, newSpan(0, measured))
	return x, sum, err
}

func TestClosedLoopKeepsItsPlaces(t *testing.T) {
	for _, outstanding := range []int{1, 2, 7} {
		var x *numbered
		var sum *tally
		for measured := 100 * time.Millisecond; x == nil || x.sent == 0; measured *= 2 { // a busy machine may let a short run pass
			var err error
			if x, sum, err = run(t, echo(t, nil), outstanding, 0, measured); err != nil {
				t.Fatal(err)
			}
		}
		if x.got != x.sent || sum.Count() != uint64(x.sent) {
			t.Errorf("%d outstanding: %d sent, %d answered, %d counted", outstanding, x.sent, x.got, sum.Count())
		}
		if x.most > int64(outstanding) {
			t.Errorf("%d outstanding, %d were", outstanding, x.most)
		}
	}
}

// A stall of the server costs every request that was due in it, not only the one that met it.
func TestOpenLoopCountsFromTheTimeDue(t *testing.T) {
	const stall = 100 * time.Millisecond
	address := echo(t, func(n int) {
		if n == 20 {
			time.Sleep(stall)
		}
	})
	x, sum, err := run(t, address, 1, 1000, 300*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if x.sent < 295 || x.sent > 301 || x.got != x.sent {
		t.Errorf("%d sent, %d answered, of 300", x.sent, x.got)
	}
	if sum.Max() < stall*9/10 {
		t.Errorf("the longest took %v through a stall of %v", sum.Max(), stall)
	}
	if late := sum.Quantile(.9); late < stall/4 { // some 100 of 300 were due in the stall
		t.Errorf("p90 is %v", late)
	}
}

func TestServerThatHangsUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if c, err := l.Accept(); err == nil {
			c.Close()
		}
		l.Close()
	}()
	if _, _, err := run(t, l.Addr().String(), 4, 0, 5*time.Second); err == nil {
		t.Error("no error")
	}
}

func TestAnotherProtocol(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			c.Close()
		}
		l.Close()
	}()
	if _, _, err := run(t, l.Addr().String(), 1, 0, 5*time.Second); err == nil || !strings.Contains(err.Error(), "protocol") {
		t.Errorf("error %v", err)
	}
}
