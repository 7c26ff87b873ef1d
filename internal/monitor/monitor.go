// Package monitor is the HTTP rim of a server, for Prometheus and for whoever supervises processes. It is one listener for all that
// runs in the process:
//
//	/metrics   what the parts' collectors tell, and of the process and of Go (process_*, go_*)
//	/healthz   200 as long as the process answers at all
//	/readyz    200 when every part is ready; else 503, and why not, a line for each
//
// It listens before the server begins to start, so that a long recovery can be told from a dead process, and until it has stopped.
// Nobody is asked who they are, and nothing can be changed here.
//
// A Server has a goroutine for its listener and those of net/http for connections; Close waits for them.
package monitor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"
)

// Part is one of the servers in the process.
type Part struct {
	Name string // "broker", for the text of /readyz
	// Metrics, if not nil, is asked at each scrape. It may be asked before the part has started and after it has stopped.
	Metrics prometheus.Collector
	// Ready, if not nil, says why the part is not ready; nil: it is.
	Ready func() error
}

// Server answers HTTP until Close.
type Server struct {
	listener net.Listener
	http     http.Server
	log      zerolog.Logger
	work     sync.WaitGroup

	mu       sync.Mutex
	parts    []Part
	stopping bool
}

// Listen begins to answer at an address, host:port. There are no parts yet, and so nothing that is ready.
func Listen(address string, log zerolog.Logger) (*Server, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("metrics at %s: %w; stop what has the address, or choose another", address, err)
	}
	s := &Server{listener: l, log: log}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collected{s}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, EnableOpenMetrics: false}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.readyz)
	s.http = http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
	}
	s.work.Go(func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error().Err(err).Stringer("address", l.Addr()).Msg("metrics are not served any more")
		}
	})
	log.Info().Stringer("address", l.Addr()).Msg("metrics and health are served")
	return s, nil
}

// Addr is where it listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Add adds a part. One that has the name of another takes its place.
func (s *Server) Add(p Part) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.parts, func(old Part) bool { return old.Name == p.Name }); i >= 0 {
		s.parts[i] = p
		return
	}
	s.parts = append(s.parts, p)
}

func (s *Server) now() (parts []Part, stopping bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.parts), s.stopping
}

// collected are the metrics of the parts that there are. They are not checked beforehand: what there is depends on topics and clients.
type collected struct{ s *Server }

// Describe implements prometheus.Collector.
func (collected) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collected) Collect(out chan<- prometheus.Metric) {
	parts, _ := c.s.now()
	for _, p := range parts {
		if p.Metrics != nil {
			p.Metrics.Collect(out)
		}
	}
}

// Stopping makes it not ready for good. Called before anything is stopped.
func (s *Server) Stopping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	parts, stopping := s.now()
	var why []string
	switch {
	case stopping:
		why = []string{"stopping"}
	case len(parts) == 0:
		why = []string{"starting"}
	}
	for _, p := range parts {
		if p.Ready == nil || stopping {
			continue
		}
		if err := p.Ready(); err != nil {
			why = append(why, p.Name+": "+err.Error())
		}
	}
	if why == nil {
		fmt.Fprintln(w, "ready")
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	for _, line := range why {
		fmt.Fprintln(w, line)
	}
}

// Close stops listening, lets requests end for a second, and returns when all goroutines have ended.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		_ = s.http.Close() // who is slower than that has the end of the connection
	}
	s.work.Wait()
}
