package broker

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/config"
	"ottla/broker/quota"
)

// This file is where quotas meet requests. Whatever comes of it, the answer leaves at once; it says for how long its client is
// throttled, and for that long the connection is not read (KIP-219).

func newQuotas(c *config.Config) *quotas {
	q := &quotas{born: time.Now()}
	q.meter = quota.NewMeter(&q.table, quota.Window{Samples: int(c.QuotaWindows), Size: c.QuotaWindow},
		quota.Window{Samples: int(c.ControllerQuotaWindows), Size: c.ControllerQuotaWindow})
	return q
}

func (q *quotas) now() time.Duration { return time.Since(q.born) }

// exempt are the requests between brokers and controllers, which no quota holds up. Produce and Fetch count for themselves, since
// how much they carry is known only there.
var exempt = map[kmsg.Key]bool{
	kmsg.Fetch: true, kmsg.LeaderAndISR: true, kmsg.StopReplica: true, kmsg.UpdateMetadata: true, kmsg.ControlledShutdown: true,
	kmsg.WriteTxnMarkers: true, kmsg.AlterPartition: true,
}

// throttled is the entry's handler, followed by the count of the time that it took.
func (q *quotas) throttled(e api.Entry) api.Handler {
	if exempt[kmsg.Key(e.Key)] {
		return e.Handle
	}
	return func(ctx context.Context, r *api.Request) (api.Response, error) {
		user := r.Conn.User()
		timed := q.meter.Limited(user, r.ClientID, quota.RequestPercent)
		if !timed && !q.table.Load().Any(quota.Mutations) {
			return e.Handle(ctx, r)
		}
		waits, ok := api.WaitsOf(ctx)
		if !ok {
			waits = new(api.Waits)
			ctx = api.WithWaits(ctx, waits)
		}
		begin, before := time.Now(), waits.Total()
		resp, err := e.Handle(ctx, r)
		if resp == nil || err != nil {
			return resp, err
		}
		var wait time.Duration
		if timed {
			wait = q.time(user, r.ClientID, time.Since(begin)-(waits.Total()-before))
		}
		if own, ok := resp.(kmsg.ThrottleResponse); ok { // of changes of topics
			ms, _ := own.Throttle()
			wait = max(wait, time.Duration(ms)*time.Millisecond)
		}
		if set, ok := resp.(kmsg.SetThrottleResponse); ok {
			set.SetThrottle(int32(wait.Milliseconds()))
		}
		if wait > 0 {
			r.Conn.Mute(wait)
		}
		return resp, nil
	}
}

// time counts a share of the request threads' time, in percent of a second of one.
func (q *quotas) time(user, client string, took time.Duration) time.Duration {
	return min(q.meter.Record(quota.RequestPercent, user, client, took.Seconds()*100, q.now()), q.meter.Longest())
}

// limited is network.Config's.
func (q *quotas) limited(c *api.Conn, client []byte) bool {
	l := q.table.Load()
	return (l.Any(quota.ProduceBytes) || l.Any(quota.RequestPercent)) &&
		q.meter.Limited(c.User(), string(client), quota.ProduceBytes, quota.RequestPercent)
}

// Produced is dataplane.Quotas'.
func (q *quotas) Produced(c *api.Conn, client string, size int, took time.Duration, answered bool) time.Duration {
	wait := q.meter.Record(quota.ProduceBytes, c.User(), client, float64(size), q.now())
	if answered {
		wait = max(wait, q.time(c.User(), client, took))
	}
	if wait > 0 {
		c.Mute(wait)
	}
	return wait
}

// Fetched is dataplane.Quotas'.
func (q *quotas) Fetched(c *api.Conn, client string, size int, took time.Duration) time.Duration {
	wait := q.time(c.User(), client, took)
	bytes := q.meter.Record(quota.FetchBytes, c.User(), client, float64(size), q.now())
	if wait = max(wait, bytes); wait > 0 {
		q.meter.Record(quota.FetchBytes, c.User(), client, -float64(size), q.now()) // what is not sent does not count
		c.Mute(wait)
	}
	return wait
}

// FetchMost is dataplane.Quotas'.
func (q *quotas) FetchMost(c *api.Conn, client string) (int, bool) {
	most, ok := q.meter.Most(quota.FetchBytes, c.User(), client)
	return int(min(most, 1<<31-1)), ok
}

// Active is dataplane.Quotas'.
func (q *quotas) Active() bool {
	l := q.table.Load()
	return l.Any(quota.ProduceBytes) || l.Any(quota.FetchBytes) || l.Any(quota.RequestPercent)
}

// Change is controller.Quotas'.
func (q *quotas) Change(r *api.Request, partitions int, strict bool) time.Duration {
	return q.meter.Change(r.Conn.User(), r.ClientID, float64(partitions), strict, q.now())
}
