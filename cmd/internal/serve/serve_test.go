package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	broker "ottla/broker/config"
	"ottla/internal/fs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// TestUpConfiguration: what a single broker needs, under whatever the environment and overrides say.
func TestUpConfiguration(t *testing.T) {
	t.Setenv("KAFKA_NUM_PARTITIONS", "7")
	p := pair{dir: "data", host: "kafka.example", kafka: 9192, zookeeper: 2281, overrides: []string{"log.retention.hours=3"}}
	c, warnings, err := broker.Load(p.broker(&net.TCPAddr{IP: net.IPv6unspecified, Port: 2281}))
	if err != nil || len(warnings) != 0 {
		t.Fatal(err, warnings)
	}
	for key, want := range map[string]string{
		"log.dirs": filepath.Join("data", "broker"), "listeners": "PLAINTEXT://:9192", "advertised.listeners": "PLAINTEXT://kafka.example:9192",
		"log.flush.interval.messages": "1", "zookeeper.connect": "127.0.0.1:2281", "num.partitions": "7", "log.retention.hours": "3",
	} {
		if got, _ := c.Get(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if got := strings.Join(p.coordinator().Overrides, " "); got != "dataDir="+filepath.Join("data", "coordinator")+" clientPort=2281" {
		t.Errorf("coordinator: %s", got)
	}
}

// TestUpStopsTheBrokerFirst reads the log of a start and a stop.
func TestUpStopsTheBrokerFirst(t *testing.T) {
	var out, log strings.Builder
	p := pair{dir: t.TempDir(), host: "localhost", kafka: freePort(t), zookeeper: freePort(t), out: &out}
	p.overrides = []string{"listeners=PLAINTEXT://127.0.0.1:" + fmt.Sprint(p.kafka)}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.run(ctx, zerolog.New(zerolog.SyncWriter(&log))) }()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.kafka))
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	var said []string
	for _, line := range strings.Split(log.String(), "\n") {
		var e struct{ Server, Message, Level string }
		if json.Unmarshal([]byte(line), &e) == nil && e.Message != "" && e.Level != "debug" {
			said = append(said, e.Server+": "+e.Message)
		}
	}
	all := strings.Join(said, "\n")
	first, last := strings.Index(all, "coordinator: "), strings.LastIndex(all, "broker: broker stopped")
	if first != 0 || last < 0 {
		t.Errorf("the log says\n%s", all)
	}
	if out.String() != "" {
		t.Errorf("it printed %q though nobody looks", out.String())
	}
}

func TestReadyText(t *testing.T) {
	var out strings.Builder
	p := pair{dir: "data", host: "localhost", kafka: 9092, out: &out, isTerminal: true}
	c, _, err := broker.Load(p.broker(&net.TCPAddr{Port: 2181}))
	if err != nil {
		t.Fatal(err)
	}
	p.ready(c, &net.TCPAddr{Port: 2181})
	for _, part := range []string{"Ottla is ready.", "localhost:9092", "localhost:2181", "ottla consume greetings --from-beginning", "Ctrl-C"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("%q is missing in %s", part, out.String())
		}
	}
}

// TestPortTaken: the coordinator's mistake ends the pair before a broker is started.
func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := pair{dir: t.TempDir(), host: "localhost", kafka: freePort(t), zookeeper: uint16(l.Addr().(*net.TCPAddr).Port)}
	if err := p.run(context.Background(), zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "is taken by another program") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(p.dir, "broker")); err == nil {
		t.Error("the broker made its directory")
	}
}

// TestRunning: what killed servers left is removed, and names nobody.
func TestRunning(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	dir, err := runningDir()
	if err != nil {
		t.Skip(err)
	}
	if pids, err := running("kafka"); err != nil || len(pids) != 0 {
		t.Errorf("none: %v, %v", pids, err)
	}
	unregister := register("kafka")
	defer unregister()
	left := filepath.Join(dir, "kafka-1")
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	held := filepath.Join(dir, "kafka-2")
	lock, err := fs.OS.Lock(held)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := os.WriteFile(filepath.Join(dir, "zookeeper-3"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pids, err := running("kafka")
	if err != nil || len(pids) != 1 || pids[0] != 2 {
		t.Errorf("%v, %v", pids, err)
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("kafka-1 is still there: %v", err)
	}
}
