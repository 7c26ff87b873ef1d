package server

import (
	"time"

	"ottla/coord/wire"
)

// traffic is what cons and stat tell of one connection. Guarded by its conn's mutex.
type traffic struct {
	op       wire.Op // 0: no request yet
	xid      int32
	zxid     int64
	at       time.Duration // of the last answer, on the server's monotonic clock
	last     time.Duration // latencies
	min, max time.Duration
	sum      time.Duration
	count    int64
}

// note takes in n requests that were answered at a time; the last was op.
func (t *traffic) note(op wire.Op, xid int32, at, latency time.Duration, n int64) {
	if n == 0 {
		return
	}
	t.op, t.xid, t.at, t.last = op, xid, at, latency
	if t.count == 0 || latency < t.min {
		t.min = latency
	}
	t.max = max(t.max, latency)
	t.sum += latency * time.Duration(n)
	t.count += n
}

// opNames are the names that cons has for operations.
var opNames = map[wire.Op]string{
	wire.OpCreateSession: "SESS", wire.OpCreate: "CREA", wire.OpCreate2: "CREA", wire.OpCreateTTL: "CREA", wire.OpCreateContainer: "CREA",
	wire.OpDelete: "DELE", wire.OpExists: "EXIS", wire.OpGetData: "GETD", wire.OpSetData: "SETD", wire.OpGetACL: "GETA", wire.OpSetACL: "SETA",
	wire.OpGetChildren: "GETC", wire.OpGetChildren2: "GETC", wire.OpGetAllChildrenNumber: "GETACN", wire.OpSync: "SYNC", wire.OpPing: "PING",
	wire.OpMulti: "MULT", wire.OpMultiRead: "MLTR", wire.OpSetWatches: "SETW", wire.OpSetWatches2: "STW2", wire.OpAddWatch: "ADDW",
	wire.OpCheckWatches: "CHKW", wire.OpRemoveWatches: "REMW", wire.OpWhoAmI: "HOMI", wire.OpGetEphemerals: "GETE", wire.OpReconfig: "RECO",
	wire.OpCloseSession: "CLOS",
}

// Connection is one client's connection at a moment. Latencies are in ms, times in ms since 1970.
type Connection struct {
	Remote                         string
	Secure                         bool
	InterestOps                    int // of Java's selector: 1 reads, 4 writes
	Outstanding, Received, Sent    int64
	Session                        int64 // 0: no session yet
	LastOperation                  string
	Established                    int64
	Timeout                        int32
	LastCxid                       int32
	LastZxid                       int64
	LastResponse                   int64
	LastLatency                    int64
	MinLatency, AvgLatency, MaxLat int64
}

// Connections are all connections, those without a session included, in no order.
func (s *Server) Connections() []Connection {
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	sessions := s.clock.byConn()
	now, wall := s.since(), s.wall()
	list := make([]Connection, 0, len(conns))
	for _, c := range conns {
		c.mu.Lock()
		t := c.traffic
		n := Connection{
			Remote: c.raw.RemoteAddr().String(), Secure: c.transport.tls != nil && !c.transport.plain, InterestOps: 1, Outstanding: int64(c.queue.len()),
			Received: c.received, Sent: c.sent, LastOperation: "NA", Established: wall - (now - c.established).Milliseconds(),
			LastCxid: t.xid, LastZxid: t.zxid, LastLatency: t.last.Milliseconds(), MinLatency: t.min.Milliseconds(), MaxLat: t.max.Milliseconds(),
		}
		if c.writing {
			n.InterestOps |= 4
		}
		if t.count > 0 {
			n.AvgLatency = (t.sum / time.Duration(t.count)).Milliseconds()
			n.LastResponse = wall - (now - t.at).Milliseconds()
			if name := opNames[t.op]; name != "" {
				n.LastOperation = name
			}
		}
		if ss := sessions[c]; ss != nil {
			n.Session, n.Timeout = ss.id, ss.timeoutMs.Load()
		}
		c.mu.Unlock()
		list = append(list, n)
	}
	return list
}

// byConn are the sessions whose clients are connected here.
func (k *clock) byConn() map[*conn]*session {
	k.mu.Lock()
	defer k.mu.Unlock()
	m := make(map[*conn]*session, len(k.sessions))
	for _, s := range k.sessions {
		if s.conn != nil {
			m[s.conn] = s
		}
	}
	return m
}

// ResetConnections forgets what cons and stat count, as crst does.
func (s *Server) ResetConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.mu.Lock()
		c.received, c.sent = 0, 0
		c.traffic = traffic{zxid: c.traffic.zxid}
		c.mu.Unlock()
	}
}

// ResetStats forgets what srvr and mntr count, as srst does.
func (s *Server) ResetStats() {
	st := &s.stats
	st.received.Store(0)
	st.sent.Store(0)
	st.reads.reset()
	st.updates.reset()
}

// Expiry is when sessions end that are not heard of again, by ms since 1970.
func (s *Server) Expiry() map[int64][]int64 {
	now, wall := s.since(), s.wall()
	k := &s.clock
	k.mu.Lock()
	defer k.mu.Unlock()
	at := map[int64][]int64{}
	for id, ss := range k.sessions {
		due := time.Duration(k.wheel.due(ss)) * k.wheel.tick
		ms := wall + (due - now).Milliseconds()
		at[ms] = append(at[ms], id)
	}
	return at
}
