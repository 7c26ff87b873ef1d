package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
	"ottla/coord/wire"
)

// watcher is a connection that watches the node of the run.
type watcher struct {
	conn net.Conn
	p    *pipe
}

// eventXid marks events among answers.
const eventXid = -1

// watch sets the node again and again; each time every connection has its watch set before, and its event is waited for.
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
		c, err := session(ctx, servers[i%len(servers)], l.SessionTimeout)
		if err == nil {
			ws[i] = &watcher{c, newPipe(c, nil, 1)}
		}
		return err
	})
	if err != nil {
		return err
	}
	arm := request(wire.OpGetData, readOf(l.key(0), true))
	data := make([]byte, l.size)
	s := l.span()
	sum := &tally{}
	for now := time.Now(); now.Before(s.until); now = time.Now() {
		if ctx.Err() != nil {
			return output.Status(130)
		}
		if err := each(len(ws), func(i int) error { return ws[i].arm(arm) }); err != nil {
			return err
		}
		due := time.Now()
		arrived := make([]time.Time, len(ws))
		errs := make([]error, len(ws))
		var wg sync.WaitGroup
		for i, w := range ws {
			wg.Go(func() { arrived[i], errs[i] = w.event() })
		}
		if _, err := t.Set(l.key(0), data, -1); err != nil {
			return err
		}
		wg.Wait()
		for i, at := range arrived {
			if errs[i] != nil {
				return errs[i]
			}
			sum.add(s, due, at, 0, l.size)
		}
	}
	return l.report(cmd, s, sum, r)
}

// arm reads the node and sets the watch.
func (w *watcher) arm(request []byte) error {
	_ = w.conn.SetDeadline(time.Now().Add(patience))
	if _, err := w.conn.Write(request); err != nil {
		return err
	}
	frame, err := w.p.frame()
	switch {
	case err != nil:
		return err
	case len(frame) < 16:
		return errShort
	}
	if code := wire.Code(int32(binary.BigEndian.Uint32(frame[12:]))); code != wire.CodeOK {
		return code
	}
	return nil
}

// event waits for the watch's event.
func (w *watcher) event() (time.Time, error) {
	frame, err := w.p.frame()
	now := time.Now()
	if err == nil && int32(binary.BigEndian.Uint32(frame)) != eventXid {
		err = fmt.Errorf("an answer with xid %d in place of an event", int32(binary.BigEndian.Uint32(frame)))
	}
	return now, err
}
