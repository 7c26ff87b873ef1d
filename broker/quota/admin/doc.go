// Package admin serves the requests about client quotas (KIP-546, KIP-612). They are kept in ZooKeeper below /config, where the brokers
// of the cluster follow them:
//
//	AlterClientQuotas -> judge each entity -> /config/users, /config/clients, /config/ips -> change notification
//	  -> every broker reads the entity again: package broker, table of package quota
//	DescribeClientQuotas -> read all entities -> those that the filter matches
//
// The package starts no goroutine.
package admin
