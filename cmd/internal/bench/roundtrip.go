package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"ottla/cmd/internal/output"
)

func roundtrip() *cobra.Command {
	var l load
	var k kafkaFlags
	var b batches
	cmd := &cobra.Command{
		Use: "roundtrip", Short: "Produce single records and see them arrive at a consumer", Args: cobra.NoArgs,
		Long: `Produce single records, each a request, and measure until they arrive at a consumer that waits for them. Without --rate each connection
sends its next record when the one before has arrived.`,
		Example: "  ottla bench roundtrip --rate 1000 --size 200",
	}
	l.flags(cmd.Flags(), 0)
	k.flags(cmd.Flags())
	f := cmd.Flags()
	f.IntVar(&b.size, "size", 100, "`bytes` of a record's value")
	f.StringVarP(&b.acks, "acks", "a", "1", "`acks` of a request: 1 or all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		b.batch, b.codec = 1, "none"
		if err := l.check(); err != nil {
			return err
		}
		if k.topic != "" {
			return output.Usagef("roundtrip makes its own topic, since nobody else may write to it")
		}
		batch, _, acks, err := b.make()
		if err != nil {
			return err
		}
		k.partitions = l.connections
		ctx, stop := l.context(cmd)
		defer stop()
		s, err := prepare(ctx, &k, l.connections)
		if err != nil {
			return err
		}
		defer s.close()
		return s.roundtrip(ctx, cmd, &l, batch, acks, Result{Op: "roundtrip", Server: k.Servers, Detail: fmt.Sprintf("records of %d bytes, acks=%s", b.size, b.acks), what: "records"})
	}
	return cmd
}

// traveller is the exchange of a connection that sends single records; its reader counts their arrival.
type traveller struct {
	producing
	sent    chan time.Time // when each record was due, in their order
	arrived chan struct{}  // has an element for each arrival; nil in an open loop
	conn    net.Conn
	x       *fetching
	tally   tally
}

func (t *traveller) next(b []byte, due time.Time) []byte {
	t.sent <- due
	return t.producing.next(b, due)
}

// answer waits, in a closed loop, until the record has arrived.
func (t *traveller) answer(frame []byte) (records, bytes int, err error) {
	records, bytes, err = t.producing.answer(frame)
	if err == nil && t.arrived != nil {
		select {
		case <-t.arrived:
		case <-time.After(patience):
			err = fmt.Errorf("a record did not arrive within %v", patience)
		}
	}
	return records, bytes, err
}

// read fetches until its connection is closed, and matches arrivals with what was sent.
func (t *traveller) read(s span) error {
	p := newPipe(t.conn, t.x, 1)
	t.x.seen = func(_ int64, records int) {
		now := time.Now()
		for range records {
			t.tally.add(s, <-t.sent, now, 1, t.bytes)
			if t.arrived != nil {
				t.arrived <- struct{}{}
			}
		}
	}
	var b []byte
	for {
		b = t.x.next(b[:0], time.Time{})
		if _, err := t.conn.Write(b); err != nil {
			return err
		}
		frame, err := p.frame()
		if err != nil {
			return err
		}
		if _, _, err := t.x.answer(frame); err != nil {
			return err
		}
	}
}

func (s *scratch) roundtrip(ctx context.Context, cmd *cobra.Command, l *load, batch []byte, acks int16, r Result) error {
	pipes, err := s.producers(ctx, l, batch, 1, acks)
	if err != nil {
		return err
	}
	sp := l.span()
	var readers sync.WaitGroup
	errs := make([]error, len(pipes))
	travellers := make([]*traveller, len(pipes))
	for i, p := range pipes {
		t := &traveller{producing: *p.x.(*producing), sent: make(chan time.Time, backlog), x: newFetching(s.topic, i, 0, 0, 1<<20)}
		t.x.tail = true
		if l.rate == 0 {
			t.arrived = make(chan struct{}, backlog)
		}
		if t.conn, err = s.dial(ctx, i); err != nil {
			return err
		}
		p.x, travellers[i] = t, t
		readers.Go(func() { errs[i] = t.read(sp) })
	}
	stop := context.AfterFunc(ctx, func() {
		for i, p := range pipes {
			p.conn.Close()
			travellers[i].conn.Close()
		}
	})
	defer stop()
	_, err = drive(pipes, l.rate, sp)
	for end := time.Now().Add(patience); err == nil && pending(travellers) && time.Now().Before(end); { // what is still on its way
		time.Sleep(5 * time.Millisecond)
	}
	missing := pending(travellers)
	for _, t := range travellers {
		t.conn.Close()
	}
	readers.Wait()
	if ctx.Err() != nil {
		return output.Status(130)
	}
	sum := &tally{}
	for i, t := range travellers {
		if !errors.Is(errs[i], net.ErrClosed) {
			err = errors.Join(err, errs[i])
		}
		sum.Merge(&t.tally.Histogram)
		sum.operations += t.tally.operations
		sum.bytes += t.tally.bytes
	}
	if err == nil && missing {
		err = fmt.Errorf("some records did not arrive within %v", patience)
	}
	if err != nil {
		return err
	}
	return l.report(cmd, sp, sum, r)
}

func pending(ts []*traveller) bool {
	for _, t := range ts {
		if len(t.sent) > 0 {
			return true
		}
	}
	return false
}
