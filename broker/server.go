package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"ottla/broker/api"
	"ottla/broker/auth"
	"ottla/broker/commitlog"
	"ottla/broker/compact"
	"ottla/broker/config"
	"ottla/broker/config/admin"
	"ottla/broker/controller"
	"ottla/broker/dataplane"
	"ottla/broker/group"
	"ottla/broker/logdir"
	"ottla/broker/metadata"
	"ottla/broker/network"
	"ottla/broker/peer"
	"ottla/broker/replica"
	"ottla/broker/topic"
	"ottla/broker/txn"
	"ottla/broker/znode"
	"ottla/internal/fs"
	"ottla/internal/loggers"
)

// Options are what a Server is made from. Config must be set.
type Options struct {
	Config *config.Config
	FS     fs.FS            // nil: the operating system's
	Now    func() time.Time // wall clock; nil: time.Now
	Logger zerolog.Logger
	// Levels are those of single loggers (see loggers.go), by name; the others have Logger's.
	Levels map[string]string
	// Hostname is advertised for listeners without a host; "": what the system says.
	Hostname string
}

// Server is a broker. Its methods may be called from any goroutine, Start and Close once each.
type Server struct {
	o       Options
	log     zerolog.Logger
	loggers *loggers.Set

	id        int32
	clusterID string
	bound     []config.Listener

	config     *config.Store
	dirs       *logdir.Manager
	cleaner    *compact.Cleaner
	zk         *znode.Client
	metadata   *metadata.Store
	fence      *metadata.Fence
	network    *network.Server
	table      *replica.Table
	groups     *group.Coordinator
	ids        *txn.ProducerIDs
	peers      *peer.Controller
	registrar  atomic.Pointer[znode.Registrar] // nil until the broker has registered
	topics     *controller.Topics
	admin      *controller.Handlers
	controller *controller.Controller
	changes    *znode.ConfigChanges
	features   *features
	quotas     *quotas
	plane      *dataplane.Plane
	meters     *meters

	dirFailures chan dirFailure

	stops  []stop // what has been started, in order
	failed chan error
	once   sync.Once // guards failed
}

// stop undoes one step of the start.
type stop struct {
	what string
	do   func(ctx context.Context) error
}

// New returns a server that has done nothing yet.
func New(o Options) *Server {
	if o.FS == nil {
		o.FS = fs.OS
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	set := newLoggers(o)
	return &Server{
		o: o, log: set.Logger(logServer), loggers: set, meters: newMeters(), id: o.Config.BrokerID,
		dirFailures: make(chan dirFailure, len(o.Config.Log.Dirs)), failed: make(chan error, 1),
	}
}

// Serve starts the broker, runs until ctx ends or the broker cannot go on, and stops it within the grace. ready, if not nil,
// is called when the broker serves.
func (s *Server) Serve(ctx context.Context, grace time.Duration, ready func()) error {
	if err := s.Start(ctx); err != nil {
		return err
	}
	if ready != nil {
		ready()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-s.failed:
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	return errors.Join(err, s.Close(stopping))
}

// Start starts everything, or nothing: after an error what had been started is stopped again. ctx bounds the start alone.
func (s *Server) Start(ctx context.Context) error {
	begin := time.Now()
	for _, step := range []func(context.Context) error{
		s.connect, s.openDirs, s.identify, s.load, s.bind, s.register, s.lead, s.follow, s.serve,
	} {
		if err := step(ctx); err != nil {
			s.meters.state.Store(int32(notRunning))
			s.unwind(context.WithoutCancel(ctx))
			return err
		}
	}
	s.meters.state.Store(int32(running))
	s.log.Info().Int32("broker", s.id).Str("cluster", s.clusterID).Dur("took", time.Since(begin)).Msg("broker started")
	return nil
}

// Close stops the broker. Partitions that can be led elsewhere are handed over first; what was accepted is finished, as far as
// ctx allows. The error names what did not end as it should; data is on the disk all the same, or the next start recovers it.
func (s *Server) Close(ctx context.Context) error {
	s.meters.state.Store(int32(pendingControlledShutdown))
	if s.config.Config().Controller.ControlledShutdown {
		if err := s.handOver(ctx); err != nil {
			s.log.Warn().Err(err).Msg("controlled shutdown did not succeed; stopping all the same")
		}
	}
	s.meters.state.Store(int32(shuttingDown))
	err := s.unwind(ctx)
	s.meters.state.Store(int32(notRunning))
	s.log.Info().Int32("broker", s.id).Err(err).Msg("broker stopped")
	return err
}

// unwind stops what was started, the last first.
func (s *Server) unwind(ctx context.Context) error {
	var errs []error
	for len(s.stops) > 0 {
		last := s.stops[len(s.stops)-1]
		s.stops = s.stops[:len(s.stops)-1]
		if err := last.do(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", last.what, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Server) started(what string, undo func(ctx context.Context) error) {
	s.stops = append(s.stops, stop{what, undo})
}

func quietly(f func()) func(context.Context) error {
	return func(context.Context) error { f(); return nil }
}

// fail ends Serve with err; the first call counts.
func (s *Server) fail(err error) {
	s.once.Do(func() { s.failed <- err })
}

// Addr is where a listener is bound, nil before Start.
func (s *Server) Addr(listener string) net.Addr { return s.network.Addr(listener) }

// ID is the broker's id: once started, never -1.
func (s *Server) ID() int32 { return s.id }

func (s *Server) openDirs(context.Context) error {
	c := s.o.Config
	var err error
	s.dirs, err = logdir.Open(logdir.Config{
		FS: s.o.FS, Dirs: c.Log.Dirs, RecoveryThreads: int(c.Log.RecoveryThreads), IOThreads: int(c.Network.IOThreads),
		RetentionCheckEvery: c.Log.RetentionCheck, RetentionDelay: max(c.Log.InitialTaskDelay, 1), ProducerExpiryEvery: c.ProducerIDExpirationRun, Now: s.o.Now, Logger: s.loggers.Logger(logDirs),
		OnDirFailure: s.dirFailed, Flushed: s.meters.took(s.meters.flushes),
	})
	if err != nil {
		return err
	}
	// Logs are closed as cleanly as the broker stops: what led here is over before the first step of the mirrored list.
	s.started("log directories", func(context.Context) error { return s.dirs.Close(true) })
	return nil
}

func (s *Server) connect(ctx context.Context) error {
	c := s.o.Config.ZooKeeper
	dialer, err := c.Dialer()
	if err != nil {
		return err
	}
	s.zk, err = znode.Open(ctx, znode.Config{
		Servers: c.Servers, Chroot: c.Chroot, SessionTimeout: c.SessionTimeout, ConnectTimeout: c.ConnectionTimeout, SecureACL: c.SetACL,
		Dial: dialer.DialContext, Answered: s.meters.took(s.meters.zk), Logger: s.loggers.Logger(logZooKeeper),
	})
	if err != nil {
		return fmt.Errorf("no session with ZooKeeper at %s: %w; is it running? `ottla coordinator` starts one, `ottla up` both", c.Connect, err)
	}
	s.started("ZooKeeper session", quietly(s.zk.Close))
	session, err := s.zk.Session(ctx)
	if err != nil {
		return err
	}
	return session.MakePersistentPaths(ctx)
}

// identify settles who this broker is, in which cluster.
func (s *Server) identify(ctx context.Context) error {
	session, err := s.zk.Session(ctx)
	if err != nil {
		return err
	}
	if s.clusterID, err = session.ClusterID(ctx, rand.Read); err != nil {
		return err
	}
	stored := s.dirs.Meta()
	switch {
	case s.id >= 0:
	case stored.BrokerID >= 0:
		s.id = stored.BrokerID
	case s.o.Config.BrokerIDGeneration:
		if s.id, err = session.NextBrokerID(ctx, s.o.Config.ReservedBrokerID); err != nil {
			return err
		}
	default:
		return errors.New("broker.id is -1 and broker.id.generation.enable is false: set broker.id to a number that no other broker has")
	}
	return s.dirs.SetMeta(logdir.Meta{ClusterID: s.clusterID, BrokerID: s.id})
}

// load reads the dynamic configuration and the logs.
func (s *Server) load(ctx context.Context) error {
	s.meters.state.Store(int32(recovering))
	session, err := s.zk.Session(ctx)
	if err != nil {
		return err
	}
	s.config = config.NewStore(s.o.Config, s.loggers.Logger(logConfig))
	if err := s.config.LoadBroker(ctx, session, s.id); err != nil {
		return err
	}
	if err := s.config.LoadTopics(ctx, session); err != nil {
		return err
	}
	s.quotas = newQuotas(s.config.Config())
	s.quotas.log = s.loggers.Logger(logQuotas)
	if err := s.quotas.load(ctx, session); err != nil {
		return err
	}
	if err := s.dirs.Load(ctx, func(name string) commitlog.Settings { ls, _ := s.settings(name); return ls }); err != nil {
		return err
	}
	s.cleaner = compact.New(compact.Config{
		Settings: cleanerSettings(s.config.Config()), Logs: s.dirs.Logs, Checkpoint: s.dirs.CheckpointCleaned, Now: s.o.Now, Logger: s.loggers.Logger(logCleaner),
	})
	s.cleaner.Start()
	s.started("log cleaner", quietly(s.cleaner.Close))
	return nil
}

func (s *Server) bind(ctx context.Context) error {
	c := s.config.Config()
	s.metadata = metadata.NewStore()
	var err error
	if s.features, err = followFeatures(ctx, s.zk, s.loggers.Logger(logFeatures)); err != nil {
		return err
	}
	s.started("features", quietly(s.features.Close))
	nc := network.Config{
		Registry: api.NewRegistry(), MaxRequestBytes: int(c.Network.RequestMaxBytes), MaxIdle: c.Network.MaxIdle, RequestTimeout: c.RequestTimeout,
		SendBufferBytes: int(c.Network.SendBufferBytes), ReceiveBufferBytes: int(c.Network.ReceiveBufferBytes),
		Limited: s.quotas.limited, Logger: s.loggers.Logger(logNetwork), Refusals: s.loggers.Logger(logConnections), Now: s.o.Now,
	}
	if c.Network.BacklogSet {
		nc.Backlog = int(c.Network.Backlog)
	}
	if c.Network.QueuedMaxBytes > 0 {
		nc.InFlightBytes = c.Network.QueuedMaxBytes
	}
	if nc.Connections, err = s.limitConnections(ctx); err != nil {
		return err
	}
	for _, l := range c.Network.Listeners {
		nc.Listeners = append(nc.Listeners, network.Listener{Name: l.Name, Addr: net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port)))})
	}
	s.meters.requests = s.observe(func() time.Duration { return s.network.Elapsed() })
	nc.Observer = s.meters.requests
	s.network = network.New(nc)
	if err := s.network.Bind(); err != nil {
		return fmt.Errorf("%w; if another broker or an earlier run of this one has the address, stop it or set `listeners` to another port", err)
	}
	s.started("listeners", s.network.Close) // connections end before what they need: see serve
	for _, l := range c.Network.Listeners {
		l.Port = int32(s.network.Addr(l.Name).(*net.TCPAddr).Port)
		s.bound = append(s.bound, l)
	}
	s.handlers(nc.Registry)
	return nil
}

// handlers makes what serves requests and registers it.
func (s *Server) handlers(reg *api.Registry) {
	c := s.config.Config()
	s.fence = &metadata.Fence{BrokerEpoch: s.epoch}
	s.peers = peer.NewController(peer.Config{ClientID: strconv.Itoa(int(s.id)), Timeout: c.Controller.SocketTimeout, Logger: s.loggers.Logger(logControllerOut)}, s.controllerNode)
	s.started("controller connection", quietly(s.peers.Close))
	s.table = replica.New(replica.Config{
		Self: s.id, Logs: hostedLogs{s.dirs}, Metadata: s.metadata, Fence: s.fence, Prepare: s.prepare, Settings: s.settings, LagMax: c.Replica.LagTimeMax,
		Elected: s.elected, Resigned: s.resigned, Now: s.o.Now, Logger: s.loggers.Logger(logReplicas),
	})
	s.started("partitions", quietly(s.table.Close))
	s.followDirs()

	cluster, configs := controlCluster{s.metadata}, topicConfigs{s.config}
	s.topics = controller.NewTopics(s.zk, cluster, configs, controller.TopicsConfig{
		Partitions: c.NumPartitions, Replicas: c.ReplicationFactor, Random: rand.Read, Logger: s.loggers.Logger(logTopics),
	})
	s.admin = &controller.Handlers{Topics: s.topics, Metadata: cluster, Configs: configs, DeleteTopics: c.DeleteTopics, Quotas: s.quotas, Logger: s.loggers.Logger(logTopics)}
	s.groups = group.New(groupSettings(c, s.o.Now, s.loggers.Logger(logGroups)), offsetsLog{s.table}, groupCluster{s.metadata}, s.topics, legacyOffsets{s.zk})
	s.started("groups", quietly(s.groups.Close))
	s.ids = txn.NewProducerIDs(producerIDs{s}, s.loggers.Logger(logProducerIDs))
	s.started("producer ids", quietly(s.ids.Close))

	s.config.Subscribe(s.reconfigured)
	s.config.Subscribe(s.relimitConnections)
	(&metadata.Updater{Store: s.metadata, Fence: s.fence, Deleted: s.deleted}).Register(reg)
	(&metadata.Query{Store: s.metadata, ClusterID: s.clusterID, AutoCreate: s.autoCreate()}).Register(reg)
	s.plane = dataplane.Register(reg, dataplane.Config{
		Replicas: s.table, Metadata: dataCluster{s.metadata}, FetchMaxBytes: int(c.FetchMaxBytes), FetchSessionsMax: int(c.FetchSessions),
		Quotas: s.quotas, SyncTimeout: c.RequestTimeout, Now: s.o.Now, Random: rand.Read,
	})
	s.table.Register(reg)
	s.groups.Register(reg)
	s.ids.Register(reg)
	s.dirs.Register(reg, s.logLag)
	auth.RegisterNone(reg)
	s.quotas.register(reg, s)
	s.admin.Register(reg)
	admin.Register(reg, admin.Config{Store: s.config, HasTopic: s.hasTopic, Entities: s.entities, Loggers: s.loggers, Log: s.loggers.Logger(logConfigAdmin)})
	api.RegisterVersions(reg, s.features.Epoch)
	reg.Wrap(s.quotas.throttled)
}

func (s *Server) serve(context.Context) error {
	s.network.Start()
	s.started("connections", s.network.Close)
	return nil
}

func (s *Server) register(ctx context.Context) error {
	c := s.config.Config()
	b := znode.Broker{ID: s.id, JMXPort: -1, Rack: c.Rack}
	for _, l := range c.Network.Advertise(s.bound, s.hostname()) {
		p, err := znode.ParseProtocol(c.Network.Security[l.Name])
		if err != nil {
			return err
		}
		b.Endpoints = append(b.Endpoints, znode.Endpoint{Listener: l.Name, Host: l.Host, Port: l.Port, Protocol: p})
	}
	r, err := znode.Register(ctx, s.zk, znode.Registration{
		Broker: b, Marks: znode.MarkFiles{FS: s.o.FS, Dirs: c.Log.Dirs}, Now: s.o.Now, Logger: s.loggers.Logger(logZooKeeper),
	})
	if err != nil {
		return err
	}
	s.registrar.Store(r)
	return nil
}

// lead takes part in the election of the controller.
func (s *Server) lead(ctx context.Context) error {
	c := s.config.Config()
	ctl, err := controller.Start(ctx, s.zk, controller.Config{
		BrokerID: s.id, Listener: s.interBroker(), DeleteTopics: c.DeleteTopics, AutoRebalance: c.Controller.AutoRebalance,
		RebalanceInterval: c.Controller.ImbalanceCheck, RebalancePercentage: int(c.Controller.ImbalancePercentage),
		Unclean: func(name string) bool { return s.config.Topic(name).UncleanElection },
		Peer:    peer.Config{ClientID: strconv.Itoa(int(s.id)), Timeout: c.Controller.SocketTimeout, Logger: s.loggers.Logger(logControllerOut)},
		Handled: s.meters.handled, Queued: s.meters.took(s.meters.queue),
		Now: s.o.Now, Random: rand.Read, Logger: s.loggers.Logger(logController),
	})
	if err != nil {
		return err
	}
	s.controller, s.admin.Controller = ctl, ctl // before the first request is served
	s.started("controller", quietly(ctl.Close))
	return nil
}

// hostname is what is advertised for listeners without a host: as in Apache Kafka the machine's own name.
func (s *Server) hostname() string {
	if s.o.Hostname != "" {
		return s.o.Hostname
	}
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "localhost"
}

// elected and resigned tell the coordinators which partitions of their topics are here.
func (s *Server) elected(p topic.Partition, leaderEpoch int32) {
	if p.Topic == topic.ConsumerOffsets {
		s.groups.Elected(p.Partition, leaderEpoch)
	}
}

func (s *Server) resigned(p topic.Partition, leaderEpoch int32) {
	if p.Topic == topic.ConsumerOffsets {
		s.groups.Resigned(p.Partition, leaderEpoch)
	}
}
