// Package znodetest gives tests a ZooKeeper: one Apache ZooKeeper 3.9 per test binary, shared by its tests, each below a chroot of
// its own, and a proxy that cuts a client off.
//
// Ticks are short (the shortest session is 400 ms), so that sessions can expire within a test. Without the Apache jars (see
// scripts/apache) tests skip and say so, unless OTTLA_PEERS=required.
package znodetest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TickTime of the server: sessions last from 2 to 20 ticks.
const TickTime = 200 * time.Millisecond

var shared struct {
	once    sync.Once
	address string
	err     error
	cmd     *exec.Cmd
	dir     string
}

// ZooKeeper is the address of the shared server.
func ZooKeeper(t testing.TB) string {
	t.Helper()
	jars := filepath.Join(peers(), "zookeeper", "jars")
	if _, err := os.Stat(jars); err != nil {
		if os.Getenv("OTTLA_PEERS") == "required" {
			t.Fatal("Apache ZooKeeper is missing: run scripts/setup")
		}
		t.Skip("Apache ZooKeeper is missing; scripts/setup fetches it")
	}
	shared.once.Do(start)
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.address
}

var chroots struct {
	sync.Mutex
	of    map[string]string
	count int
}

// Chroot is a path that this run of the test has to itself, the same each time it is asked.
func Chroot(t testing.TB) string {
	chroots.Lock()
	defer chroots.Unlock()
	if path, ok := chroots.of[t.Name()]; ok {
		return path
	}
	if chroots.of == nil {
		chroots.of = map[string]string{}
	}
	chroots.count++
	path := fmt.Sprintf("/%s/%d", t.Name(), chroots.count)
	chroots.of[t.Name()] = path
	t.Cleanup(func() {
		chroots.Lock()
		defer chroots.Unlock()
		delete(chroots.of, t.Name())
	})
	return path
}

// Main runs a package's tests and stops the server, if one was started. For TestMain; it returns the exit code.
func Main(m interface{ Run() int }) int {
	code := m.Run()
	if shared.cmd != nil {
		_ = shared.cmd.Process.Kill()
		_ = shared.cmd.Wait()
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
	return code
}

func peers() string {
	if d := os.Getenv("APACHE_PEERS"); d != "" {
		return d
	}
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, _ := os.UserHomeDir()
		cache = filepath.Join(home, ".cache")
	}
	return filepath.Join(cache, "apache-peers")
}

func start() {
	set := filepath.Join(peers(), "zookeeper")
	dir, err := os.MkdirTemp("", "znodetest")
	if err != nil {
		shared.err = err
		return
	}
	shared.dir = dir
	port, err := freePort()
	if err != nil {
		shared.err = err
		return
	}
	cfg := fmt.Sprintf("tickTime=%d\ndataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\nadmin.enableServer=false\n4lw.commands.whitelist=*\n",
		TickTime.Milliseconds(), filepath.ToSlash(dir), port)
	if shared.err = os.WriteFile(filepath.Join(dir, "zoo.cfg"), []byte(cfg), 0o644); shared.err != nil {
		return
	}
	classPath := filepath.Join(set, "conf") + string(os.PathListSeparator) + filepath.Join(set, "jars", "*")
	cmd := exec.Command("java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.net.preferIPv4Stack=true",
		"-Dpeers.level=WARN", "-Dzookeeper.forceSync=no", "-cp", classPath, "org.apache.zookeeper.server.quorum.QuorumPeerMain", filepath.Join(dir, "zoo.cfg"))
	if shared.err = cmd.Start(); shared.err != nil {
		return
	}
	shared.cmd = cmd
	shared.address = fmt.Sprintf("127.0.0.1:%d", port)
	for end := time.Now().Add(60 * time.Second); ; {
		if answers(shared.address) {
			return
		}
		if time.Now().After(end) {
			shared.err = fmt.Errorf("ZooKeeper in %s does not answer", dir)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func answers(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := c.Write([]byte("srvr")); err != nil {
		return false
	}
	b := make([]byte, 4096)
	n, _ := c.Read(b)
	return strings.Contains(string(b[:n]), "Zookeeper version")
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Proxy stands between a client and a server and can cut the two off from each other: nothing passes, and nobody is told.
type Proxy struct {
	Address string

	to  string
	l   net.Listener
	cut atomic.Bool
	wg  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// NewProxy listens, and ends with the test.
func NewProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Address: l.Addr().String(), to: to, l: l, conns: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.Drop()
		p.wg.Wait()
	})
	return p
}

// Cut stops all traffic. Connections stay open, and new ones are accepted and get no answer.
func (p *Proxy) Cut() { p.cut.Store(true) }

// Heal lets traffic pass again. What was sent meanwhile is lost with the connections, which are closed.
func (p *Proxy) Heal() {
	p.Drop()
	p.cut.Store(false)
}

// Drop closes all connections.
func (p *Proxy) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *Proxy) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(c) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	p.conns[client], p.conns[server] = true, true
	p.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { p.pass(client, server) })
	wg.Go(func() { p.pass(server, client) })
	wg.Wait()
	p.mu.Lock()
	delete(p.conns, client)
	delete(p.conns, server)
	p.mu.Unlock()
}

func (p *Proxy) pass(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		if p.cut.Load() {
			continue
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}
