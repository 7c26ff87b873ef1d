package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
	"ottla/coord/wire"
)

// sessions opens one session on each connection, each with an ephemeral node, hangs up on all of them at once, and waits until the
// server has expired them, which shows when the nodes are gone.
func (l *zkLoad) sessions(ctx context.Context, cmd *cobra.Command, t *client.Tree, servers []string, r Result) error {
	conns := make([]net.Conn, l.connections)
	hangUp := func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	}
	defer hangUp()
	took := make([]time.Duration, len(conns))
	var granted time.Duration
	start := time.Now()
	err := each(len(conns), func(i int) error {
		begin := time.Now()
		c, timeout, err := session(ctx, servers[i%len(servers)], l.SessionTimeout)
		if err != nil {
			return err
		}
		conns[i], took[i] = c, time.Since(begin)
		if i == 0 {
			granted = timeout
		}
		return ephemeral(c, l.key(i))
	})
	if err != nil {
		return err
	}
	connecting := time.Since(start)
	hangUp()
	gone := time.Now()
	for {
		if ctx.Err() != nil {
			return output.Status(130)
		}
		_, stat, err := t.Exists(l.root)
		if err != nil {
			return err
		}
		if stat.NumChildren == 0 {
			break
		}
		if time.Since(gone) > granted+time.Minute {
			return fmt.Errorf("%d sessions have not expired %v after their timeout of %v", stat.NumChildren, time.Minute, granted)
		}
		time.Sleep(20 * time.Millisecond) // how exact the figure is
	}
	var h Histogram
	for _, d := range took {
		h.Add(d)
	}
	r.Connections, r.Outstanding = l.connections, workers
	r.Seconds, r.Operations = connecting.Seconds(), uint64(len(conns))
	r.PerSecond = float64(len(conns)) / connecting.Seconds()
	r.Timeout, r.Expired = granted.Seconds(), time.Since(gone).Seconds()
	r.measured(&h)
	return r.print(cmd.OutOrStdout(), l.json)
}

// ephemeral makes a node that goes with the session.
func ephemeral(c net.Conn, path string) error {
	_ = c.SetDeadline(time.Now().Add(patience))
	_, err := c.Write(request(wire.OpCreate, func(b []byte) []byte {
		b = wire.AppendACLs(wire.AppendBuffer(wire.AppendString(b, path), nil), wire.OpenACL)
		return wire.AppendInt(b, 1) // ephemeral
	}))
	if err != nil {
		return err
	}
	return accepted(newPipe(c, nil, 1).frame())
}

// accepted judges the answer to a request.
func accepted(frame []byte, err error) error {
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
