package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
	"ottla/cmd/internal/tool"
)

// printTable prints cells as Apache's newer tools do: padded to the widest of their column, each with a tab behind it.
func printTable(w io.Writer, columns []string, rows [][]string) {
	widths := make([]int, len(columns))
	all := append([][]string{columns}, rows...)
	for _, row := range all {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, row := range all {
		var b strings.Builder
		for i, cell := range row {
			fmt.Fprintf(&b, "%-*s\t", widths[i], cell)
		}
		fmt.Fprintln(w, b.String())
	}
}

// KafkaTransactions is kafka-transactions.sh, as far as it reads.
func KafkaTransactions() *cobra.Command {
	var k client.Kafka
	cmd := &cobra.Command{
		Use:     "kafka-transactions",
		Short:   "List and describe transactions and producers, as Apache Kafka's tool does",
		Example: "  kafka-transactions --bootstrap-server localhost:9092 list",
	}
	kafkaFlags(cmd, &k, "command-config")
	cmd.AddCommand(listTransactions(&k), describeTransactions(&k), describeProducers(&k))
	return cmd
}

// doing is a subcommand that asks the brokers; failing says what it could not do.
func doing(cmd *cobra.Command, k *client.Kafka, failing func() string, f func(cmd *cobra.Command, s client.Session) error) *cobra.Command {
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := needServers(cmd, k); err != nil {
			return err
		}
		return k.With(cmd.Context(), func(s client.Session) error {
			err := f(cmd, s)
			var status output.Status
			if err == nil || errors.As(err, &status) {
				return err
			}
			return tool.Failed(cmd, "%s: %s. Enable debug logging for additional detail.", failing(), strings.TrimSuffix(tool.Message(err, ""), "."))
		})
	}
	return cmd
}

func listTransactions(k *client.Kafka) *cobra.Command {
	var longer int64
	cmd := &cobra.Command{Use: "list", Short: "List transactions"}
	cmd.Flags().Int64Var(&longer, "duration-filter", -1, "only those that run for so many `milliseconds` or longer")
	return doing(cmd, k, func() string { return "Failed to list transactions" }, func(cmd *cobra.Command, s client.Session) error {
		all, err := s.ListTransactions(s, nil, nil)
		if err != nil {
			return err
		}
		if longer >= 0 {
			if all, err = running(s, all, longer); err != nil {
				return err
			}
		}
		var rows [][]string
		for _, t := range all.Sorted() {
			rows = append(rows, []string{t.TxnID, fmt.Sprint(t.Coordinator), fmt.Sprint(t.ProducerID), t.State})
		}
		printTable(cmd.OutOrStdout(), []string{"TransactionalId", "Coordinator", "ProducerId", "TransactionState"}, rows)
		return nil
	})
}

// running keeps the transactions that have run for some time.
func running(s client.Session, all kadm.ListedTransactions, millis int64) (kadm.ListedTransactions, error) {
	if len(all) == 0 {
		return all, nil
	}
	described, err := s.DescribeTransactions(s, all.TransactionalIDs()...)
	if err != nil {
		return nil, err
	}
	for id := range all {
		if d := described[id]; d.StartTimestamp <= 0 || time.Now().UnixMilli()-d.StartTimestamp < millis {
			delete(all, id)
		}
	}
	return all, nil
}

func describeTransactions(k *client.Kafka) *cobra.Command {
	var id string
	cmd := &cobra.Command{Use: "describe", Short: "Describe the transaction of a transactional id"}
	cmd.Flags().StringVar(&id, "transactional-id", "", "the `id`")
	failing := func() string { return fmt.Sprintf("Failed to describe transaction state of transactional-id `%s`", id) }
	return doing(cmd, k, failing, func(cmd *cobra.Command, s client.Session) error {
		if id == "" {
			return tool.Wrong(cmd, "argument --transactional-id is required")
		}
		d, err := describeTransaction(s, id)
		if err != nil {
			return err
		}
		start, age := "None", "None"
		if d.StartTimestamp > 0 {
			start, age = fmt.Sprint(d.StartTimestamp), fmt.Sprint(time.Now().UnixMilli()-d.StartTimestamp)
		}
		var tps []string
		d.Topics.Each(func(t string, p int32) { tps = append(tps, fmt.Sprintf("%s-%d", t, p)) })
		slices.Sort(tps)
		printTable(cmd.OutOrStdout(), []string{"CoordinatorId", "TransactionalId", "ProducerId", "ProducerEpoch", "TransactionState",
			"TransactionTimeoutMs", "CurrentTransactionStartTimeMs", "TransactionDurationMs", "TopicPartitions"},
			[][]string{{fmt.Sprint(d.Coordinator), id, fmt.Sprint(d.ProducerID), fmt.Sprint(d.ProducerEpoch), d.State, fmt.Sprint(d.TimeoutMillis), start, age, strings.Join(tps, ",")}})
		return nil
	})
}

func describeTransaction(s client.Session, id string) (kadm.DescribedTransaction, error) {
	all, err := s.DescribeTransactions(s, id)
	if err != nil {
		return kadm.DescribedTransaction{}, err
	}
	d, err := all.On(id, nil)
	if err == nil {
		err = d.Err
	}
	if errors.Is(err, kerr.TransactionalIDNotFound) {
		err = fmt.Errorf("DescribeTransactions request for transactionalId `%s` failed because the ID could not be found", id)
	}
	return d, err
}

func describeProducers(k *client.Kafka) *cobra.Command {
	var topic string
	var partition, broker int32
	cmd := &cobra.Command{Use: "describe-producers", Short: "Describe the producers of a partition"}
	f := cmd.Flags()
	f.StringVar(&topic, "topic", "", "the `topic`")
	f.Int32Var(&partition, "partition", 0, "the `partition`")
	f.Int32Var(&broker, "broker-id", -1, "as `broker` sees it; else as its leader does")
	failing := func() string {
		return fmt.Sprintf("Failed to describe producers for partition %s-%d on leader", topic, partition)
	}
	return doing(cmd, k, failing, func(cmd *cobra.Command, s client.Session) error {
		for _, o := range []string{"topic", "partition"} {
			if !cmd.Flags().Changed(o) {
				return tool.Wrong(cmd, "argument --%s is required", o)
			}
		}
		all, err := producers(s, topic, partition, broker)
		if err != nil {
			return err
		}
		var rows [][]string
		for _, p := range all {
			start := "None"
			if p.CurrentTxnStartOffset >= 0 {
				start = fmt.Sprint(p.CurrentTxnStartOffset)
			}
			rows = append(rows, []string{fmt.Sprint(p.ProducerID), fmt.Sprint(p.ProducerEpoch), fmt.Sprint(p.CoordinatorEpoch), fmt.Sprint(p.LastSequence), fmt.Sprint(p.LastTimestamp), start})
		}
		printTable(cmd.OutOrStdout(), []string{"ProducerId", "ProducerEpoch", "LatestCoordinatorEpoch", "LastSequence", "LastTimestamp", "CurrentTransactionStartOffset"}, rows)
		return nil
	})
}

// producers asks a broker, or with -1 the leader of the partition, who writes to it.
func producers(s client.Session, topic string, partition, broker int32) ([]kmsg.DescribeProducersResponseTopicPartitionActiveProducer, error) {
	req := kmsg.NewPtrDescribeProducersRequest()
	t := kmsg.NewDescribeProducersRequestTopic()
	t.Topic, t.Partitions = topic, []int32{partition}
	req.Topics = append(req.Topics, t)
	var to interface {
		Request(context.Context, kmsg.Request) (kmsg.Response, error)
	} = s.Kafka
	if broker >= 0 {
		to = s.Kafka.Broker(int(broker))
	}
	resp, err := to.Request(s, req)
	if err != nil {
		return nil, err
	}
	for _, t := range resp.(*kmsg.DescribeProducersResponse).Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, err
			}
			slices.SortFunc(p.ActiveProducers, func(a, b kmsg.DescribeProducersResponseTopicPartitionActiveProducer) int {
				return cmp.Compare(a.ProducerID, b.ProducerID)
			})
			return p.ActiveProducers, nil
		}
	}
	return nil, kerr.UnknownTopicOrPartition
}

// transactionsCommand is `ottla cluster transactions`.
func transactionsCommand() *cobra.Command {
	var k client.Kafka
	cmd := &cobra.Command{Use: "transactions", Short: "List transactions", Args: cobra.NoArgs}
	k.Flags(cmd.Flags())
	format := output.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return k.With(cmd.Context(), func(s client.Session) error {
			all, err := s.ListTransactions(s, nil, nil)
			if err != nil {
				return err
			}
			type row struct {
				ID          string `json:"transactionalId"`
				Coordinator int32  `json:"coordinator"`
				Producer    int64  `json:"producerId"`
				State       string `json:"state"`
			}
			rows := []row{}
			for _, t := range all.Sorted() {
				rows = append(rows, row{t.TxnID, t.Coordinator, t.ProducerID, t.State})
			}
			return format.Print(cmd.OutOrStdout(), rows, func() *output.Table {
				t := &output.Table{Columns: []string{"TRANSACTIONAL ID", "COORDINATOR", "PRODUCER", "STATE"}}
				for _, r := range rows {
					t.Row(r.ID, r.Coordinator, r.Producer, r.State)
				}
				return t
			})
		})
	}
	return cmd
}
