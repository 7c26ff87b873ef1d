package serve

import (
	"context"
	"fmt"
	"os"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"ottla/cmd/internal/output"
	"ottla/coord"
	"ottla/coord/config"
	"ottla/internal/monitor"
)

// Coordinator is `ottla coordinator`.
func Coordinator() *cobra.Command {
	var overrides []string
	var metrics string
	cmd := &cobra.Command{
		Use:   "coordinator [zoo.cfg]",
		Short: "Run a coordinator, which is a ZooKeeper server to its clients",
		Long: `Run a coordinator on the configuration of a zoo.cfg file, of ZOO_* environment variables and of --override options, the later
ones winning. Without a file it listens on port 2181 and keeps its data where ZooKeeper's sample configuration does, in
/tmp/zookeeper.`,
		Example: `  ottla coordinator conf/zoo.cfg
  ottla coordinator --override dataDir=/var/lib/ottla/coordinator`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			src := config.Source{Env: os.Environ(), Overrides: overrides}
			if len(args) > 0 {
				src.File = args[0]
			}
			return run(cmd.Context(), func(ctx context.Context, log zerolog.Logger) error {
				return runCoordinator(ctx, src, log, metrics, nil)
			})
		},
	}
	cmd.Flags().StringArrayVar(&overrides, "override", nil, overrideUsage)
	cmd.Flags().StringVar(&metrics, "metrics", "", metricsUsage)
	cmd.AddCommand(Import(), Export(), Check(), Repair(), Dump())
	return cmd
}

// runCoordinator loads the configuration and serves until ctx ends. metrics is where its metrics and health are shown; "" shows them
// nowhere. ready, if not nil, is told the server once it serves.
func runCoordinator(ctx context.Context, src config.Source, log zerolog.Logger, metrics string, ready func(*coord.Server)) error {
	c, warnings, err := config.Load(src)
	for _, w := range warnings {
		log.Warn().Msg(w)
	}
	if err != nil {
		return fmt.Errorf("configuration of the coordinator:\n%w", err)
	}
	watch, stopWatching, err := monitored(ctx, metrics, log)
	if err != nil {
		return err
	}
	defer stopWatching()
	s, err := coord.New(coord.Options{Config: c, Logger: log})
	if err != nil {
		return err
	}
	if watch != nil {
		watch.Add(coordinatorPart(s))
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() }) // Serve returns its error
	defer stop()
	if ready != nil {
		ready(s)
	}
	return s.Serve()
}

// coordinatorPart is a coordinator that serves, for a monitor.
func coordinatorPart(s *coord.Server) monitor.Part {
	return monitor.Part{Name: "coordinator", Metrics: s.Metrics()}
}

// ZooKeeperServerStart is zookeeper-server-start.sh.
func ZooKeeperServerStart() *cobra.Command {
	var daemon bool
	cmd := &cobra.Command{
		Use:                   "zookeeper-server-start [-daemon] zookeeper.properties",
		Short:                 "Run a coordinator",
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return output.Usagef("USAGE: %s", cmd.UseLine())
			}
			if daemon {
				return detach("zookeeper")
			}
			defer register("zookeeper")()
			src := config.Source{File: args[0], Env: os.Environ()}
			return run(cmd.Context(), func(ctx context.Context, log zerolog.Logger) error { return runCoordinator(ctx, src, log, "", nil) })
		},
	}
	cmd.Flags().BoolVar(&daemon, "daemon", false, daemonUsage)
	return cmd
}
