package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/spf13/cobra"

	"ottla/broker/znode"
	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
	"ottla/coord/wire"
)

// zkLoad is one run against a ZooKeeper server.
type zkLoad struct {
	load
	client.ZooKeeper
	op   string
	size int
	keys int
	root string // of what is made for the run
}

var zkOps = []string{"get", "set", "create", "exists", "watch", "session"}

func zooKeeper() *cobra.Command {
	var l zkLoad
	cmd := &cobra.Command{
		Use: "zk", Short: "Read, set, create and watch ZooKeeper nodes, open and expire sessions", Args: cobra.NoArgs,
		Long: `Read (--op get, exists), set or create nodes with many requests outstanding. With --op watch every connection watches --keys nodes (1
if not said otherwise), which are set, and it is measured until each watch has its event. With --op session a session is opened on
each connection, then all connections are closed, and the time is taken until the server has expired the sessions.

Apache ZooKeeper takes 60 connections from one address unless maxClientCnxns=0.`,
		Example: "  ottla bench zk --op set\n  ottla bench zk --op watch -c 5000\n  ottla bench zk --op watch -c 1000 --keys 100\n  ottla bench zk --op session -c 10000 --session-timeout 6s",
	}
	l.flags(cmd.Flags(), 16)
	f := cmd.Flags()
	l.ZooKeeper.Flags(f)
	f.StringVar(&l.op, "op", "get", "`operation`: get, set, create, exists, watch or session")
	f.IntVar(&l.size, "size", 100, "`bytes` of data in a node")
	f.IntVar(&l.keys, "keys", 1000, "`nodes` to read, set or watch")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := l.check(); err != nil {
			return err
		}
		if !slices.Contains(zkOps, l.op) {
			return output.Usagef("--op %s: want %s", l.op, strings.Join(zkOps, ", "))
		}
		if l.op == "watch" && !cmd.Flags().Changed("keys") {
			l.keys = 1
		}
		if l.keys < 1 || l.keys > 1e6 || l.size < 0 || l.size > 1<<20 {
			return output.Usagef("--keys must be from 1 to a million, --size at most 1 MiB")
		}
		return l.run(cmd)
	}
	return cmd
}

func (l *zkLoad) run(cmd *cobra.Command) error {
	ctx, stop := l.context(cmd)
	defer stop()
	own := l.ZooKeeper
	own.SessionTimeout = 0 // --session-timeout is for those that are measured
	t, err := own.Open(ctx)
	if err != nil {
		return err
	}
	defer t.Close()
	name := fmt.Sprintf("/ottla-bench-%08x", rand.Uint32())
	if l.root, err = t.At(name); err != nil {
		return err
	}
	if _, err := t.Create(l.root, nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
		return client.Explain(name, err)
	}
	defer l.clean(t)
	if err := l.plant(t); err != nil {
		return err
	}
	servers, _, err := znode.ParseConnect(l.Connect)
	if err != nil {
		return err
	}
	r := Result{Op: "zk " + l.op, Server: l.Connect, Detail: fmt.Sprintf("%d bytes", l.size), what: l.op + "s"}
	switch l.op {
	case "watch":
		l.outstanding, r.what = 1, "events"
		r.Detail = fmt.Sprintf("%d nodes of %d bytes", l.keys, l.size)
		return l.watch(ctx, cmd, t, servers, r)
	case "session":
		r.Detail = "an ephemeral node each"
		return l.sessions(ctx, cmd, t, servers, r)
	}
	var pipes []*pipe
	for i := range l.connections {
		c, _, err := session(ctx, servers[i%len(servers)], l.SessionTimeout)
		if err != nil {
			return err
		}
		pipes = append(pipes, newPipe(c, l.exchange(i), l.outstanding))
	}
	return l.load.run(ctx, cmd, pipes, r)
}

// workers is how many requests are under way while a run is prepared and cleaned up.
const workers = 64

// each runs f for 0 to n-1, many at a time, and returns the first error.
func each(n int, f func(i int) error) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first error
	next := make(chan int)
	for range min(workers, n) {
		wg.Go(func() {
			for i := range next {
				if err := f(i); err != nil {
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return first
}

// keyDigits is how many digits a node's name ends with.
const keyDigits = 7

func (l *zkLoad) key(i int) string { return fmt.Sprintf("%s/k%0*d", l.root, keyDigits, i) }

// plant makes the nodes that are read or set.
func (l *zkLoad) plant(t *client.Tree) error {
	n := l.keys
	switch l.op {
	case "create", "session":
		return nil
	}
	return each(n, func(i int) error {
		_, err := t.Create(l.key(i), make([]byte, l.size), 0, zk.WorldACL(zk.PermAll))
		return err
	})
}

// clean deletes all that was made. What cannot be deleted stays, below a name that says where it came from.
func (l *zkLoad) clean(t *client.Tree) {
	names, _, err := t.Children(l.root)
	if err != nil {
		return
	}
	_ = each(len(names), func(i int) error { return t.Delete(l.root+"/"+names[i], -1) })
	_ = t.Delete(l.root, -1)
}

// session opens a connection and its session, and returns the timeout that the server granted.
func session(ctx context.Context, address string, timeout time.Duration) (net.Conn, time.Duration, error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, 0, err
	}
	b := wire.AppendConnectRequest(nil, &wire.ConnectRequest{TimeoutMs: int32(timeout.Milliseconds()), Password: make([]byte, wire.PasswordSize)})
	if _, err := c.Write(b); err != nil {
		c.Close()
		return nil, 0, err
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	p := newPipe(c, nil, 1)
	frame, err := p.frame()
	if err == nil && (len(frame) < 16 || binary.BigEndian.Uint64(frame[8:]) == 0) {
		err = errors.New("the server granted no session")
	}
	if err == nil && p.r.Buffered() > 0 {
		err = errors.New("the server said more than the answer to the connection")
	}
	if err != nil {
		c.Close()
		return nil, 0, fmt.Errorf("session with %s: %w", address, err)
	}
	granted := time.Duration(binary.BigEndian.Uint32(frame[4:])) * time.Millisecond
	return c, granted, c.SetDeadline(time.Time{})
}

// nodes is the exchange of a connection that works on nodes.
type nodes struct {
	requests [][]byte // laid out, with their length; taken in turn
	create   func(b []byte, n int) []byte
	n        int
	size     int
}

// request lays out a request with its length. Answers come in order, so all have the same xid.
func request(op wire.Op, body func(b []byte) []byte) []byte {
	b := wire.AppendInt(wire.AppendInt(wire.BeginFrame(nil), 1), int32(op))
	return wire.EndFrame(body(b), 0)
}

func (l *zkLoad) exchange(connection int) *nodes {
	x := &nodes{size: l.size}
	data := make([]byte, l.size)
	if l.op == "create" {
		x.create = func(b []byte, n int) []byte {
			start := len(b)
			b = wire.AppendInt(wire.AppendInt(wire.BeginFrame(b), 1), int32(wire.OpCreate))
			b = wire.AppendString(b, fmt.Sprintf("%s/c%d-%d", l.root, connection, n))
			b = wire.AppendInt(wire.AppendACLs(wire.AppendBuffer(b, data), wire.OpenACL), 0)
			return wire.EndFrame(b, start)
		}
		return x
	}
	for i := range min(l.keys, 10_000) {
		path := l.key((i + connection*l.keys/l.connections) % l.keys)
		x.requests = append(x.requests, map[string]func() []byte{
			"get":    func() []byte { return request(wire.OpGetData, readOf(path, false)) },
			"exists": func() []byte { return request(wire.OpExists, readOf(path, false)) },
			"set":    func() []byte { return request(wire.OpSetData, setOf(path, data)) },
		}[l.op]())
	}
	return x
}

func readOf(path string, watch bool) func(b []byte) []byte {
	return func(b []byte) []byte { return wire.AppendBool(wire.AppendString(b, path), watch) }
}

func setOf(path string, data []byte) func(b []byte) []byte {
	return func(b []byte) []byte {
		return wire.AppendInt(wire.AppendBuffer(wire.AppendString(b, path), data), -1)
	}
}

func (x *nodes) next(b []byte, _ time.Time) []byte {
	x.n++
	if x.create != nil {
		return x.create(b, x.n)
	}
	return append(b, x.requests[x.n%len(x.requests)]...)
}

func (x *nodes) answer(frame []byte) (records, bytes int, err error) {
	return 0, x.size, accepted(frame, nil)
}
