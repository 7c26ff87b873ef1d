// Package admin serves DescribeConfigs, AlterConfigs and IncrementalAlterConfigs.
//
// # The life of an alteration
//
//	resource (topic, this broker, the default of all brokers, this broker's loggers)
//	  -> the set of settings it has now, read from ZooKeeper    (incremental only)
//	  -> the operations on it                                   -> the whole set it is to have
//	  -> judged by config (Config.ValidateTopicConfigs, Store.ValidateBrokerConfigs)
//	  -> unless it is to be validated only: entity node, then notification, then Store.Apply on this broker
//
// Each resource is answered by itself. A resource that occurs twice is refused at each place. A broker changes its own
// configuration alone: the request must have been sent to it. Texts and codes are Apache Kafka 3.9's; answers stand in the
// order of the request.
//
// The package starts no goroutine. Two alterations of one resource at the same time may overwrite each other, as in Kafka,
// whose nodes have no versions here; those that reach one broker run one after the other.
package admin
