package logdir

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/commitlog"
	"ottla/broker/topic"
	"ottla/internal/fs"
)

// Register adds DescribeLogDirs v0-4. lag is by how much a log is behind the partition's high watermark, in records; -1 if the
// partition is not served here.
func (m *Manager) Register(r *api.Registry, lag func(topic.Partition) int64) {
	api.Register(r, 0, 4, func(_ context.Context, _ *api.Request, q *kmsg.DescribeLogDirsRequest) (kmsg.Response, error) {
		return m.describe(q, lag), nil
	})
}

func (m *Manager) describe(q *kmsg.DescribeLogDirsRequest, lag func(topic.Partition) int64) kmsg.Response {
	var asked map[topic.Partition]bool // nil: all
	if q.Topics != nil {
		asked = map[topic.Partition]bool{}
		for _, t := range q.Topics {
			for _, p := range t.Partitions {
				asked[topic.Partition{Topic: t.Topic, Partition: p}] = true
			}
		}
	}
	byDir := map[string][]*commitlog.Log{}
	for _, l := range m.Logs() {
		if asked == nil || asked[l.Partition()] {
			dir := filepath.Dir(l.Dir())
			byDir[dir] = append(byDir[dir], l)
		}
	}
	resp := kmsg.NewPtrDescribeLogDirsResponse()
	for _, status := range m.Dirs() {
		d := kmsg.NewDescribeLogDirsResponseDir()
		d.TotalBytes, d.UsableBytes = -1, -1
		var err error
		if d.Dir, err = filepath.Abs(status.Path); err == nil && status.Error != nil {
			err = kerr.KafkaStorageError
		}
		if err == nil {
			d.TotalBytes, d.UsableBytes, err = fs.Space(d.Dir)
		}
		if d.ErrorCode = api.Code(err); err == nil {
			d.Topics = describeLogs(byDir[status.Path], lag)
		} else if d.ErrorCode == kerr.UnknownServerError.Code {
			m.c.Logger.Error().Err(err).Str("dir", status.Path).Msg("log directory cannot be described")
		}
		resp.Dirs = append(resp.Dirs, d)
	}
	return resp
}

// describeLogs lists the logs of one directory by topic and partition.
func describeLogs(logs []*commitlog.Log, lag func(topic.Partition) int64) []kmsg.DescribeLogDirsResponseDirTopic {
	slices.SortFunc(logs, func(a, b *commitlog.Log) int {
		x, y := a.Partition(), b.Partition()
		return cmp.Or(cmp.Compare(x.Topic, y.Topic), cmp.Compare(x.Partition, y.Partition))
	})
	var topics []kmsg.DescribeLogDirsResponseDirTopic
	for _, l := range logs {
		tp := l.Partition()
		if n := len(topics); n == 0 || topics[n-1].Topic != tp.Topic {
			t := kmsg.NewDescribeLogDirsResponseDirTopic()
			t.Topic = tp.Topic
			topics = append(topics, t)
		}
		p := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		p.Partition, p.Size, p.OffsetLag = tp.Partition, l.Size(), lag(tp)
		t := &topics[len(topics)-1]
		t.Partitions = append(t.Partitions, p)
	}
	return topics
}
