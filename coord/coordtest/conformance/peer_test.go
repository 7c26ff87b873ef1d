package conformance

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestApacheZooKeeper runs the checks against the real server: they say what it does, not what we would like.
func TestApacheZooKeeper(t *testing.T) {
	if _, err := os.Stat(filepath.Join(peers(), "zookeeper", "jars")); err != nil {
		if os.Getenv("OTTLA_PEERS") == "required" {
			t.Fatal("Apache ZooKeeper is missing: run scripts/setup")
		}
		t.Skip("Apache ZooKeeper is missing; scripts/setup fetches it")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	dir := t.TempDir()
	args := []string{"zookeeper", dir, fmt.Sprint(port)}
	for k, v := range Config {
		args = append(args, k+"="+v)
	}
	script := filepath.Join("..", "..", "..", "scripts", "apache")
	if out, err := exec.Command(script, args...).CombinedOutput(); err != nil {
		t.Fatalf("start ZooKeeper: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command(script, "stop", dir).CombinedOutput(); err != nil {
			t.Errorf("stop ZooKeeper: %v\n%s", err, out)
		}
	})
	// In a subtest, so that its parallel parts are over before the server is stopped.
	t.Run("3.9", func(t *testing.T) { Run(t, fmt.Sprintf("127.0.0.1:%d", port)) })
}

func peers() string {
	if d := os.Getenv("APACHE_PEERS"); d != "" {
		return d
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "apache-peers")
}
