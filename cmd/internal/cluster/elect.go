package cluster

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
	"ottla/cmd/internal/tool"
)

// elections are the ways to elect, by the name of each.
var elections = map[string]kadm.ElectLeadersHow{"preferred": kadm.ElectPreferredReplica, "unclean": kadm.ElectLiveReplica}

// elect elects leaders of partitions, nil for all, and sorts the outcomes.
func elect(s client.Session, how kadm.ElectLeadersHow, set kadm.TopicsSet) (done, unneeded []string, failed []kadm.ElectLeadersResult, err error) {
	rs, err := s.ElectLeaders(s, how, set)
	if err != nil {
		return nil, nil, nil, err
	}
	var all []kadm.ElectLeadersResult
	for _, t := range rs {
		for _, r := range t {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b kadm.ElectLeadersResult) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	for _, r := range all {
		name := fmt.Sprintf("%s-%d", r.Topic, r.Partition)
		switch {
		case r.Err == nil:
			done = append(done, name)
		case errors.Is(r.Err, kerr.ElectionNotNeeded):
			unneeded = append(unneeded, name)
		default:
			failed = append(failed, r)
		}
	}
	return done, unneeded, failed, nil
}

// KafkaLeaderElection is kafka-leader-election.sh.
func KafkaLeaderElection() *cobra.Command {
	var k client.Kafka
	var topic, file, how string
	var partition int32
	cmd := &cobra.Command{
		Use:     "kafka-leader-election",
		Short:   "Elect leaders of partitions, as Apache Kafka's tool does",
		Example: "  kafka-leader-election --bootstrap-server localhost:9092 --election-type preferred --all-topic-partitions",
	}
	f := cmd.Flags()
	f.StringVar(&k.Servers, "bootstrap-server", "", "brokers to connect to, `host:port,...`")
	f.StringVar(&k.Properties, "admin.config", "", "`file` of client properties")
	f.StringVar(&topic, "topic", "", "the `topic` of the partition")
	f.Int32Var(&partition, "partition", 0, "`number` of the partition")
	f.StringVar(&file, "path-to-json-file", "", `a `+"`file`"+` such as {"partitions": [{"topic": "foo", "partition": 1}]}`)
	f.StringVar(&how, "election-type", "", "`preferred`, or unclean for partitions without a leader")
	tool.Switches(f, map[string]string{"all-topic-partitions": "all partitions that need it"})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		on := cmd.Flags().Changed
		var missing []string
		for _, o := range []string{"bootstrap-server", "election-type"} {
			if !on(o) {
				missing = append(missing, o)
			}
		}
		count := 0
		for _, o := range []string{"topic", "all-topic-partitions", "path-to-json-file"} {
			if on(o) {
				count++
			}
		}
		kind, known := elections[strings.ToLower(how)]
		switch {
		case len(missing) > 0:
			return tool.Failed(cmd, "Missing required option(s): %s", strings.Join(missing, ", "))
		case count != 1:
			return tool.Failed(cmd, "One and only one of the following options is required: topic, all-topic-partitions, path-to-json-file")
		case on("topic") && !on("partition"):
			return tool.Failed(cmd, "Missing required option(s): partition")
		case !on("topic") && on("partition"):
			return tool.Failed(cmd, "Option partition is only allowed if topic is used")
		case !known:
			return tool.Failed(cmd, "Cannot parse argument '%s' of option election-type", how)
		}
		var set kadm.TopicsSet
		if on("topic") {
			set = kadm.TopicsSet{}
			set.Add(topic, partition)
		} else if file != "" {
			var err error
			if set, err = readPartitions(file); err != nil {
				return tool.Failed(cmd, "%v", err)
			}
		}
		return tool.Refused(cmd, k.With(cmd.Context(), func(s client.Session) error { return printElection(cmd, s, kind, set) }))
	}
	return cmd
}

func printElection(cmd *cobra.Command, s client.Session, how kadm.ElectLeadersHow, set kadm.TopicsSet) error {
	done, unneeded, failed, err := elect(s, how, set)
	if err != nil {
		return err
	}
	kind := map[kadm.ElectLeadersHow]string{kadm.ElectPreferredReplica: "PREFERRED", kadm.ElectLiveReplica: "UNCLEAN"}[how]
	w := cmd.OutOrStdout()
	if len(done) > 0 {
		fmt.Fprintf(w, "Successfully completed leader election (%s) for partitions %s\n", kind, strings.Join(done, ", "))
	}
	if len(unneeded) > 0 {
		fmt.Fprintf(w, "Valid replica already elected for partitions %s\n", strings.Join(unneeded, ", "))
	}
	for _, r := range failed {
		fmt.Fprintf(w, "Error completing leader election (%s) for partition: %s-%d: %s\n", kind, r.Topic, r.Partition, tool.Java(r.Err, r.ErrMessage))
	}
	if len(failed) > 0 {
		return tool.Failed(cmd, "%d replica(s) could not be elected", len(failed))
	}
	return nil
}

// readPartitions reads a --path-to-json-file.
func readPartitions(path string) (kadm.TopicsSet, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var j struct {
		Partitions *[]struct {
			Topic     string
			Partition int32
		}
	}
	if err := json.Unmarshal(b, &j); err != nil {
		return nil, errors.New("Replica election data is empty")
	}
	if j.Partitions == nil {
		return nil, errors.New(`Replica election data is missing "partitions" field`)
	}
	set := kadm.TopicsSet{}
	for _, p := range *j.Partitions {
		if set.Lookup(p.Topic, p.Partition) {
			return nil, fmt.Errorf("Replica election data contains duplicate partitions: %s-%d", p.Topic, p.Partition)
		}
		set.Add(p.Topic, p.Partition)
	}
	return set, nil
}

// electCommand is `ottla cluster elect`.
func electCommand() *cobra.Command {
	var k client.Kafka
	var unclean bool
	cmd := &cobra.Command{
		Use: "elect [TOPIC[:PARTITION]]...", Short: "Let preferred replicas lead their partitions again",
		Long: `Let the preferred replica of each partition lead it: of all partitions, or of those named. With --unclean partitions without a leader get
one that is not in sync, and lose what it does not have.`,
		Example: "  ottla cluster elect\n  ottla cluster elect orders:3 --unclean",
	}
	k.Flags(cmd.Flags())
	cmd.Flags().BoolVar(&unclean, "unclean", false, "elect replicas that are not in sync, where there are no others")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		how := kadm.ElectPreferredReplica
		if unclean {
			if how = kadm.ElectLiveReplica; len(args) == 0 {
				return output.Usagef("--unclean loses records: name the partitions")
			}
		}
		return k.With(cmd.Context(), func(s client.Session) error {
			set, err := named(s, args)
			if err != nil {
				return err
			}
			done, _, failed, err := elect(s, how, set)
			if err != nil {
				return err
			}
			for _, p := range done {
				fmt.Fprintf(cmd.ErrOrStderr(), "elected a leader of %s\n", p)
			}
			var errs []error
			for _, r := range failed {
				errs = append(errs, fmt.Errorf("%s-%d: %s", r.Topic, r.Partition, tool.Message(r.Err, r.ErrMessage)))
			}
			return errors.Join(errs...)
		})
	}
	return cmd
}

// named are the partitions that TOPIC or TOPIC:PARTITION mean, nil for no arguments.
func named(s client.Session, args []string) (kadm.TopicsSet, error) {
	if len(args) == 0 {
		return nil, nil
	}
	set := kadm.TopicsSet{}
	for _, a := range args {
		topic, number, one := strings.Cut(a, ":")
		if one {
			p, err := strconv.ParseInt(number, 10, 32)
			if err != nil || p < 0 {
				return nil, output.Usagef("%q: want TOPIC or TOPIC:PARTITION", a)
			}
			set.Add(topic, int32(p))
			continue
		}
		all, err := s.ListTopicsWithInternal(s, topic)
		if err != nil {
			return nil, err
		}
		if err := all[topic].Err; err != nil {
			return nil, fmt.Errorf("topic %s: %w", topic, err)
		}
		set.Add(topic, all[topic].Partitions.Numbers()...)
	}
	return set, nil
}
