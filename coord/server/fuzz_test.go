package server_test

import (
	"encoding/hex"
	"io"
	"testing"
	"time"

	"ottla/coord/coordtest/conformance"
	"ottla/coord/server"
	"ottla/coord/wire"
)

// FuzzConnection sends bytes behind a good handshake. The server answers or closes; it goes on serving others.
func FuzzConnection(f *testing.F) {
	for _, g := range readGolden(f) {
		if b, err := hex.DecodeString(g.Frame); err == nil && g.Kind == "request" {
			f.Add(wire.EndFrame(append(wire.BeginFrame(nil), b...), 0))
		}
	}
	b := start(f, func(c *server.Config) { c.ExtendedTypes = true })
	f.Fuzz(func(t *testing.T, stream []byte) {
		c := conformance.Dial(t, b.addr)
		if c.Connect(wire.ConnectRequest{TimeoutMs: 4000}).SessionID == 0 {
			t.Fatal("no session")
		}
		c.Write(append(stream, conformance.Request(1, wire.OpCloseSession, nil)...))
		if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
			cw.CloseWrite()
		}
		c.Conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, err := io.Copy(io.Discard, c.Conn); err != nil && n < 0 {
			t.Fatal(err)
		}
		c.Conn.Close()
	})
}
