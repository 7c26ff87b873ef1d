// Package config has `ottla config` and kafka-configs.
//
// An entity is a topic, a broker, or the defaults of all brokers; `ottla config` writes it as topic/NAME, broker/ID and broker.
// kafka-configs with --zookeeper reads and writes the znodes of topics itself, as the tool of 2.8 did.
package config
