// Package config is the broker's configuration: where it comes from, what of it is in force, and how it changes.
//
// # From text to a running broker
//
//	defaults of the table (package keys)
//	  < server.properties (package properties), or without one the values of Kafka's shipped file
//	  < KAFKA_* environment
//	  < --override key=value                         Load -> *Config: the static configuration, judged
//	  < /config/brokers/<default>
//	  < /config/brokers/<id>                         Store.LoadBroker, Store.Apply -> Store.Config
//	  < /config/topics/<topic>, for topic keys       Store.LoadTopics, LoadTopic, Apply -> Store.Topic
//
// A Config is an immutable snapshot with a typed field for whatever the broker acts on. The Store holds the one in force;
// users that must act on a change subscribe, everybody else asks the Store each time.
//
// # What is refused
//
// An unknown key warns. A wrong value is an error that names key, value, range and place. A key that Apache Kafka obeys
// and this broker does not (refuse.go) refuses the start where disobeying would let somebody do more than the
// configuration says, or would keep or protect bytes otherwise; where it only lacks an effect it warns.
//
// # Dynamic configuration
//
// Nodes below /config hold {"version":1,"config":{key:text}}. Passwords in them are encrypted (package secret). A change
// is the node, then a notification below /config/changes, which makes every broker read the node again (Store.Apply). What
// another program wrote wrongly is left out and logged: a running broker never stops for it. The listener keys, which Kafka
// changes while a broker runs, take a restart here.
//
// Package admin serves DescribeConfigs, AlterConfigs and IncrementalAlterConfigs from all this.
package config
