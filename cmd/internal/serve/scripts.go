package serve

import (
	"context"
	"os"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"ottla/broker/config"
	"ottla/cmd/internal/output"
)

// KafkaServerStart is kafka-server-start.sh: the file comes first, and overrides may follow.
func KafkaServerStart() *cobra.Command {
	var overrides []string
	var daemon bool
	cmd := &cobra.Command{
		Use:   "kafka-server-start [-daemon] server.properties [--override property=value]*",
		Short: "Run a Kafka broker",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return output.Usagef("USAGE: %s", cmd.UseLine())
			}
			if daemon {
				return detach("kafkaServer")
			}
			defer register("kafka")()
			src := config.Sources{File: args[0], Environ: os.Environ(), Overrides: overrides}
			return run(cmd.Context(), func(ctx context.Context, log zerolog.Logger) error { return runBroker(ctx, src, log, nil, nil) })
		},
	}
	cmd.DisableFlagsInUseLine = true
	cmd.Flags().StringArrayVar(&overrides, "override", nil, overrideUsage)
	cmd.Flags().BoolVar(&daemon, "daemon", false, daemonUsage)
	return cmd
}
