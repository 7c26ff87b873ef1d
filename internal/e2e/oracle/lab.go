package oracle

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// lab has the two servers, and counts.
type lab struct {
	t            *testing.T
	ours, theirs *target
	exceptions   []*exception

	requests, equal, excepted int
	told                      map[string]int     // differences by API and field, so that one flaw is told a few times only
	served                    map[int16][2]int16 // what our broker advertises, once asked
}

// toldMax is how often a difference of one field is told.
const toldMax = 3

// each builds a request for both servers, each with what it has said before, and compares the answers. version must be one that
// Apache Kafka serves. A nil request is none.
func (l *lab) each(test string, version int16, build func(t *target) kmsg.Request) (ours, theirs kmsg.Response) {
	l.t.Helper()
	a, b := build(l.ours), build(l.theirs)
	if a == nil || b == nil {
		return nil, nil
	}
	a.SetVersion(version)
	b.SetVersion(version)
	return l.raw(test, a.Key(), version, encode(a), encode(b))
}

// versions is each for all versions of an API from first to last.
func (l *lab) versions(test string, first, last int16, build func(t *target, version int16) kmsg.Request) {
	l.t.Helper()
	for v := first; v <= last; v++ {
		l.each(test, v, func(t *target) kmsg.Request { return build(t, v) })
	}
}

// same is versions for a request that is the same for both.
func (l *lab) same(test string, first, last int16, q kmsg.Request) {
	l.t.Helper()
	l.versions(test, first, last, func(*target, int16) kmsg.Request { return q })
}

// raw sends two bodies and compares what comes back.
func (l *lab) raw(test string, key, version int16, ours, theirs []byte) (a, b kmsg.Response) {
	l.t.Helper()
	if isTransactional(key, version, ours) {
		return nil, nil
	}
	l.requests++
	var differences []difference
	for deadline := time.Now().Add(settleTime); ; time.Sleep(50 * time.Millisecond) {
		if a, b, differences = l.once(test, key, version, ours, theirs); len(differences) == 0 || !settles[key] || time.Now().After(deadline) {
			break
		}
	}
	l.judge(test, kmsg.NameForKey(key), version, ours, differences)
	return a, b
}

// settles are the APIs that tell what a server has heard of the cluster: what one already knows, the other may hear in a moment.
var settles = map[int16]bool{3: true, 35: true, 60: true}

const settleTime = 2 * time.Second

// isTransactional says whether a request is about a transactional id: there are no transactions on our side yet, and it would change
// what topics there are on the other.
func isTransactional(key, version int16, body []byte) bool {
	q := kmsg.RequestForKey(key)
	if q == nil {
		return false
	}
	q.SetVersion(version)
	if q.ReadFrom(body) != nil {
		return false
	}
	switch q := q.(type) {
	case *kmsg.FindCoordinatorRequest:
		return q.CoordinatorType == 1
	case *kmsg.InitProducerIDRequest:
		return q.TransactionalID != nil && *q.TransactionalID != ""
	case *kmsg.ProduceRequest:
		return q.TransactionID != nil
	}
	return false
}

// once sends two bodies once.
func (l *lab) once(test string, key, version int16, ours, theirs []byte) (a, b kmsg.Response, differences []difference) {
	l.t.Helper()
	api := kmsg.NameForKey(key)
	var answers [2]answer
	var errs [2]error
	var wg sync.WaitGroup
	for i, t := range []*target{l.ours, l.theirs} {
		wg.Go(func() { answers[i], errs[i] = t.ask(key, version, [][]byte{ours, theirs}[i]) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			l.t.Fatalf("%s, %s v%d: %v", test, api, version, err)
		}
	}
	if answers[0].outcome != answers[1].outcome {
		// Where only one went on, both begin anew: a closed connection has its own state no more.
		l.ours.close()
		l.theirs.close()
		return nil, nil, []difference{{"outcome", answers[0].outcome.String(), answers[1].outcome.String()}}
	}
	if answers[0].outcome != answered {
		return nil, nil, nil
	}
	var trees [2]any
	var responses [2]kmsg.Response
	touched := false
	for i, t := range []*target{l.ours, l.theirs} {
		r, err := decode(key, version, answers[i].body)
		if err != nil {
			l.t.Errorf("%s, %s: %v: %x", t.name, test, err, answers[i].body)
			return nil, nil, nil
		}
		responses[i] = r
		tree := &tree{api: api, names: t.names}
		trees[i] = tree.value(api, reflect.ValueOf(r))
		touched = touched || tree.touched
		t.lastResponse = r
	}
	differences = pairs{l.ours.names, l.theirs.names}.diff("", trees[0], trees[1])
	if len(differences) == 0 && !touched && !bytes.Equal(answers[0].body, answers[1].body) {
		differences = []difference{{"bytes", fmt.Sprintf("%x", answers[0].body), fmt.Sprintf("%x", answers[1].body)}}
	}
	return responses[0], responses[1], differences
}

// judge tells the differences that nothing excepts.
func (l *lab) judge(test, api string, version int16, body []byte, all []difference) {
	l.t.Helper()
	if len(all) == 0 {
		l.equal++
		return
	}
	name := strings.ReplaceAll(test, " ", "-")
	open := 0
	for _, d := range all {
		excepted := false
		for _, e := range l.exceptions {
			if e.covers(api, version, d.path, name) {
				e.used++
				excepted = true
			}
		}
		if excepted {
			continue
		}
		open++
		key := api + "." + d.path
		if l.told[key]++; l.told[key] > toldMax {
			continue
		}
		l.t.Errorf("%s v%d, %s, %s:\n  Ottla  %s\n  Apache %s\n  request %s", api, version, name, d.path, d.ours, d.theirs, short(fmt.Sprintf("%x", body)))
	}
	if open == 0 {
		l.excepted++
	}
}

// done tells what was done, and fails for exceptions that nothing needed.
func (l *lab) done(long bool) {
	l.t.Helper()
	for _, e := range l.exceptions {
		if e.used == 0 && (long || !e.long) {
			l.t.Errorf("nothing differs any more as this line of differences.txt says: %s", e.line)
		}
	}
	for key, n := range l.told {
		if n > toldMax {
			l.t.Errorf("%s differs %d times in all", key, n)
		}
	}
}
