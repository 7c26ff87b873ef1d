package oracle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
)

// clientID is the name under which the oracle asks.
const clientID = "oracle"

// patience is how long an answer may take; one that takes longer is none.
const patience = 3 * time.Second

// outcome is what came of a request.
type outcome int

const (
	answered outcome = iota
	closed           // the connection was closed instead
	silent           // nothing came
)

func (o outcome) String() string {
	return [...]string{"answered", "closed the connection", "did not answer"}[o]
}

// answer is what a server made of a request.
type answer struct {
	outcome outcome
	body    []byte
}

// target is one of the two servers, with what it has said so far.
type target struct {
	name    string
	address string
	conn    net.Conn
	sent    int32
	names   *names

	topicIDs     map[string][16]byte
	members      map[string]string
	generation   map[string]int32
	session      int32
	producerID   int64
	lastResponse kmsg.Response
}

func newTarget(name, address, dir, zookeeper string) *target {
	return &target{
		name: name, address: address, names: newNames(address, dir, zookeeper),
		topicIDs: map[string][16]byte{}, members: map[string]string{}, generation: map[string]int32{},
	}
}

// frame is a request as it goes on the wire, behind its length. Body is encoded in the version.
func frame(key, version int16, correlation int32, body []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, uint32(correlation))
	if key == 7 && version == 0 { // ControlledShutdown v0 has no client id
		return append(b, body...)
	}
	b = kbin.AppendNullableString(b, kmsg.StringPtr(clientID))
	if isFlexible(key, version) {
		b = append(b, 0)
	}
	return append(b, body...)
}

func isFlexible(key, version int16) bool {
	q := kmsg.RequestForKey(key)
	if q == nil {
		return false
	}
	q.SetVersion(version)
	return q.IsFlexible()
}

// ask sends a request and waits for its answer. After anything but an answer the next request gets a new connection.
func (t *target) ask(key, version int16, body []byte) (answer, error) {
	if t.conn == nil {
		c, err := net.DialTimeout("tcp", t.address, patience)
		if err != nil {
			return answer{}, err
		}
		t.conn = c
	}
	t.sent++
	f := frame(key, version, t.sent, body)
	if err := t.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return answer{}, err
	}
	if _, err := t.conn.Write(binary.BigEndian.AppendUint32(nil, uint32(len(f)))); err == nil {
		_, _ = t.conn.Write(f) // a server that closes meanwhile has its say below
	}
	got, err := t.receive(key, version)
	if err != nil || got.outcome != answered {
		t.conn.Close()
		t.conn = nil
	}
	return got, err
}

func (t *target) receive(key, version int16) (answer, error) {
	size := make([]byte, 4)
	if _, err := io.ReadFull(t.conn, size); err != nil {
		return failed(err), nil
	}
	b := make([]byte, binary.BigEndian.Uint32(size))
	if _, err := io.ReadFull(t.conn, b); err != nil {
		return failed(err), nil
	}
	if len(b) < 4 || int32(binary.BigEndian.Uint32(b)) != t.sent {
		return answer{}, fmt.Errorf("%s answers %x to request %d", t.name, b[:min(len(b), 4)], t.sent)
	}
	b = b[4:]
	if isFlexible(key, version) && key != int16(kmsg.ApiVersions) {
		if len(b) == 0 || b[0] != 0 {
			return answer{}, fmt.Errorf("%s: answer's header has tags", t.name)
		}
		b = b[1:]
	}
	return answer{answered, b}, nil
}

func failed(err error) answer {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return answer{outcome: silent}
	}
	return answer{outcome: closed}
}

func (t *target) close() {
	if t.conn != nil {
		t.conn.Close()
		t.conn = nil
	}
}

// decode reads an answer's body.
func decode(key, version int16, body []byte) (kmsg.Response, error) {
	r := kmsg.ResponseForKey(key)
	if r == nil {
		return nil, fmt.Errorf("no API has the key %d", key)
	}
	r.SetVersion(version)
	if err := r.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("answer of %s v%d: %w", kmsg.NameForKey(key), version, err)
	}
	return r, nil
}

// encode is a request's body in its version.
func encode(q kmsg.Request) []byte {
	if s, ok := q.(*kmsg.StopReplicaRequest); ok {
		return (&api.StopReplicaRequest{StopReplicaRequest: *s}).AppendTo(nil)
	}
	return q.AppendTo(nil)
}
