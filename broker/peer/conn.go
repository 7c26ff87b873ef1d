package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strconv"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api/shape"
)

// Node is a broker and its address on the listener that brokers use among themselves.
type Node struct {
	ID   int32
	Host string
	Port int32
}

func (n Node) String() string {
	return fmt.Sprintf("broker %d (%s)", n.ID, net.JoinHostPort(n.Host, strconv.Itoa(int(n.Port))))
}

// Config is how to reach brokers.
type Config struct {
	ClientID string        // this broker's id, as text
	Timeout  time.Duration // for connecting, and for each request (controller.socket.timeout.ms); 0: 30 s
	// Dial connects; nil: TCP. TLS and SASL go here.
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
	Logger zerolog.Logger
}

func (c Config) withDefaults() Config {
	if c.Timeout <= 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: c.Timeout}).DialContext
	}
	return c
}

// responseBytesMax bounds what an answer may claim: the largest is one error code per partition.
const responseBytesMax = 64 << 20

// conn is a connection with one request in flight. Not safe for concurrent use.
type conn struct {
	cfg    Config
	net    net.Conn
	format *kmsg.RequestFormatter
	next   int32
	buf    []byte
}

func dial(ctx context.Context, cfg Config, to Node) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	c, err := cfg.Dial(ctx, "tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	if err != nil {
		return nil, err
	}
	return &conn{cfg: cfg, net: c, format: kmsg.NewRequestFormatter(kmsg.FormatterClientID(cfg.ClientID))}, nil
}

func (c *conn) close() { _ = c.net.Close() }

// roundTrip sends a request, whose version is set, and returns its answer. After an error the connection is of no use.
func (c *conn) roundTrip(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	defer context.AfterFunc(ctx, c.close)()
	_ = c.net.SetDeadline(time.Now().Add(c.cfg.Timeout))
	c.next++
	c.buf = c.format.AppendRequest(c.buf[:0], req, c.next)
	if _, err := c.net.Write(c.buf); err != nil {
		return nil, err
	}
	body, err := c.read()
	if err != nil {
		return nil, err
	}
	if len(body) < 4 || int32(binary.BigEndian.Uint32(body)) != c.next {
		return nil, fmt.Errorf("answer does not belong to request %d", c.next)
	}
	body = body[4:]
	if req.IsFlexible() && req.Key() != int16(kmsg.ApiVersions) {
		if body, err = skipTags(body); err != nil {
			return nil, err
		}
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if err := decode(resp, body); err != nil {
		return nil, fmt.Errorf("decode answer to %s v%d: %w", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	return resp, nil
}

// decode has resp read body, unless that claims more than it has.
func decode(resp kmsg.Response, body []byte) error {
	s, ok := shape.Response(resp.Key(), resp.GetVersion())
	if !ok {
		return errors.New("nothing is known of such answers")
	}
	limits := shape.Limits{Decoded: shape.DecodedMax(len(body)), Struct: shape.StructBytes(reflect.TypeOf(resp))}
	if _, _, err := s.Check(body, limits); err != nil {
		return err
	}
	return resp.ReadFrom(body)
}

// read takes a frame. The buffer grows with what arrives, not with what the length claims.
func (c *conn) read() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c.net, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > responseBytesMax {
		return nil, fmt.Errorf("answer claims %d bytes", n)
	}
	body, err := io.ReadAll(io.LimitReader(c.net, int64(n)))
	if err == nil && len(body) < int(n) {
		err = io.ErrUnexpectedEOF
	}
	return body, err
}

// skipTags drops the tagged fields of a flexible response header.
func skipTags(b []byte) ([]byte, error) {
	next := func() (uint64, error) {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, io.ErrUnexpectedEOF
		}
		b = b[n:]
		return v, nil
	}
	count, err := next()
	for ; err == nil && count > 0; count-- {
		if _, err = next(); err != nil {
			break
		}
		var size uint64
		if size, err = next(); err == nil && size > uint64(len(b)) {
			err = io.ErrUnexpectedEOF
		}
		if err == nil {
			b = b[size:]
		}
	}
	return b, err
}
