package controller_test

import (
	"testing"

	"ottla/broker/znode/znodetest"
	"ottla/coord"
	"ottla/coord/coordtest"
)

// suite is run on Apache ZooKeeper and on our coordinator: whatever holds on one must hold on the other.
var suite = []struct {
	name string
	test func(t *testing.T, address string)
}{
	{"LifeOfATopic", testLifeOfATopic},
	{"ExpiryOfTheController", testExpiryOfTheController},
	{"OperatorDeletesController", testOperatorDeletesController},
	{"ToolsThatWriteZnodes", testToolsThatWriteZnodes},
	{"LogDirFailure", testLogDirFailure},
	{"DeletionWaitsForABroker", testDeletionWaitsForABroker},
	{"Tree", testTree},
	{"ManyPartitions", testManyPartitions},
	{"CreateTopicsRefuses", testCreateTopicsRefuses},
	{"CreateTopicsValidatesOnly", testCreateTopicsValidatesOnly},
	{"CreateWithAssignmentAndConfigs", testCreateWithAssignmentAndConfigs},
	{"CreatePartitionsRefuses", testCreatePartitionsRefuses},
	{"DeleteTopicsRefuses", testDeleteTopicsRefuses},
	{"ControlledShutdownAndProducerIDs", testControlledShutdownAndProducerIDs},
	{"AutoCreation", testAutoCreation},
	{"Elections", testElections},
	{"Features", testFeatures},
}

func TestZooKeeper(t *testing.T) {
	address := znodetest.ZooKeeper(t)
	for _, c := range suite {
		t.Run(c.name, func(t *testing.T) { c.test(t, address) })
	}
}

func TestCoordinator(t *testing.T) {
	for _, c := range suite {
		t.Run(c.name, func(t *testing.T) {
			c.test(t, coordtest.Start(t, func(o *coord.Options) { o.Config.TickTime = znodetest.TickTime }).Address())
		})
	}
}
