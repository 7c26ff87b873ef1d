package coord_test

import (
	"testing"

	"ottla/coord"
	"ottla/coord/config"
	"ottla/coord/coordtest"
	"ottla/coord/coordtest/conformance"
)

// The suite that also runs against a real ZooKeeper, here against the whole coordinator with its log and checkpoints, configured by the same lines.
func TestConformance(t *testing.T) {
	for _, s := range conformance.Setups {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			lines, properties := s.Prepare(t, t.TempDir())
			src := config.Source{Overrides: []string{"dataDir=" + t.TempDir(), "clientPort=0", "clientPortAddress=127.0.0.1"}}
			if s.Secure() {
				src.Overrides = append(src.Overrides, "secureClientPort=0", "secureClientPortAddress=127.0.0.1")
			}
			for k, v := range lines {
				src.Overrides = append(src.Overrides, k+"="+v)
			}
			flags := "JVMFLAGS="
			for k, v := range properties {
				flags += " -D" + k + "=" + v
			}
			src.Env = []string{flags}
			cfg, warnings, err := config.Load(src)
			if err != nil || len(warnings) > 0 {
				t.Fatal(err, warnings)
			}
			srv := coordtest.Start(t, func(o *coord.Options) {
				o.Config = cfg
				cfg.CheckpointTxns, cfg.SegmentBytes = 200, 256<<10
			})
			target := conformance.Target{Addr: srv.Address(), Restart: srv.Restart}
			if s.Secure() {
				target.Secure = srv.SecureAddr().String()
			}
			s.Run(t, target)
		})
	}
}
