package network

import (
	"bytes"
	"testing"
	"time"

	"ottla/broker/api"
)

// Requests that together are larger than the budget all arrive, one after the other if need be; those between brokers have
// their reserve.
func TestBudgetNeverDeadlocks(t *testing.T) {
	s := start(t, false, []api.Entry{echo(3, 0, 8), echo(4, 0, 2)}, func(c *Config) {
		c.InFlightBytes, c.ReservedBytes = 2<<20, 512<<10
		c.Reserved = func(key int16) bool { return key == 4 }
	})
	body := bytes.Repeat([]byte("x"), 1<<20)
	type end struct{ err error }
	ends := make(chan end, 8)
	for i := range int32(8) {
		c := dial(t, s)
		go func() {
			b := frame(3, 0, i, string(body))
			for len(b) > 0 { // all of them grow at the same time
				n := min(len(b), 100_000)
				if _, err := c.Write(b[:n]); err != nil {
					ends <- end{err}
					return
				}
				b = b[n:]
				<-time.After(time.Millisecond)
			}
			expect(t, c, i, "test/"+string(body))
			ends <- end{}
		}()
	}
	c := dial(t, s)
	c.Write(frame(4, 0, 1, string(body[:200_000])))
	expect(t, c, 1, "test/"+string(body[:200_000]))
	for range 8 {
		if e := <-ends; e.err != nil {
			t.Fatal(e.err)
		}
	}
	eventually(t, "all memory is given back", func() bool {
		s.budget.mu.Lock()
		defer s.budget.mu.Unlock()
		return s.budget.used == 0 && s.budget.overdraft == nil
	})
}

// A client may pause within a request that is larger than all memory.
func TestLargeRequestMayPause(t *testing.T) {
	s := start(t, false, []api.Entry{echo(3, 0, 8)}, func(c *Config) { c.InFlightBytes, c.ReservedBytes = 1<<20, 1<<10 })
	body := string(bytes.Repeat([]byte("x"), 5<<20))
	f, c := frame(3, 0, 1, body), dial(t, s)
	c.Write(f[:3<<20])
	eventually(t, "it waits", func() bool { s.budget.mu.Lock(); defer s.budget.mu.Unlock(); return s.budget.used >= 3<<20 })
	go c.Write(f[3<<20:])
	expect(t, c, 1, "test/"+body)
}

// A client that holds memory with half a request while others wait is closed.
func TestStalledHolderIsClosed(t *testing.T) {
	s := start(t, false, []api.Entry{echo(3, 0, 8)}, func(c *Config) {
		c.InFlightBytes, c.ReservedBytes, c.RequestTimeout = 1<<20, 1<<10, time.Second
	})
	body := string(bytes.Repeat([]byte("x"), 3<<20))
	stalled := dial(t, s)
	stalled.Write(frame(3, 0, 1, body)[:2<<20])
	eventually(t, "it holds the memory", func() bool { s.budget.mu.Lock(); defer s.budget.mu.Unlock(); return s.budget.used >= 1<<20 })
	c := dial(t, s)
	go c.Write(frame(3, 0, 2, body))
	expect(t, c, 2, "test/"+body)
	expectClosed(t, stalled)
}

// Parts of requests count however small they are; at twice the budget, who begins to wait with one is closed, and who does not is
// served.
func TestSmallPartsAreBounded(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		s := start(t, portable, []api.Entry{echo(3, 0, 8)}, func(c *Config) {
			c.InFlightBytes, c.ReservedBytes, c.RequestTimeout = 1<<20, 1<<10, time.Minute
		})
		part := frame(3, 0, 1, string(bytes.Repeat([]byte("x"), 60_000)))[:50_000]
		for range 100 { // five times the budget
			c := dial(t, s)
			if _, err := c.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "most are closed", func() bool { return s.Connections() <= 2<<20/50_000+1 })
		s.budget.mu.Lock()
		if s.budget.used > 2<<20 {
			t.Errorf("%d bytes are held", s.budget.used)
		}
		s.budget.mu.Unlock()
		if !portable { // there any request may have to be waited for in parts
			ask(t, dial(t, s))
		}
	})
}
