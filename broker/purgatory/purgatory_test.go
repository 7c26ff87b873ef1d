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
	w := Watch([]*Key{&k}, time.Hour, nil, func() bool { return true })
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
	at := func(n int64, keys ...*Key) *Waiter {
		return Watch(keys, time.Hour, nil, func() bool { return end.Load() >= n })
	}
	w1, w2, both, other := at(1, &a), at(2, &a), at(1, &b, &a), at(1, &b)
	end.Store(1)
	a.Wake()
	if !isReady(w1) || isReady(w2) || !isReady(both) || isReady(other) {
		t.Fatal("wrong waiters are ready")
	}
	both.Forget()
	if a.Waiting() != 2 || b.Waiting() != 1 {
		t.Fatalf("waiting %d and %d", a.Waiting(), b.Waiting())
	}
	a.CancelAll()
	if w1.Outcome() != Completed || w2.Outcome() != Cancelled || other.Outcome() != Waiting {
		t.Fatal("CancelAll changed the wrong ones")
	}
	for _, w := range []*Waiter{w1, w2, other} {
		w.Forget()
	}
	if a.Waiting() != 0 || b.Waiting() != 0 || !isReady(other) {
		t.Fatal("a forgotten waiter is left")
	}
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var k Key
		began := time.Now()
		w := Watch([]*Key{&k}, 3*time.Second, NewTurnstile(1), func() bool { return false })
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
		ws[i] = Watch([]*Key{&k}, time.Hour, gate, open.Load)
	}
	open.Store(true)
	k.Wake()
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

func TestForgottenWaiterGivesItsTurnAway(t *testing.T) {
	var k Key
	var open atomic.Bool
	gate := NewTurnstile(1)
	a, b, c := Watch([]*Key{&k}, time.Hour, gate, open.Load), Watch([]*Key{&k}, time.Hour, gate, open.Load), Watch([]*Key{&k}, time.Hour, gate, open.Load)
	open.Store(true)
	k.Wake()
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
				keys[i%len(keys)].Wake()
			}
		})
	}
	var waiters sync.WaitGroup
	for g := range 32 {
		waiters.Go(func() {
			for i := range 200 {
				want := counter.Load() + int64(i%7)
				w := Watch([]*Key{&keys[g%4], &keys[(g+i)%4]}, time.Duration(i%5)*time.Millisecond, gate, func() bool { return counter.Load() >= want })
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
		k.Wake()
	}
}

func BenchmarkWakeHundredsThatGoOnWaiting(b *testing.B) {
	var k Key
	var end atomic.Int64
	for range 500 {
		w := Watch([]*Key{&k}, time.Hour, nil, func() bool { return end.Load() > 0 })
		defer w.Forget()
	}
	for b.Loop() {
		k.Wake()
	}
}
