package coord

import (
	"crypto/tls"
	"errors"
	"fmt"
	"iter"
	"net"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"ottla/coord/admin"
	"ottla/coord/config"
	"ottla/coord/ensemble"
	"ottla/coord/fsm"
	"ottla/coord/server"
	"ottla/coord/state"
	"ottla/coord/store"
	"ottla/internal/fs"
)

// Options is what a Server is made of.
type Options struct {
	Config *config.Config // nil is config.Default
	Logger zerolog.Logger
	// FS is the file system of the log; nil is the operating system's.
	FS fs.FS
	// Now is the wall clock; nil is time.Now.
	Now func() time.Time
	// Listener is where clients connect; nil listens on the configured port. The server closes it, also when New fails.
	Listener net.Listener
	// Checkpoints is where the checkpoint is kept; nil is bbolt in the data directory. Must be set with an FS that is not the
	// operating system's.
	Checkpoints store.Checkpoints
}

// Server is a running coordinator. Safe for concurrent use.
type Server struct {
	o        Options
	cfg      *config.Config
	listener net.Listener // nil with secureClientPort alone
	secure   net.Listener // nil without secureClientPort
	tls      *tls.Config  // nil without TLS
	store    *store.Store
	state    *state.State
	clients  *server.Server
	ensemble *ensemble.Ensemble
	admin    *admin.Server

	closing atomic.Bool
	closed  chan struct{} // closed when Close has begun
	stopped chan struct{} // closed when it is over, with err set
	err     error

	startTook, loadTook time.Duration // of all, and of the checkpoint
	savedZxid           atomic.Int64  // of the last checkpoint that began
}

// New recovers the data and takes the port; Serve comes next. If it fails nothing is left open. The error says what is wrong, what
// would happen otherwise, and how to mend it.
func New(o Options) (_ *Server, err error) {
	s := &Server{o: o, cfg: o.Config, closed: make(chan struct{}), stopped: make(chan struct{})}
	s.setDefaults()
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	started := time.Now()
	if err := s.loadKeys(); err != nil {
		return nil, err
	}
	if err := s.listen(); err != nil { // early: a port that is taken is the most frequent mistake, and costs nothing to find
		return nil, err
	}
	if err := s.openStore(); err != nil { // locks the directory
		return nil, err
	}
	s.state = state.New()
	if err := s.store.Load(s.restore); err != nil { // the checkpoint, then the log behind it
		return nil, explain(err, s.cfg)
	}
	s.loadTook = time.Since(started)
	if s.clients, err = server.New(s.serverConfig(), s.state, proposals{s}); err != nil { // hears of what is applied from here on
		return nil, err
	}
	if s.ensemble, err = ensemble.New(s.ensembleConfig()); err != nil { // replays the log, opens a new term
		return nil, explain(err, s.cfg)
	}
	s.startTook = time.Since(started)
	s.admin = admin.Start(s.adminOptions()) // needs nothing but what is there, and never fails
	s.clients.Start()                       // sessions' clocks begin to run
	rec, stats := s.store.Log().Recovered(), s.ensemble.Stats()
	s.o.Logger.Info().Stringer("address", s.Addr()).Str("dataDir", s.cfg.DataDir).Uint64("checkpoint", s.store.Header().Index).
		Uint64("replayed", rec.Entries).Uint64("term", stats.Term).Dur("took", time.Since(started)).Msg("coordinator is ready")
	if s.secure != nil {
		s.o.Logger.Info().Stringer("address", s.secure.Addr()).Msg("clients with TLS are served")
	}
	return s, nil
}

// stop is New backwards. It runs when New fails, with what there is so far, and in Close.
func (s *Server) stop() error {
	var errs []error
	if s.admin != nil {
		errs = append(errs, s.admin.Close())
	}
	if s.clients != nil {
		// The log may hold a proposer up; it ends together with the log.
		done := make(chan error, 1)
		go func() { done <- s.clients.Close() }()
		if s.ensemble != nil {
			errs = append(errs, s.stopEnsemble(done))
		} else {
			errs = append(errs, <-done)
		}
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	for _, l := range []net.Listener{s.secure, s.listener} {
		if l == nil {
			continue
		}
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// stopEnsemble waits until the clients are gone, so that nothing more is proposed, then stops the ensemble.
func (s *Server) stopEnsemble(clients <-chan error) error {
	select {
	case err := <-clients:
		return errors.Join(err, s.ensemble.Close())
	case <-s.ensemble.Failed():
		return errors.Join(s.ensemble.Close(), <-clients)
	}
}

// Serve accepts clients until Close, and then returns nil, or until the coordinator fails: then it closes it and says why.
func (s *Server) Serve() error {
	served := make(chan error, 2)
	if s.listener != nil {
		go func() { served <- s.serveClients() }()
	}
	if s.secure != nil {
		go func() { served <- s.clients.ServeTLS(s.secure, s.tls, false) }()
	}
	var err error
	select {
	case err = <-served:
		if errors.Is(err, server.ErrClosed) {
			err = nil // Close tells
		}
	case <-s.ensemble.Failed():
		err = explain(s.ensemble.Err(), s.cfg)
		s.o.Logger.Error().Err(err).Msg("the coordinator cannot go on")
	case <-s.closed:
	}
	if cerr := s.Close(); err == nil {
		err = cerr
	}
	return err
}

func (s *Server) serveClients() error {
	if s.cfg.TLS.Unification {
		return s.clients.ServeTLS(s.listener, s.tls, true)
	}
	return s.clients.Serve(s.listener)
}

// Close disconnects the clients, whose sessions live on in the log, makes a last checkpoint and stops. It returns after all of that, also when
// called more than once.
func (s *Server) Close() error {
	if s.closing.CompareAndSwap(false, true) {
		close(s.closed)
		s.err = s.stop()
		close(s.stopped)
	}
	<-s.stopped
	return s.err
}

// Addr is where clients connect to: with TLS, if there is no other port.
func (s *Server) Addr() net.Addr {
	if s.listener == nil {
		return s.SecureAddr()
	}
	return s.listener.Addr()
}

// Metrics are the coordinator's, for Prometheus, under ZooKeeper's names.
func (s *Server) Metrics() prometheus.Collector { return admin.Collector(s.clients) }

// SecureAddr is where clients with TLS connect to, nil if there is no port of their own.
func (s *Server) SecureAddr() net.Addr {
	if s.secure == nil {
		return nil
	}
	return s.secure.Addr()
}

func (s *Server) setDefaults() {
	if s.cfg == nil {
		s.cfg = config.Default()
	}
	if s.o.FS == nil {
		s.o.FS = fs.OS
	}
	if s.o.Now == nil {
		s.o.Now = time.Now
	}
}

func (s *Server) listen() error {
	if s.o.Listener != nil {
		s.listener = s.o.Listener
		return nil
	}
	if s.cfg.ClientPort >= 0 {
		l, err := net.Listen("tcp", s.cfg.Addr())
		if err != nil {
			return explainListen(err, "clientPort", s.cfg.ClientPort, s.cfg.ClientPortAddress)
		}
		s.listener = l
	}
	if s.cfg.TLS.Port >= 0 {
		l, err := net.Listen("tcp", s.cfg.SecureAddr())
		if err != nil {
			return explainListen(err, "secureClientPort", s.cfg.TLS.Port, s.cfg.TLS.Address)
		}
		s.secure = l
	}
	return nil
}

// loadKeys prepares TLS.
func (s *Server) loadKeys() error {
	if !s.cfg.TLS.Used() {
		return nil
	}
	t := s.cfg.TLS.Server()
	t.Failed = func(err error) {
		s.o.Logger.Error().Err(err).Msg("the new key or trust store cannot be used; the old ones stay in use")
	}
	c, unknown, err := t.Config()
	if err != nil {
		return fmt.Errorf("TLS cannot be offered: %w. Without it clients would not be protected; mend the file, or its ssl.* keys", err)
	}
	if len(unknown) > 0 {
		s.o.Logger.Warn().Strs("suites", unknown).Msg("cipher suites that are not known are left out")
	}
	s.tls = c
	return nil
}

func (s *Server) openStore() (err error) {
	s.store, err = store.Open(store.Options{
		Dir: s.cfg.DataDir, LogDir: s.cfg.DataLogDir, FS: s.o.FS, Checkpoints: s.o.Checkpoints, SegmentBytes: s.cfg.SegmentBytes,
		Logger: s.o.Logger,
	})
	return explain(err, s.cfg)
}

// restore puts the checkpoint's records into the state.
func (s *Server) restore(h store.Header, records iter.Seq2[store.Record, error]) error {
	return restoreState(s.state, h, records)
}

func restoreState(st *state.State, h store.Header, records iter.Seq2[store.Record, error]) error {
	return st.Restore(h.Index, h.Term, h.Meta, func(yield func(state.Record, error) bool) {
		for r, err := range records {
			if !yield(state.Record(r), err) {
				return
			}
		}
	})
}

func (s *Server) serverConfig() server.Config {
	c := s.cfg
	return server.Config{
		ServerID: uint8(min(c.MyID, 254)), TickTime: c.TickTime, MinSessionTimeout: c.MinSessionTimeout, MaxSessionTimeout: c.MaxSessionTimeout,
		MaxClientCnxns: c.MaxClientCnxns, MaxCnxns: c.MaxCnxns, GlobalOutstandingLimit: c.Outstanding(), MaxFrame: c.MaxBuffer,
		ContainerCheck: c.ContainerCheck, SkipACL: c.SkipACL, ExtendedTypes: c.ExtendedTypes, SuperDigest: c.SuperDigest, Words: c.Words,
		NoDigest: c.NoDigest, EnforceAuth: c.EnforceAuth, SASL: s.saslConfig(), SASLEntries: c.SASL.Entries, X509: c.TLS.Entries, X509Super: c.TLS.Super,
		EnforceQuota: c.EnforceQuota, Reconfig: c.Reconfig, ContainerUnused: c.ContainerUnused, ContainerRate: c.ContainerRate,
		LargeRequests: server.LargeRequests{Threshold: c.Throttle.LargeThreshold, Bytes: c.Throttle.LargeBytes},
		ConnectThrottle: server.ConnectThrottle{
			Tokens: c.Throttle.ConnectTokens, Fill: c.Throttle.ConnectFill, Every: c.Throttle.ConnectEvery, Weighted: c.Throttle.ConnectWeighted,
		},
		Conf: server.Conf{
			ClientPort: port(s.listener), SecureClientPort: port(s.secure), DataDir: c.DataDir, DataLogDir: s.logDir(),
			DataDirSize: s.sizeOf(c.DataDir), DataLogSize: s.sizeOf(s.logDir()), ListenBacklog: c.ListenBacklog,
		},
		Figures: s.figures, Now: s.o.Now, Logger: s.o.Logger,
	}
}

// figures are the metrics of the log and of the start.
func (s *Server) figures(values map[string]any, summaries map[string]server.Figures) {
	if s.ensemble == nil {
		return
	}
	e := s.ensemble.Stats()
	groups := int64(e.Groups)
	fsync := server.Times(groups, e.SyncTotal, e.SyncMin, e.SyncMax)
	for _, name := range []string{"fsynctime", "sync_process_time"} {
		summaries[name] = fsync
	}
	batch := server.Figures{Count: groups, Sum: int64(e.Batches)}
	if groups > 0 {
		batch.Avg = float64(e.Batches) / float64(groups)
	}
	summaries["sync_processor_batch_size"] = batch
	if e.Checkpoints > 0 {
		summaries["snapshottime"] = server.Times(int64(e.Checkpoints), e.CheckpointTotal, e.CheckpointMin, e.CheckpointMax)
	}
	values["snap_count"] = int64(e.Entries) // behind the last checkpoint
	summaries["dbinittime"] = server.Times(1, s.startTook, s.startTook, s.startTook)
	summaries["startup_snap_load_time"] = server.Times(1, s.loadTook, s.loadTook, s.loadTook)
	if n := int64(s.store.Log().Recovered().Entries); n > 0 {
		took := s.startTook - s.loadTook
		summaries["startup_txns_load_time"] = server.Times(1, took, took, took)
		summaries["startup_txns_loaded"] = server.Figures{Count: 1, Sum: n, Min: n, Max: n, Avg: float64(n)}
	}
}

func (s *Server) saslConfig() *server.SASL {
	c := &s.cfg.SASL
	if c.Users == nil {
		return nil
	}
	return &server.SASL{Password: c.Password, Super: c.Super, AllowFailed: c.AllowFailed}
}

// port is that of a listener, -1 if there is none.
func port(l net.Listener) int {
	if l == nil {
		return -1
	}
	return l.Addr().(*net.TCPAddr).Port
}

func (s *Server) ensembleConfig() ensemble.Config {
	c := s.cfg
	return ensemble.Config{
		Store: s.store, Machine: machine{s}, Logger: s.o.Logger, CheckpointTxns: c.CheckpointTxns, CheckpointBytes: c.CheckpointBytes,
		SlowSync: c.SlowSync,
	}
}

// proposals gives the clients' batches to the ensemble, which comes to life after the clients' server.
type proposals struct{ s *Server }

func (p proposals) Propose(batch []byte) error { return p.s.ensemble.Propose(batch) }

// machine is the state as the ensemble drives it.
type machine struct{ *Server }

func (m machine) Apply(index, term uint64, batch []byte) (int, error) {
	return m.state.Apply(index, term, batch)
}

func (m machine) Snapshot() (ensemble.Snapshot, error) {
	c, err := m.state.Checkpoint()
	if err != nil {
		return ensemble.Snapshot{}, err
	}
	m.state.View(func(fm *fsm.Machine) { m.savedZxid.Store(fm.Zxid()) })
	return ensemble.Snapshot{Meta: c.Meta, Changes: storeRecords(c)}, nil
}

// storeRecords are a checkpoint's records as the store takes them.
func storeRecords(c *state.Checkpoint) iter.Seq[store.Record] {
	return func(yield func(store.Record) bool) {
		for r := range c.Records() {
			if !yield(store.Record(r)) {
				return
			}
		}
	}
}

func (s *Server) logDir() string {
	if s.cfg.DataLogDir != "" {
		return s.cfg.DataLogDir
	}
	return s.cfg.DataDir
}

// sizeOf sums up the files of a directory, for conf.
func (s *Server) sizeOf(dir string) func() int64 {
	return func() (sum int64) {
		list, err := s.o.FS.ReadDir(dir)
		if err != nil {
			return 0
		}
		for _, e := range list {
			if e.IsDir() {
				if e.Name() == "log" {
					sum += s.sizeOf(filepath.Join(dir, "log"))()
				}
			} else if st, err := e.Info(); err == nil {
				sum += st.Size()
			}
		}
		return sum
	}
}
