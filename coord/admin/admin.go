package admin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"ottla/coord/server"
)

// Options is what a Server is made of. Addresses are host:port; "" leaves that part out.
type Options struct {
	Commands    string // address of the AdminServer
	CommandURL  string // "/commands"
	IdleTimeout time.Duration
	Metrics     string // address for Prometheus
	Runtime     bool   // also metrics of the process and of Go's runtime

	Server *server.Server
	// Snapshot takes the data as it is now and returns its zxid, and what writes it as a snapshot file of ZooKeeper; nil if that is disabled.
	Snapshot func() (zxid int64, write func(io.Writer) error)
	// SnapshotEvery is how often a snapshot may be asked for; 0 is always.
	SnapshotEvery time.Duration
	// LastSnapshot is the zxid and the time of the last checkpoint.
	LastSnapshot func() (zxid int64, at time.Time)
	// Config is the configuration as its keys, for initial_configuration.
	Config []string
	Logger zerolog.Logger
}

// Server serves HTTP until Close.
type Server struct {
	o       Options
	servers []*http.Server
	running sync.WaitGroup
	addrs   map[string]net.Addr // by the address that was asked for

	mu       sync.Mutex
	snapshot time.Time // when one was last asked for
}

// Start listens. A port that cannot be had is logged and left out.
func Start(o Options) *Server {
	s := &Server{o: o, addrs: map[string]net.Addr{}}
	muxes := map[string]*http.ServeMux{}
	mux := func(addr string) *http.ServeMux {
		if muxes[addr] == nil {
			muxes[addr] = http.NewServeMux()
		}
		return muxes[addr]
	}
	if o.Commands != "" {
		base := strings.TrimSuffix(o.CommandURL, "/")
		mux(o.Commands).HandleFunc(base, s.index)
		mux(o.Commands).HandleFunc(base+"/{name...}", s.command)
	}
	if o.Metrics != "" {
		mux(o.Metrics).Handle("/metrics", metricsHandler(o.Server, o.Runtime))
	}
	for addr, m := range muxes {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			o.Logger.Error().Err(err).Str("address", addr).Msg("no HTTP there; clients are served all the same. Stop what has the port, or set admin.serverPort or metricsProvider.httpPort to another")
			continue
		}
		s.addrs[addr] = l.Addr()
		h := &http.Server{Handler: m, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: o.IdleTimeout, MaxHeaderBytes: 32 << 10}
		s.servers = append(s.servers, h)
		s.running.Go(func() {
			if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				o.Logger.Error().Err(err).Str("address", addr).Msg("HTTP has ended")
			}
		})
		o.Logger.Info().Stringer("address", l.Addr()).Msg("HTTP is ready")
	}
	return s
}

// CommandsAddr and MetricsAddr are where the two listen, nil if they do not.
func (s *Server) CommandsAddr() net.Addr { return s.addrs[s.o.Commands] }

// MetricsAddr is where Prometheus is answered, nil if it is not.
func (s *Server) MetricsAddr() net.Addr { return s.addrs[s.o.Metrics] }

// Close ends all requests and returns when they have.
func (s *Server) Close() error {
	var errs []error
	for _, h := range s.servers {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		if h.Shutdown(ctx) != nil { // a request that takes its time, such as a snapshot
			errs = append(errs, h.Close())
		}
		cancel()
	}
	s.running.Wait()
	return errors.Join(errs...)
}

// snapshotDue says whether a snapshot may be taken now, and counts it.
func (s *Server) snapshotDue() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if !s.snapshot.IsZero() && now.Sub(s.snapshot) < s.o.SnapshotEvery {
		return false
	}
	s.snapshot = now
	return true
}

// sendSnapshot is GET /commands/snapshot.
func (s *Server) sendSnapshot(w http.ResponseWriter, r *http.Request) {
	fail := func(status int, text string) { answer(w, status, "snapshot", nil, text) }
	scheme, data, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	ip, _, _ := net.SplitHostPort(r.RemoteAddr)
	if s.o.Snapshot == nil {
		fail(http.StatusServiceUnavailable, "snapshot is disabled: admin.snapshot.enabled=false")
		return
	}
	access := server.Unknown
	if ok {
		access = s.o.Server.MayAdminister(scheme, data, ip)
	}
	switch access {
	case server.Unknown:
		fail(http.StatusUnauthorized, "Authorization: SCHEME DATA is missing, or is of a scheme that is not known")
		return
	case server.Forbidden:
		fail(http.StatusForbidden, "it takes every right on / to take a snapshot")
		return
	}
	if !s.snapshotDue() {
		fail(http.StatusTooManyRequests, "too many snapshots: one in "+s.o.SnapshotEvery.String())
		return
	}
	zxid, write := s.o.Snapshot()
	w.Header().Set("last_zxid", "0x"+strconv.FormatUint(uint64(zxid), 16))
	if r.URL.Query().Get("streaming") == "false" {
		var size counter
		_ = write(&size) // a counter takes everything
		w.Header().Set("snapshot_size", strconv.FormatInt(int64(size), 10))
		answer(w, http.StatusOK, "snapshot", nil, "")
		return
	}
	var size counter
	_ = write(&size)
	w.Header().Set("snapshot_size", strconv.FormatInt(int64(size), 10))
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := write(w); err != nil {
		s.o.Logger.Warn().Err(err).Str("client", r.RemoteAddr).Msg("a snapshot was not taken to its end")
	}
}

type counter int64

func (c *counter) Write(b []byte) (int, error) { *c += counter(len(b)); return len(b), nil }
