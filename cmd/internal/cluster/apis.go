package cluster

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
	"ottla/cmd/internal/tool"
)

// newest is the newest version of each API that clients of 3.9 use, by the key. An API they do not send to brokers is not in it.
var newest = map[int16]struct {
	name     string
	min, max int16
}{
	0: {"Produce", 0, 11}, 1: {"Fetch", 0, 17}, 2: {"ListOffsets", 0, 9}, 3: {"Metadata", 0, 12}, 4: {"LeaderAndIsr", 0, 7}, 5: {"StopReplica", 0, 4},
	6: {"UpdateMetadata", 0, 8}, 7: {"ControlledShutdown", 0, 3}, 8: {"OffsetCommit", 0, 9}, 9: {"OffsetFetch", 0, 9}, 10: {"FindCoordinator", 0, 6},
	11: {"JoinGroup", 0, 9}, 12: {"Heartbeat", 0, 4}, 13: {"LeaveGroup", 0, 5}, 14: {"SyncGroup", 0, 5}, 15: {"DescribeGroups", 0, 5}, 16: {"ListGroups", 0, 5},
	17: {"SaslHandshake", 0, 1}, 18: {"ApiVersions", 0, 4}, 19: {"CreateTopics", 0, 7}, 20: {"DeleteTopics", 0, 6}, 21: {"DeleteRecords", 0, 2},
	22: {"InitProducerId", 0, 5}, 23: {"OffsetForLeaderEpoch", 0, 4}, 24: {"AddPartitionsToTxn", 0, 5}, 25: {"AddOffsetsToTxn", 0, 4}, 26: {"EndTxn", 0, 4},
	27: {"WriteTxnMarkers", 0, 1}, 28: {"TxnOffsetCommit", 0, 4}, 29: {"DescribeAcls", 0, 3}, 30: {"CreateAcls", 0, 3}, 31: {"DeleteAcls", 0, 3},
	32: {"DescribeConfigs", 0, 4}, 33: {"AlterConfigs", 0, 2}, 34: {"AlterReplicaLogDirs", 0, 2}, 35: {"DescribeLogDirs", 0, 4}, 36: {"SaslAuthenticate", 0, 2},
	37: {"CreatePartitions", 0, 3}, 38: {"CreateDelegationToken", 0, 3}, 39: {"RenewDelegationToken", 0, 2}, 40: {"ExpireDelegationToken", 0, 2},
	41: {"DescribeDelegationToken", 0, 3}, 42: {"DeleteGroups", 0, 2}, 43: {"ElectLeaders", 0, 2}, 44: {"IncrementalAlterConfigs", 0, 1},
	45: {"AlterPartitionReassignments", 0, 0}, 46: {"ListPartitionReassignments", 0, 0}, 47: {"OffsetDelete", 0, 0}, 48: {"DescribeClientQuotas", 0, 1},
	49: {"AlterClientQuotas", 0, 1}, 50: {"DescribeUserScramCredentials", 0, 0}, 51: {"AlterUserScramCredentials", 0, 0}, 55: {"DescribeQuorum", 0, 2},
	56: {"AlterPartition", 0, 3}, 57: {"UpdateFeatures", 0, 1}, 58: {"Envelope", 0, 0}, 60: {"DescribeCluster", 0, 1}, 61: {"DescribeProducers", 0, 0},
	64: {"UnregisterBroker", 0, 0}, 65: {"DescribeTransactions", 0, 0}, 66: {"ListTransactions", 0, 1}, 67: {"AllocateProducerIds", 0, 0},
	68: {"ConsumerGroupHeartbeat", 0, 0}, 69: {"ConsumerGroupDescribe", 0, 0}, 71: {"GetTelemetrySubscriptions", 0, 0}, 72: {"PushTelemetry", 0, 0},
	74: {"ListClientMetricsResources", 0, 0}, 75: {"DescribeTopicPartitions", 0, 0}, 76: {"ShareGroupHeartbeat", 0, 0}, 77: {"ShareGroupDescribe", 0, 0},
	78: {"ShareFetch", 0, 0}, 79: {"ShareAcknowledge", 0, 0}, 80: {"AddRaftVoter", 0, 0}, 81: {"RemoveRaftVoter", 0, 0}, 83: {"InitializeShareGroupState", 0, 0},
	84: {"ReadShareGroupState", 0, 0}, 85: {"WriteShareGroupState", 0, 0}, 86: {"DeleteShareGroupState", 0, 0}, 87: {"ReadShareGroupStateSummary", 0, 0},
}

// api is an API of a broker.
type api struct {
	Key  int16  `json:"key"`
	Name string `json:"name"` // "" for one that is newer than this command
	Min  int16  `json:"min"`
	Max  int16  `json:"max"`
}

// versions are the APIs of a broker, by key, or why it did not tell.
type versions struct {
	ID      int32   `json:"id"`
	Address string  `json:"address"`
	Rack    *string `json:"rack,omitempty"`
	APIs    []api   `json:"apis"`
	err     error
}

// apis asks all brokers, in the order of their ids.
func apis(s client.Session) ([]versions, error) {
	brokers, err := s.ListBrokers(s)
	if err != nil {
		return nil, err
	}
	out := []versions{}
	for _, b := range brokers {
		v := versions{ID: b.NodeID, Address: net.JoinHostPort(b.Host, fmt.Sprint(b.Port)), Rack: b.Rack}
		resp, err := askVersions(s, s.Kafka.Broker(int(b.NodeID)))
		if err != nil {
			v.err = err
		} else {
			for _, k := range resp.ApiKeys {
				v.APIs = append(v.APIs, api{k.ApiKey, newest[k.ApiKey].name, k.MinVersion, k.MaxVersion})
			}
			slices.SortFunc(v.APIs, func(a, b api) int { return cmp.Compare(a.Key, b.Key) })
		}
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b versions) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

func askVersions(s client.Session, b *kgo.Broker) (*kmsg.ApiVersionsResponse, error) {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "ottla", "1"
	resp, err := b.RetriableRequest(s, req)
	if err != nil {
		return nil, err
	}
	r := resp.(*kmsg.ApiVersionsResponse)
	return r, kerr.ErrorForCode(r.ErrorCode)
}

// between writes versions as 0 to 3, or as one.
func between(min, max int16) string {
	if min == max {
		return fmt.Sprint(min)
	}
	return fmt.Sprintf("%d to %d", min, max)
}

// line describes an API as the tool does, with the newest version that it would use.
func (a api) line() string {
	n, known := newest[a.Key]
	if !known {
		return fmt.Sprintf("UNKNOWN(%d): %s", a.Key, between(a.Min, a.Max))
	}
	usable := fmt.Sprintf("usable: %d", min(a.Max, n.max))
	switch {
	case a.Max < n.min:
		usable = "unusable: node too old"
	case a.Min > n.max:
		usable = "unusable: node too new"
	}
	return fmt.Sprintf("%s(%d): %s [%s]", n.name, a.Key, between(a.Min, a.Max), usable)
}

// KafkaBrokerAPIVersions is kafka-broker-api-versions.sh.
func KafkaBrokerAPIVersions() *cobra.Command {
	var k client.Kafka
	cmd := &cobra.Command{
		Use:     "kafka-broker-api-versions",
		Short:   "List the APIs of brokers with their versions, as Apache Kafka's tool does",
		Example: "  kafka-broker-api-versions --bootstrap-server localhost:9092",
	}
	cmd.Flags().StringVar(&k.Servers, "bootstrap-server", "", "brokers to connect to, `host:port,...`")
	cmd.Flags().StringVar(&k.Properties, "command-config", "", "`file` of client properties")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c := tool.Checks{Cmd: cmd}
		c.Required("bootstrap-server")
		if c.Err != nil {
			return c.Err
		}
		return k.With(cmd.Context(), func(s client.Session) error {
			all, err := apis(s)
			if err != nil {
				return tool.Refused(cmd, err)
			}
			for _, v := range all {
				rack := "null"
				if v.Rack != nil {
					rack = *v.Rack
				}
				node := fmt.Sprintf("%s (id: %d rack: %s)", v.Address, v.ID, rack)
				if v.err != nil {
					fmt.Fprintf(cmd.OutOrStdout(), "%s -> ERROR: %v\n", node, v.err)
					continue
				}
				lines := map[int16]string{}
				for key, n := range newest {
					lines[key] = fmt.Sprintf("%s(%d): UNSUPPORTED", n.name, key)
				}
				for _, a := range v.APIs {
					lines[a.Key] = a.line()
				}
				var text []string
				for _, key := range slices.Sorted(maps.Keys(lines)) {
					text = append(text, lines[key])
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s -> (\n\t%s\n)\n", node, strings.Join(text, ",\n\t"))
			}
			return nil
		})
	}
	return cmd
}

// apisCommand is `ottla cluster apis`.
func apisCommand() *cobra.Command {
	var k client.Kafka
	cmd := &cobra.Command{Use: "apis", Short: "List the APIs of brokers with their versions", Args: cobra.NoArgs}
	k.Flags(cmd.Flags())
	format := output.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return k.With(cmd.Context(), func(s client.Session) error {
			all, err := apis(s)
			if err != nil {
				return err
			}
			for _, v := range all {
				if v.err != nil {
					return fmt.Errorf("broker %d at %s: %w", v.ID, v.Address, v.err)
				}
			}
			return format.Print(cmd.OutOrStdout(), all, func() *output.Table {
				t := &output.Table{Columns: []string{"BROKER", "KEY", "API", "MIN", "MAX"}}
				for _, v := range all {
					for _, a := range v.APIs {
						t.Row(v.ID, a.Key, cmp.Or(a.Name, "?"), a.Min, a.Max)
					}
				}
				return t
			})
		})
	}
	return cmd
}
