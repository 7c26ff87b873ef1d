package coord_test

import (
	"fmt"
	"io"
	"net"
	"testing"

	"ottla/coord/coordtest"
	"ottla/coord/coordtest/conformance"
	"ottla/coord/wire"
)

const benchNodes = 1000

// Benchmark runs operations through real sockets, with the log on the real disk: conns connections, each with depth requests under way.
// The client costs as little as it can: it sends frames made beforehand and only counts the answers.
func Benchmark(b *testing.B) {
	value := make([]byte, 100)
	path := func(i int) string { return fmt.Sprintf("/bench/node-%06d", i%benchNodes) }
	for _, op := range []struct {
		name  string
		frame func(i int) []byte
	}{
		{"get", func(i int) []byte {
			return conformance.Request(1, wire.OpGetData, conformance.PathFlag(path(i), false))
		}},
		{"set", func(i int) []byte {
			return conformance.Request(1, wire.OpSetData, conformance.SetData(path(i), value, -1))
		}},
		{"create", func(int) []byte {
			return conformance.Request(1, wire.OpCreate, conformance.Create("/bench/new-", value, wire.FlagPersistentSequential, wire.OpenACL))
		}},
	} {
		for _, load := range []struct{ conns, depth int }{{1, 1}, {1, 256}, {16, 16}} {
			b.Run(fmt.Sprintf("%s/%dx%d", op.name, load.conns, load.depth), func(b *testing.B) {
				s := coordtest.Start(b)
				c := conformance.Open(b, s.Address())
				c.Create("/bench", "", 0)
				for i := range benchNodes {
					c.OK(wire.OpCreate, conformance.Create(path(i), value, 0, wire.OpenACL))
				}
				var clients []*pump
				for i := range load.conns {
					clients = append(clients, newPump(b, s.Address(), load.depth, func(j int) []byte { return op.frame(i*7919 + j*31) }))
				}
				b.ReportAllocs()
				b.ResetTimer()
				done := make(chan error, len(clients))
				for i, p := range clients {
					n := b.N / len(clients)
					if i < b.N%len(clients) {
						n++
					}
					go func() { done <- p.run(n) }()
				}
				for range clients {
					if err := <-done; err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// pump keeps depth requests under way.
type pump struct {
	nc    net.Conn
	in    wire.Buffer
	depth int
	ring  [][]byte // frames, used in turn
	next  int
}

func newPump(b *testing.B, addr string, depth int, frame func(i int) []byte) *pump {
	c := conformance.Open(b, addr)
	p := &pump{nc: c.Conn, depth: depth}
	for i := range 4096 {
		p.ring = append(p.ring, frame(i))
	}
	return p
}

// run sends n requests and waits for their answers.
func (p *pump) run(n int) error {
	var out []byte
	send := func(k int) error {
		out = out[:0]
		for range k {
			out = append(out, p.ring[p.next%len(p.ring)]...)
			p.next++
		}
		_, err := p.nc.Write(out)
		return err
	}
	sent, got := min(p.depth, n), 0
	if err := send(sent); err != nil {
		return err
	}
	for got < n {
		if err := p.in.Fill(p.nc); err != nil {
			return err
		}
		k := 0
		for {
			f, err := p.in.Next(1 << 20)
			if err != nil {
				return err
			}
			if f == nil {
				break
			}
			d := wire.NewDecoder(f)
			d.Int()
			d.Long()
			if code := wire.Code(d.Int()); code != wire.CodeOK {
				return fmt.Errorf("answer %d: %w", got+k, code)
			}
			k++
		}
		got += k
		if k = min(k, n-sent); k > 0 {
			sent += k
			if err := send(k); err != nil {
				return err
			}
		}
	}
	if p.in.Buffered() != 0 {
		return io.ErrUnexpectedEOF
	}
	return nil
}
