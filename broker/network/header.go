package network

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
)

const (
	keyControlledShutdown = 7
	keyApiVersions        = 18

	frameHeader = 4  // length
	headerMin   = 8  // key, version, correlation
	routeBytes  = 12 // length and headerMin: enough to know where a frame goes
)

// header is a parsed request header. clientID aliases the frame.
type header struct {
	key, version int16
	correlation  int32
	clientID     []byte
	flexible     bool
	size         int // bytes of the header; the body follows
}

// route is what the network must know of an API. The zero value is one that is not served.
type route struct {
	api.Entry
	served       bool
	quick        bool // answers at once, so what was answered before it may be written together with it
	flexibleFrom int16
}

// routes indexes the registry by key.
type routes []route

func newRoutes(r *api.Registry) routes {
	var rs routes
	for _, e := range r.Entries() {
		for int(e.Key) >= len(rs) {
			rs = append(rs, route{})
		}
		rs[e.Key] = route{Entry: e, served: true, quick: isQuick(e.Key), flexibleFrom: flexibleFrom(e.Key)}
	}
	return rs
}

// isQuick says whether the API never waits: neither for other requests nor for another server.
func isQuick(key int16) bool {
	const listOffsets, heartbeat = 2, 12
	return key == keyApiVersions || key == listOffsets || key == heartbeat
}

// flexibleFrom is the first version of the API with tagged fields.
func flexibleFrom(key int16) int16 {
	req := kmsg.RequestForKey(key)
	for v := int16(0); v <= req.MaxVersion(); v++ {
		if req.SetVersion(v); req.IsFlexible() {
			return v
		}
	}
	return req.MaxVersion() + 1
}

func (rs routes) lookup(key int16) *route {
	if key < 0 || int(key) >= len(rs) || !rs[key].served {
		return nil
	}
	return &rs[key]
}

var errHeader = errors.New("request header is cut off")

// errUnserved closes a connection that asked for an API or version that the broker does not have.
type errUnserved struct{ key, version int16 }

func (e errUnserved) Error() string {
	return fmt.Sprintf("%s v%d is not served", kmsg.NameForKey(e.key), e.version)
}

// parseHeader reads the header of frame, which is one request without its length word. For ApiVersions of a version that is
// not served it returns the route and an errUnserved: that one has an answer.
func (rs routes) parseHeader(frame []byte) (header, *route, error) {
	if len(frame) < headerMin {
		return header{}, nil, errHeader
	}
	h := header{
		key:         int16(binary.BigEndian.Uint16(frame)),
		version:     int16(binary.BigEndian.Uint16(frame[2:])),
		correlation: int32(binary.BigEndian.Uint32(frame[4:])),
		size:        headerMin,
	}
	rt := rs.lookup(h.key)
	if rt == nil {
		return h, nil, errUnserved{h.key, h.version}
	}
	if h.version < rt.Min || h.version > rt.Max {
		return h, rt, errUnserved{h.key, h.version}
	}
	if h.key == keyControlledShutdown && h.version == 0 {
		return h, rt, nil
	}
	rest := frame[headerMin:]
	if len(rest) < 2 {
		return h, rt, errHeader
	}
	n := int(int16(binary.BigEndian.Uint16(rest)))
	rest = rest[2:]
	if n > len(rest) || n < -1 {
		return h, rt, errHeader
	}
	if n > 0 {
		h.clientID, rest = rest[:n], rest[n:]
	}
	if h.flexible = h.version >= rt.flexibleFrom; h.flexible {
		var ok bool
		if rest, ok = skipTags(rest); !ok {
			return h, rt, errHeader
		}
	}
	h.size = len(frame) - len(rest)
	return h, rt, nil
}

// skipTags steps over a tagged field section: count, then tag, length and bytes of each.
func skipTags(b []byte) ([]byte, bool) {
	count, n := binary.Uvarint(b)
	if n <= 0 || count > uint64(len(b)) {
		return nil, false
	}
	b = b[n:]
	for ; count > 0; count-- {
		_, n = binary.Uvarint(b)
		if n <= 0 {
			return nil, false
		}
		size, m := binary.Uvarint(b[n:])
		if m <= 0 || size > uint64(len(b)-n-m) {
			return nil, false
		}
		b = b[n+m+int(size):]
	}
	return b, true
}

// appendAnswerHeader begins an answer: room for the length word, correlation id, empty tags if the header has any.
func appendAnswerHeader(dst []byte, h header) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, 0, 0, 0, 0), uint32(h.correlation))
	if h.flexible && h.key != keyApiVersions {
		dst = append(dst, 0)
	}
	return dst
}

// appendUnsupportedApiVersions is the answer to an ApiVersions request of an unknown version. A client that gets it asks
// again within the range it names, so it must be readable by all: version 0.
func appendUnsupportedApiVersions(dst []byte, rt *route) []byte {
	const unsupportedVersion = 35
	dst = binary.BigEndian.AppendUint16(dst, unsupportedVersion)
	dst = binary.BigEndian.AppendUint32(dst, 1)
	dst = binary.BigEndian.AppendUint16(dst, uint16(rt.Key))
	dst = binary.BigEndian.AppendUint16(dst, uint16(rt.Min))
	return binary.BigEndian.AppendUint16(dst, uint16(rt.Max))
}
