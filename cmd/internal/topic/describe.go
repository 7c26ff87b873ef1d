package topic

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
)

func describe() *cobra.Command {
	var k client.Kafka
	cmd := &cobra.Command{Use: "describe TOPIC...", Short: "Show topics with their partitions and configuration", Args: cobra.MinimumNArgs(1)}
	k.Flags(cmd.Flags())
	cmd.ValidArgsFunction = k.CompleteTopics("")
	format := output.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return k.With(cmd.Context(), func(s client.Session) error {
			all, err := topics(s, args...)
			if err != nil {
				return err
			}
			configs, err := s.DescribeTopicConfigs(s, args...)
			if err != nil {
				return err
			}
			for i := range all {
				c, err := configs.On(all[i].Name, nil)
				if err != nil {
					return err
				}
				if c.Err != nil {
					return explain(c.Name, c.Err, c.ErrMessage)
				}
				all[i].Config = overridden(c)
			}
			if *format == output.AsJSON {
				return output.JSON(cmd.OutOrStdout(), all)
			}
			for i, t := range all {
				if i > 0 {
					fmt.Fprintln(cmd.OutOrStdout())
				}
				if err := show(cmd, t); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return cmd
}

// show prints a topic for people.
func show(cmd *cobra.Command, t Topic) error {
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "%s  %d partitions, %d replicas", output.Heading(w, t.Name), len(t.Partitions), t.replicas())
	if t.ID != "" {
		fmt.Fprintf(w, "  %s", output.Aside(w, t.ID))
	}
	fmt.Fprintln(w)
	for _, pair := range sortedPairs(t.Config) {
		fmt.Fprintf(w, "  %s\n", pair)
	}
	table := &output.Table{Columns: []string{"PARTITION", "LEADER", "REPLICAS", "ISR"}}
	for _, p := range t.Partitions {
		leader := "none"
		if p.Leader != nil {
			leader = strconv.Itoa(int(*p.Leader))
		}
		table.Row(p.Partition, leader, join(p.Replicas), join(p.ISR))
	}
	return table.Write(w)
}

// join writes ids as 1,2,3.
func join(ids []int32) string {
	var b strings.Builder
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(int(id)))
	}
	return b.String()
}
