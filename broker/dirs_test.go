package broker

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"ottla/broker/api"
	"ottla/broker/commitlog"
	"ottla/broker/config"
	"ottla/broker/metadata"
	"ottla/broker/partition"
	"ottla/broker/record"
	"ottla/broker/replica"
	"ottla/broker/topic"
	"ottla/internal/fs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stored is the part of a broker that keeps partitions, on one log directory: no network and no ZooKeeper.
func stored(t *testing.T, disk fs.FS) (*Server, *api.Registry) {
	t.Helper()
	c, _, err := config.Load(config.Sources{Overrides: []string{"log.dirs=" + t.TempDir(), "broker.id=1"}})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Config: c, FS: disk, Logger: zerolog.Nop()})
	t.Cleanup(func() { _ = s.unwind(context.Background()) }) // a failed directory is not closed cleanly
	if err := s.openDirs(t.Context()); err != nil {
		t.Fatal(err)
	}
	settings := func(string) (commitlog.Settings, partition.Settings) { return topicSettings(c, &c.Topic) }
	if err := s.dirs.Load(t.Context(), func(string) commitlog.Settings { ls, _ := settings(""); return ls }); err != nil {
		t.Fatal(err)
	}
	s.table = replica.New(replica.Config{
		Self: s.id, Logs: hostedLogs{s.dirs}, Metadata: metadata.NewStore(), Fence: &metadata.Fence{BrokerEpoch: func() int64 { return -1 }},
		Prepare: func(context.Context, []string) error { return nil }, Settings: settings,
		Elected: func(topic.Partition, int32) {}, Resigned: func(topic.Partition, int32) {}, Now: time.Now, Logger: zerolog.Nop(),
	})
	s.started("partitions", quietly(s.table.Close))
	s.followDirs()
	reg := api.NewRegistry()
	s.table.Register(reg)
	return s, reg
}

// lead makes the broker the leader of a new partition of topic t, and says with which error.
func lead(t *testing.T, reg *api.Registry, number int32) error {
	t.Helper()
	q := kmsg.NewPtrLeaderAndISRRequest()
	q.Version, q.BrokerEpoch = 7, -1
	p := kmsg.NewLeaderAndISRRequestTopicPartition()
	p.Partition, p.Leader, p.ISR, p.Replicas, p.IsNew = number, 1, []int32{1}, []int32{1}, true
	q.TopicStates = []kmsg.LeaderAndISRRequestTopicState{{Topic: "t", PartitionStates: []kmsg.LeaderAndISRRequestTopicPartition{p}}}
	e, _ := reg.Lookup(q.Key())
	resp, err := e.Handle(t.Context(), &api.Request{Key: q.Key(), Version: 7, Body: q.AppendTo(nil), Conn: &api.Conn{}})
	if err != nil {
		t.Fatal(err)
	}
	return kerr.ErrorForCode(resp.(*kmsg.LeaderAndISRResponse).Topics[0].Partitions[0].ErrorCode)
}

// soon fails the test if f takes longer than any disk should.
func soon(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s hangs", what)
	}
}

// Whoever meets the failure of a directory holds a partition, or the table: it must not wait for itself.
func TestFailedDirectoryIsTakenOut(t *testing.T) {
	for _, c := range []struct {
		name string
		op   fs.Op
		fail func(t *testing.T, s *Server, reg *api.Registry)
	}{
		{"by an append", fs.OpWrite, func(t *testing.T, s *Server, _ *api.Registry) {
			p, _ := s.table.Lookup("t", 0)
			b := record.NewBuilder(record.BuilderOptions{})
			b.Append(nil, []byte("v"), nil, 1)
			records, err := b.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			soon(t, "the append", func() { _, _, err = p.Commit(t.Context(), p.Role().LeaderEpoch, records, time.Second) })
			if !errors.Is(err, kerr.KafkaStorageError) {
				t.Errorf("append: %v", err)
			}
		}},
		{"by LeaderAndIsr", fs.OpCreate, func(t *testing.T, _ *Server, reg *api.Registry) {
			var err error
			soon(t, "LeaderAndIsr", func() { err = lead(t, reg, 1) })
			if !errors.Is(err, kerr.KafkaStorageError) {
				t.Errorf("LeaderAndIsr: %v", err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := fs.NewFaulty(fs.OS)
			s, reg := stored(t, disk)
			if err := lead(t, reg, 0); err != nil {
				t.Fatal(err)
			}
			disk.Inject(fs.Rule{Op: c.op, Name: "*.log", Err: syscall.EIO})
			c.fail(t, s, reg)
			soon(t, "the end of the last directory", func() {
				if err := <-s.failed; !errors.Is(err, syscall.EIO) {
					t.Errorf("the broker ends with: %v", err)
				}
			})
			if p, err := s.table.Lookup("t", 0); p != nil || !errors.Is(err, kerr.KafkaStorageError) {
				t.Errorf("%v, %v", p, err)
			}
		})
	}
}
