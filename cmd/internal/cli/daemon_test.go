//go:build unix

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ottla/internal/e2e"
)

// TestDaemons starts servers in the background by a tutorial's scripts, and stops them by its scripts.
func TestDaemons(t *testing.T) {
	binary := e2e.Binary(t) // with the build cache of this user
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache")) // other servers of this user are none of ours
	t.Setenv("HOME", dir)
	bin := filepath.Join(dir, "bin")
	e2e.Run(t, 10*time.Second, dir, binary, "install-links", bin)
	zk, kafka := e2e.FreePort(t), e2e.FreePort(t)
	write := func(name string, lines ...string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("zookeeper.properties", "dataDir="+filepath.Join(dir, "zk"), fmt.Sprint("clientPort=", zk), "clientPortAddress=127.0.0.1")
	write("server.properties", "broker.id=0", fmt.Sprint("listeners=PLAINTEXT://127.0.0.1:", kafka), fmt.Sprint("zookeeper.connect=127.0.0.1:", zk),
		"log.dirs="+filepath.Join(dir, "logs0"), "offsets.topic.replication.factor=1", "transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1")
	script := func(name string, args ...string) (string, error) {
		return e2e.Try(time.Minute, dir, "", append([]string{filepath.Join(bin, name)}, args...)...)
	}
	if _, err := script("zookeeper-server-start.sh", "-daemon", "zookeeper.properties"); err != nil {
		t.Fatal(err)
	}
	stopped := false
	defer func() {
		if !stopped {
			_, _ = script("kafka-server-stop.sh")
			_, _ = script("zookeeper-server-stop.sh")
		}
	}()
	if _, err := script("kafka-server-start.sh", "-daemon", "server.properties", "--override", "num.partitions=2"); err != nil {
		t.Fatal(err)
	}
	await(t, func() error {
		_, err := script("kafka-topics.sh", "--create", "--if-not-exists", "--topic", "t", "--bootstrap-server", fmt.Sprint("127.0.0.1:", kafka))
		return err
	})
	out, err := script("kafka-topics.sh", "--describe", "--topic", "t", "--bootstrap-server", fmt.Sprint("127.0.0.1:", kafka))
	if err != nil || !strings.Contains(out, "PartitionCount: 2\t") {
		t.Errorf("%q, %v", out, err)
	}
	for _, name := range []string{"kafka-server-stop.sh", "zookeeper-server-stop"} {
		if out, err := script(name); err != nil || out != "" {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
	stopped = true
	if out, err := script("kafka-server-stop.sh"); err == nil || out != "No kafka server to stop\n" {
		t.Errorf("a second stop: %q, %v", out, err)
	}
	for name, word := range map[string]string{"zookeeper.out": "coordinator is ready", "kafkaServer.out": "broker stopped"} {
		if b, err := os.ReadFile(filepath.Join(dir, "logs", name)); err != nil || !strings.Contains(string(b), word) {
			t.Errorf("%s: %v, %s", name, err, b)
		}
	}
	if out, err := script("kafka-server-start.sh", "-daemon", "missing.properties"); err == nil {
		t.Errorf("a missing file: %q", out)
	}
}
