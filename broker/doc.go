// Package broker is the assembled Kafka broker: a Server is the packages below it, started in one order and stopped in the
// mirrored one.
//
// # Start
//
//	ZooKeeper session, chroot, persistent nodes
//	log directories locked, meta.properties read     nobody else uses them from here on
//	cluster id, broker id, meta.properties written   a foreign directory is refused
//	/config read, logs loaded                        with their topics' settings
//	listeners bound, handlers registered             clients connect, nobody answers yet
//	/brokers/ids/N registered                        the controller learns of us
//	election of the controller joined
//	/config/changes followed
//	requests served
//
// # Stop
//
// ControlledShutdown asks the controller to move leaders away, for as long as the coordinator answers, then everything stops in reverse: connections finish what they
// accepted, coordinators, partitions, logs (flushed, checkpointed, marked clean), the ZooKeeper session last, whereby the
// ephemeral nodes vanish.
//
// # Who owns what
//
// Server owns every package's instance; packages know each other through the small interfaces that they declare, which the
// adapters in this package fulfil (groups.go, data.go, control.go, dirs.go). Of its own it has a goroutine that takes failed log
// directories out of service.
package broker
