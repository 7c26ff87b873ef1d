package server

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"ottla/coord/fsm"
)

// wordTimeout bounds the exchange of a four-letter word.
const wordTimeout = 5 * time.Second

// words are the four-letter words.
var words = map[string]func(*Server, io.Writer){
	"ruok": func(_ *Server, w io.Writer) { io.WriteString(w, "imok") },
	"isro": func(_ *Server, w io.Writer) { io.WriteString(w, "rw") },
	"srvr": func(s *Server, w io.Writer) { s.writeServer(w, nil) },
	"stat": func(s *Server, w io.Writer) { s.writeServer(w, s.writeClients) },
	"conf": (*Server).writeConf,
	"mntr": (*Server).writeMonitor,
	"cons": func(s *Server, w io.Writer) { s.writeConnections(w, true); fmt.Fprintln(w) },
	"dirs": (*Server).writeDirs,
	"dump": (*Server).writeDump,
	"envi": (*Server).writeEnvironment,
	"wchs": (*Server).writeWatchSummary,
	"wchc": (*Server).writeWatches,
	"wchp": (*Server).writeWatchesByPath,
	"hash": func(*Server, io.Writer) {}, // a digest of the tree is not kept, and ZooKeeper's list may be empty too
	"gtmk": func(s *Server, w io.Writer) { fmt.Fprint(w, s.traceMask.Load()) },
	"crst": func(s *Server, w io.Writer) { s.ResetConnections(); fmt.Fprintln(w, "Connection stats reset.") },
	"srst": func(s *Server, w io.Writer) { s.ResetStats(); fmt.Fprintln(w, "Server stats reset.") },
}

// setTraceMask is the word that 8 bytes follow.
const setTraceMask = "stmk"

// telnetClose is what telnet sends when its user interrupts it.
const telnetClose = "\xff\xf4\xff\xfd"

// word answers a four-letter word in place of a connect request. False: it was none.
func (c *conn) word(head []byte) bool {
	word := string(head)
	if word == telnetClose {
		return true
	}
	run := words[word]
	if word == setTraceMask {
		run = c.setTraceMask
	}
	if run == nil {
		return false
	}
	c.srv.stats.received.Add(1)
	var b strings.Builder
	if c.srv.wordAllowed(word) {
		run(c.srv, &b)
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
	fmt.Fprintf(w, "Latency min/avg/max: %d/%s/%d\n", l.min, Decimal(l.avg), l.max)
	fmt.Fprintf(w, "Received: %d\nSent: %d\n", s.stats.received.Load(), s.stats.sent.Load())
	fmt.Fprintf(w, "Connections: %d\nOutstanding: %d\n", s.numConns(), s.outstanding.Load())
	fmt.Fprintf(w, "Zxid: 0x%x\nMode: %s\nNode count: %d\n", zxid, s.cfg.Mode(), nodes)
}

// nodeCount counts as ZooKeeper does, where the root is there under two names.
func nodeCount(m *fsm.Machine) int { return m.Tree().Len() + 1 }

// setTraceMask reads the mask that follows the word. It is kept and shown, and has no effect: this server's log has no such masks.
func (c *conn) setTraceMask(s *Server, w io.Writer) {
	c.nc.SetReadDeadline(time.Now().Add(wordTimeout))
	for c.in.Peek(12) == nil {
		if c.in.Fill(c.nc) != nil {
			return
		}
	}
	s.traceMask.Store(int64(binary.BigEndian.Uint64(c.in.Peek(12)[4:])))
	fmt.Fprint(w, s.traceMask.Load())
}

func (s *Server) writeConf(w io.Writer) {
	k := &s.cfg.Conf
	dataSize, logSize := s.Dirs()
	fmt.Fprintf(w, "clientPort=%d\nsecureClientPort=%d\n", k.ClientPort, k.SecureClientPort)
	fmt.Fprintf(w, "dataDir=%s\ndataDirSize=%d\n", k.DataDir, dataSize)
	fmt.Fprintf(w, "dataLogDir=%s\ndataLogSize=%d\n", k.DataLogDir, logSize)
	fmt.Fprintf(w, "tickTime=%d\nmaxClientCnxns=%d\n", s.cfg.TickTime.Milliseconds(), s.cfg.MaxClientCnxns)
	fmt.Fprintf(w, "minSessionTimeout=%d\nmaxSessionTimeout=%d\n", s.cfg.MinSessionTimeout.Milliseconds(), s.cfg.MaxSessionTimeout.Milliseconds())
	fmt.Fprintf(w, "clientPortListenBacklog=%d\nserverId=%d\n", k.ListenBacklog, k.ServerID)
}
