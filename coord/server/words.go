package server

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"ottla/coord/fsm"
)

// wordTimeout bounds the exchange of a four-letter word.
const wordTimeout = 5 * time.Second

// words are the four-letter words that this server answers.
var words = map[string]func(*conn, io.Writer){
	"ruok": func(_ *conn, w io.Writer) { io.WriteString(w, "imok") },
	"isro": func(_ *conn, w io.Writer) { io.WriteString(w, "rw") },
	"srvr": func(c *conn, w io.Writer) { c.srv.writeServer(w, nil) },
	"stat": func(c *conn, w io.Writer) { c.srv.writeServer(w, c.srv.writeClients) },
	"conf": func(c *conn, w io.Writer) { c.srv.writeConf(w) },
	"mntr": func(c *conn, w io.Writer) { c.srv.writeMonitor(w) },
}

// wordsKnown are ZooKeeper's other words. They are refused by name; what is no word at all is taken for the length of a frame.
var wordsKnown = []string{
	"cons", "crst", "dirs", "dump", "envi", "gtmk", "hash", "srst", "stmk", "wchc", "wchp", "wchs",
}

// telnetClose is what telnet sends when its user interrupts it.
const telnetClose = "\xff\xf4\xff\xfd"

// word answers a four-letter word in place of a connect request. False: it was none.
func (c *conn) word(head []byte) bool {
	word := string(head)
	if word == telnetClose {
		return true
	}
	run, ok := words[word]
	if !ok && !slices.Contains(wordsKnown, word) {
		return false
	}
	c.srv.stats.received.Add(1)
	var b strings.Builder
	if ok && c.srv.wordAllowed(word) {
		run(c, &b)
	} else {
		fmt.Fprintf(&b, "%s is not executed because it is not in the whitelist.\n", word)
	}
	c.nc.SetDeadline(time.Now().Add(wordTimeout))
	if _, err := io.WriteString(c.nc, b.String()); err == nil {
		c.drain()
	}
	return true
}

func (s *Server) wordAllowed(word string) bool {
	return slices.Contains(s.cfg.Words, "*") || slices.Contains(s.cfg.Words, word)
}

// drain half-closes and reads what is left, most often a newline: closing a socket with unread bytes resets the connection, and the
// client might lose the answer.
func (c *conn) drain() {
	if t, ok := c.nc.(interface{ CloseWrite() error }); ok && t.CloseWrite() == nil {
		c.nc.SetReadDeadline(time.Now().Add(time.Second))
		io.CopyN(io.Discard, c.nc, 4<<10)
	}
}

// writeServer is srvr, and stat if clients is given.
func (s *Server) writeServer(w io.Writer, clients func(io.Writer)) {
	fmt.Fprintf(w, "Zookeeper version: %s%s\n", s.cfg.Version, versionBuilt)
	if clients != nil {
		clients(w)
	}
	l := merge(s.stats.reads.summary(), s.stats.updates.summary())
	var zxid int64
	var nodes int
	s.state.View(func(m *fsm.Machine) { zxid, nodes = m.Zxid(), nodeCount(m) })
	fmt.Fprintf(w, "Latency min/avg/max: %d/%s/%d\n", l.min, decimal(l.avg), l.max)
	fmt.Fprintf(w, "Received: %d\nSent: %d\n", s.stats.received.Load(), s.stats.sent.Load())
	fmt.Fprintf(w, "Connections: %d\nOutstanding: %d\n", s.numConns(), s.outstanding.Load())
	fmt.Fprintf(w, "Zxid: 0x%x\nMode: %s\nNode count: %d\n", zxid, s.cfg.Mode(), nodes)
}

// nodeCount counts as ZooKeeper does, where the root is there under two names.
func nodeCount(m *fsm.Machine) int { return m.Tree().Len() + 1 }

func (s *Server) writeClients(w io.Writer) {
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	fmt.Fprintln(w, "Clients:")
	for _, c := range conns {
		c.mu.Lock()
		interest := 1 // reading
		if c.writing {
			interest |= 4
		}
		fmt.Fprintf(w, " %s[%x](queued=%d,recved=%d,sent=%d)\n", slashAddr(c.nc.RemoteAddr()), interest, c.queue.len(), c.received, c.sent)
		c.mu.Unlock()
	}
	fmt.Fprintln(w)
}

// slashAddr is an address as Java prints it.
func slashAddr(a net.Addr) string { return "/" + a.String() }

func (s *Server) writeConf(w io.Writer) {
	k := &s.cfg.Conf
	size := func(f func() int64) int64 {
		if f == nil {
			return 0
		}
		return f()
	}
	fmt.Fprintf(w, "clientPort=%d\nsecureClientPort=%d\n", k.ClientPort, k.SecureClientPort)
	fmt.Fprintf(w, "dataDir=%s\ndataDirSize=%d\n", k.DataDir, size(k.DataDirSize))
	fmt.Fprintf(w, "dataLogDir=%s\ndataLogSize=%d\n", k.DataLogDir, size(k.DataLogSize))
	fmt.Fprintf(w, "tickTime=%d\nmaxClientCnxns=%d\n", s.cfg.TickTime.Milliseconds(), s.cfg.MaxClientCnxns)
	fmt.Fprintf(w, "minSessionTimeout=%d\nmaxSessionTimeout=%d\n", s.cfg.MinSessionTimeout.Milliseconds(), s.cfg.MaxSessionTimeout.Milliseconds())
	fmt.Fprintf(w, "clientPortListenBacklog=%d\nserverId=%d\n", k.ListenBacklog, k.ServerID)
}
