//go:build unix

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Server is a coordinator or a broker, ours or Apache's, on a directory of its own. Its data outlives a restart.
type Server struct {
	*Process
	Address string // host:port
	start   func() *Process
	ready   func() error
}

// Restart starts the server again on its directory, with the same configuration, and waits until it serves.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Process = s.start()
	Await(t, time.Minute, s.name+" serves", s.ready)
}

// Properties are the lines of a configuration file: KEY=VALUE. A later line of a key wins.
func writeProperties(t testing.TB, path string, lines ...string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Coordinator starts `ottla coordinator` with a zoo.cfg of the usual values and the given lines.
func Coordinator(t testing.TB, lines ...string) *Server {
	t.Helper()
	dir, port := t.TempDir(), FreePort(t)
	cfg := filepath.Join(dir, "zoo.cfg")
	writeProperties(t, cfg, append([]string{"tickTime=2000", "dataDir=" + filepath.Join(dir, "data"),
		fmt.Sprint("clientPort=", port), "clientPortAddress=127.0.0.1", "maxClientCnxns=0"}, lines...)...)
	return coordinator(t, "coordinator", port, func() *Process {
		return Start(t, dir, "coordinator", Binary(t), "coordinator", cfg)
	})
}

// ZooKeeper starts Apache ZooKeeper 3.9 with a zoo.cfg of the usual values and the given lines.
func ZooKeeper(t testing.TB, lines ...string) *Server { return zooKeeperWith(t, nil, lines...) }

// zooKeeperWith is ZooKeeper with options of the JVM.
func zooKeeperWith(t testing.TB, flags []string, lines ...string) *Server {
	t.Helper()
	Peers(t, "zookeeper")
	dir, port := t.TempDir(), FreePort(t)
	cfg := filepath.Join(dir, "zoo.cfg")
	writeProperties(t, cfg, append([]string{"tickTime=2000", "dataDir=" + filepath.Join(dir, "data"),
		fmt.Sprint("clientPort=", port), "clientPortAddress=127.0.0.1", "maxClientCnxns=0", "admin.enableServer=false", "4lw.commands.whitelist=*"}, lines...)...)
	return coordinator(t, "ZooKeeper", port, func() *Process {
		return Start(t, dir, "ZooKeeper", withFlags(java(t, "zookeeper", "org.apache.zookeeper.server.quorum.QuorumPeerMain", cfg), flags...)...)
	})
}

func coordinator(t testing.TB, name string, port int, start func() *Process) *Server {
	t.Helper()
	s := &Server{Address: fmt.Sprint("127.0.0.1:", port), start: start}
	s.ready = func() error {
		if !s.Running() {
			return errors.New(name + " has ended")
		}
		a, err := FourLetter(s.Address, "srvr")
		if err == nil && !strings.Contains(a, "Mode: ") {
			err = fmt.Errorf("srvr answered %q", a)
		}
		return err
	}
	s.Restart(t)
	return s
}

// brokerLines is a server.properties for tests; the given lines win.
func brokerLines(dir string, id, port int, zk string, lines []string) []string {
	return append([]string{
		"broker.id=" + strconv.Itoa(id),
		fmt.Sprint("listeners=PLAINTEXT://127.0.0.1:", port), fmt.Sprint("advertised.listeners=PLAINTEXT://127.0.0.1:", port),
		"zookeeper.connect=" + zk, "log.dirs=" + filepath.Join(dir, "data"),
		"offsets.topic.replication.factor=1", "transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1",
		"group.initial.rebalance.delay.ms=0",
	}, lines...)
}

// at are the lines of a broker that takes the place of another, at its port.
func at(port int) []string {
	return []string{fmt.Sprint("listeners=PLAINTEXT://127.0.0.1:", port), fmt.Sprint("advertised.listeners=PLAINTEXT://127.0.0.1:", port)}
}

// portOf is the port that lines of at name, or 0.
func portOf(lines []string) (port int) {
	for _, l := range lines {
		if rest, ok := strings.CutPrefix(l, "listeners=PLAINTEXT://127.0.0.1:"); ok {
			port, _ = strconv.Atoi(rest)
		}
	}
	return port
}

// Broker starts `ottla broker` on a directory of its own.
func Broker(t testing.TB, id int, zk string, lines ...string) *Server {
	t.Helper()
	return BrokerOn(t, t.TempDir(), id, zk, lines...)
}

// BrokerOn starts `ottla broker` whose log.dirs is DIR/data.
func BrokerOn(t testing.TB, dir string, id int, zk string, lines ...string) *Server {
	t.Helper()
	return broker(t, fmt.Sprint("broker ", id), dir, id, zk, lines, func(cfg string) []string { return []string{Binary(t), "broker", cfg} })
}

// Kafka starts an Apache Kafka 3.9 broker in ZooKeeper mode whose log.dirs is DIR/data.
func Kafka(t testing.TB, dir string, id int, zk string, lines ...string) *Server {
	t.Helper()
	return kafkaWith(t, "kafka-3.9", dir, id, zk, nil, lines...)
}

// kafkaWith is Kafka of a set, with options of the JVM.
func kafkaWith(t testing.TB, set, dir string, id int, zk string, flags []string, lines ...string) *Server {
	t.Helper()
	Peers(t, set)
	return broker(t, fmt.Sprint("Kafka ", id), dir, id, zk, lines, func(cfg string) []string { return withFlags(java(t, set, "kafka.Kafka", cfg), flags...) })
}

func broker(t testing.TB, name, dir string, id int, zk string, lines []string, command func(cfg string) []string) *Server {
	t.Helper()
	port := portOf(lines)
	if port == 0 {
		port = FreePort(t)
	}
	cfg := filepath.Join(dir, "server.properties")
	writeProperties(t, cfg, lastWins(brokerLines(dir, id, port, zk, lines))...)
	s := &Server{Address: fmt.Sprint("127.0.0.1:", port)}
	s.start = func() *Process { return Start(t, dir, name, command(cfg)...) }
	s.ready = func() error {
		if !s.Running() {
			return errors.New(name + " has ended")
		}
		return serves(s.Address)
	}
	s.Restart(t)
	return s
}

// lastWins keeps the last line of each key, since a file with a key twice makes a warning.
func lastWins(lines []string) []string {
	at := map[string]int{}
	var out []string
	for _, l := range lines {
		key, _, _ := strings.Cut(l, "=")
		if i, ok := at[key]; ok {
			out[i] = l
			continue
		}
		at[key] = len(out)
		out = append(out, l)
	}
	return out
}
