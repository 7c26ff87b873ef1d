package bench

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// precise returns a sleep that ends on time: on a thread of its own and without the kernel's timer slack. The runtime's own
// timers are up to a millisecond late on an idle machine. done gives the thread back.
func precise() (sleep func(until time.Time), done func()) {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // without it sleeps are some 50 us longer
	return func(until time.Time) {
			for d := time.Until(until); d > 0; d = time.Until(until) {
				ts := unix.NsecToTimespec(int64(d))
				_ = unix.Nanosleep(&ts, nil) // woken early: the loop goes on
			}
		}, func() {
			_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // back to the default
			runtime.UnlockOSThread()
		}
}
