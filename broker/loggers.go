package broker

import (
	"ottla/internal/loggers"
)

// The broker's loggers bear the names of the classes of Apache Kafka that say the same things, so that a level that somebody sets
// by kafka-configs --entity-type broker-loggers means here what it means there.
const (
	logServer        = "kafka.server.KafkaServer"
	logDirs          = "kafka.log.LogManager" // and the logs in them
	logCleaner       = "kafka.log.LogCleaner"
	logZooKeeper     = "kafka.zookeeper.ZooKeeperClient"
	logFeatures      = "kafka.server.FinalizedFeatureChangeListener"
	logNetwork       = "kafka.network.SocketServer"
	logConnections   = "kafka.network.ConnectionQuotas"
	logRequests      = "kafka.request.logger"
	logArrivals      = "kafka.server.KafkaApis" // each request, at TRACE
	logReplicas      = "state.change.logger"
	logController    = "kafka.controller.KafkaController"
	logControllerOut = "kafka.controller.ControllerChannelManager" // its requests, and ours to it
	logTopics        = "kafka.server.ZkAdminManager"
	logGroups        = "kafka.coordinator.group.GroupCoordinator"
	logProducerIDs   = "kafka.coordinator.transaction.RPCProducerIdManager"
	logConfig        = "kafka.server.DynamicBrokerConfig"
	logConfigAdmin   = "kafka.server.ConfigAdminManager"
	logQuotas        = "kafka.server.ClientQuotaManager"
)

// loggerParents have no lines of their own: they set the level of those below.
var loggerParents = []string{
	"kafka", "kafka.controller", "kafka.coordinator", "kafka.coordinator.group", "kafka.coordinator.transaction", "kafka.log",
	"kafka.network", "kafka.server", "kafka.zookeeper",
}

// newLoggers makes the loggers, with the levels that somebody wants beside the one of o.Logger. As in the configuration that Apache
// Kafka comes with, the log of requests only warns until somebody wants more.
func newLoggers(o Options) *loggers.Set {
	set := loggers.New(o.Logger)
	for _, name := range loggerParents {
		set.Logger(name)
	}
	set.SetLevel(logRequests, "WARN")
	for name, level := range o.Levels {
		set.SetLevel(name, level)
	}
	return set
}
