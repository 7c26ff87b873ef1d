// Package peertest has brokers that are only handlers: a registry behind a socket, for tests of those who send requests.
package peertest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
)

// Server serves a registry. Requests of a connection are answered in order, and what the registry lacks closes it.
type Server struct {
	Host string
	Port int32

	registry *api.Registry
	ctx      context.Context
	cancel   context.CancelFunc
	l        net.Listener
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// Serve listens on a port of the kernel's choice, until Close or the end of the test.
func Serve(t testing.TB, registry *api.Registry) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Host: "127.0.0.1", Port: int32(l.Addr().(*net.TCPAddr).Port), registry: registry, l: l, conns: map[net.Conn]bool{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wg.Go(s.accept)
	t.Cleanup(s.Close)
	return s
}

// Close stops listening, closes connections and waits for handlers.
func (s *Server) Close() {
	s.cancel()
	_ = s.l.Close()
	s.Drop()
	s.wg.Wait()
}

// Drop closes all connections.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
}

func (s *Server) accept() {
	for {
		c, err := s.l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		if s.ctx.Err() != nil {
			_ = c.Close()
		}
		s.wg.Go(func() {
			s.serve(c)
			_ = c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

func (s *Server) serve(c net.Conn) {
	conn := &api.Conn{Listener: "PLAINTEXT", Principal: "User:ANONYMOUS", ClientHost: "127.0.0.1"}
	for {
		var size [4]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		frame := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(c, frame); err != nil {
			return
		}
		req := parse(frame)
		req.Conn, req.Received = conn, time.Now()
		e, ok := s.registry.Lookup(req.Key)
		if !ok || req.Version < e.Min || req.Version > e.Max {
			return
		}
		resp, err := e.Handle(s.ctx, req)
		if err != nil || resp == nil {
			return
		}
		out := make([]byte, 4, 64)
		out = binary.BigEndian.AppendUint32(out, uint32(req.CorrelationID))
		if flexible(req.Key, req.Version) && req.Key != int16(kmsg.ApiVersions) {
			out = append(out, 0)
		}
		out = resp.AppendTo(out)
		binary.BigEndian.PutUint32(out, uint32(len(out)-4))
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

func flexible(key, version int16) bool {
	r := kmsg.RequestForKey(key)
	r.SetVersion(version)
	return r.IsFlexible()
}

// parse reads a request header of version 1 or 2 without tags.
func parse(b []byte) *api.Request {
	req := &api.Request{
		Key: int16(binary.BigEndian.Uint16(b)), Version: int16(binary.BigEndian.Uint16(b[2:])), CorrelationID: int32(binary.BigEndian.Uint32(b[4:])),
	}
	n := max(0, int(int16(binary.BigEndian.Uint16(b[8:]))))
	req.ClientID, req.Body = string(b[10:10+n]), b[10+n:]
	if flexible(req.Key, req.Version) {
		req.Body = req.Body[1:]
	}
	return req
}
