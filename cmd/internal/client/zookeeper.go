package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/spf13/pflag"

	"ottla/broker/znode"
	"ottla/cmd/internal/output"
)

// ZooKeeper says which ZooKeeper servers to talk to.
type ZooKeeper struct {
	Connect        string        // host:port,host:port/chroot
	SessionTimeout time.Duration // asked for; the server may choose another
	Timeout        time.Duration // for the first session
	Auth           []string      // scheme:credentials, given to the server at once
	ClientConfig   string        // a file with ZooKeeper's properties of TLS; "": none
	JAAS           string        // a file with a section Client for SASL; "": that of Java's environment, or none
}

// DefaultConnect is where a coordinator listens if nothing else is said.
const DefaultConnect = "localhost:2181"

const defaultSession = 30 * time.Second

// Flags adds the flags of our own commands.
func (z *ZooKeeper) Flags(f *pflag.FlagSet) {
	f.StringVarP(&z.Connect, "zookeeper", "z", DefaultConnect, "servers to connect to, `host:port,.../chroot`")
	f.DurationVar(&z.SessionTimeout, "session-timeout", defaultSession, "session timeout to ask for")
	f.StringArrayVar(&z.Auth, "auth", nil, "who to be, `scheme:credentials` such as digest:user:password; may be repeated")
	f.StringVar(&z.ClientConfig, "client-config", "", "`file` with zookeeper.client.secure=true and zookeeper.ssl.* for TLS, as zkCli takes it")
	f.StringVar(&z.JAAS, "jaas", "", "`file` with a section Client and its DigestLoginModule, to log in with SASL")
	f.DurationVar(&z.Timeout, "timeout", 10*time.Second, "how long to wait for a session")
}

// Tree is a session with its chroot. Safe for concurrent use.
type Tree struct {
	*zk.Conn
	Connect string // what it was opened with
	root    string // "" or a path without a slash at its end
	wg      sync.WaitGroup

	mu      sync.Mutex
	changed chan struct{} // closed and replaced with each change of state
	state   zk.State
	refused error // the latest failure to connect
	failed  int   // attempts to connect that failed, since the last that did not
	latest  *raw
	closed  bool
	denied  error // why no session will ever be: the login failed
	secure  *security

	lasting   map[string]int32 // paths with watches that stay, and their mode
	listeners []*func(Event)
}

// Open makes a session. Unless a server refuses the connection at once, it waits for the timeout.
func (z *ZooKeeper) Open(ctx context.Context) (*Tree, error) {
	servers, chroot, err := znode.ParseConnect(z.Connect)
	if err != nil {
		return nil, output.Usagef("--zookeeper %s: want host:port,host:port/chroot", z.Connect)
	}
	session, limit := z.SessionTimeout, z.Timeout
	if session <= 0 {
		session = defaultSession
	}
	if limit <= 0 {
		limit = 10 * time.Second
	}
	secure, err := z.security()
	if err != nil {
		return nil, err
	}
	t := &Tree{Connect: z.Connect, root: chroot, secure: secure, changed: make(chan struct{}), lasting: map[string]int32{}}
	conn, events, err := zk.Connect(servers, session, zk.WithLogger(silent{}), zk.WithLogInfo(false), zk.WithMaxConnBufferSize(64<<20), zk.WithDialer(t.dial))
	if err != nil {
		return nil, unreachable("ZooKeeper", z.Connect, "--zookeeper", err)
	}
	t.Conn = conn
	t.wg.Go(func() {
		for ev := range events {
			if ev.Type == zk.EventSession {
				t.set(ev.State)
				if ev.State == zk.StateHasSession {
					t.watchAgain()
				}
			}
		}
	})
	wait, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		state, changed, refused := t.look(len(servers))
		if err := t.loginFailed(); err != nil {
			t.Close()
			return nil, err
		}
		if state == zk.StateHasSession {
			if err := t.authenticate(z.Auth); err != nil {
				t.Close()
				return nil, err
			}
			return t, nil
		}
		if refused != nil {
			t.Close()
			return nil, unreachable("ZooKeeper", z.Connect, "--zookeeper", refused)
		}
		select {
		case <-changed:
		case <-wait.Done():
			t.Close()
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, unreachable("ZooKeeper", z.Connect, "--zookeeper", fmt.Errorf("no session within %v", limit))
		}
	}
}

func (t *Tree) authenticate(all []string) error {
	for _, auth := range all {
		scheme, credentials, ok := strings.Cut(auth, ":")
		if !ok || scheme == "" {
			return output.Usagef("--auth: want scheme:credentials, for example digest:user:password")
		}
		if err := t.AddAuth(scheme, []byte(credentials)); err != nil {
			return fmt.Errorf("the server refuses --auth %s:...: %w", scheme, err)
		}
	}
	return nil
}

// dial takes note of failures, which the library would try again for ever without a word.
func (t *Tree) dial(network, address string, timeout time.Duration) (net.Conn, error) {
	c, err := t.secure.dial(network, address, timeout)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil && t.closed {
		c.Close()
		err = net.ErrClosed
	}
	t.refused, t.failed = err, t.failed+1
	if err == nil {
		t.failed, t.latest = 0, newRaw(c, t.login(), t.heard)
		c = t.latest
	}
	t.tellLocked()
	return c, err
}

// login is what a new connection does before it is used; nil: nothing.
func (t *Tree) login() func(*raw) error {
	if t.secure.user == "" {
		return nil
	}
	return func(r *raw) error {
		err := t.secure.login(r)
		if errors.Is(err, errLogin) {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.denied = err
			t.tellLocked()
		}
		return err
	}
}

func (t *Tree) loginFailed() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.denied
}

func (t *Tree) set(s zk.State) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state = s
	t.tellLocked()
}

func (t *Tree) tellLocked() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// look returns the state, a channel closed at the next change, and why no server can be reached once all servers were tried.
func (t *Tree) look(servers int) (zk.State, <-chan struct{}, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed < servers {
		return t.state, t.changed, nil
	}
	return t.state, t.changed, t.refused
}

// Lost returns once the session may have ended: the server said so, or there was no connection for as long as the server keeps
// a session. Then its ephemeral nodes are, or will soon be, gone. It returns ctx's error when that ends first.
func (t *Tree) Lost(ctx context.Context, session time.Duration) error {
	var out <-chan time.Time // runs while there is no connection
	for {
		state, changed, _ := t.look(1)
		switch state {
		case zk.StateHasSession:
			out = nil
		case zk.StateExpired, zk.StateAuthFailed:
			return nil
		default:
			if out == nil {
				out = time.After(session)
			}
		}
		select {
		case <-changed:
		case <-out:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close ends the session, whereby its ephemeral nodes vanish.
func (t *Tree) Close() {
	if state, _, _ := t.look(1); state != zk.StateHasSession {
		t.hangUp() // there is nobody to say goodbye to
	}
	t.Conn.Close()
	t.hangUp()
	t.wg.Wait()
}

// hangUp closes the connection under the library, which would wait minutes for a server that does not answer.
func (t *Tree) hangUp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.latest != nil {
		t.latest.Close()
	}
}

// At is where a path of the user is on the servers: below the chroot, with one slash between names and none at the end.
func (t *Tree) At(p string) (string, error) {
	if !strings.HasPrefix(p, "/") {
		return "", output.Usagef("path %q must begin with /", p)
	}
	if full := t.root + path.Clean(p); full != "/" {
		return strings.TrimRight(full, "/"), nil
	}
	return "/", nil
}

// Shown is At's reverse.
func (t *Tree) Shown(full string) string {
	if p := strings.TrimPrefix(full, t.root); p != "" {
		return p
	}
	return "/"
}

// Explain adds what to do to an error about a path.
func Explain(path string, err error) error {
	switch {
	case errors.Is(err, zk.ErrNoNode):
		return fmt.Errorf("there is no node %s; `ottla zk ls %s` lists what is there", path, parentOf(path))
	case errors.Is(err, zk.ErrNodeExists):
		return fmt.Errorf("node %s exists already; `ottla zk set %s` changes its data", path, path)
	case errors.Is(err, zk.ErrNotEmpty):
		return fmt.Errorf("node %s has children; `ottla zk delete --recursive %s` deletes them too", path, path)
	case errors.Is(err, zk.ErrBadVersion):
		return fmt.Errorf("node %s has another version by now; `ottla zk stat %s` shows it", path, path)
	case errors.Is(err, zk.ErrNoAuth):
		return fmt.Errorf("the ACL of %s does not allow that", path)
	case errors.Is(err, zk.ErrNoChildrenForEphemerals):
		return fmt.Errorf("%s cannot be made: %s is ephemeral, and ephemeral nodes have no children", path, parentOf(path))
	case errors.Is(err, zk.ErrConnectionClosed), errors.Is(err, zk.ErrNoServer):
		return fmt.Errorf("%s: the connection to ZooKeeper was lost; a change may have been made all the same", path)
	}
	return fmt.Errorf("%s: %w", path, err)
}

func parentOf(p string) string { return path.Dir(p) }

// silent drops the library's log, which repeats what errors say.
type silent struct{}

func (silent) Printf(string, ...any) {}
