package purgatory

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func isReady(w *Waiter) bool {
	select {
	case <-w.Ready():
		return true
	default:
		return false
	}
}

func TestConditionThatAlreadyHoldsNeedsNoWake(t *testing.T) {
	var k Key
	w := Watch(at(&k), time.Hour, nil, func() bool { return true })
	if !isReady(w) || w.Outcome() != Completed {
		t.Fatalf("outcome %v", w.Outcome())
	}
	w.Forget()
	if k.Waiting() != 0 {
		t.Fatal("still at its key")
	}
}

func TestWakeAsksEveryWaiterAtTheKey(t *testing.T) {
	var end atomic.Int64
	var a, b Key
	until := func(n int64, keys ...*Key) *Waiter {
		return Watch(at(keys...), time.Hour, nil, func() bool { return end.Load() >= n })
	}
	w1, w2, both, other := until(1, &a), until(2, &a), until(1, &b, &a), until(1, &b)
	end.Store(1)
	a.Wake(Always)
	if !isReady(w1) || isReady(w2) || !isReady(both) || isReady(other) {
		t.Fatal("wrong waiters are ready")
	}
	both.Forget()
	if a.Waiting() != 2 || b.Waiting() != 1 {
		t.Fatalf("waiting %d and %d", a.Waiting(), b.Waiting())
	}
	w2.Cancel()
	if w1.Outcome() != Completed || w2.Outcome() != Cancelled || other.Outcome() != Waiting {
		t.Fatal("Cancel changed the wrong ones")
	}
	for _, w := range []*Waiter{w1, w2, other} {
		w.Forget()
	}
	if a.Waiting() != 0 || b.Waiting() != 0 || !isReady(other) {
		t.Fatal("a forgotten waiter is left")
	}
}

// Who needs more progress than there is, is not asked.
func TestNeed(t *testing.T) {
	var k Key
	var asked [3]int
	var ws []*Waiter
	for i, need := range []int64{10, 20, 0} {
		ws = append(ws, Watch([]Place{{&k, need}}, time.Hour, nil, func() bool { asked[i]++; return false }))
	}
	k.Wake(9)
	k.Wake(15)
	k.Wake(20)
	k.Wake(Always)
	if want := [3]int{1 + 3, 1 + 2, 1 + 4}; asked != want { // each was asked once when it came
		t.Fatalf("asked %v, want %v", asked, want)
	}
	for _, i := range []int{1, 0, 2} {
		ws[i].Forget()
	}
}

// at places without a need.
func at(keys ...*Key) (ps []Place) {
	for _, k := range keys {
		ps = append(ps, Place{Key: k})
	}
	return ps
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var k Key
		began := time.Now()
		w := Watch(at(&k), 3*time.Second, NewTurnstile(1), func() bool { return false })
		<-w.Ready()
		if w.Outcome() != Expired || time.Since(began) != 3*time.Second {
			t.Fatalf("%v after %v", w.Outcome(), time.Since(began))
		}
		w.Leave() // not inside: nothing to leave
		w.Forget()
	})
}

func TestTurnstileLetsWaitersGoInTurn(t *testing.T) {
	var k Key
	var open atomic.Bool
	gate := NewTurnstile(2)
	ws := make([]*Waiter, 5)
	for i := range ws {
		ws[i] = Watch(at(&k), time.Hour, gate, open.Load)
	}
	open.Store(true)
	k.Wake(Always)
	count := func() (n int) {
		for _, w := range ws {
			if w.Outcome() != Completed {
				t.Fatal("not completed")
			}
			if isReady(w) {
				n++
			}
		}
		return n
	}
	for i, want := range []int{2, 3, 4, 5, 5, 5} {
		if n := count(); n != want {
			t.Fatalf("after %d left %d were let go, want %d", i, n, want)
		}
		if i < len(ws) {
			ws[i].Leave()
			ws[i].Leave()
		}
	}
	if gate.inside != 0 || gate.first != nil || gate.last != nil {
		t.Fatal("the turnstile is not empty")
	}
	for _, w := range ws {
		w.Forget()
	}
}

// Whoever is inside may take for ever: the others go without a turn when their time is over.
func TestDeadlineEndsTheWaitForATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var k Key
		gate, open := NewTurnstile(1), false
		watch := func(timeout time.Duration) *Waiter { return Watch(at(&k), timeout, gate, func() bool { return open }) }
		stuck, late, patient := watch(time.Hour), watch(time.Second), watch(time.Hour)
		open = true
		k.Wake(Always)
		synctest.Wait()
		if !isReady(stuck) || isReady(late) || isReady(patient) {
			t.Fatal("not one at a time")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !isReady(late) || late.Outcome() != Completed || isReady(patient) {
			t.Fatalf("late: ready %v, outcome %v; patient: ready %v", isReady(late), late.Outcome(), isReady(patient))
		}
		late.Forget()
		if isReady(patient) {
			t.Fatal("a turn was given that nobody had")
		}
		stuck.Forget()
		if !isReady(patient) {
			t.Fatal("the turn was lost")
		}
		patient.Forget()
	})
}

func TestForgottenWaiterGivesItsTurnAway(t *testing.T) {
	var k Key
	var open atomic.Bool
	gate := NewTurnstile(1)
	a, b, c := Watch(at(&k), time.Hour, gate, open.Load), Watch(at(&k), time.Hour, gate, open.Load), Watch(at(&k), time.Hour, gate, open.Load)
	open.Store(true)
	k.Wake(Always)
	b.Forget() // its connection is gone
	a.Forget() // without Leave
	if !isReady(c) {
		t.Fatal("the turn was lost")
	}
	c.Forget()
	if gate.inside != 0 {
		t.Fatal("somebody is inside")
	}
}

// A waiter that is woken while it is being set up, times out or is cancelled must be done exactly once and leave no trace.
func TestManyWaitersAndWakers(t *testing.T) {
	var keys [4]Key
	var counter atomic.Int64
	gate := NewTurnstile(3)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				counter.Add(1)
				keys[i%len(keys)].Wake(Always)
			}
		})
	}
	var waiters sync.WaitGroup
	for g := range 32 {
		waiters.Go(func() {
			for i := range 200 {
				want := counter.Load() + int64(i%7)
				w := Watch(at(&keys[g%4], &keys[(g+i)%4]), time.Duration(i%5)*time.Millisecond, gate, func() bool { return counter.Load() >= want })
				if i%11 == 0 {
					w.Cancel()
				}
				<-w.Ready()
				if w.Outcome() == Completed && counter.Load() < want {
					t.Error("completed too early")
				}
				w.Leave()
				w.Forget()
			}
		})
	}
	waiters.Wait()
	close(stop)
	wg.Wait()
	for i := range keys {
		if keys[i].Waiting() != 0 {
			t.Errorf("key %d has %d waiters left", i, keys[i].Waiting())
		}
	}
	if gate.inside != 0 || gate.first != nil {
		t.Error("the turnstile is not empty")
	}
}

func BenchmarkWakeNobody(b *testing.B) {
	var k Key
	for b.Loop() {
		k.Wake(Always)
	}
}

func BenchmarkWakeHundredsThatGoOnWaiting(b *testing.B) {
	var k Key
	var end atomic.Int64
	for range 500 {
		w := Watch([]Place{{&k, 1 << 20}}, time.Hour, nil, func() bool { return end.Load() > 0 })
		defer w.Forget()
	}
	for b.Loop() {
		k.Wake(1 << 10)
	}
}
