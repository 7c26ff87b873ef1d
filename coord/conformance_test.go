package coord_test

import (
	"testing"

	"ottla/coord"
	"ottla/coord/coordtest"
	"ottla/coord/coordtest/conformance"
)

// TestConformance is the suite that Apache ZooKeeper passes too (coordtest/conformance), here with the log and the disk behind it.
func TestConformance(t *testing.T) {
	s := coordtest.Start(t, func(o *coord.Options) {
		o.Config.MinSessionTimeout = 2 * o.Config.TickTime
		o.Config.SuperDigest = conformance.SuperDigest
	})
	t.Run("suite", func(t *testing.T) { conformance.Run(t, s.Address()) })
}
