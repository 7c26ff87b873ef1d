package cluster

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
	"ottla/cmd/internal/tool"
)

// The answer of kafka-log-dirs, whose fields come in this order.
type (
	dirsAnswer struct {
		Brokers []brokerDirs `json:"brokers"`
		Version int          `json:"version"`
	}
	brokerDirs struct {
		Broker int32 `json:"broker"`
		Dirs   []dir `json:"logDirs"`
	}
	dir struct {
		Partitions []replica `json:"partitions"`
		Error      *string   `json:"error"`
		Dir        string    `json:"logDir"`
	}
	replica struct {
		Partition string `json:"partition"` // topic-partition
		Size      int64  `json:"size"`
		Lag       int64  `json:"offsetLag"`
		Future    bool   `json:"isFuture"` // it is moving to this directory
	}
)

// dirs asks brokers, or all if none are given, for their log directories; for what is in them of some topics, or of all.
func dirs(s client.Session, brokers []int32, topics []string) ([]brokerDirs, error) {
	all, err := s.DescribeAllLogDirs(s, nil)
	if err != nil && len(all) == 0 {
		return nil, err
	}
	out := []brokerDirs{}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if len(brokers) > 0 && !slices.Contains(brokers, id) {
			continue
		}
		b := brokerDirs{Broker: id, Dirs: []dir{}}
		for _, d := range all[id].Sorted() {
			x := dir{Dir: d.Dir, Partitions: []replica{}}
			if d.Err != nil {
				class := tool.Class(d.Err)
				x.Error = &class
			}
			d.Topics.Each(func(p kadm.DescribedLogDirPartition) {
				if len(topics) == 0 || slices.Contains(topics, p.Topic) {
					x.Partitions = append(x.Partitions, replica{fmt.Sprintf("%s-%d", p.Topic, p.Partition), p.Size, p.OffsetLag, p.IsFuture})
				}
			})
			slices.SortFunc(x.Partitions, func(a, b replica) int { return cmp.Compare(a.Partition, b.Partition) })
			b.Dirs = append(b.Dirs, x)
		}
		out = append(out, b)
	}
	return out, nil
}

// KafkaLogDirs is kafka-log-dirs.sh.
func KafkaLogDirs() *cobra.Command {
	k := client.Kafka{ID: "log-dirs-tool"}
	var topics, brokers string
	cmd := &cobra.Command{
		Use:     "kafka-log-dirs",
		Short:   "Show the log directories of brokers, as Apache Kafka's tool does",
		Example: "  kafka-log-dirs --bootstrap-server localhost:9092 --describe --topic-list test",
	}
	f := cmd.Flags()
	f.StringVar(&k.Servers, "bootstrap-server", "", "brokers to connect to, `host:port,...`")
	f.StringVar(&k.Properties, "command-config", "", "`file` of client properties")
	f.StringVar(&topics, "topic-list", "", "only these `topics`, separated by commas")
	f.StringVar(&brokers, "broker-list", "", "only these `brokers`, 0,1,2")
	tool.Switches(f, map[string]string{"describe": "show the log directories"})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c := tool.Checks{Cmd: cmd}
		c.Required("bootstrap-server", "describe")
		if c.Err != nil {
			return c.Err
		}
		var ids []int32
		for _, b := range split(brokers) {
			id, err := strconv.ParseInt(b, 10, 32)
			if err != nil {
				return tool.Failed(cmd, "For input string: %q", b)
			}
			ids = append(ids, int32(id))
		}
		return tool.Refused(cmd, k.With(cmd.Context(), func(s client.Session) error { return describeDirs(cmd, s, ids, split(topics)) }))
	}
	return cmd
}

func describeDirs(cmd *cobra.Command, s client.Session, ids []int32, topics []string) error {
	brokers, err := s.ListBrokers(s)
	if err != nil {
		return err
	}
	var missing []int32
	for _, id := range ids {
		if !slices.Contains(brokers.NodeIDs(), id) {
			missing = append(missing, id)
		}
	}
	if len(missing) > 0 {
		return tool.Failed(cmd, "ERROR: The given brokers do not exist from --broker-list: %s. Current existent brokers: %s", join(missing), join(brokers.NodeIDs()))
	}
	if len(ids) == 0 {
		ids = brokers.NodeIDs()
	}
	w := cmd.OutOrStdout()
	fmt.Fprintln(w, "Querying brokers for log directories information")
	found, err := dirs(s, ids, topics)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Received log directory information from brokers %s\n", join(ids))
	text, err := json.Marshal(dirsAnswer{found, 1})
	if err != nil {
		return err
	}
	fmt.Fprintln(w, string(text))
	return nil
}

func split(list string) []string {
	return slices.DeleteFunc(strings.Split(list, ","), func(s string) bool { return s == "" })
}

func join(ids []int32) string {
	var out []string
	for _, id := range ids {
		out = append(out, strconv.Itoa(int(id)))
	}
	return strings.Join(out, ",")
}

// dirsCommand is `ottla cluster dirs`.
func dirsCommand() *cobra.Command {
	var k client.Kafka
	var topics []string
	cmd := &cobra.Command{Use: "dirs", Short: "Show the log directories of brokers, and the partitions in them", Args: cobra.NoArgs}
	k.Flags(cmd.Flags())
	cmd.Flags().StringSliceVarP(&topics, "topic", "t", nil, "only partitions of these `topics`")
	format := output.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return k.With(cmd.Context(), func(s client.Session) error {
			all, err := dirs(s, nil, topics)
			if err != nil {
				return err
			}
			return format.Print(cmd.OutOrStdout(), all, func() *output.Table {
				t := &output.Table{Columns: []string{"BROKER", "DIRECTORY", "PARTITION", "BYTES", "LAG"}}
				for _, b := range all {
					for _, d := range b.Dirs {
						if d.Error != nil {
							t.Row(b.Broker, d.Dir, *d.Error, "-", "-")
						}
						for _, p := range d.Partitions {
							name := p.Partition
							if p.Future {
								name += " (moving here)"
							}
							t.Row(b.Broker, d.Dir, name, p.Size, p.Lag)
						}
					}
				}
				return t
			})
		})
	}
	return cmd
}
