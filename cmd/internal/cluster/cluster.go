package cluster

import (
	"fmt"
	"net"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
	"ottla/cmd/internal/tool"
)

// Command is `ottla cluster`.
func Command() *cobra.Command {
	cmd := &cobra.Command{Use: "cluster", Short: "Show brokers, their APIs, log directories and transactions; elect leaders", Args: cobra.NoArgs}
	cmd.AddCommand(infoCommand(), apisCommand(), dirsCommand(), electCommand(), transactionsCommand())
	return cmd
}

// node is a broker in JSON.
type node struct {
	ID         int32   `json:"id"`
	Address    string  `json:"address"`
	Rack       *string `json:"rack,omitempty"`
	Controller bool    `json:"controller"`
}

func infoCommand() *cobra.Command {
	var k client.Kafka
	cmd := &cobra.Command{Use: "info", Short: "Show the cluster's id and its brokers", Args: cobra.NoArgs}
	k.Flags(cmd.Flags())
	format := output.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return k.With(cmd.Context(), func(s client.Session) error {
			m, err := s.BrokerMetadata(s)
			if err != nil {
				return err
			}
			nodes := []node{}
			for _, b := range m.Brokers {
				nodes = append(nodes, node{b.NodeID, net.JoinHostPort(b.Host, fmt.Sprint(b.Port)), b.Rack, b.NodeID == m.Controller})
			}
			if *format == output.AsJSON {
				return output.JSON(cmd.OutOrStdout(), map[string]any{"cluster": m.Cluster, "brokers": nodes})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "cluster %s\n", output.Heading(cmd.OutOrStdout(), m.Cluster))
			t := &output.Table{Columns: []string{"BROKER", "ADDRESS", "RACK", "CONTROLLER"}}
			for _, n := range nodes {
				rack, controller := "-", ""
				if n.Rack != nil {
					rack = *n.Rack
				}
				if n.Controller {
					controller = "yes"
				}
				t.Row(n.ID, n.Address, rack, controller)
			}
			return t.Write(cmd.OutOrStdout())
		})
	}
	return cmd
}

// kafkaFlags are those of subcommands of Apache's newer tools.
func kafkaFlags(cmd *cobra.Command, k *client.Kafka, config string) {
	f := cmd.PersistentFlags()
	f.StringVar(&k.Servers, "bootstrap-server", "", "brokers to connect to, `host:port,...`")
	f.StringVar(&k.Properties, config, "", "`file` of client properties")
}

// needServers refuses a call that does not say where.
func needServers(cmd *cobra.Command, k *client.Kafka) error {
	if k.Servers == "" {
		return tool.Wrong(cmd, "one of the arguments --bootstrap-server --bootstrap-controller is required")
	}
	return nil
}

// KafkaCluster is kafka-cluster.sh.
func KafkaCluster() *cobra.Command {
	var k client.Kafka
	var broker int32
	cmd := &cobra.Command{
		Use:     "kafka-cluster",
		Short:   "Show the id of a cluster, as Apache Kafka's tool does",
		Example: "  kafka-cluster cluster-id --bootstrap-server localhost:9092",
	}
	kafkaFlags(cmd, &k, "config")
	id := &cobra.Command{Use: "cluster-id", Short: "Show the id of the cluster", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		if err := needServers(cmd, &k); err != nil {
			return err
		}
		return k.With(cmd.Context(), func(s client.Session) error {
			m, err := s.BrokerMetadata(s)
			switch {
			case err != nil:
				return tool.Refused(cmd, err)
			case m.Cluster == "":
				fmt.Fprintln(cmd.OutOrStdout(), "No cluster ID found. The Kafka version is probably too old.")
			default:
				fmt.Fprintln(cmd.OutOrStdout(), "Cluster ID: "+m.Cluster)
			}
			return nil
		})
	}}
	unregister := &cobra.Command{Use: "unregister", Short: "Unregister a broker, in a cluster without ZooKeeper", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		if err := needServers(cmd, &k); err != nil {
			return err
		}
		if !cmd.Flags().Changed("id") {
			return tool.Wrong(cmd, "argument --id/-i is required")
		}
		return k.With(cmd.Context(), func(s client.Session) error {
			req := kmsg.NewPtrUnregisterBrokerRequest()
			req.BrokerID = broker
			resp, err := req.RequestWith(s, s.Kafka)
			switch {
			case err != nil && tool.Lacks(err):
				fmt.Fprintln(cmd.OutOrStdout(), "The target cluster does not support the broker unregistration API.")
				return nil
			case err == nil:
				err = kerr.ErrorForCode(resp.ErrorCode)
			}
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "Broker %d is no longer registered.\n", broker)
			}
			return tool.Refused(cmd, err)
		})
	}}
	unregister.Flags().Int32VarP(&broker, "id", "i", 0, "`id` of the broker")
	cmd.AddCommand(id, unregister)
	return cmd
}
