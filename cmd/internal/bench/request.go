package bench

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/cmd/internal/output"
)

// asking is the exchange of a connection that sends the same small request again and again.
type asking struct{ request []byte }

func (x *asking) next(b []byte, _ time.Time) []byte { return append(b, x.request...) }

// answer looks at the length only: whether the answers make sense was seen before the run.
func (x *asking) answer(frame []byte) (records, bytes int, err error) {
	if len(frame) < 8 {
		return 0, 0, errShort
	}
	return 0, len(frame), nil
}

func requestCommand() *cobra.Command {
	var l load
	var k kafkaFlags
	var api string
	cmd := &cobra.Command{
		Use: "request", Short: "Send small requests, which cost a broker little but their handling", Args: cobra.NoArgs,
		Long: `Send ApiVersions requests, or Metadata requests for a topic of --partitions partitions that is made for the run, as fast as they are
answered.`,
		Example: "  ottla bench request -c 16 -n 1\n  ottla bench request --api metadata --partitions 1000",
	}
	l.flags(cmd.Flags(), 1)
	k.flags(cmd.Flags())
	cmd.Flags().StringVar(&api, "api", "apiversions", "`which`: apiversions or metadata")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := l.check(); err != nil {
			return err
		}
		if api != "apiversions" && api != "metadata" {
			return output.Usagef("--api %s: want apiversions or metadata", api)
		}
		ctx, stop := l.context(cmd)
		defer stop()
		s, err := prepare(ctx, &k, 1)
		if err != nil {
			return err
		}
		defer s.close()
		var q kmsg.Request
		detail := api
		if api == "metadata" {
			m := kmsg.NewPtrMetadataRequest()
			t := kmsg.NewMetadataRequestTopic()
			t.Topic = &s.topic
			m.Version, m.AllowAutoTopicCreation, m.Topics = 8, false, []kmsg.MetadataRequestTopic{t}
			q, detail = m, fmt.Sprintf("metadata of %d partitions", len(s.leaders))
		} else {
			v := kmsg.NewPtrApiVersionsRequest()
			v.Version = 2
			q = v
		}
		frame := layout.AppendRequest(nil, q, 0)
		var pipes []*pipe
		for range l.connections {
			c, err := s.dial(ctx, 0)
			if err != nil {
				return err
			}
			pipes = append(pipes, newPipe(c, &asking{frame}, l.outstanding))
		}
		return l.run(ctx, cmd, pipes, Result{Op: "request", Server: k.Servers, Detail: detail, what: "requests"})
	}
	return cmd
}
