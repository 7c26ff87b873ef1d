package serve

import (
	"context"
	"fmt"
	"os"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"ottla/broker"
	"ottla/broker/config"
	"ottla/internal/monitor"
)

// Broker is `ottla broker`.
func Broker() *cobra.Command {
	var overrides []string
	var metrics string
	cmd := &cobra.Command{
		Use:   "broker [server.properties]",
		Short: "Run a Kafka broker",
		Long: `Run a Kafka broker on the configuration of a server.properties file, of KAFKA_* environment variables and of --override
options, the later ones winning. Without a file it runs on port 9092, with its coordinator at localhost:2181.`,
		Example: `  ottla broker
  ottla broker config/server.properties --override broker.id=2 --override listeners=PLAINTEXT://:9094`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			src := config.Sources{Environ: os.Environ(), Overrides: overrides}
			if len(args) > 0 {
				src.File = args[0]
			}
			if metrics != "" {
				src.Overrides = append(src.Overrides, "ottla.metrics.listener="+metrics)
			}
			return run(cmd.Context(), func(ctx context.Context, log zerolog.Logger) error { return runBroker(ctx, src, log, nil, nil) })
		},
	}
	cmd.Flags().StringArrayVar(&overrides, "override", nil, overrideUsage)
	cmd.Flags().StringVar(&metrics, "metrics", "", metricsUsage+" (the key ottla.metrics.listener)")
	return cmd
}

// runBroker loads the configuration and serves until ctx ends. watch, if not nil, is where its metrics and health are shown beside
// where the configuration wants them. ready, if not nil, is told the configuration once it serves.
func runBroker(ctx context.Context, src config.Sources, log zerolog.Logger, watch *monitor.Server, ready func(*config.Config)) error {
	c, warnings, err := config.Load(src)
	for _, w := range warnings {
		log.Warn().Msg(w)
	}
	if err != nil {
		return fmt.Errorf("configuration of the broker:\n%w", err)
	}
	s := broker.New(broker.Options{Config: c, Logger: log, Levels: levels(os.Getenv("KAFKA_LOG4J_LOGGERS"))})
	part := monitor.Part{Name: "broker", Metrics: s.Metrics(), Ready: s.Ready}
	if watch != nil {
		watch.Add(part)
	}
	_, stop, err := monitored(ctx, c.MetricsListener, log, part)
	if err != nil {
		return err
	}
	defer stop()
	return s.Serve(ctx, grace, func() {
		if ready != nil {
			ready(c)
		}
	})
}
