// Package metrics counts what a broker does and shows it to Prometheus, under the names that dashboards for Apache Kafka know.
//
// # Names
//
// A Kafka broker has its metrics in JMX, and Prometheus gets them through the JMX exporter, whose example rules
// (prometheus/jmx_exporter, kafka-2_0_0.yml) make the names: kafka.server:type=BrokerTopicMetrics,name=BytesInPerSec,topic=t
// becomes kafka_server_brokertopicmetrics_bytesin_total{topic="t"}, a histogram's percentiles a gauge with the label quantile, its
// number of values NAME_count. Those are the names here, with the labels in Kafka's spelling; the list that a real broker gave is
// in testdata, and a test holds it against ours. Shares of time have Strimzi's name, too (…_percent), because the example rules
// make only a counter of them.
//
// # What is counted where
//
//	Requests    every request, from the network (network.Observer): times by part, bytes, versions, errors; and the request log
//	Histogram   distributions over the last minutes: a value costs one atomic addition, or none if it is 0
//	partition.Traffic, commitlog, group, …   count for themselves; a Writer puts it all into the form of Prometheus when asked
//
// Nothing on the path of a request looks up a name, formats a label or takes a lock. The package starts no goroutine.
package metrics
