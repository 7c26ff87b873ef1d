package network

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ottla/broker/api"
)

// region is a Streamed answer of a part of a file.
type region struct {
	f      *os.File
	off, n int64
	says   int64 // 0: n
	closed *atomic.Int32
}

func (r *region) AppendTo([]byte) []byte { panic("streamed") }
func (r *region) Size() int64 {
	if r.says != 0 {
		return r.says
	}
	return 5 + r.n
}
func (r *region) Close() { r.closed.Add(1) }
func (r *region) Stream(w api.Writer) error {
	if _, err := w.Write([]byte("head:")); err != nil {
		return err
	}
	return w.(FileWriter).SendFile(io.NewSectionReader(r.f, r.off, r.n), r.n, r.f, r.off)
}

func TestStreamedAnswers(t *testing.T) {
	content := make([]byte, 3<<20)
	for i := range content {
		content[i] = byte(i * 7 / 3)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	both(t, func(t *testing.T, portable bool) {
		var closed, asked atomic.Int32
		s := start(t, portable, []api.Entry{echo(18, 0, 2), {Key: 1, Handle: func(_ context.Context, r *api.Request) (api.Response, error) {
			asked.Add(1)
			g := &region{f: f, closed: &closed}
			_, err := fmt.Sscan(string(r.Body), &g.off, &g.n, &g.says)
			return g, err
		}}}, nil)
		var wg sync.WaitGroup
		for range 4 { // readers of one file do not disturb each other
			wg.Go(func() {
				c := dial(t, s)
				for i, r := range [][2]int{{0, 10}, {5, 70_000}, {1 << 20, 2 << 20}, {77, 3<<20 - 77}, {100, 0}, {9, 65536}} {
					c.Write(append(frame(1, 0, int32(2*i), fmt.Sprint(r[0], r[1], 0)), frame(18, 0, int32(2*i+1), "next")...))
					expect(t, c, int32(2*i), "head:"+string(content[r[0]:r[0]+r[1]]))
					expect(t, c, int32(2*i+1), "test/next")
				}
			})
		}
		wg.Wait()
		// A file that is shorter than was announced, and an answer that is not as long as it said: closed, nothing invented.
		for _, body := range []string{"3145000 1000 0", "0 10 99", "3000000 300000 0"} {
			c := dial(t, s)
			c.Write(frame(1, 0, 1, body))
			_, _ = io.Copy(io.Discard, c)
			expectClosed(t, c)
		}
		eventually(t, "every answer was closed once", func() bool { return closed.Load() == asked.Load() })
	})
}

// A client that never reads its socket is closed after the request timeout, and its answer's memory is bounded.
func TestReaderThatNeverReads(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(64 << 20); err != nil {
		t.Fatal(err)
	}
	both(t, func(t *testing.T, portable bool) {
		var closed atomic.Int32
		s := start(t, portable, []api.Entry{echo(18, 0, 2), {Key: 1, Handle: func(_ context.Context, r *api.Request) (api.Response, error) {
			return &region{f: f, n: 64 << 20, closed: &closed}, nil
		}}}, func(c *Config) { c.RequestTimeout = 200 * time.Millisecond })
		c := dial(t, s)
		c.Write(frame(1, 0, 1, ""))
		other := dial(t, s)
		other.Write(frame(18, 0, 1, "x"))
		expect(t, other, 1, "test/x")
		eventually(t, "the answer was given up", func() bool { return closed.Load() == 1 })
		// Slow is not stuck: a reader that goes on taking bytes is served to the end, however long it takes.
		slow := dial(t, s)
		slow.Write(frame(1, 0, 2, ""))
		var total int
		buf := make([]byte, 8<<20)
		for began := time.Now(); total < 4+4+5+64<<20; {
			n, err := io.ReadAtLeast(slow, buf, min(len(buf), 4+4+5+64<<20-total))
			if total += n; err != nil {
				t.Fatalf("after %d bytes and %v: %v", total, time.Since(began), err)
			}
			<-time.After(60 * time.Millisecond)
		}
	})
}
