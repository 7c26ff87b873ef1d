package conformance

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	for _, s := range Setups {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			s.Run(t, apache(t, s))
		})
	}
}

// apache starts a ZooKeeper that is stopped with the test.
func apache(t *testing.T, s *Setup) Target {
	dir := t.TempDir()
	config, properties := s.Prepare(t, dir)
	port := freePort(t)
	target := Target{Addr: fmt.Sprintf("127.0.0.1:%d", port), Apache: true}
	if s.Secure() {
		secure := freePort(t)
		target.Secure = fmt.Sprintf("127.0.0.1:%d", secure)
		config["secureClientPort"], config["secureClientPortAddress"] = fmt.Sprint(secure), "127.0.0.1"
	}
	script := filepath.Join("..", "..", "..", "scripts", "apache")
	run := func(args ...string) {
		cmd := exec.Command(script, args...)
		var flags []string
		for k, v := range properties {
			flags = append(flags, "-D"+k+"="+v)
		}
		cmd.Env = append(os.Environ(), "JAVA_OPTS="+strings.Join(flags, " "), "HEAP=256m")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args[0], err, out)
		}
	}
	start := func() {
		args := []string{"zookeeper", dir, fmt.Sprint(port)}
		for k, v := range config {
			args = append(args, k+"="+v)
		}
		run(args...)
	}
	start()
	t.Cleanup(func() { run("stop", dir) })
	target.Restart = func() {
		run("stop", dir)
		start()
	}
	return target
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
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
