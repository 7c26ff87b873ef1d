package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	broker "ottla/broker/config"
	"ottla/cmd/internal/output"
	coordination "ottla/coord"
	coordinator "ottla/coord/config"
	"ottla/internal/monitor"
)

// pair is what `ottla up` was asked for.
type pair struct {
	dir        string
	host       string
	kafka      uint16
	zookeeper  uint16
	overrides  []string
	verbose    bool
	metrics    string
	out        io.Writer
	isTerminal bool
}

// Up is `ottla up`.
func Up() *cobra.Command {
	var p pair
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run a coordinator and a broker together",
		Long: `Run a coordinator and a broker in one process, with the data of both in one directory. Nothing need be configured: clients
find Kafka at localhost:9092 and ZooKeeper at localhost:2181. KAFKA_* and ZOO_* environment variables count as they do for
` + "`ottla broker` and `ottla coordinator`" + `.

There is no other copy of the data, so every produce request is on the disk before it is answered (log.flush.interval.messages=1).`,
		Example: `  ottla up
  ottla up --dir /var/lib/ottla --host kafka.example.org
  ottla up --override num.partitions=4`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p.out, p.isTerminal = cmd.OutOrStdout(), output.IsTerminal(cmd.OutOrStdout())
			return run(cmd.Context(), p.run)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&p.dir, "dir", "d", "ottla-data", "`directory` for all data")
	f.StringVar(&p.host, "host", "localhost", "`name` under which clients reach this machine")
	f.Uint16Var(&p.kafka, "kafka-port", 9092, "`port` for Kafka clients")
	f.Uint16Var(&p.zookeeper, "zookeeper-port", 2181, "`port` for ZooKeeper clients")
	f.StringArrayVar(&p.overrides, "override", nil, "set a `key=value` of the broker; may be repeated")
	f.StringVar(&p.metrics, "metrics", "", metricsUsage)
	f.BoolVarP(&p.verbose, "verbose", "v", false, "log everything on a terminal, not only what is wrong")
	return cmd
}

// run serves until ctx ends or one of the two ends; then the broker stops before its coordinator.
func (p *pair) run(ctx context.Context, log zerolog.Logger) error {
	if p.isTerminal && !p.verbose {
		log = log.Level(zerolog.WarnLevel)
	}
	coord := log.With().Str("server", "coordinator").Logger()
	stopping, stop := context.WithCancel(context.WithoutCancel(ctx)) // ends after the broker
	defer stop()
	watch, stopWatching, err := monitored(ctx, p.metrics, log)
	if err != nil {
		return err
	}
	defer stopWatching()
	if watch != nil {
		notYet := func() error { return errors.New("starting") }
		watch.Add(monitor.Part{Name: "coordinator", Ready: notYet})
		watch.Add(monitor.Part{Name: "broker", Ready: notYet})
	}
	started := make(chan *coordination.Server, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- runCoordinator(stopping, p.coordinator(), coord, "", func(s *coordination.Server) { started <- s })
	}()
	var at net.Addr
	select {
	case s := <-started:
		if at = s.Addr(); watch != nil {
			watch.Add(coordinatorPart(s))
		}
	case err := <-ended:
		return err
	}

	brokerCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	var failure error // the coordinator's, if it was the first to end
	over := make(chan struct{})
	go func() {
		defer close(over)
		failure = <-ended
		cancel()
	}()
	err = runBroker(brokerCtx, p.broker(at), log.With().Str("server", "broker").Logger(), watch, func(c *broker.Config) { p.ready(c, at) })
	stop()
	<-over
	return errors.Join(err, failure)
}

func (p *pair) coordinator() coordinator.Source {
	return coordinator.Source{Env: os.Environ(), Overrides: []string{
		"dataDir=" + filepath.Join(p.dir, "coordinator"), "clientPort=" + strconv.Itoa(int(p.zookeeper)),
	}}
}

func (p *pair) broker(coordinator net.Addr) broker.Sources {
	host, port, _ := net.SplitHostPort(coordinator.String())
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	kafka := strconv.Itoa(int(p.kafka))
	return broker.Sources{
		Base: map[string]string{
			"log.dirs":                    filepath.Join(p.dir, "broker"),
			"listeners":                   "PLAINTEXT://:" + kafka,
			"advertised.listeners":        "PLAINTEXT://" + net.JoinHostPort(p.host, kafka),
			"log.flush.interval.messages": "1", // there is no other copy
		},
		Environ:   os.Environ(),
		Overrides: append([]string{"zookeeper.connect=" + net.JoinHostPort(host, port)}, p.overrides...),
	}
}

// ready tells people what to do next.
func (p *pair) ready(c *broker.Config, zookeeper net.Addr) {
	if !p.isTerminal {
		return // the log says it
	}
	_, port, _ := net.SplitHostPort(zookeeper.String())
	kafka := "?"
	for _, l := range c.Network.Advertise(c.Network.Listeners, p.host) {
		kafka = net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port)))
		break
	}
	dir, err := filepath.Abs(p.dir)
	if err != nil {
		dir = p.dir
	}
	head := func(s string) string { return output.Heading(p.out, s) }
	fmt.Fprintf(p.out, `%s

  Kafka      %s
  ZooKeeper  %s
  Data       %s

%s
  ottla topic create greetings
  echo hello | ottla produce greetings
  ottla consume greetings --from-beginning
  ottla zk tree /

%s
`, output.Good(p.out, "Ottla is ready."), head(kafka), head(net.JoinHostPort(p.host, port)), dir,
		"Next, in another terminal:", output.Aside(p.out, "Ctrl-C stops it; the data stays."))
}
