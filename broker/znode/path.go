package znode

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// Paths, all below the chroot.
const (
	ClusterIDPath         = "/cluster/id"
	BrokerIDsPath         = "/brokers/ids"
	TopicsPath            = "/brokers/topics"
	SequencePath          = "/brokers/seqid"
	ControllerPath        = "/controller"
	ControllerEpochPath   = "/controller_epoch"
	ConfigPath            = "/config"
	ConfigChangesPath     = "/config/changes"
	DeleteTopicsPath      = "/admin/delete_topics"
	ReassignPath          = "/admin/reassign_partitions"
	PreferredElectionPath = "/admin/preferred_replica_election"
	ISRChangesPath        = "/isr_change_notification"
	LogDirEventsPath      = "/log_dir_event_notification"
	ProducerIDBlockPath   = "/latest_producer_id_block"
	FeaturePath           = "/feature"
	ConsumersPath         = "/consumers"

	configChangePrefix = "config_change_"
	logDirEventPrefix  = "log_dir_event_"
)

// persistentPaths are made, with null data, by every broker that starts. In the order of Apache Kafka.
var persistentPaths = []string{
	ConsumersPath, BrokerIDsPath, TopicsPath, ConfigChangesPath, DeleteTopicsPath, SequencePath, ISRChangesPath, ProducerIDBlockPath,
	LogDirEventsPath, "/config/topics", "/config/clients", "/config/users", "/config/brokers", "/config/ips",
}

// BrokerIDPath is where a broker registers.
func BrokerIDPath(id int32) string { return BrokerIDsPath + "/" + strconv.Itoa(int(id)) }

// TopicPath is a topic's assignment.
func TopicPath(topic string) string { return TopicsPath + "/" + topic }

// PartitionsPath is the parent of a topic's partitions.
func PartitionsPath(topic string) string { return TopicPath(topic) + "/partitions" }

// PartitionPath is the parent of a partition's state.
func PartitionPath(topic string, partition int32) string {
	return PartitionsPath(topic) + "/" + strconv.Itoa(int(partition))
}

// StatePath is a partition's leader and ISR.
func StatePath(topic string, partition int32) string {
	return PartitionPath(topic, partition) + "/state"
}

// DeleteTopicPath asks for the deletion of a topic.
func DeleteTopicPath(topic string) string { return DeleteTopicsPath + "/" + topic }

// EntityPath is the configuration of an entity: kind is topics, brokers, clients, users or ips, name is its node's name
// (sanitized where Kafka does so, "<default>" for defaults).
func EntityPath(kind, name string) string { return ConfigPath + "/" + kind + "/" + name }

// ConsumerOffsetPath is where 0.8 clients, and OffsetCommit version 0, keep an offset.
func ConsumerOffsetPath(group, topic string, partition int32) string {
	return fmt.Sprintf("%s/%s/offsets/%s/%d", ConsumersPath, group, topic, partition)
}

// sequenceNumber reads the number at the end of a sequential node's name; ok is false for other names.
func sequenceNumber(name, prefix string) (n int64, ok bool) {
	digits, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil
}

// parent is the path above p, "/" for a top level node.
func parent(p string) string { return path.Dir(p) }

// ParseConnect splits zookeeper.connect (host:port,host:port/chroot) into servers, with port 2181 where none is given, and
// the chroot, "" without one.
func ParseConnect(connect string) (servers []string, chroot string, err error) {
	hosts := connect
	if i := strings.IndexByte(connect, '/'); i >= 0 {
		hosts, chroot = connect[:i], strings.TrimRight(connect[i:], "/")
	}
	for _, host := range strings.Split(hosts, ",") {
		host = strings.TrimSpace(host)
		if host == "" {
			continue
		}
		if i := strings.LastIndexByte(host, ':'); i < 0 || strings.HasSuffix(host, "]") {
			host += ":2181"
		}
		servers = append(servers, host)
	}
	if len(servers) == 0 {
		return nil, "", fmt.Errorf("zookeeper.connect %q names no server: want host:port,host:port/chroot", connect)
	}
	if strings.Contains(chroot, "//") {
		return nil, "", fmt.Errorf("zookeeper.connect %q: the chroot has an empty path element", connect)
	}
	return servers, chroot, nil
}
