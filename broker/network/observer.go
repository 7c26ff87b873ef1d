package network

import (
	"sync"
	"time"

	"ottla/broker/api"
)

// Observer is told what became of each request: for metrics and the request log. Its methods run on the connections' own
// goroutines, so they must be quick and must not block.
type Observer interface {
	// Begin is called before the request's handler runs. r is valid during the call.
	Begin(r *api.Request)
	// Answer is called with the answer of an API, before it is encoded and given up.
	Answer(key int16, a api.Response)
	// End is called when the answer has been written, or would have been if one were due. Requests whose connection ended before
	// have no End. x is valid during the call.
	End(x *Exchange)
}

// Exchange is a request that is over, and where its time went. Requests that were taken together (api.Sweep) each have the whole
// time that all took.
type Exchange struct {
	Key, Version  int16
	CorrelationID int32
	ClientID      string
	Conn          *api.Conn
	At            time.Duration // when it was over: Server.Elapsed
	Follower      bool          // a Fetch of a replica (api.Request.Follower)
	// Bytes of the frames, without their length words. An answer that is not due (acks=0) has none.
	RequestBytes, AnswerBytes int
	// Together is how many requests were taken together, this one among them.
	Together int

	Queue       time.Duration // it was there, and requests before it on the connection were served
	Local       time.Duration // its handler ran
	Remote      time.Duration // its handler waited for others: records, replicas, members of a group, the disk's sync
	AnswerQueue time.Duration // the answer was there, and more were collected for one write
	Send        time.Duration // it was written
	Throttle    time.Duration // for so long the connection is not read from now on, which is not part of Total
}

// Total is the time from the request's arrival to its answer's end.
func (x *Exchange) Total() time.Duration {
	return x.Queue + x.Local + x.Remote + x.AnswerQueue + x.Send
}

// span is an Exchange under way. Its times are the server's (Server.Elapsed).
type span struct {
	arrived, begun, ran, answered time.Duration
	waited                        time.Duration // between begun and ran
	key, version                  int16
	correlation                   int32
	client                        string
	follower, streamed            bool
	together                      uint8
	requestBytes, answerBytes     int32
	throttle                      time.Duration
}

// begin announces requests whose handler runs next, and returns the time; 0 when there is no observer.
func (c *conn) begin(rs ...*api.Request) time.Duration {
	o := c.srv.cfg.Observer
	if o == nil {
		return 0
	}
	for _, r := range rs {
		o.Begin(r)
	}
	return c.srv.Elapsed()
}

// span is that of a request whose handler has run.
func (c *conn) span(r *api.Request, begun, ran time.Duration) span {
	return span{
		arrived: c.arrived, begun: begun, ran: ran, answered: ran, key: r.Key, version: r.Version, correlation: r.CorrelationID,
		client: r.ClientID, follower: r.Follower, requestBytes: int32(r.Size), together: 1,
	}
}

// now is the time for spans; 0 when there is no observer.
func (c *conn) now() time.Duration {
	if c.srv.cfg.Observer == nil {
		return 0
	}
	return c.srv.Elapsed()
}

// unsent are the spans whose answers are written next. They have a place of their own only while there are any.
var unsent = sync.Pool{New: func() any { s := make([]span, 0, 8); return &s }}

// unsentKept is the longest list that goes back to the pool.
const unsentKept = 4 * sweepMax

// queued remembers that an answer is in the output, or, if none of it is left there, ends its span.
func (o *output) queued(s *span, size int) {
	if s.begun == 0 {
		return
	}
	s.answerBytes = int32(size)
	s.throttle = max(o.c.info.Muted(), 0)
	if len(o.b) == 0 {
		o.c.end(s, s.answered, o.c.now())
		return
	}
	if o.unsent == nil {
		o.unsent = unsent.Get().(*[]span)
	}
	*o.unsent = append(*o.unsent, *s)
}

// sent ends the spans of what was in the output.
func (o *output) sent(begin time.Duration) {
	if o.unsent == nil {
		return
	}
	now := o.c.now()
	for i := range *o.unsent {
		s, at := &(*o.unsent)[i], begin
		if s.streamed {
			at = s.answered // most of it has been written before
		}
		o.c.end(s, at, now)
	}
	o.forget()
}

// forget drops the spans of answers that are never written.
func (o *output) forget() {
	if o.unsent == nil {
		return
	}
	clear(*o.unsent)
	if *o.unsent = (*o.unsent)[:0]; cap(*o.unsent) <= unsentKept {
		unsent.Put(o.unsent)
	}
	o.unsent = nil
}

// end tells the observer of a request whose answer was written from begin until now. Called by who uses c.out.
func (c *conn) end(s *span, begin, now time.Duration) {
	x := &c.out.ended
	*x = Exchange{
		Key: s.key, Version: s.version, CorrelationID: s.correlation, ClientID: s.client, Conn: &c.info, At: now, Follower: s.follower,
		RequestBytes: int(s.requestBytes), AnswerBytes: int(s.answerBytes), Together: int(s.together), Throttle: s.throttle,
		Queue: s.begun - s.arrived, Local: s.ran - s.begun - s.waited, Remote: s.waited + s.answered - s.ran, AnswerQueue: begin - s.answered, Send: now - begin,
	}
	c.srv.cfg.Observer.End(x)
}
