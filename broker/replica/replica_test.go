package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/commitlog"
	"ottla/broker/metadata"
	"ottla/broker/partition"
	"ottla/broker/topic"
	"ottla/internal/fs"
)

const self = 1

// logs keeps real logs in a temporary directory, and remembers what was deleted.
type logs struct {
	t       *testing.T
	dir     string
	open    map[topic.Partition]*commitlog.Log
	offline map[topic.Partition]bool
	deleted []topic.Partition
	lost    bool // a directory is offline
}

func (l *logs) Offline() bool { return l.lost }

func (l *logs) Log(p topic.Partition) (*commitlog.Log, bool) { return l.open[p], l.offline[p] }

func (l *logs) Create(p topic.Partition, id topic.ID, s commitlog.Settings) (*commitlog.Log, bool, error) {
	if log := l.open[p]; log != nil {
		return log, false, nil
	}
	log, err := commitlog.Open(commitlog.Options{FS: fs.OS, Dir: l.dir + "/" + p.String(), Partition: p, Settings: s, Now: time.Now, Logger: zerolog.Nop()})
	if err != nil {
		return nil, false, err
	}
	l.t.Cleanup(func() { log.Close(false) })
	l.open[p] = log
	if !id.IsZero() {
		err = log.AssignTopicID(id)
	}
	return log, true, err
}

func (l *logs) Delete(p topic.Partition) error {
	l.deleted = append(l.deleted, p)
	delete(l.open, p)
	return nil
}

func (l *logs) CheckpointedHighWatermark(topic.Partition) int64 { return 0 }

// fixture is a table with what it tells others.
type fixture struct {
	*Table
	t     *testing.T
	logs  *logs
	meta  *metadata.Store
	reg   *api.Registry
	told  []string
	asked []string // topics whose configuration was read
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, meta: metadata.NewStore(), reg: api.NewRegistry()}
	f.logs = &logs{t: t, dir: t.TempDir(), open: map[topic.Partition]*commitlog.Log{}, offline: map[topic.Partition]bool{}}
	live := kmsg.NewPtrUpdateMetadataRequest()
	live.Version = 8
	for _, id := range []int32{self, 2} {
		b := kmsg.NewUpdateMetadataRequestLiveBroker()
		b.ID = id
		live.LiveBrokers = append(live.LiveBrokers, b)
	}
	f.meta.Apply(live)
	f.Table = New(Config{
		Self: self, Logs: f.logs, Metadata: f.meta, Fence: &metadata.Fence{BrokerEpoch: func() int64 { return 100 }},
		Prepare: func(_ context.Context, topics []string) error { f.asked = append(f.asked, topics...); return nil },
		Settings: func(string) (commitlog.Settings, partition.Settings) {
			return commitlog.DefaultSettings(), partition.DefaultSettings()
		},
		Elected:  func(p topic.Partition, e int32) { f.told = append(f.told, fmt.Sprintf("%v elected %d", p, e)) },
		Resigned: func(p topic.Partition, e int32) { f.told = append(f.told, fmt.Sprintf("%v resigned %d", p, e)) },
		Now:      time.Now, Logger: zerolog.Nop(),
	})
	f.Register(f.reg)
	return f
}

func (f *fixture) send(key int16, version int16, body []byte) kmsg.Response {
	f.t.Helper()
	e, _ := f.reg.Lookup(key)
	resp, err := e.Handle(context.Background(), &api.Request{Key: key, Version: version, Body: body, Conn: &api.Conn{}})
	if err != nil {
		f.t.Fatal(err)
	}
	return resp.(kmsg.Response)
}

// lead sends a LeaderAndIsr v7 for one partition of topic t.
func (f *fixture) lead(id topic.ID, controllerEpoch, p, leader, leaderEpoch int32, replicas ...int32) error {
	f.t.Helper()
	return f.become(false, id, controllerEpoch, p, leader, leaderEpoch, replicas...)
}

func (f *fixture) become(isNew bool, id topic.ID, controllerEpoch, p, leader, leaderEpoch int32, replicas ...int32) error {
	f.t.Helper()
	req := kmsg.NewPtrLeaderAndISRRequest()
	req.Version, req.ControllerEpoch, req.BrokerEpoch = 7, controllerEpoch, 100
	s := kmsg.NewLeaderAndISRRequestTopicPartition()
	s.Partition, s.Leader, s.LeaderEpoch, s.ISR, s.Replicas, s.IsNew = p, leader, leaderEpoch, replicas, replicas, isNew
	req.TopicStates = []kmsg.LeaderAndISRRequestTopicState{{Topic: "t", TopicID: id, PartitionStates: []kmsg.LeaderAndISRRequestTopicPartition{s}}}
	resp := f.send(4, 7, req.AppendTo(nil)).(*kmsg.LeaderAndISRResponse)
	if resp.ErrorCode != 0 {
		return kerr.ErrorForCode(resp.ErrorCode)
	}
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}

func (f *fixture) stop(p, leaderEpoch int32, del bool) error {
	f.t.Helper()
	var req api.StopReplicaRequest
	req.Version, req.BrokerEpoch, req.ControllerEpoch = 4, 100, 9
	req.Topics = []kmsg.StopReplicaRequestTopic{{Topic: "t", PartitionStates: []kmsg.StopReplicaRequestTopicPartitionState{{Partition: p, LeaderEpoch: leaderEpoch, Delete: del}}}}
	resp := f.send(5, 4, req.AppendTo(nil)).(*kmsg.StopReplicaResponse)
	if resp.ErrorCode != 0 {
		return kerr.ErrorForCode(resp.ErrorCode)
	}
	return kerr.ErrorForCode(resp.Partitions[0].ErrorCode)
}

func (f *fixture) expectTold(want ...string) {
	f.t.Helper()
	if !slices.Equal(f.told, want) {
		f.t.Errorf("told %q, want %q", f.told, want)
	}
	f.told = nil
}

func TestLeaderEpochsAndTopicIDs(t *testing.T) {
	f := newFixture(t)
	id, other := topic.ID{1}, topic.ID{2}
	for i, c := range []struct {
		id              topic.ID
		controllerEpoch int32
		leader, epoch   int32
		replicas        []int32
		want            error
		told            []string
	}{
		{topic.ID{}, 5, self, 0, []int32{self}, nil, []string{"t-0 elected 0"}},
		{topic.ID{}, 5, self, 0, []int32{self}, kerr.StaleControllerEpoch, nil}, // sent again by a controller that restarted
		{id, 5, self, 0, []int32{self}, nil, nil},                               // only to add the id
		{id, 4, self, 1, []int32{self}, kerr.StaleControllerEpoch, nil},         // a controller that was superseded
		{other, 5, self, 1, []int32{self}, kerr.InconsistentTopicID, nil},
		{id, 5, self, 1, []int32{2}, kerr.UnknownTopicOrPartition, nil}, // not ours
		{id, 5, 2, 1, []int32{self, 2}, nil, []string{"t-0 resigned 1"}},
		{id, 5, 9, 2, []int32{self, 9}, nil, nil}, // a leader that is not alive is not followed
		{id, 5, self, 0, []int32{self}, kerr.StaleControllerEpoch, nil},
		{id, 6, self, 3, []int32{self}, nil, []string{"t-0 elected 3"}},
	} {
		if err := f.lead(c.id, c.controllerEpoch, 0, c.leader, c.epoch, c.replicas...); !errors.Is(err, c.want) {
			t.Errorf("step %d: %v, want %v", i, err, c.want)
		}
		f.expectTold(c.told...)
	}
	if p, err := f.Lookup("t", 0); err != nil || p == nil || !p.Role().Leads || p.Log().TopicID() != id {
		t.Errorf("Lookup = %v, %v", p, err)
	}
	if !slices.Equal(f.asked, []string{"t"}) {
		t.Errorf("the configurations of %q were read; want that of t, once, before its log was made", f.asked)
	}
}

func TestStopReplica(t *testing.T) {
	f := newFixture(t)
	if err := f.lead(topic.ID{1}, 5, 0, self, 3, self); err != nil {
		t.Fatal(err)
	}
	f.told = nil
	if err := f.stop(0, 2, true); !errors.Is(err, kerr.FencedLeaderEpoch) {
		t.Errorf("an old leader epoch: %v", err)
	}
	if err := f.stop(0, 3, false); err != nil {
		t.Error(err)
	}
	if p, _ := f.Lookup("t", 0); p == nil {
		t.Error("stopping without deleting took the partition out")
	}
	if err := f.stop(0, epochDuringDelete, true); err != nil {
		t.Error(err)
	}
	f.expectTold("t-0 resigned -1")
	if p, err := f.Lookup("t", 0); p != nil || err != nil {
		t.Errorf("after the deletion Lookup = %v, %v", p, err)
	}
	if err := f.stop(7, epochDuringDelete, true); err != nil {
		t.Errorf("an unknown partition: %v", err)
	}
	if want := []topic.Partition{{Topic: "t", Partition: 0}, {Topic: "t", Partition: 7}}; !slices.Equal(f.logs.deleted, want) {
		t.Errorf("deleted %v, want %v: also what an earlier life may have left", f.logs.deleted, want)
	}
}

func TestOfflineDirectory(t *testing.T) {
	f := newFixture(t)
	f.logs.offline[topic.Partition{Topic: "t", Partition: 1}] = true
	if err := f.lead(topic.ID{1}, 5, 1, self, 0, self); !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("LeaderAndIsr for an offline log: %v", err)
	}
	if _, err := f.Lookup("t", 1); !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("Lookup of an offline log: %v", err)
	}
	if err := f.lead(topic.ID{1}, 5, 0, self, 0, self); err != nil {
		t.Fatal(err)
	}
	f.told = nil
	f.DirFailed(f.logs.dir)
	f.expectTold("t-0 resigned 0")
	if p, _ := f.Lookup("t", 0); p != nil {
		t.Error("a partition of the failed directory is still served")
	}
}

// A log that is not found while a directory is offline may lie there: an empty one must not take its place.
func TestNoLogInPlaceOfOneThatMayBeOffline(t *testing.T) {
	f := newFixture(t)
	if err := f.lead(topic.ID{1}, 5, 0, self, 0, self); err != nil {
		t.Fatal(err)
	}
	f.logs.lost = true
	for _, leader := range []int32{self, 2, 9} { // led here, followed, and followed from a broker that nobody knows
		if err := f.lead(topic.ID{1}, 5, 1, leader, 0, self, 2); !errors.Is(err, kerr.KafkaStorageError) || len(f.logs.open) != 1 {
			t.Errorf("leader %d: %v, %d logs", leader, err, len(f.logs.open))
		}
	}
	if err := f.lead(topic.ID{1}, 5, 0, self, 1, self); err != nil {
		t.Errorf("a log that is there: %v", err)
	}
	if err := f.become(true, topic.ID{1}, 5, 2, self, 0, self); err != nil {
		t.Errorf("a new replica: %v", err)
	}
}

func TestNamesThatAreNoDirectories(t *testing.T) {
	f := newFixture(t)
	req := kmsg.NewPtrLeaderAndISRRequest()
	req.Version, req.BrokerEpoch = 7, 100
	s := kmsg.NewLeaderAndISRRequestTopicPartition()
	s.Leader, s.ISR, s.Replicas = self, []int32{self}, []int32{self}
	req.TopicStates = []kmsg.LeaderAndISRRequestTopicState{{Topic: "../../etc", PartitionStates: []kmsg.LeaderAndISRRequestTopicPartition{s}}}
	resp := f.send(4, 7, req.AppendTo(nil)).(*kmsg.LeaderAndISRResponse)
	if got := resp.Topics[0].Partitions[0].ErrorCode; got != kerr.UnknownTopicOrPartition.Code || len(f.logs.open) > 0 {
		t.Errorf("code %d, %d logs made", got, len(f.logs.open))
	}
}
