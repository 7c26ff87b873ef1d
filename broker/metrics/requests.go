package metrics

import (
	"slices"
	"sync/atomic"
	"time"

	"ottla/broker/api"
	"ottla/broker/network"
)

// Coded is an answer that says which error codes are in it. Answers of kmsg need not: theirs are found.
type Coded interface {
	ErrorCodes(to Counter)
}

// Counter is told of error codes.
type Counter interface {
	Count(code int16)
}

const (
	apisMax     = 128 // API keys
	versionsMax = 32
	codesMax    = 160 // error codes from -1 on
)

// parts of a request that have a distribution.
const (
	totalTime = iota
	queueTime
	localTime
	remoteTime
	throttleTime
	answerQueueTime
	sendTime
	requestBytes
	partsMax
)

// partNames are those of Kafka's RequestMetrics; times are shown in milliseconds.
var partNames = [partsMax]struct {
	name, help string
	scale      float64
}{
	{"totaltimems", "time from a request's arrival to the end of its answer, ms", 1e-3},
	{"requestqueuetimems", "time that requests waited for those before them on their connection, ms", 1e-3},
	{"localtimems", "time that requests were worked on, ms", 1e-3},
	{"remotetimems", "time that requests waited for records, replicas, group members or the disk, ms", 1e-3},
	{"throttletimems", "time for which clients were throttled, ms", 1e-3},
	{"responsequeuetimems", "time that answers waited for being written, ms", 1e-3},
	{"responsesendtimems", "time that answers took to be written, ms", 1e-3},
	{"requestbytes", "size of requests, bytes", 1},
}

// apiStats are one API's.
type apiStats struct {
	parts    *Histograms // µs, and bytes
	versions [versionsMax]atomic.Uint64
	errors   [codesMax]atomic.Uint64 // by code + 1
}

// Requests counts requests, and logs those that are slow or that somebody wants to see. It is a network.Observer.
type Requests struct {
	now func() time.Duration // the clock of Exchange.At
	log *RequestLog

	apis     [apisMax]atomic.Pointer[apiStats]
	consumer atomic.Pointer[apiStats] // Fetch of consumers, and of followers: apis has none of Fetch
	follower atomic.Pointer[apiStats]

	busy Meter // ns
}

// NewRequests counts from now on. served are the APIs that are shown before anybody has used them. now is the clock that
// Exchange.At is on.
func NewRequests(log *RequestLog, now func() time.Duration, served ...int16) *Requests {
	r := &Requests{now: now, log: log}
	for _, key := range served {
		r.of(key, false)
	}
	return r
}

// SetSlow is RequestLog's.
func (r *Requests) SetSlow(d time.Duration) { r.log.SetSlow(d) }

const keyFetch = 1

// of is the API's statistics, made if there are none. nil: there is no such API.
func (r *Requests) of(key int16, follower bool) *apiStats {
	if key < 0 || key >= apisMax {
		return nil
	}
	at := &r.apis[key]
	if key == keyFetch {
		if at = &r.consumer; follower {
			at = &r.follower
		}
	}
	if a := at.Load(); a != nil {
		return a
	}
	at.CompareAndSwap(nil, &apiStats{parts: NewHistograms(partsMax)})
	return at.Load()
}

// Begin implements network.Observer.
func (r *Requests) Begin(q *api.Request) { r.log.begin(q) }

// Answer implements network.Observer: it counts the errors in an answer.
func (r *Requests) Answer(key int16, answer api.Response) {
	a := r.of(key, false)
	if a == nil {
		return
	}
	if c, ok := answer.(Coded); ok {
		c.ErrorCodes(a)
		return
	}
	countCodes(answer, a)
}

// Count implements Counter.
func (a *apiStats) Count(code int16) {
	if i := int(code) + 1; i >= 0 && i < codesMax {
		a.errors[i].Add(1)
	}
}

// End implements network.Observer.
func (r *Requests) End(x *network.Exchange) {
	a := r.of(x.Key, x.Follower)
	if a == nil {
		return
	}
	if v := x.Version; v >= 0 && v < versionsMax {
		a.versions[v].Add(1)
	}
	us := func(d time.Duration) int64 { return int64(d / time.Microsecond) }
	a.parts.Add(x.At, us(x.Total()), us(x.Queue), us(x.Local), us(x.Remote), us(x.Throttle), us(x.AnswerQueue), us(x.Send), int64(x.RequestBytes))
	r.busy.Add(x.At, int64(x.Local+x.Send)/int64(max(x.Together, 1)))
	r.log.end(x)
}

// Collect writes what was counted.
func (r *Requests) Collect(w *Writer) {
	for key := range int16(apisMax) {
		name := APIName(key)
		if key == keyFetch {
			var both [partsMax]*Distribution
			for _, of := range []struct {
				a    *apiStats
				name string
			}{{r.of(key, false), "FetchConsumer"}, {r.of(key, true), "FetchFollower"}} {
				for i, d := range r.write(w, of.name, of.a) {
					if both[i] == nil {
						both[i] = d
					} else {
						both[i].Merge(d)
					}
				}
			}
			writeParts(w, name, both)
			continue
		}
		if a := r.apis[key].Load(); a != nil {
			r.write(w, name, a)
		}
	}
}

const requestMetrics = "kafka_network_requestmetrics_"

func (r *Requests) write(w *Writer, name string, a *apiStats) (parts [partsMax]*Distribution) {
	now := r.now()
	for i := range parts {
		parts[i] = a.parts.Distribution(now, i)
	}
	writeParts(w, name, parts)
	for v := range a.versions {
		if n := a.versions[v].Load(); n > 0 {
			w.Counter(requestMetrics+"requests_total", "requests", float64(n), "request", name, "version", Int(v))
		}
	}
	api := name
	if name == "FetchConsumer" {
		api = "Fetch" // errors are not counted apart
	}
	for i := range a.errors {
		if n := a.errors[i].Load(); n > 0 {
			w.Counter(requestMetrics+"errors_total", "error codes in answers", float64(n), "request", api, "error", ErrorName(int16(i-1)))
		}
	}
	return parts
}

func writeParts(w *Writer, name string, parts [partsMax]*Distribution) {
	for i, d := range parts {
		w.Distribution(requestMetrics+partNames[i].name, partNames[i].help, d, partNames[i].scale, "request", name)
	}
}

// Busy is for how long requests have been worked on and answers written since the start, and the share of cores that was over the
// last minute.
func (r *Requests) Busy(cores int) (total time.Duration, share float64) {
	return r.busy.share(r.now(), cores)
}

// Meter sums up time, and remembers how it grew over the last minute. Safe for concurrent use.
type Meter struct {
	sum  atomic.Int64
	next atomic.Int64 // when the next sample is due

	samples atomic.Pointer[[]sample] // oldest first; replaced, never changed
}

type sample struct{ at, sum int64 }

const (
	samplePeriod = int64(5 * time.Second)
	samplesKept  = 13
)

// Add adds d, at a time on any clock that does not go back.
func (m *Meter) Add(now time.Duration, d int64) {
	sum := m.sum.Add(d)
	if due := m.next.Load(); int64(now) >= due && m.next.CompareAndSwap(due, int64(now)+samplePeriod) {
		m.sample(sample{int64(now), sum})
	}
}

// sample is called by one goroutine at a time: who moved next.
func (m *Meter) sample(s sample) {
	var kept []sample
	if old := m.samples.Load(); old != nil {
		kept = slices.Clone(*old)
	}
	if kept = append(kept, s); len(kept) > samplesKept {
		kept = kept[1:]
	}
	m.samples.Store(&kept)
}

// share is the sum, and how many of so many cores it took over the last minute, from 0 to 1.
func (m *Meter) share(now time.Duration, cores int) (time.Duration, float64) {
	sum := m.sum.Load()
	since := sample{}
	if kept := m.samples.Load(); kept != nil {
		since = (*kept)[0]
		for _, s := range *kept {
			if int64(now)-s.at >= int64(time.Minute) {
				since = s
			}
		}
	}
	if int64(now) <= since.at {
		return time.Duration(sum), 0
	}
	return time.Duration(sum), min(max(float64(sum-since.sum)/float64(int64(now)-since.at)/float64(max(cores, 1)), 0), 1)
}
