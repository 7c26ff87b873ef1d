package coord_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"ottla/coord"
	"ottla/coord/config"
	"ottla/coord/coordtest"
	"ottla/coord/store"
	"ottla/internal/fs"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// connect returns a client that reconnects by itself.
func connect(t testing.TB, addr string) *zk.Conn {
	t.Helper()
	c, events, err := zk.Connect([]string{addr}, 20*time.Second, zk.WithLogger(quiet{}))
	must(t, err)
	t.Cleanup(c.Close)
	waitFor(t, events, zk.StateHasSession)
	return c
}

func waitFor(t testing.TB, events <-chan zk.Event, state zk.State) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case e := <-events:
			if e.State == state {
				return
			}
		case <-deadline:
			t.Fatalf("no %v", state)
		}
	}
}

var open = zk.WorldACL(zk.PermAll)

func TestEverythingSurvivesARestart(t *testing.T) {
	srv := coordtest.Start(t)
	c := connect(t, srv.Address())
	session := c.SessionID()
	digest := zk.DigestACL(zk.PermAll, "me", "secret")
	must(t, c.AddAuth("digest", []byte("me:secret")))
	create := func(path string, data []byte, flags int32, acl []zk.ACL) string {
		t.Helper()
		name, err := c.Create(path, data, flags, acl)
		must(t, err)
		return name
	}
	create("/a", []byte("one"), 0, open)
	create("/null", nil, 0, open)
	create("/empty", []byte{}, 0, open)
	create("/private", []byte("mine"), 0, digest)
	create("/a/eph", []byte("here"), zk.FlagEphemeral, open)
	seq := create("/a/s-", nil, zk.FlagSequence, open)
	create("/gone", nil, 0, open)
	must(t, c.Delete("/gone", 0))
	_, err := c.Set("/a", []byte("two"), 0)
	must(t, err)
	stats := map[string]zk.Stat{}
	paths := []string{"/a", "/null", "/empty", "/private", "/a/eph", seq}
	for _, p := range paths {
		_, st, err := c.Get(p)
		must(t, err)
		stats[p] = *st
	}

	// A clean stop (checkpoint), and once more with only the log behind it.
	for round := range 3 {
		srv.Restart()
		for _, p := range paths {
			_, st, err := retry(t, func() ([]byte, *zk.Stat, error) { return c.Get(p) })
			must(t, err)
			if *st != stats[p] {
				t.Errorf("round %d: %s is %+v, was %+v", round, p, *st, stats[p])
			}
		}
		if c.SessionID() != session {
			t.Fatalf("session %x became %x", session, c.SessionID())
		}
		next := create("/a/s-", nil, zk.FlagSequence, open)
		if want := fmt.Sprintf("/a/s-%010d", 2+round); next != want {
			t.Errorf("round %d: sequence %s, want %s", round, next, want)
		}
		_, st, err := c.Get("/a")
		must(t, err)
		stats["/a"] = *st
	}
	data, _, err := c.Get("/a")
	if string(data) != "two" || err != nil {
		t.Errorf("/a is %q, %v", data, err)
	}
	if ok, _, _ := c.Exists("/gone"); ok {
		t.Error("/gone is back")
	}
	other := connect(t, srv.Address())
	if _, _, err := other.Get("/private"); err != zk.ErrNoAuth {
		t.Errorf("/private for everybody: %v", err)
	}
	c.Close()
	deadline := time.Now().Add(10 * time.Second)
	for ok := true; ok; ok, _, err = other.Exists("/a/eph") {
		if time.Now().After(deadline) {
			t.Fatalf("the ephemeral outlives its session: %v", err)
		}
	}
}

// retry repeats a read while the connection is being made again.
func retry(t testing.TB, fn func() ([]byte, *zk.Stat, error)) (b []byte, st *zk.Stat, err error) {
	deadline := time.Now().Add(20 * time.Second)
	for {
		b, st, err = fn()
		if err != zk.ErrConnectionClosed && err != zk.ErrNoServer || time.Now().After(deadline) {
			return b, st, err
		}
	}
}

// Null and empty data are told apart on the wire, also after a restart from a checkpoint.
func TestNullDataStaysNull(t *testing.T) {
	srv := coordtest.Start(t)
	c := dial(t, srv.Address())
	must(t, c.connect())
	must(t, c.create("/null", nil, 0))
	must(t, c.create("/empty", []byte{}, 0))
	c.close()
	for range 2 {
		srv.Restart()
		c = dial(t, srv.Address())
		must(t, c.connect())
		for path, want := range map[string]bool{"/null": true, "/empty": false} {
			data, err := c.get(path, false)
			must(t, err)
			if (data == nil) != want || len(data) != 0 {
				t.Errorf("%s holds %#v", path, data)
			}
		}
		c.close()
	}
}

func TestDiskErrorStopsTheServer(t *testing.T) {
	for _, op := range []fs.Op{fs.OpWrite, fs.OpDatasync} {
		t.Run(op.String(), func(t *testing.T) {
			disk := coordtest.NewDisk()
			faulty := fs.NewFaulty(disk)
			o := coordtest.Options(t)
			coordtest.OnDisk(faulty)(&o)
			srv, err := coordtest.StartWith(t, o)
			must(t, err)
			c := dial(t, srv.Address())
			must(t, c.connect())
			must(t, c.create("/before", []byte("x"), 0))
			faulty.Inject(fs.Rule{Op: op, Name: "*.wal", Err: syscall.EIO})
			if err := c.create("/after", nil, 0); err == nil {
				t.Error("a write was acknowledged that the disk refused")
			}
			err = srv.Wait()
			if !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "dmesg") {
				t.Errorf("stopped with %v", err)
			}
			coordtest.OnDisk(disk.Survivor(fs.LoseAll, 0))(&o)
			srv, err = coordtest.StartWith(t, o)
			must(t, err)
			defer srv.Stop()
			c = dial(t, srv.Address())
			must(t, c.connect())
			if data, err := c.get("/before", false); string(data) != "x" || err != nil {
				t.Errorf("/before is %q, %v", data, err)
			}
			c.close()
		})
	}
}

func TestStartErrorsSayWhatToDo(t *testing.T) {
	srv := coordtest.Start(t)
	port := srv.Addr().String()[strings.LastIndex(srv.Addr().String(), ":")+1:]
	with := func(change func(c *config.Config)) error {
		o := coordtest.Options(t)
		change(o.Config)
		s, err := coord.New(o)
		if err == nil {
			s.Close()
		}
		return err
	}
	wants := func(what string, err error, words ...string) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: started", what)
			return
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: no %q in %v", what, w, err)
			}
		}
	}
	wants("port taken", with(func(c *config.Config) { fmt.Sscan(port, &c.ClientPort) }), "port "+port+" is taken", "clientPort")
	wants("foreign address", with(func(c *config.Config) { c.ClientPortAddress = "192.0.2.1" }), "192.0.2.1 is not an address", "clientPortAddress")

	o := coordtest.Options(t)
	s, err := coordtest.StartWith(t, o)
	must(t, err)
	wants("directory in use", with(func(c *config.Config) { c.DataDir = o.Config.DataDir }), "another coordinator", o.Config.DataDir, "dataDir")
	c := dial(t, s.Address())
	must(t, c.connect())
	for i := range 5 {
		must(t, c.create(fmt.Sprintf("/n%d", i), []byte("some data"), 0))
	}
	c.close()
	must(t, s.Stop())
	dir := o.Config.DataDir
	logs, err := filepath.Glob(filepath.Join(dir, "log", "*.wal"))
	must(t, err)
	flip(t, logs[0], 200)
	wants("damaged log", with(func(c *config.Config) { c.DataDir = dir }), logs[0], "damaged at offset", "truncate")
	flip(t, logs[0], 200)
	must(t, os.WriteFile(filepath.Join(dir, "state.db"), []byte("rubbish"), 0o644))
	wants("damaged checkpoint", with(func(c *config.Config) { c.DataDir = dir }), "state.db", "backup")
	if os.Getuid() != 0 {
		must(t, os.Chmod(dir, 0o500))
		wants("no permission", with(func(c *config.Config) { c.DataDir = filepath.Join(dir, "below") }), "chown")
	}
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o644))
	wants("dataDir is a file", with(func(c *config.Config) { c.DataDir = file }), file)

	var d *store.DamageError
	if !errors.As(with(func(c *config.Config) { c.DataDir = dir }), &d) {
		t.Error("damage is not told as such")
	}
}

func flip(t *testing.T, path string, off int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, off)
	must(t, err)
	b[0] ^= 0x40
	_, err = f.WriteAt(b, off)
	must(t, err)
}

func TestWordsOfAnAssembledServer(t *testing.T) {
	srv := coordtest.Start(t)
	conf, err := srv.Word("conf")
	must(t, err)
	if !strings.Contains(conf, "clientPort="+srv.Port()) {
		t.Errorf("conf:\n%s", conf)
	}
	if ok, err := srv.Word("ruok"); ok != "imok" || err != nil {
		t.Errorf("ruok: %q, %v", ok, err)
	}
	srvr, _ := srv.Word("srvr")
	if !strings.Contains(srvr, "Mode: standalone") {
		t.Errorf("srvr:\n%s", srvr)
	}
}

func TestCloseWithClientsAndTwice(t *testing.T) {
	o := coordtest.Options(t)
	srv, err := coordtest.StartWith(t, o)
	must(t, err)
	c := dial(t, srv.Address())
	must(t, c.connect())
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for i := 0; c.create(fmt.Sprintf("/n%d", i), nil, 0) == nil; i++ {
		}
	}()
	start := time.Now()
	must(t, srv.Close())
	must(t, srv.Close())
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Close took %v", took)
	}
	must(t, srv.Wait())
	<-stop
	if _, err := c.get("/", false); !errors.Is(err, io.EOF) && err == nil {
		t.Error("the connection is still open")
	}
	c.close()
}
