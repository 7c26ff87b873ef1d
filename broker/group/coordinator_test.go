package group

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api/shape"
	"ottla/broker/group/offsetlog"
	"ottla/broker/record"
	"ottla/broker/topic"
)

// background runs a request on a connection of its own.
func background[R kmsg.Response](b *broker, ctx context.Context, version int16, req kmsg.Request) <-chan R {
	answer := make(chan R, 1)
	go func() {
		defer close(answer)
		if r, err := call[R](b, ctx, version, req); err == nil {
			answer <- r
		}
	}()
	return answer
}

func wantCode(t *testing.T, what string, code int16, want *kerr.Error) {
	t.Helper()
	var wanted int16
	if want != nil {
		wanted = want.Code
	}
	if code != wanted {
		t.Errorf("%s: %v, want %v", what, kerr.ErrorForCode(code), kerr.ErrorForCode(wanted))
	}
}

func TestAGroupOfTwoMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newMemoryLog(), nil)
		defer b.Close()
		b.lead(0)
		began := time.Now()
		first := background[*kmsg.JoinGroupResponse](b, t.Context(), 0, joinRequest("g", ""))
		second := background[*kmsg.JoinGroupResponse](b, t.Context(), 3, joinRequest("g", ""))
		a, c := <-first, <-second
		if len(c.Members) > 0 {
			a, c = c, a
		}
		if d := time.Since(began); d != 6*time.Second {
			t.Errorf("the first generation took %v, want the initial delay twice", d)
		}
		if a.Generation != 1 || c.Generation != 1 || len(a.Members) != 2 || a.LeaderID != a.MemberID || c.LeaderID != a.MemberID || *a.Protocol != "range" {
			t.Fatalf("leader %+v, follower %+v", a, c)
		}
		follower := background[*kmsg.SyncGroupResponse](b, t.Context(), 3, syncRequest("g", c.MemberID, 1, nil))
		synctest.Wait()
		leader := must[*kmsg.SyncGroupResponse](b, 3, syncRequest("g", a.MemberID, 1, map[string]string{a.MemberID: "0 1", c.MemberID: "2 3"}))
		if s := <-follower; string(s.MemberAssignment) != "2 3" || string(leader.MemberAssignment) != "0 1" {
			t.Errorf("assignments %q and %q", leader.MemberAssignment, s.MemberAssignment)
		}

		// The follower falls silent, the leader does not.
		for range 4 {
			time.Sleep(3 * time.Second)
			r := must[*kmsg.HeartbeatResponse](b, 3, heartbeatRequest("g", a.MemberID, 1))
			if time.Since(began) < 15*time.Second {
				wantCode(t, "heartbeat", r.ErrorCode, nil)
			}
		}
		r := must[*kmsg.HeartbeatResponse](b, 3, heartbeatRequest("g", a.MemberID, 1))
		wantCode(t, "heartbeat after the other's session", r.ErrorCode, kerr.RebalanceInProgress)
		again := must[*kmsg.JoinGroupResponse](b, 3, joinRequest("g", a.MemberID))
		if again.Generation != 2 || len(again.Members) != 1 {
			t.Errorf("second generation: %+v", again)
		}
	})
}

func TestLoadingAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemoryLog()
		log.scans = make(chan struct{})
		b := start(t, log, nil)
		defer b.Close()

		j := must[*kmsg.JoinGroupResponse](b, 3, joinRequest("g", ""))
		wantCode(t, "join before the election", j.ErrorCode, kerr.NotCoordinator)
		b.lead(0)
		synctest.Wait()
		began := time.Now()
		wantCode(t, "heartbeat", must[*kmsg.HeartbeatResponse](b, 3, heartbeatRequest("g", "m", 1)).ErrorCode, nil)
		list := must[*kmsg.ListGroupsResponse](b, 4, kmsg.NewPtrListGroupsRequest())
		wantCode(t, "list", list.ErrorCode, kerr.CoordinatorLoadInProgress)
		if d := time.Since(began); d != 0 {
			t.Errorf("heartbeat and list waited %v", d)
		}
		j = must[*kmsg.JoinGroupResponse](b, 3, joinRequest("g", ""))
		wantCode(t, "join", j.ErrorCode, kerr.CoordinatorLoadInProgress)
		if d := time.Since(began); d != loadWait {
			t.Errorf("join waited %v", d)
		}
		s := must[*kmsg.SyncGroupResponse](b, 3, syncRequest("g", "m", 1, nil))
		wantCode(t, "sync", s.ErrorCode, kerr.RebalanceInProgress)
		_, code := b.fetched("g")
		wantCode(t, "fetch", code, kerr.CoordinatorLoadInProgress)
		c := must[*kmsg.OffsetCommitResponse](b, 5, commitRequest("g", "", -1, 1))
		wantCode(t, "commit", c.Topics[0].Partitions[0].ErrorCode, kerr.CoordinatorLoadInProgress)

		// Who comes shortly before the end of the load does not see it.
		joined := background[*kmsg.JoinGroupResponse](b, t.Context(), 3, joinRequest("g", ""))
		time.Sleep(500 * time.Millisecond)
		close(log.scans)
		j = <-joined
		wantCode(t, "join", j.ErrorCode, nil)
	})
}

func TestALoadThatFailsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newMemoryLog(), nil)
		defer b.Close()
		b.Elected(0, 3) // the log knows of no leader yet
		b.Elected(1, 3)
		time.Sleep(10 * time.Second)
		b.lead(3) // changes only the log: the coordinator has heard of this epoch
		time.Sleep(loadRetryMax)
		synctest.Wait()
		_, code := b.fetched("g")
		wantCode(t, "fetch", code, nil)
	})
}

// TestResigned: whoever waits is told to look elsewhere, at once; what is being written is answered by what becomes of it.
func TestResigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newMemoryLog(), nil)
		defer b.Close()
		b.lead(5)
		synctest.Wait()
		b.log.set(func() { b.log.delay = time.Second })
		join := background[*kmsg.JoinGroupResponse](b, t.Context(), 3, joinRequest("g", ""))
		written := background[*kmsg.OffsetCommitResponse](b, t.Context(), 5, commitRequest("s", "", -1, 1))
		synctest.Wait()
		queued := background[*kmsg.OffsetCommitResponse](b, t.Context(), 5, commitRequest("s", "", -1, 2))
		synctest.Wait()

		b.Resigned(0, 4) // old news
		b.Resigned(1, 4)
		synctest.Wait()
		if len(join) > 0 {
			t.Fatal("an old epoch unloaded the partition")
		}
		began := time.Now()
		b.Resigned(0, 6)
		b.Resigned(1, 6)
		wantCode(t, "parked join", (<-join).ErrorCode, kerr.NotCoordinator)
		if d := time.Since(began); d != 0 {
			t.Errorf("it took %v", d)
		}
		wantCode(t, "commit that was being written", (<-written).Topics[0].Partitions[0].ErrorCode, nil)
		wantCode(t, "commit behind it", (<-queued).Topics[0].Partitions[0].ErrorCode, kerr.NotCoordinator)
		_, code := b.fetched("s")
		wantCode(t, "fetch", code, kerr.NotCoordinator)

		b.lead(5) // older than what was heard
		synctest.Wait()
		_, code = b.fetched("s")
		wantCode(t, "fetch after an old election", code, kerr.NotCoordinator)
		b.lead(7)
		synctest.Wait()
		offset, code := b.fetched("s")
		wantCode(t, "fetch after the next election", code, nil)
		if offset != 1 {
			t.Errorf("offset %d, want the one that was committed", offset)
		}

		// The topic is made anew: its epochs begin again.
		b.Resigned(0, -1)
		b.Resigned(1, -1)
		b.log.set(func() { clear(b.log.logs) })
		b.lead(0)
		synctest.Wait()
		offset, code = b.fetched("s")
		wantCode(t, "fetch from the new topic", code, nil)
		if offset != -1 {
			t.Errorf("offset %d of a topic that is no more", offset)
		}
	})
}

// TestTakeover kills a coordinator in the middle of the life of many groups, and lets another load what it wrote.
func TestTakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemoryLog()
		b := start(t, log, func(c *Config) { c.InitialRebalanceDelay = 0 })
		b.lead(0)
		members := map[string]string{}
		for i := range 20 {
			g := fmt.Sprint("group-", i)
			m, generation := b.join(g)
			members[g] = m
			for o := range int64(5) {
				c := must[*kmsg.OffsetCommitResponse](b, 6, commitRequest(g, m, generation, o*10+int64(i)))
				wantCode(t, "commit", c.Topics[0].Partitions[0].ErrorCode, nil)
			}
			if i%4 == 0 {
				l := kmsg.NewPtrLeaveGroupRequest()
				l.Group, l.MemberID = g, m
				wantCode(t, "leave", must[*kmsg.LeaveGroupResponse](b, 0, l).ErrorCode, nil)
			}
		}
		synctest.Wait()
		before := map[string]*kmsg.DescribeGroupsResponse{}
		for g := range members {
			r := kmsg.NewPtrDescribeGroupsRequest()
			r.Groups = []string{g}
			before[g] = must[*kmsg.DescribeGroupsResponse](b, 5, r)
		}
		list := must[*kmsg.ListGroupsResponse](b, 5, kmsg.NewPtrListGroupsRequest())
		b.Close() // writes nothing: for the log it is a kill

		b = start(t, log, nil)
		defer b.Close()
		b.lead(1)
		synctest.Wait()
		if d := cmp.Diff(list, must[*kmsg.ListGroupsResponse](b, 5, kmsg.NewPtrListGroupsRequest()), cmp.Comparer(noTags)); d != "" {
			t.Errorf("list: %s", d)
		}
		for i := range 20 {
			g := fmt.Sprint("group-", i)
			r := kmsg.NewPtrDescribeGroupsRequest()
			r.Groups = []string{g}
			if d := cmp.Diff(before[g], must[*kmsg.DescribeGroupsResponse](b, 5, r), cmp.Comparer(noTags)); d != "" {
				t.Errorf("%s: %s", g, d)
			}
			if offset, _ := b.fetched(g); offset != int64(40+i) {
				t.Errorf("%s: offset %d", g, offset)
			}
			if i%4 != 0 {
				// Its members go on as if nothing had happened.
				wantCode(t, "heartbeat", must[*kmsg.HeartbeatResponse](b, 3, heartbeatRequest(g, members[g], 1)).ErrorCode, nil)
			}
		}
		time.Sleep(11 * time.Second)
		wantCode(t, "heartbeat after the session", must[*kmsg.HeartbeatResponse](b, 3, heartbeatRequest("group-1", members["group-1"], 1)).ErrorCode, kerr.UnknownMemberID)
	})
}

func noTags(a, b kmsg.Tags) bool { return a.Len() == b.Len() }

// TestManyCommitsShareAppends: what gathers during one append goes with the next.
func TestManyCommitsShareAppends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newMemoryLog(), nil)
		defer b.Close()
		b.lead(0)
		synctest.Wait()
		b.log.set(func() { b.log.delay = 10 * time.Millisecond })
		began := time.Now()
		var work sync.WaitGroup
		for i := range 1000 {
			work.Go(func() {
				c := must[*kmsg.OffsetCommitResponse](b, 5, commitRequest("g", "", -1, int64(i)))
				wantCode(t, "commit", c.Topics[0].Partitions[0].ErrorCode, nil)
			})
		}
		work.Wait()
		if d := time.Since(began); d > 50*time.Millisecond {
			t.Errorf("1000 commits took %v", d)
		}
		b.log.set(func() {
			if b.log.appends > 5 {
				t.Errorf("%d appends", b.log.appends)
			}
		})
		last, _ := b.fetched("g")
		var l offsetlog.Loader
		for _, log := range b.log.logs {
			l.Add(log)
		}
		if in := l.Groups()[0].Offsets[topic.Partition{Topic: "t"}].Offset; in != last {
			t.Errorf("the cache says %d, the log %d", last, in)
		}
	})
}

// TestAppendErrors: a batch that the log refuses fails alone; others are mapped as Kafka does.
func TestAppendErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newMemoryLog(), nil)
		defer b.Close()
		b.lead(0)
		synctest.Wait()
		b.log.set(func() {
			b.log.delay = 10 * time.Millisecond
			b.log.fail = func(batches []byte) error {
				if strings.Contains(string(batches), "too large") {
					return fmt.Errorf("a batch: %w", kerr.MessageTooLarge)
				}
				return nil
			}
		})
		answers := map[int]<-chan *kmsg.OffsetCommitResponse{}
		for i := range 6 {
			r := commitRequest("g", "", -1, int64(i))
			if i == 3 {
				r.Topics[0].Partitions[0].Metadata = kmsg.StringPtr("too large")
			}
			answers[i] = background[*kmsg.OffsetCommitResponse](b, t.Context(), 5, r)
			synctest.Wait()
		}
		for i, a := range answers {
			want := kerr.InvalidCommitOffsetSize
			if i != 3 {
				want = nil
			}
			wantCode(t, fmt.Sprint("commit ", i), (<-a).Topics[0].Partitions[0].ErrorCode, want)
		}
		for _, c := range []struct {
			err  error
			want *kerr.Error
		}{
			{kerr.NotEnoughReplicas, kerr.CoordinatorNotAvailable},
			{kerr.NotEnoughReplicasAfterAppend, kerr.CoordinatorNotAvailable},
			{kerr.UnknownTopicOrPartition, kerr.CoordinatorNotAvailable},
			{kerr.RequestTimedOut, kerr.CoordinatorNotAvailable},
			{fmt.Errorf("wrapped: %w", kerr.NotLeaderForPartition), kerr.NotCoordinator},
			{kerr.FencedLeaderEpoch, kerr.NotCoordinator},
			{kerr.KafkaStorageError, kerr.NotCoordinator},
			{errors.New("of the disk"), kerr.UnknownServerError},
		} {
			b.log.set(func() { b.log.fail = func([]byte) error { return c.err } })
			r := must[*kmsg.OffsetCommitResponse](b, 5, commitRequest("g", "", -1, 7))
			wantCode(t, c.err.Error(), r.Topics[0].Partitions[0].ErrorCode, c.want)
		}
		b.log.set(func() { b.log.fail, b.log.delay = nil, time.Minute })
		began := time.Now()
		r := must[*kmsg.OffsetCommitResponse](b, 5, commitRequest("g", "", -1, 7))
		wantCode(t, "an append that hangs", r.Topics[0].Partitions[0].ErrorCode, kerr.CoordinatorNotAvailable)
		if d := time.Since(began); d != 5*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

func TestExpiryAndDeletedTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemoryLog()
		b := start(t, log, nil)
		b.lead(0)
		synctest.Wait()
		retained := commitRequest("short", "", -1, 1)
		retained.RetentionTimeMillis = time.Hour.Milliseconds()
		wantCode(t, "commit", must[*kmsg.OffsetCommitResponse](b, 4, retained).Topics[0].Partitions[0].ErrorCode, nil)
		must[*kmsg.OffsetCommitResponse](b, 5, commitRequest("long", "", -1, 2))
		must[*kmsg.OffsetCommitResponse](b, 5, commitRequest("deleted", "", -1, 3))
		u := commitRequest("deleted", "", -1, 4)
		u.Topics[0].Topic = "u"
		must[*kmsg.OffsetCommitResponse](b, 5, u)

		time.Sleep(time.Hour + 11*time.Minute)
		if offset, _ := b.fetched("short"); offset != -1 {
			t.Errorf("an offset with a retention time of an hour is still %d", offset)
		}
		if offset, _ := b.fetched("long"); offset != 2 {
			t.Errorf("offset %d", offset)
		}
		b.TopicsDeleted([]string{"t"})
		synctest.Wait()
		if offset, _ := b.fetched("deleted"); offset != -1 {
			t.Errorf("offset %d of a deleted topic", offset)
		}
		b.Close()

		b = start(t, log, nil)
		defer b.Close()
		b.lead(1)
		synctest.Wait()
		list := must[*kmsg.ListGroupsResponse](b, 4, kmsg.NewPtrListGroupsRequest())
		if len(list.Groups) != 1 || list.Groups[0].Group != "deleted" || list.Groups[0].GroupState != "Empty" {
			t.Errorf("after a restart: %+v", list.Groups)
		}
		time.Sleep(8 * 24 * time.Hour)
		if list := must[*kmsg.ListGroupsResponse](b, 4, kmsg.NewPtrListGroupsRequest()); len(list.Groups) != 0 {
			t.Errorf("after the retention time: %+v", list.Groups)
		}
	})
}

// TestTheWallClockExpiresNobody: the clock that is written into records jumps by a day, and sessions go on.
func TestTheWallClockExpiresNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		jump := time.Duration(0)
		b := start(t, newMemoryLog(), func(c *Config) {
			c.Now = func() time.Time {
				mu.Lock()
				defer mu.Unlock()
				return time.Now().Add(jump)
			}
		})
		defer b.Close()
		b.lead(0)
		member, generation := b.join("g")
		for _, d := range []time.Duration{24 * time.Hour, -24 * time.Hour} {
			mu.Lock()
			jump = d
			mu.Unlock()
			time.Sleep(9 * time.Second)
			wantCode(t, "heartbeat", must[*kmsg.HeartbeatResponse](b, 3, heartbeatRequest("g", member, generation)).ErrorCode, nil)
		}
	})
}

func TestCloseAnswersWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newMemoryLog(), nil)
		b.lead(0)
		synctest.Wait()
		b.log.set(func() { b.log.delay = time.Minute })
		join := background[*kmsg.JoinGroupResponse](b, t.Context(), 3, joinRequest("g", ""))
		commit := background[*kmsg.OffsetCommitResponse](b, t.Context(), 5, commitRequest("s", "", -1, 1))
		synctest.Wait()
		began := time.Now()
		b.Close()
		wantCode(t, "join", (<-join).ErrorCode, kerr.CoordinatorNotAvailable)
		wantCode(t, "commit", (<-commit).Topics[0].Partitions[0].ErrorCode, kerr.CoordinatorNotAvailable)
		wantCode(t, "later", must[*kmsg.HeartbeatResponse](b, 3, heartbeatRequest("g", "m", 1)).ErrorCode, kerr.CoordinatorNotAvailable)
		b.Elected(0, 9)
		b.TopicsDeleted([]string{"t"})
		if d := time.Since(began); d != 0 {
			t.Errorf("it took %v", d)
		}
	})
}

// TestAConnectionThatEnds: a member that has never got its id does not hold the others up.
func TestAConnectionThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newMemoryLog(), nil)
		defer b.Close()
		b.lead(0)
		synctest.Wait()
		ctx, hangUp := context.WithCancel(t.Context())
		gone := background[*kmsg.JoinGroupResponse](b, ctx, 3, joinRequest("g", ""))
		synctest.Wait()
		stays := background[*kmsg.JoinGroupResponse](b, t.Context(), 3, joinRequest("g", ""))
		synctest.Wait()
		hangUp()
		if r, ok := <-gone; ok {
			t.Errorf("a connection that is gone was answered %+v", r)
		}
		if r := <-stays; len(r.Members) != 1 || r.LeaderID != r.MemberID {
			t.Errorf("the other is told of %+v", r)
		}
		if n := len(b.served()[0].waiting) + len(b.served()[1].waiting); n != 0 {
			t.Errorf("%d tickets are kept", n)
		}
	})
}

// TestNothingIsKeptOfRefusedRequests: groups that never came to be leave nothing behind.
func TestNothingIsKeptOfRefusedRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newMemoryLog(), nil)
		defer b.Close()
		b.lead(0)
		synctest.Wait()
		for i := range 100 {
			r := joinRequest(fmt.Sprint("no-protocols-", i), "")
			r.Protocols = nil
			wantCode(t, "join", must[*kmsg.JoinGroupResponse](b, 3, r).ErrorCode, kerr.InconsistentGroupProtocol)
			j := must[*kmsg.JoinGroupResponse](b, 4, joinRequest(fmt.Sprint("pending-", i), ""))
			wantCode(t, "join", j.ErrorCode, kerr.MemberIDRequired)
		}
		time.Sleep(11 * time.Second)
		for _, s := range b.served() {
			s.mu.Lock()
			if n := len(s.groups); n != 0 {
				t.Errorf("%d groups are kept", n)
			}
			s.mu.Unlock()
		}
		b.timers.mu.Lock()
		defer b.timers.mu.Unlock()
		if n := len(b.timers.heap); n != 0 {
			t.Errorf("%d timers are kept", n)
		}
	})
}

func TestFindCoordinator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newMemoryLog(), nil)
		defer b.Close()
		b.cluster.topics = map[string]int32{}
		b.cluster.made = func() { time.Sleep(2 * time.Second) }
		b.cluster.refuse = kerr.InvalidReplicationFactor
		r := kmsg.NewPtrFindCoordinatorRequest()
		r.CoordinatorKey = "g"
		wantCode(t, "a topic that cannot be made", must[*kmsg.FindCoordinatorResponse](b, 0, r).ErrorCode, kerr.CoordinatorNotAvailable)
		many := kmsg.NewPtrFindCoordinatorRequest()
		for i := range 100 {
			many.CoordinatorKeys = append(many.CoordinatorKeys, fmt.Sprint(i))
		}
		for _, c := range must[*kmsg.FindCoordinatorResponse](b, 4, many).Coordinators {
			wantCode(t, c.Key, c.ErrorCode, kerr.CoordinatorNotAvailable)
		}
		if b.cluster.ensured != 2 {
			t.Errorf("two requests asked %d times for the topic", b.cluster.ensured)
		}
		b.cluster.refuse = nil
		began := time.Now()
		found := must[*kmsg.FindCoordinatorResponse](b, 0, r)
		if d := time.Since(began); found.ErrorCode != 0 || found.Port != 14310 || d != 2*time.Second {
			t.Errorf("after %v: %+v", d, found)
		}
		txn := kmsg.NewPtrFindCoordinatorRequest()
		txn.CoordinatorKey, txn.CoordinatorType, txn.CoordinatorKeys = "tx", 1, []string{"tx"}
		single := must[*kmsg.FindCoordinatorResponse](b, 3, txn)
		wantCode(t, "transactional id", single.ErrorCode, kerr.TransactionalIDAuthorizationFailed)
		if *single.ErrorMessage != NoTransactions {
			t.Errorf("message %q", *single.ErrorMessage)
		}
		wantCode(t, "transactional id", must[*kmsg.FindCoordinatorResponse](b, 6, txn).Coordinators[0].ErrorCode, kerr.TransactionalIDAuthorizationFailed)
	})
}

// TestCompression: offsets.topic.compression.codec.
func TestCompression(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newMemoryLog(), func(c *Config) { c.CompressionCodec = int8(record.LZ4) })
		defer b.Close()
		b.lead(0)
		must[*kmsg.OffsetCommitResponse](b, 5, commitRequest("g", "", -1, 5))
		for p, log := range b.log.logs {
			if e, err := record.NextEntry(log); err != nil || e.Codec != record.LZ4 {
				t.Errorf("partition %d: %+v, %v", p, e, err)
			}
		}
		b.lead(1)
		synctest.Wait()
		if offset, _ := b.fetched("g"); offset != 5 {
			t.Errorf("offset %d", offset)
		}
	})
}

// TestStringsThatCannotBeStored: flexible versions could carry longer strings than the records can hold. Apache Kafka closes the
// connection then, as an error of the handler does.
func TestStringsThatCannotBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newMemoryLog(), nil)
		defer b.Close()
		b.lead(0)
		long := strings.Repeat("x", 1<<15)
		refused := func(what string, version int16, req kmsg.Request) {
			t.Helper()
			var malformed *shape.Error
			if r, err := call[kmsg.Response](b, t.Context(), version, req); !errors.As(err, &malformed) {
				t.Errorf("%s: %+v, %v", what, r, err)
			}
		}
		refused("group id", 9, joinRequest(long, ""))
		refused("group id", 8, commitRequest(long, "", -1, 1))
		r := joinRequest("g", "")
		r.InstanceID = &long
		refused("instance id", 9, r)
		r = joinRequest("g", "")
		r.Protocols[0].Name = long
		refused("protocol", 9, r)
		c := commitRequest("g", "", -1, 1)
		c.Topics[0].Partitions[0].Metadata = &long
		refused("metadata", 8, c)

		long = long[1:] // as long as a string may be, but not once it is a part of a member id
		r = joinRequest("g", "")
		r.InstanceID = &long
		wantCode(t, "instance id", must[*kmsg.JoinGroupResponse](b, 9, r).ErrorCode, kerr.InvalidRequest)
		wantCode(t, "metadata", must[*kmsg.OffsetCommitResponse](b, 8, c).Topics[0].Partitions[0].ErrorCode, kerr.OffsetMetadataTooLarge)
	})
}
