package topic

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	names "ottla/broker/topic"
	"ottla/cmd/internal/client"
	"ottla/cmd/internal/tool"
)

// KafkaGetOffsets is kafka-get-offsets.sh.
func KafkaGetOffsets() *cobra.Command {
	k := client.Kafka{ID: "GetOffsetShell"}
	var brokerList, topicPartitions, topic, partitions, when string
	var external bool
	cmd := &cobra.Command{
		Use:     "kafka-get-offsets",
		Short:   "Print offsets of partitions, as Apache Kafka's tool does",
		Example: "  kafka-get-offsets --bootstrap-server localhost:9092 --topic test --time earliest",
	}
	f := cmd.Flags()
	f.StringVar(&k.Servers, "bootstrap-server", "", "brokers to connect to, `host:port,...`")
	f.StringVar(&brokerList, "broker-list", "", "the same, by its old name: `host:port,...`")
	f.StringVar(&k.Properties, "command-config", "", "`file` of client properties")
	f.StringVar(&topicPartitions, "topic-partitions", "", "`patterns` of partitions, such as topic1:1,topic2:0-3,topic3,topic4:5-,topic5:-3")
	f.StringVar(&topic, "topic", "", "the `topic`, or a regular expression of topics")
	f.StringVar(&partitions, "partitions", "", "`numbers` of partitions, 0,1,2")
	f.StringVar(&when, "time", "latest", "`which`: -1 or latest, -2 or earliest, -3 or max-timestamp, -4 or earliest-local, -5 or latest-tiered, or milliseconds since 1970")
	f.BoolVar(&external, "exclude-internal-topics", false, "leave internal topics out")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if k.Servers == "" {
			k.Servers = brokerList
		}
		c := tool.Checks{Cmd: cmd}
		if k.Servers == "" {
			c.Required("bootstrap-server")
		}
		if c.Err != nil {
			return c.Err
		}
		failed := func(err error) error { return tool.Failed(cmd, "Error occurred: %v", err) }
		if topicPartitions != "" && topic+partitions != "" {
			return failed(fmt.Errorf("--topic-partitions cannot be used with --topic or --partitions"))
		}
		a, err := parseAt(when)
		if err != nil {
			return failed(err)
		}
		match, err := partitionFilter(topicPartitions, topic, partitions)
		if err != nil {
			return failed(err)
		}
		return k.With(cmd.Context(), func(s client.Session) error {
			all, err := s.ListTopicsWithInternal(s)
			if err != nil {
				return failed(err)
			}
			var chosen []string
			for _, t := range all.Sorted() {
				if !(external && names.IsInternal(t.Topic)) && slices.ContainsFunc(t.Partitions.Numbers(), func(p int32) bool { return match(t.Topic, p) }) {
					chosen = append(chosen, t.Topic)
				}
			}
			if len(chosen) == 0 {
				return failed(fmt.Errorf("Could not match any topic-partitions with the specified filters"))
			}
			rows, err := a.offsets(s, chosen...)
			if err != nil {
				return failed(err)
			}
			name := func(o listedOffset) string { return fmt.Sprintf("%s-%d", o.Topic, o.Partition) }
			slices.SortFunc(rows, func(a, b listedOffset) int { return cmp.Compare(name(a), name(b)) }) // 10 before 2, as theirs
			for _, o := range rows {
				switch {
				case !match(o.Topic, o.Partition):
				case o.err != nil:
					fmt.Fprintf(cmd.ErrOrStderr(), "Skip getting offsets for topic-partition %s due to error: %s\n", name(o), tool.Java(o.err, ""))
				case o.Offset >= 0:
					fmt.Fprintf(cmd.OutOrStdout(), "%s:%d:%d\n", o.Topic, o.Partition, o.Offset)
				}
			}
			return nil
		})
	}
	return cmd
}

var partitionRule = regexp.MustCompile(`^([^:,]*)(?::(?:([0-9]*)|([0-9]*)-([0-9]*)))?$`)

// partitionFilter reads --topic-partitions, or --topic and --partitions.
func partitionFilter(rules, topic, partitions string) (func(topic string, partition int32) bool, error) {
	if rules == "" {
		if topic == "" {
			topic = ".*"
		}
		include, err := tool.Include(topic)
		if err != nil {
			return nil, err
		}
		var some []string
		if partitions != "" {
			some = strings.Split(partitions, ",")
		}
		for _, p := range some {
			if _, err := strconv.ParseInt(p, 10, 32); err != nil {
				return nil, fmt.Errorf("--partitions expects a comma separated list of numeric partition ids, but received: %s", partitions)
			}
		}
		return func(t string, p int32) bool {
			return include(t) && (len(some) == 0 || slices.Contains(some, strconv.Itoa(int(p))))
		}, nil
	}
	var filters []func(string, int32) bool
	for _, rule := range strings.Split(rules, ",") {
		m := partitionRule.FindStringSubmatch(rule)
		if m == nil {
			return nil, fmt.Errorf("Invalid rule specification: %s", rule)
		}
		if m[1] == "" {
			m[1] = ".*"
		}
		include, err := tool.Include(m[1])
		if err != nil {
			return nil, err
		}
		from, to := int64(0), int64(1<<31)
		if m[2] != "" {
			from, err = strconv.ParseInt(m[2], 10, 32)
			to = from + 1
		}
		if m[3] != "" && err == nil {
			from, err = strconv.ParseInt(m[3], 10, 32)
		}
		if m[4] != "" && err == nil {
			to, err = strconv.ParseInt(m[4], 10, 32)
		}
		if err != nil {
			return nil, fmt.Errorf("Invalid rule specification: %s", rule)
		}
		filters = append(filters, func(t string, p int32) bool { return include(t) && int64(p) >= from && int64(p) < to })
	}
	return func(t string, p int32) bool {
		return slices.ContainsFunc(filters, func(f func(string, int32) bool) bool { return f(t, p) })
	}, nil
}

// KafkaDeleteRecords is kafka-delete-records.sh.
func KafkaDeleteRecords() *cobra.Command {
	k := client.Kafka{}
	var file string
	cmd := &cobra.Command{
		Use:     "kafka-delete-records",
		Short:   "Delete the records before an offset, as Apache Kafka's tool does",
		Example: "  kafka-delete-records --bootstrap-server localhost:9092 --offset-json-file offsets.json",
	}
	f := cmd.Flags()
	f.StringVar(&k.Servers, "bootstrap-server", "", "brokers to connect to, `host:port,...`")
	f.StringVar(&k.Properties, "command-config", "", "`file` of client properties")
	f.StringVar(&file, "offset-json-file", "", `a `+"`file`"+` such as {"partitions": [{"topic": "foo", "partition": 1, "offset": 1}], "version": 1}; offset -1 deletes all`)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c := tool.Checks{Cmd: cmd}
		c.Required("bootstrap-server", "offset-json-file")
		if c.Err != nil {
			return c.Err
		}
		offsets, err := readOffsets(file)
		if err != nil {
			return tool.Failed(cmd, "%v", err)
		}
		return tool.Refused(cmd, k.With(cmd.Context(), func(s client.Session) error {
			w := cmd.OutOrStdout()
			fmt.Fprintln(w, "Executing records delete operation")
			rows, err := deleteRecords(s, offsets)
			if err != nil {
				return err
			}
			fmt.Fprintln(w, "Records delete operation completed:")
			for _, r := range rows {
				if r.err != nil {
					fmt.Fprintf(w, "partition: %s-%d\terror: %s\n", r.Topic, r.Partition, tool.Java(r.err, ""))
				} else {
					fmt.Fprintf(w, "partition: %s-%d\tlow_watermark: %d\n", r.Topic, r.Partition, r.Start)
				}
			}
			return nil
		}))
	}
	return cmd
}

// readOffsets reads a --offset-json-file.
func readOffsets(path string) (kadm.Offsets, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var j struct {
		Version    *int
		Partitions *[]struct {
			Topic     string
			Partition int32
			Offset    int64
		}
	}
	if err := json.Unmarshal(b, &j); err != nil {
		return nil, fmt.Errorf("The input string is not a valid JSON")
	}
	switch {
	case j.Version != nil && *j.Version != 1:
		return nil, fmt.Errorf("Not supported version field value %d", *j.Version)
	case j.Partitions == nil:
		return nil, fmt.Errorf("Missing partitions field")
	}
	out := kadm.Offsets{}
	for _, p := range *j.Partitions {
		if _, twice := out.Lookup(p.Topic, p.Partition); twice {
			return nil, fmt.Errorf("Offset json file contains duplicate topic partitions: %s-%d", p.Topic, p.Partition)
		}
		out.AddOffset(p.Topic, p.Partition, p.Offset, -1)
	}
	return out, nil
}
