//go:build !linux

package bench

import "time"

// precise returns a sleep that ends as precisely as the runtime's timers do.
func precise() (sleep func(until time.Time), done func()) {
	return func(until time.Time) { time.Sleep(time.Until(until)) }, func() {}
}
