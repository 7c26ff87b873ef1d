package sim

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
)

// seeds is how many seeds are run from which one on: OTTLA_SIM_SEEDS and OTTLA_SIM_FROM.
func seeds(t *testing.T, def int) (from, n uint64) {
	t.Helper()
	number := func(name string, def int) uint64 {
		v := os.Getenv(name)
		if v == "" {
			return uint64(def)
		}
		u, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return u
	}
	return number("OTTLA_SIM_FROM", 1), number("OTTLA_SIM_SEEDS", def)
}

// bubble runs one seed by itself.
func bubble(t *testing.T, seed uint64) (trace string, wrong error) {
	t.Helper()
	t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
		cryptotest.SetGlobalRandom(t, seed)
		synctest.Test(t, func(*testing.T) { trace, wrong = simulate(seed) })
	})
	return trace, wrong
}

// TestSimulation runs many seeds. The failing one's trace is shown, and OTTLA_SIM_FROM=seed OTTLA_SIM_SEEDS=1 runs it again.
func TestSimulation(t *testing.T) {
	from, n := seeds(t, 300)
	for seed := from; seed < from+n; seed++ {
		if trace, err := bubble(t, seed); err != nil {
			t.Fatalf("%v\n%s", err, trace)
		}
	}
	t.Logf("%d seeds from %d on: no violation", n, from)
}

// TestSameSeedSameTrace runs seeds twice.
func TestSameSeedSameTrace(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		a, _ := bubble(t, seed)
		b, _ := bubble(t, seed)
		if a != b {
			t.Fatalf("seed %d gave two traces:\n%s\n--- and\n%s", seed, a, b)
		}
	}
}
