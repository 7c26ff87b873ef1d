package coord_test

import (
	"testing"

	"ottla/coord"
	"ottla/coord/coordtest"
	"ottla/coord/coordtest/conformance"
)

// The suite that also runs against a real ZooKeeper, here against the whole coordinator with its log and checkpoints.
func TestConformance(t *testing.T) {
	srv := coordtest.Start(t, func(o *coord.Options) {
		o.Config.SuperDigest, o.Config.MinSessionTimeout = conformance.SuperDigest, 2*o.Config.TickTime
		o.Config.CheckpointTxns, o.Config.SegmentBytes = 200, 256<<10
	})
	conformance.Run(t, srv.Address())
	must(t, srv.Close())
	srv.Restart()
	conformance.Run(t, srv.Address())
}
