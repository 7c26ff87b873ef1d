package metrics

import (
	"bytes"
	"encoding/json"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/api/shape"
	"ottla/broker/network"
)

// RequestLog is the log of requests. Requests (kafka.request.logger) has those that took long at WARN and all at DEBUG, with the
// parts of their time; Arrivals (kafka.server.KafkaApis) has each as it arrives at TRACE, with what is in it.
type RequestLog struct {
	Requests, Arrivals zerolog.Logger
	// Burst keeps slow requests from being most of what the log says; nil: all are told.
	Burst zerolog.Sampler
	// Security is the protocol of a listener, for the lines.
	Security map[string]string

	slow atomic.Int64
}

// SetSlow says how long a request may take before it is logged; 0 or less: as long as it likes, which it is at first. Time that a
// request is meant to wait is not counted (see patient).
func (l *RequestLog) SetSlow(d time.Duration) { l.slow.Store(int64(d)) }

// patient are requests that wait for others because their clients want them to: for records, for the other members of a group.
var patient = map[int16]bool{int16(kmsg.Fetch): true, int16(kmsg.JoinGroup): true, int16(kmsg.SyncGroup): true}

func (l *RequestLog) end(x *network.Exchange) {
	if slow := time.Duration(l.slow.Load()); slow > 0 {
		took := x.Total()
		if patient[x.Key] {
			took -= x.Remote
		}
		if took >= slow && (l.Burst == nil || l.Burst.Sample(zerolog.WarnLevel)) {
			l.describe(l.Requests.Warn(), x).Dur("boundMs", slow).Msg("request was slow")
			return
		}
	}
	if ev := l.Requests.Debug(); ev.Enabled() {
		l.describe(ev, x).Msg("request completed")
	}
}

// describe adds what is known of a request. Times are in milliseconds, under the names of Kafka's request log.
func (l *RequestLog) describe(ev *zerolog.Event, x *network.Exchange) *zerolog.Event {
	if ev == nil {
		return nil
	}
	ms := func(d time.Duration) float64 { return float64(d/time.Microsecond) / 1000 }
	return ev.Str("api", APIName(x.Key)).Int16("version", x.Version).Int32("correlationId", x.CorrelationID).Str("clientId", x.ClientID).
		Str("client", x.Conn.ClientHost).Uint64("connection", x.Conn.ID).Str("listener", x.Conn.Listener).Str("principal", x.Conn.Principal).
		Str("securityProtocol", l.Security[x.Conn.Listener]).Int("requestBytes", x.RequestBytes).Int("responseBytes", x.AnswerBytes).
		Float64("totalTimeMs", ms(x.Total())).Float64("requestQueueTimeMs", ms(x.Queue)).Float64("localTimeMs", ms(x.Local)).
		Float64("remoteTimeMs", ms(x.Remote)).Float64("throttleTimeMs", ms(x.Throttle)).Float64("responseQueueTimeMs", ms(x.AnswerQueue)).
		Float64("sendTimeMs", ms(x.Send))
}

// secret are requests whose bodies are never shown: passwords of configurations and users, tokens, what clients write.
var secret = map[int16]bool{
	int16(kmsg.Produce): true, int16(kmsg.AlterConfigs): true, int16(kmsg.IncrementalAlterConfigs): true, int16(kmsg.AlterUserSCRAMCredentials): true,
	int16(kmsg.SASLAuthenticate): true, int16(kmsg.CreateDelegationToken): true, int16(kmsg.RenewDelegationToken): true,
	int16(kmsg.ExpireDelegationToken): true, int16(kmsg.Envelope): true,
}

// bodyMax is the largest body that is shown.
const bodyMax = 64 << 10

func (l *RequestLog) begin(r *api.Request) {
	ev := l.Arrivals.Trace()
	if !ev.Enabled() {
		return
	}
	ev.Str("api", APIName(r.Key)).Int16("version", r.Version).Int32("correlationId", r.CorrelationID).Str("clientId", r.ClientID).
		Str("client", r.Conn.ClientHost).Uint64("connection", r.Conn.ID).Str("listener", r.Conn.Listener).Str("principal", r.Conn.Principal).
		Int("requestBytes", r.Size)
	if body := show(r); body != nil {
		ev.RawJSON("request", body)
	}
	ev.Msg("request arrived")
}

// show is the body as JSON; nil if it is not to be shown, or cannot be.
func show(r *api.Request) []byte {
	if secret[r.Key] || len(r.Body) > bodyMax {
		return nil
	}
	s, ok := shape.Request(r.Key, r.Version)
	if !ok {
		return nil
	}
	if _, _, err := s.Check(r.Body, shape.Limits{Decoded: shape.DecodedMax(len(r.Body))}); err != nil {
		return nil
	}
	q := kmsg.RequestForKey(r.Key)
	q.SetVersion(r.Version)
	if q.ReadFrom(bytes.Clone(r.Body)) != nil {
		return nil
	}
	text, err := json.Marshal(q)
	if err != nil {
		return nil
	}
	return text
}
