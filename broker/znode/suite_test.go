package znode_test

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
	{"NullAndEmptyData", testNullAndEmptyData},
	{"FencedWrites", testFencedWrites},
	{"WatchIsSetAgainAfterEachEvent", testWatchIsSetAgainAfterEachEvent},
	{"Reconnect", testReconnect},
	{"NoEventIsLostBetweenConnections", testNoEventIsLostBetweenConnections},
	{"Expiry", testExpiry},
	{"CallsEndWithTheClient", testCallsEndWithTheClient},
	{"DeleteAll", testDeleteAll},
	{"ClusterID", testClusterID},
	{"Sequences", testSequences},
	{"Features", testFeatures},
	{"ConsumerOffsets", testConsumerOffsets},
	{"ConfigChanges", testConfigChanges},
	{"QuotaEntities", testQuotaEntities},
	{"Registration", testRegistration},
	{"StaleRegistration", testStaleRegistration},
	{"RegistrationInNewSession", testRegistrationInNewSession},
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
