package coordtest

import (
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ottla/coord"
	"ottla/coord/config"
	"ottla/internal/fs"
)

// Server is a coordinator that serves. For one goroutine.
type Server struct {
	*coord.Server
	t      testing.TB
	o      coord.Options
	served chan error
}

// Options returns what Start uses: a directory of the test, a port of the system's choice on 127.0.0.1, every four-letter word, ticks of two
// seconds, and the test's log.
func Options(t testing.TB) coord.Options {
	c := config.Default()
	c.DataDir, c.ClientPort, c.ClientPortAddress = t.TempDir(), 0, "127.0.0.1"
	c.TickTime, c.MinSessionTimeout, c.MaxSessionTimeout = 2*time.Second, 100*time.Millisecond, 40*time.Second
	c.MaxClientCnxns, c.Words = 0, []string{"*"}
	return coord.Options{Config: c, Logger: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel)}
}

// Start runs a coordinator until the end of the test.
func Start(t testing.TB, change ...func(*coord.Options)) *Server {
	t.Helper()
	o := Options(t)
	for _, fn := range change {
		fn(&o)
	}
	s, err := StartWith(t, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// StartWith runs a coordinator with exactly these options. The caller stops it.
func StartWith(t testing.TB, o coord.Options) (*Server, error) {
	s := &Server{t: t, o: o}
	return s, s.start()
}

func (s *Server) start() (err error) {
	if s.Server, err = coord.New(s.o); err != nil {
		return err
	}
	srv, served := s.Server, make(chan error, 1)
	s.served = served
	go func() { served <- srv.Serve() }()
	return nil
}

// Address is host:port.
func (s *Server) Address() string { return s.Addr().String() }

// Stop stops it cleanly and returns what Serve returned. Later calls return nil.
func (s *Server) Stop() error {
	if s.served == nil {
		return nil
	}
	s.Close()
	return s.Wait()
}

// Wait waits until Serve has returned, which after a failure it does by itself.
func (s *Server) Wait() error {
	err := <-s.served
	s.served = nil
	return err
}

// Restart stops it and starts it again on the same directory and port.
func (s *Server) Restart() {
	s.t.Helper()
	addr := s.Addr().(*net.TCPAddr)
	if err := s.Stop(); err != nil {
		s.t.Fatal(err)
	}
	c := *s.o.Config
	c.ClientPort = addr.Port
	s.o.Config = &c
	if err := s.start(); err != nil {
		s.t.Fatal(err)
	}
}

// OnDisk sets options for a file system other than the operating system's, with a stand-in for bbolt on the same one.
func OnDisk(fsys fs.FS) func(*coord.Options) {
	return func(o *coord.Options) {
		o.FS, o.Checkpoints = fsys, NewCheckpoints(fsys, StateDir)
		c := *o.Config
		c.DataDir = "/data"
		o.Config = &c
	}
}

// Word returns the answer to a four-letter word, as "echo WORD | nc" does; for quick looks at a server.
func (s *Server) Word(word string) (string, error) {
	nc, err := net.DialTimeout("tcp", s.Address(), 5*time.Second)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := nc.Write([]byte(word)); err != nil {
		return "", err
	}
	var b []byte
	buf := make([]byte, 4096)
	for {
		n, err := nc.Read(buf)
		b = append(b, buf[:n]...)
		if err != nil {
			return string(b), nil
		}
	}
}

// Port is the client port as text.
func (s *Server) Port() string { return strconv.Itoa(s.Addr().(*net.TCPAddr).Port) }
