package server

import (
	"fmt"
	"io"
	"maps"
	"os"
	"os/user"
	"runtime"
	"slices"
	"strings"
	"time"

	"ottla/coord/fsm"
	"ottla/coord/watch"
)

func (s *Server) writeClients(w io.Writer) {
	fmt.Fprintln(w, "Clients:")
	s.writeConnections(w, false)
}

// writeConnections is cons, and the middle of stat.
func (s *Server) writeConnections(w io.Writer, full bool) {
	for _, c := range s.Connections() {
		fmt.Fprintf(w, " /%s[%x](queued=%d,recved=%d,sent=%d", c.Remote, c.InterestOps, c.Outstanding, c.Received, c.Sent)
		if full && c.Session != 0 {
			fmt.Fprintf(w, ",sid=0x%x,lop=%s,est=%d,to=%d", uint64(c.Session), c.LastOperation, c.Established, c.Timeout)
			if c.LastResponse != 0 {
				fmt.Fprintf(w, ",lcxid=0x%x,lzxid=0x%x,lresp=%d,llat=%d,minlat=%d,avglat=%d,maxlat=%d", uint32(c.LastCxid), uint64(c.LastZxid),
					c.LastResponse, c.LastLatency, c.MinLatency, c.AvgLatency, c.MaxLat)
			}
		}
		fmt.Fprintln(w, ")")
	}
	fmt.Fprintln(w)
}

// javaDate is how Java prints a date.
func javaDate(ms int64) string { return time.UnixMilli(ms).Format("Mon Jan 02 15:04:05 MST 2006") }

// writeDump lists sessions by when they end, ephemeral nodes by session, and connections.
func (s *Server) writeDump(w io.Writer) {
	expiry := s.Expiry()
	total := 0
	for _, ids := range expiry {
		total += len(ids)
	}
	fmt.Fprintf(w, "SessionTracker dump:\nSession Sets (%d)/(%d):\n", len(expiry), total)
	for _, at := range slices.Sorted(maps.Keys(expiry)) {
		fmt.Fprintf(w, "%d expire at %s:\n", len(expiry[at]), javaDate(at))
		for _, id := range expiry[at] {
			fmt.Fprintf(w, "\t0x%x\n", uint64(id))
		}
	}
	ephemerals := s.Ephemerals()
	fmt.Fprintf(w, "ephemeral nodes dump:\nSessions with Ephemerals (%d):\n", len(ephemerals))
	for _, id := range slices.Sorted(maps.Keys(ephemerals)) {
		fmt.Fprintf(w, "0x%x:\n", uint64(id))
		for _, path := range ephemerals[id] {
			fmt.Fprintf(w, "\t%s\n", path)
		}
	}
	// A connection without a session has until its patience ends; one with a session as long as that.
	conns := s.Connections()
	sets := map[int64][]Connection{}
	for _, c := range conns {
		at := c.Established + s.cfg.SessionlessTimeout.Milliseconds()
		if c.Session != 0 {
			at = max(c.LastResponse, c.Established) + int64(c.Timeout)
		}
		tick := s.cfg.TickTime.Milliseconds()
		at = (at/tick + 1) * tick
		sets[at] = append(sets[at], c)
	}
	fmt.Fprintf(w, "Connections dump:\nConnections Sets (%d)/(%d):\n", len(sets), len(conns))
	for _, at := range slices.Sorted(maps.Keys(sets)) {
		fmt.Fprintf(w, "%d expire at %s:\n", len(sets[at]), javaDate(at))
		for _, c := range sets[at] {
			fmt.Fprintf(w, "\tip: /%s sessionId: 0x%x\n", c.Remote, uint64(c.Session))
		}
	}
}

// Ephemerals are the paths of the ephemeral nodes, sorted, by session.
func (s *Server) Ephemerals() map[int64][]string {
	list := map[int64][]string{}
	s.state.View(func(m *fsm.Machine) {
		m.Tree().Owners(func(id int64, _ int) { list[id] = m.Tree().Owned(id) })
	})
	for _, paths := range list {
		slices.Sort(paths)
	}
	return list
}

// Watches are the watched paths by session, as wchc shows them: those of the data table.
func (s *Server) Watches() map[int64][]string {
	sessions := s.clock.byConn()
	list := map[int64][]string{}
	s.state.EachWatch(watch.Data, func(path string, w watch.Watcher) {
		if c, ok := w.(*conn); ok && sessions[c] != nil {
			id := sessions[c].id
			list[id] = append(list[id], path)
		}
	})
	for _, paths := range list {
		slices.Sort(paths)
	}
	return list
}

// WatchSummary are the numbers of watching connections, of watched paths and of watches, in the data table.
func (s *Server) WatchSummary() (conns, paths, total int) {
	watchers, watched := map[watch.Watcher]struct{}{}, map[string]struct{}{}
	s.state.EachWatch(watch.Data, func(path string, w watch.Watcher) {
		watchers[w], watched[path] = struct{}{}, struct{}{}
		total++
	})
	return len(watchers), len(watched), total
}

func (s *Server) writeWatchSummary(w io.Writer) {
	conns, paths, total := s.WatchSummary()
	fmt.Fprintf(w, "%d connections watching %d paths\nTotal watches:%d\n", conns, paths, total)
}

func (s *Server) writeWatches(w io.Writer) {
	list := s.Watches()
	for _, id := range slices.Sorted(maps.Keys(list)) {
		fmt.Fprintf(w, "0x%x\n", uint64(id))
		for _, path := range list[id] {
			fmt.Fprintf(w, "\t%s\n", path)
		}
	}
	fmt.Fprintln(w)
}

func (s *Server) writeWatchesByPath(w io.Writer) {
	byPath := map[string][]int64{}
	for id, paths := range s.Watches() {
		for _, p := range paths {
			byPath[p] = append(byPath[p], id)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(byPath)) {
		fmt.Fprintln(w, path)
		slices.Sort(byPath[path])
		for _, id := range byPath[path] {
			fmt.Fprintf(w, "\t0x%x\n", uint64(id))
		}
	}
	fmt.Fprintln(w)
}

func (s *Server) writeDirs(w io.Writer) {
	data, log := s.Dirs()
	fmt.Fprintf(w, "datadir_size: %d\nlogdir_size: %d\n", data, log)
}

// Dirs are the sizes of the data directory and of the log's, in bytes.
func (s *Server) Dirs() (data, log int64) {
	size := func(f func() int64) int64 {
		if f == nil {
			return 0
		}
		return f()
	}
	return size(s.cfg.Conf.DataDirSize), size(s.cfg.Conf.DataLogSize)
}

// Environment is what envi tells, in its order. Java's properties have the values that make sense for this program.
func (s *Server) Environment() [][2]string {
	host, _ := os.Hostname()
	name, home := "", ""
	if u, err := user.Current(); err == nil {
		name, home = u.Username, u.HomeDir
	}
	dir, _ := os.Getwd()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	mb := func(n uint64) string { return fmt.Sprintf("%dMB", n>>20) }
	return [][2]string{
		{"zookeeper.version", s.cfg.Version + versionBuilt}, {"host.name", host},
		{"java.version", runtime.Version()}, {"java.vendor", "Go"}, {"java.home", ""}, {"java.class.path", ""}, {"java.library.path", ""},
		{"java.io.tmpdir", os.TempDir()}, {"java.compiler", "<NA>"}, {"os.name", runtime.GOOS}, {"os.arch", runtime.GOARCH}, {"os.version", ""},
		{"user.name", name}, {"user.home", home}, {"user.dir", dir},
		{"os.memory.free", mb(m.HeapIdle)}, {"os.memory.max", mb(m.Sys)}, {"os.memory.total", mb(m.HeapSys)},
	}
}

func (s *Server) writeEnvironment(w io.Writer) {
	fmt.Fprintln(w, "Environment:")
	for _, kv := range s.Environment() {
		fmt.Fprintln(w, strings.Join(kv[:], "="))
	}
}
