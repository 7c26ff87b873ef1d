package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"ottla/coord/wire"
)

// Operations that only servers put into the log; their numbers are not ZooKeeper's and never seen by a client.
const (
	// OpAttach moves a session to a new connection. Body: password as jute buffer, timeout int (ms).
	OpAttach wire.Op = -1001
	// OpExpire closes a session that was silent for too long, unless it was attached again since: Attach is the stamp that the proposer
	// saw. No body.
	OpExpire wire.Op = -1002
	// OpReap deletes a container that is empty again, or a node whose time to live is over. Body: path, then long: how many ms a container may
	// stay that never had a child, 0 for as long as it likes. Without the long it is 0.
	OpReap wire.Op = -1003
)

// Flags of an entry: configuration that decides how its requests are judged.
const (
	FlagSkipACL       uint8 = 1 << iota // skipACL=yes
	FlagExtendedTypes                   // extendedTypesEnabled: nodes with a time to live
	FlagQuotas                          // what quotas count is counted; servers before quotas did not
	FlagEnforceQuota                    // enforceQuota=true
	FlagSASL                            // lists may have entries of scheme sasl
	FlagX509                            // lists may have entries of scheme x509
	FlagReconfig                        // reconfigEnabled=true
	FlagNoDigest                        // lists may not have entries of scheme digest
)

const (
	entryVersion = 1
	entryHead    = 1 + 1 + 2 + 8 + 8
	requestHead  = 4 + 8 + 4 + 4 + 8 + 4
	// RequestsMax is how many requests an entry can hold.
	RequestsMax = math.MaxUint16
)

// Request is one write of a client, or of the server itself.
type Request struct {
	Op      wire.Op
	Session int64
	// Attach is the stamp of the connection that the request came through: what createSession or OpAttach answered to it. A request with
	// another stamp than the session's is refused with CodeSessionMoved.
	Attach uint32
	Cxid   int32 // the client's xid, kept for people who read the log
	Time   int64 // wall clock of the proposer, ms since 1970
	Auth   []byte
	Body   []byte
}

// Batch builds an entry. The zero value is not ready: call Reset. Not safe for concurrent use.
type Batch struct {
	b     []byte
	count int
}

// Reset starts an entry in buf, whose content is dropped; nil allocates. The requests get the numbers firstSeq, firstSeq+1, ….
func (b *Batch) Reset(buf []byte, flags uint8, incarnation, firstSeq uint64) {
	b.b = append(buf[:0], entryVersion, flags, 0, 0)
	b.b = binary.BigEndian.AppendUint64(b.b, incarnation)
	b.b = binary.BigEndian.AppendUint64(b.b, firstSeq)
	b.count = 0
}

// Append adds a request, whose slices are copied. There is room for RequestsMax.
func (b *Batch) Append(r *Request) {
	be := binary.BigEndian
	b.b = be.AppendUint32(b.b, uint32(requestHead+len(r.Auth)+len(r.Body)))
	b.b = be.AppendUint32(b.b, uint32(r.Op))
	b.b = be.AppendUint64(b.b, uint64(r.Session))
	b.b = be.AppendUint32(b.b, r.Attach)
	b.b = be.AppendUint32(b.b, uint32(r.Cxid))
	b.b = be.AppendUint64(b.b, uint64(r.Time))
	b.b = be.AppendUint32(b.b, uint32(len(r.Auth)))
	b.b = append(b.b, r.Auth...)
	b.b = append(b.b, r.Body...)
	b.count++
}

// Len is the entry's size so far in bytes, Count its number of requests.
func (b *Batch) Len() int { return len(b.b) }

// Count is the number of requests.
func (b *Batch) Count() int { return b.count }

// Bytes is the finished entry; it belongs to the caller, and the batch needs a Reset with another buffer before it is used again.
func (b *Batch) Bytes() []byte {
	binary.BigEndian.PutUint16(b.b[2:], uint16(b.count))
	out := b.b
	b.b, b.count = nil, 0
	return out
}

// Entry is a decoded head of an entry; Next walks its requests.
type Entry struct {
	Flags       uint8
	Count       int
	Incarnation uint64 // of the proposing server's process
	FirstSeq    uint64

	rest []byte
	left int
}

// ErrEntry says that an entry is not one of ours. The log is damaged, or was written by a newer version: its reader must stop.
var ErrEntry = errors.New("log entry is not valid")

// DecodeEntry reads an entry's head and checks the lengths of all its requests. The entry points into b.
func DecodeEntry(b []byte) (Entry, error) {
	if len(b) < entryHead {
		return Entry{}, fmt.Errorf("%w: %d bytes", ErrEntry, len(b))
	}
	if b[0] != entryVersion {
		return Entry{}, fmt.Errorf("%w: version %d, this server knows %d", ErrEntry, b[0], entryVersion)
	}
	be := binary.BigEndian
	e := Entry{
		Flags: b[1], Count: int(be.Uint16(b[2:])), Incarnation: be.Uint64(b[4:]), FirstSeq: be.Uint64(b[12:]),
		rest: b[entryHead:],
	}
	e.left = e.Count
	rest := e.rest
	for i := range e.Count {
		if len(rest) < 4 {
			return Entry{}, fmt.Errorf("%w: request %d of %d is missing", ErrEntry, i, e.Count)
		}
		n := int64(be.Uint32(rest))
		if n < requestHead || n > int64(len(rest)-4) || int64(be.Uint32(rest[4+requestHead-4:])) > n-requestHead {
			return Entry{}, fmt.Errorf("%w: request %d of %d has a wrong length", ErrEntry, i, e.Count)
		}
		rest = rest[4+n:]
	}
	if len(rest) != 0 {
		return Entry{}, fmt.Errorf("%w: %d bytes behind the last request", ErrEntry, len(rest))
	}
	return e, nil
}

// Next decodes the next request into r, whose slices point into the entry, or returns false behind the last.
func (e *Entry) Next(r *Request) bool {
	if e.left == 0 {
		return false
	}
	e.left--
	be := binary.BigEndian
	b := e.rest[4 : 4+be.Uint32(e.rest)]
	e.rest = e.rest[4+len(b):]
	*r = Request{
		Op: wire.Op(be.Uint32(b)), Session: int64(be.Uint64(b[4:])), Attach: be.Uint32(b[12:]),
		Cxid: int32(be.Uint32(b[16:])), Time: int64(be.Uint64(b[20:])),
	}
	auth := be.Uint32(b[28:])
	b = b[requestHead:]
	r.Auth, r.Body = b[:auth:auth], b[auth:]
	return true
}
