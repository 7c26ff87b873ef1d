package coord

import (
	"io"
	"net"
	"strconv"
	"time"

	"ottla/coord/admin"
	"ottla/coord/fsm"
	"ottla/coord/tree"
	"ottla/coord/zkdata"
)

// adminOptions are those of the HTTP rim.
func (s *Server) adminOptions() admin.Options {
	c := &s.cfg.HTTP
	o := admin.Options{
		CommandURL: c.CommandURL, IdleTimeout: c.IdleTimeout, Runtime: c.MetricsRuntime, Server: s.clients,
		SnapshotEvery: c.SnapshotEvery, LastSnapshot: s.lastSnapshot, Config: s.cfg.Shown, Logger: s.o.Logger,
	}
	if c.Admin {
		o.Commands = net.JoinHostPort(c.AdminAddress, strconv.Itoa(c.AdminPort))
	}
	if c.Metrics {
		o.Metrics = net.JoinHostPort(c.MetricsAddress, strconv.Itoa(c.MetricsPort))
	}
	if c.Snapshot {
		o.Snapshot = s.snapshot
	}
	return o
}

// CommandsAddr is where the AdminServer listens, MetricsAddr where Prometheus is answered; nil if they do not.
func (s *Server) CommandsAddr() net.Addr { return s.admin.CommandsAddr() }

// MetricsAddr is where Prometheus is answered, nil if it is not.
func (s *Server) MetricsAddr() net.Addr { return s.admin.MetricsAddr() }

// lastSnapshot tells of the last checkpoint.
func (s *Server) lastSnapshot() (zxid int64, at time.Time) {
	e := s.ensemble.Stats()
	return s.savedZxid.Load(), e.CheckpointAt
}

// snapshot takes the data at one moment and returns what writes it as a snapshot of ZooKeeper. Writers wait while the nodes are listed, about a
// quarter of a second for a million; their data is not copied.
func (s *Server) snapshot() (zxid int64, write func(io.Writer) error) {
	type entry struct {
		path string
		node zkdata.Node
	}
	var (
		src     zkdata.Source
		entries []entry
	)
	s.state.View(func(m *fsm.Machine) {
		entries = make([]entry, 0, m.Tree().Len())
		src = source(m)
		_ = m.Tree().Walk(func(path string, n *tree.Node) error {
			entries = append(entries, entry{path, *zkNode(m.Tree().Image(n))})
			return nil
		})
	})
	src.Nodes = func(yield func(string, *zkdata.Node) error) error {
		for i := range entries {
			if err := yield(entries[i].path, &entries[i].node); err != nil {
				return err
			}
		}
		return nil
	}
	return src.Zxid, func(w io.Writer) error { return zkdata.WriteSnapshot(w, src) }
}

// zkNode is a node as ZooKeeper has it.
func zkNode(v tree.Image) *zkdata.Node {
	return &zkdata.Node{
		Data: v.Data, ACL: v.ACL, Czxid: v.Czxid, Mzxid: v.Mzxid, Pzxid: v.Pzxid, Ctime: v.Ctime, Mtime: v.Mtime,
		Version: v.Version, Created: v.Created, Aversion: v.Aversion, Owner: v.Owner,
	}
}
