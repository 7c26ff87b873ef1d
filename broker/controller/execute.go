package controller

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/controller/planner"
	"ottla/broker/peer"
	"ottla/broker/topic"
	"ottla/broker/znode"
)

// step lets the planner take an event, and carries out its plans until there is nothing left to write. An error ends it in the
// middle: of the session, or because there is another controller. The term cannot go on then.
func (t *term) step(ev planner.Event) (*planner.Shutdown, error) {
	var done *planner.Shutdown
	if told := t.c.cfg.Handled; told != nil {
		begin, first := time.Now(), ev
		defer func() { told(first, time.Since(begin)) }()
	}
	defer func() {
		deletions := t.plan.Deletions()
		t.c.deletions.Store(&deletions)
		t.c.unclean.Store(int64(t.plan.UncleanElections()))
	}()
	for {
		p := t.plan.Step(ev)
		t.log.Debug().Type("event", ev).Int("writes", len(p.Writes)).Int("requests", len(p.Requests)).Msg("event")
		for _, n := range p.Notes {
			if n.Warning {
				t.log.Warn().Msg(n.Text)
			} else {
				t.log.Info().Msg(n.Text)
			}
		}
		for _, name := range p.Forgotten {
			path := znode.TopicPath(name)
			t.c.client.Unhandle(path)
			delete(t.watched, path)
		}
		t.connect(p.Gone, p.Come)
		t.send(p.Requests)
		if p.Shutdown != nil {
			done = p.Shutdown
		}
		if len(p.Writes) == 0 {
			return done, nil
		}
		results, err := t.write(p.Writes)
		if err != nil {
			return nil, err
		}
		ev = planner.Written{Results: results}
	}
}

// write carries out writes, many at a time, each multi[check /controller_epoch, op].
func (t *term) write(ws []planner.Write) ([]planner.Result, error) {
	results := make([]planner.Result, len(ws))
	var ops []znode.Op
	var at []int // index of the write that an op belongs to
	for i, w := range ws {
		if w.Kind == planner.RemoveTopic {
			continue
		}
		ops, at = append(ops, op(w)), append(at, i)
	}
	written, err := t.s.Batch(t.ctx, t.elected.Fence, ops)
	if err != nil {
		return nil, err
	}
	var conflicts []topic.Partition
	var where []int
	for n, wr := range written {
		i := at[n]
		w := ws[i]
		switch {
		case wr.Err == nil:
			results[i].Version = wr.Stat.Version
		case w.Kind == planner.DropDeletionRequest && errors.Is(wr.Err, znode.ErrNoNode):
		case errors.Is(wr.Err, znode.ErrNodeExists), w.Kind == planner.SetState && (errors.Is(wr.Err, znode.ErrBadVersion) || errors.Is(wr.Err, znode.ErrNoNode)):
			results[i].Conflict = true
			if w.Kind == planner.SetState || w.Kind == planner.CreateState {
				conflicts, where = append(conflicts, topic.Partition{Topic: w.Topic, Partition: w.Partition}), append(where, i)
			}
		default:
			results[i].Failed = wr.Err
		}
	}
	if len(conflicts) > 0 {
		stored, skipped, err := t.s.PartitionStates(t.ctx, conflicts)
		if err != nil {
			return nil, err
		}
		t.report(skipped)
		for n, tp := range conflicts {
			if st, ok := stored[tp]; ok {
				results[where[n]].Stored = &st
			}
		}
	}
	for i, w := range ws {
		if w.Kind == planner.RemoveTopic {
			if results[i].Failed, err = t.removeTopic(w.Topic); err != nil {
				return nil, err
			}
		}
	}
	return results, nil
}

func op(w planner.Write) znode.Op {
	switch w.Kind {
	case planner.MakePartitions:
		return znode.Create(znode.PartitionsPath(w.Topic), nil)
	case planner.MakePartition:
		return znode.Create(znode.PartitionPath(w.Topic, w.Partition), nil)
	case planner.CreateState:
		return znode.Create(znode.StatePath(w.Topic, w.Partition), w.State.Encode())
	case planner.SetState:
		return znode.Set(znode.StatePath(w.Topic, w.Partition), w.State.Encode(), w.State.Version)
	case planner.SetTopic:
		return znode.Set(znode.TopicPath(w.Topic), w.Node.Encode(), -1)
	case planner.DropDeletionRequest:
		return znode.Delete(znode.DeleteTopicPath(w.Topic), -1)
	}
	panic(fmt.Sprintf("controller: write of kind %d", w.Kind))
}

// removeTopic removes a topic's nodes, the request for it last. ended is an error that ends the term.
func (t *term) removeTopic(name string) (failed, ended error) {
	// Else its own removals would come back as events.
	t.c.client.Unhandle(znode.TopicPath(name))
	err := t.s.DeleteAll(t.ctx, t.elected.Fence, znode.TopicPath(name))
	if err == nil {
		err = t.s.DeleteNodes(t.ctx, t.elected.Fence, []string{znode.EntityPath("topics", name)})
	}
	if err == nil {
		err = t.s.DeleteNodes(t.ctx, t.elected.Fence, []string{znode.DeleteTopicPath(name)})
	}
	if err != nil && (errors.Is(err, znode.ErrFenced) || t.s.Err() != nil || t.ctx.Err() != nil) {
		return nil, err
	}
	return err, nil
}

// connect closes the channels to brokers that are gone, and opens those to the ones that have come.
func (t *term) connect(gone []int32, come []znode.Broker) {
	for _, id := range gone {
		t.disconnect(id)
	}
	for _, b := range come {
		e, ok := b.Endpoint(t.c.cfg.Listener)
		if !ok {
			t.log.Error().Int32("broker", b.ID).Str("listener", t.c.cfg.Listener).Msg("broker does not have the listener that the controller uses; it cannot be told anything")
			continue
		}
		t.disconnect(b.ID)
		t.channels[b.ID] = peer.NewChannel(t.c.cfg.Peer, peer.Node{ID: b.ID, Host: e.Host, Port: e.Port})
	}
}

func (t *term) disconnect(id int32) {
	if ch := t.channels[id]; ch != nil {
		ch.Close()
		ch.Wait()
		delete(t.channels, id)
	}
}

// send queues requests on the channels of their brokers.
func (t *term) send(requests []planner.Request) {
	f := framer{controller: t.c.cfg.BrokerID, epoch: t.elected.Epoch, listener: t.c.cfg.Listener}
	for _, r := range requests {
		id, epoch := r.To()
		ch := t.channels[id]
		if ch == nil {
			continue
		}
		switch r := r.(type) {
		case *planner.LeaderAndISR:
			ch.Send(f.leaderAndISR(r), func(resp kmsg.Response) {
				t.post(func() error { return t.started(id, epoch, r, resp.(*kmsg.LeaderAndISRResponse)) })
			})
		case *planner.UpdateMetadata:
			ch.Send(f.updateMetadata(r), func(resp kmsg.Response) {
				if err := kerr.ErrorForCode(resp.(*kmsg.UpdateMetadataResponse).ErrorCode); err != nil {
					t.log.Warn().Err(err).Int32("broker", id).Msg("broker refuses UpdateMetadata")
				}
			})
		case *planner.StopReplica:
			ch.Send(f.stopReplica(r), func(resp kmsg.Response) {
				t.post(func() error { return t.stopped(id, epoch, r, resp.(*kmsg.StopReplicaResponse)) })
			})
		}
	}
}

// started passes on an answer to LeaderAndIsr. Other errors than lost directories are refusals of what the broker has heard
// before (an epoch that has not risen), or of a former life, and mean nothing.
func (t *term) started(broker int32, epoch int64, r *planner.LeaderAndISR, resp *kmsg.LeaderAndISRResponse) error {
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		t.log.Warn().Err(err).Int32("broker", broker).Msg("broker refuses LeaderAndIsr")
		return nil
	}
	names := map[topic.ID]string{}
	for _, p := range r.Partitions {
		names[p.TopicID] = p.Partition.Topic
	}
	errs := make(map[topic.Partition]int16, len(r.Partitions))
	for _, rt := range resp.Topics {
		for _, p := range rt.Partitions {
			errs[topic.Partition{Topic: names[rt.TopicID], Partition: p.Partition}] = p.ErrorCode
		}
	}
	_, err := t.step(planner.ReplicasStarted{Broker: broker, Epoch: epoch, Errors: errs})
	return err
}

// stopped passes on an answer to StopReplica; an error of the whole request is one of each partition.
func (t *term) stopped(broker int32, epoch int64, r *planner.StopReplica, resp *kmsg.StopReplicaResponse) error {
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		t.log.Warn().Err(err).Int32("broker", broker).Msg("broker refuses StopReplica")
	}
	errs := map[topic.Partition]int16{}
	for _, p := range resp.Partitions {
		errs[topic.Partition{Topic: p.Topic, Partition: p.Partition}] = p.ErrorCode
	}
	if resp.ErrorCode != 0 {
		for _, p := range r.Partitions {
			errs[p.Partition] = resp.ErrorCode
		}
	}
	_, err := t.step(planner.ReplicasStopped{Broker: broker, Epoch: epoch, Errors: errs})
	return err
}
