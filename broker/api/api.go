// Package api is the contract between the network and the handlers of Kafka's APIs. It holds no handler: those live with
// their noun (group, controller, dataplane, …) and register themselves, so that what ApiVersions advertises is by
// construction what is served.
//
// # The life of a request
//
// network reads a frame, parses its header and looks the (key, version) up in the Registry. It runs the entry's Handler on
// the connection's own goroutine, one request at a time and in order; a handler that waits (a long poll, a join) blocks
// that connection and no other. Unless the handler decodes by hand, the body is checked against its layout (package shape)
// before kmsg decodes it, which would believe whatever it claims. The answer is encoded behind the header and written in the
// order of the requests. Only an API registered with RegisterSweep (Produce) may leave answers pending while the next
// requests run.
package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/semaphore"
)

// Conn is what a handler may know about the connection that a request came in on. Its fields are immutable while a handler runs.
type Conn struct {
	ID         uint64
	Listener   string // the listener's name, upper case
	Principal  string // "User:ANONYMOUS" without authentication
	ClientHost string // the client's address without the port

	mute mute
}

// User is the principal's name: "ANONYMOUS" without authentication.
func (c *Conn) User() string { return strings.TrimPrefix(c.Principal, "User:") }

// Request is one request. Body aliases the connection's buffer: it is valid until the handler has returned (for a sweep:
// until the sweep function has returned), and the handler may change it in place.
type Request struct {
	Key           int16
	Version       int16
	CorrelationID int32
	ClientID      string // "" when null
	Body          []byte
	Size          int // of header and body, in bytes
	Conn          *Conn
	Received      time.Time
	Follower      bool // set by the handler of Fetch: a replica asks, not a consumer
}

// Response is an answer body. All kmsg responses are one; large answers implement Streamed instead of building bytes.
type Response interface {
	// AppendTo appends the body, without any header, in the version of its request.
	AppendTo(dst []byte) []byte
}

// Streamed is a Response of file regions, written in pieces and never whole in memory.
type Streamed interface {
	Response
	// Size is the exact number of bytes that Stream will write.
	Size() int64
	// Stream writes the body. w is the connection; it may be a network.FileWriter, for sendfile. An error closes the connection.
	Stream(w Writer) error
	// Close releases what the answer refers to (segments). Called exactly once, written or not.
	Close()
}

// Writer is the connection as a Streamed answer sees it.
type Writer interface {
	Write(p []byte) (int, error)
}

// Handler serves one request. A nil Response without an error means that no answer is due (acks=0). An error closes the
// connection; errors that the protocol can express belong in the response. ctx ends when the connection or the server does.
type Handler func(ctx context.Context, req *Request) (Response, error)

// Sweep serves consecutive requests of one connection that arrived together. It returns as many answers, in their order.
type Sweep func(ctx context.Context, reqs []*Request) []Answer

// Answer is one answer of a Sweep, possibly not there yet.
type Answer interface {
	// Ready is closed when Result may be called; nil means now.
	Ready() <-chan struct{}
	// Result is as of Handler. Called once.
	Result() (Response, error)
}

// Entry is a registered API. Exactly one of Handle and Sweep is set.
type Entry struct {
	Key      int16
	Min, Max int16
	Handle   Handler
	Sweep    Sweep
}

// Registry maps API keys to handlers. Registration happens before serving; afterwards it is read-only and safe for
// concurrent use.
type Registry struct {
	entries map[int16]Entry
	// decoding bounds what large bodies that are being decoded at a time decode to, in bytes.
	decoding *semaphore.Weighted
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{entries: map[int16]Entry{}, decoding: semaphore.NewWeighted(decodingMax)}
}

// Add registers e. It panics when the key is taken: two handlers for one API are a programming error.
func (r *Registry) Add(e Entry) {
	if _, taken := r.entries[e.Key]; taken || (e.Handle == nil) == (e.Sweep == nil) {
		panic(fmt.Sprintf("api: %s registered twice or without one handler", kmsg.NameForKey(e.Key)))
	}
	r.entries[e.Key] = e
}

// Lookup finds the entry that serves the key, whatever versions it has.
func (r *Registry) Lookup(key int16) (Entry, bool) {
	e, ok := r.entries[key]
	return e, ok
}

// Wrap puts what f makes of each handler in its place. Entries with a Sweep stay as they are. Before serving.
func (r *Registry) Wrap(f func(Entry) Handler) {
	for key, e := range r.entries {
		if e.Handle != nil {
			e.Handle = f(e)
			r.entries[key] = e
		}
	}
}

// Entries lists what is served, by key.
func (r *Registry) Entries() []Entry {
	es := make([]Entry, 0, len(r.entries))
	for _, e := range r.entries {
		es = append(es, e)
	}
	slices.SortFunc(es, func(a, b Entry) int { return int(a.Key) - int(b.Key) })
	return es
}

// Register adds an API whose request kmsg decodes, in versions min to max. h gets the decoded request, which it may keep
// (kmsg copies strings; byte fields still alias req.Body and must be cloned to outlive h), and returns the matching response,
// whose version Register sets. A body that does not decode closes the connection, as in Apache Kafka; so does one that would
// decode to more than shape.DecodedMax. It panics for versions that Apache Kafka 3.9 does not have.
func Register[Q kmsg.Request](r *Registry, min, max int16, h func(ctx context.Context, req *Request, q Q) (kmsg.Response, error)) {
	var zero Q
	key := zero.Key()
	register(r, key, min, max, func() Q { return kmsg.RequestForKey(key).(Q) }, h)
}

// Code is the protocol's error code for err: 0 for nil, the code of the *kerr.Error in its chain, else UNKNOWN_SERVER_ERROR.
func Code(err error) int16 {
	if err == nil {
		return 0
	}
	var ke *kerr.Error
	if errors.As(err, &ke) {
		return ke.Code
	}
	return kerr.UnknownServerError.Code
}
