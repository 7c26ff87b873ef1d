package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
	"ottla/coord/wire"
)

// watcher is a connection that watches the nodes of the run.
type watcher struct {
	conn net.Conn
	p    *pipe
}

// eventXid marks events among answers.
const eventXid = -1

// watch sets the nodes again and again; each time every connection has its watches set before, and all events are waited for.
func (l *zkLoad) watch(ctx context.Context, cmd *cobra.Command, t *client.Tree, servers []string, r Result) error {
	ws := make([]*watcher, l.connections)
	defer func() {
		for _, w := range ws {
			if w != nil {
				w.conn.Close()
			}
		}
	}()
	err := each(len(ws), func(i int) error {
		c, _, err := session(ctx, servers[i%len(servers)], l.SessionTimeout)
		if err == nil {
			ws[i] = &watcher{c, newPipe(c, nil, 1)}
		}
		return err
	})
	if err != nil {
		return err
	}
	var arm []byte // all watches of a connection
	for i := range l.keys {
		arm = append(arm, request(wire.OpGetData, readOf(l.key(i), true))...)
	}
	s := l.span()
	sum := &tally{}
	for now := time.Now(); now.Before(s.until); now = time.Now() {
		if ctx.Err() != nil {
			return output.Status(130)
		}
		if err := each(len(ws), func(i int) error { return ws[i].arm(arm, l.keys) }); err != nil {
			return err
		}
		if err := l.fire(t, ws, s, sum); err != nil {
			return err
		}
	}
	return l.report(cmd, s, sum, r)
}

// fire sets every node once and takes the time until each watch has its event, from the moment at which its node was to be set.
func (l *zkLoad) fire(t *client.Tree, ws []*watcher, s span, sum *tally) error {
	due := make([]atomic.Int64, l.keys) // of each node's set, ns since began
	began := time.Now()
	parts := make([]tally, len(ws))
	errs := make([]error, len(ws)+1)
	var wg sync.WaitGroup
	for i, w := range ws {
		wg.Go(func() {
			for range l.keys {
				node, at, err := w.event()
				if err != nil || node >= l.keys {
					errs[i] = fmt.Errorf("event of node %d: %w", node, err)
					return
				}
				parts[i].add(s, began.Add(time.Duration(due[node].Load())), at, 0, l.size)
			}
		})
	}
	data := make([]byte, l.size)
	errs[len(ws)] = each(l.keys, func(i int) error {
		due[i].Store(int64(time.Since(began)))
		_, err := t.Set(l.key(i), data, -1)
		return err
	})
	wg.Wait()
	for i := range errs {
		if errs[i] != nil {
			return errs[i]
		}
	}
	for i := range parts {
		sum.Merge(&parts[i].Histogram)
		sum.operations += parts[i].operations
		sum.bytes += parts[i].bytes
	}
	return nil
}

// arm reads the nodes and sets the watches.
func (w *watcher) arm(requests []byte, n int) error {
	_ = w.conn.SetDeadline(time.Now().Add(patience))
	if _, err := w.conn.Write(requests); err != nil {
		return err
	}
	for range n {
		if err := accepted(w.p.frame()); err != nil {
			return err
		}
	}
	return nil
}

// eventPath is where an event's path begins: behind xid, zxid, error, type, state and its length.
const eventPath = 4 + 8 + 4 + 4 + 4 + 4

// event waits for an event, and says of which node.
func (w *watcher) event() (node int, at time.Time, err error) {
	frame, err := w.p.frame()
	at = time.Now()
	switch {
	case err != nil:
		return 0, at, err
	case int32(binary.BigEndian.Uint32(frame)) != eventXid:
		return 0, at, fmt.Errorf("an answer with xid %d in place of an event", int32(binary.BigEndian.Uint32(frame)))
	case len(frame) < eventPath+keyDigits:
		return 0, at, errShort
	}
	node, err = strconv.Atoi(string(frame[len(frame)-keyDigits:]))
	return node, at, err
}
