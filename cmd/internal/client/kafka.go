package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"ottla/broker/config/properties"
	"ottla/cmd/internal/output"
)

// Kafka says which brokers to talk to.
type Kafka struct {
	Servers    string        // host:port,host:port
	Properties string        // path of a file of client properties, "" for none
	Timeout    time.Duration // for a connection, and for what is asked over it
	ID         string        // client.id; "" is ottla
}

// DefaultServers is where a broker listens if nothing else is said.
const DefaultServers = "localhost:9092"

const defaultTimeout = 30 * time.Second

// Flags adds the flags of our own commands.
func (k *Kafka) Flags(f *pflag.FlagSet) {
	f.StringVarP(&k.Servers, "bootstrap-server", "b", DefaultServers, "brokers to connect to, `host:port,...`")
	f.StringVar(&k.Properties, "command-config", "", "`file` of client properties")
	f.DurationVar(&k.Timeout, "timeout", defaultTimeout, "how long to wait for an answer")
}

// Context bounds what is asked of the brokers.
func (k *Kafka) Context(parent context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(parent, k.timeout(), fmt.Errorf("no answer from Kafka at %s within %v", k.Servers, k.timeout()))
}

func (k *Kafka) timeout() time.Duration {
	if k.Timeout <= 0 {
		return defaultTimeout
	}
	return k.Timeout
}

// Seeds are the addresses to connect to, each with a port.
func Seeds(servers string) []string {
	var out []string
	for _, s := range strings.Split(servers, ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(s); err != nil {
			s = net.JoinHostPort(strings.Trim(s, "[]"), "9092")
		}
		out = append(out, s)
	}
	return out
}

// Open makes a client and asks any of the brokers for a sign of life.
func (k *Kafka) Open(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
	seeds := Seeds(k.Servers)
	if len(seeds) == 0 {
		return nil, output.Usagef("--bootstrap-server %q names no broker: want host:port", k.Servers)
	}
	id := k.ID
	if id == "" {
		id = "ottla"
	}
	wait := max(min(k.timeout(), 10*time.Second), 100*time.Millisecond)
	all := append([]kgo.Opt{kgo.SeedBrokers(seeds...), kgo.ClientID(id), kgo.DialTimeout(wait), kgo.RequestTimeoutOverhead(wait)}, opts...)
	more, err := k.properties()
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(append(all, more...)...)
	if err != nil {
		return nil, err
	}
	ping, cancel := k.Context(ctx)
	defer cancel()
	if err := cl.Ping(ping); err != nil {
		cl.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, unreachable("Kafka", k.Servers, "--bootstrap-server", err)
	}
	return cl, nil
}

// Admin is Open for administration.
func (k *Kafka) Admin(ctx context.Context) (*kadm.Client, error) {
	cl, err := k.Open(ctx)
	if err != nil {
		return nil, err
	}
	adm := kadm.NewClient(cl)
	adm.SetTimeoutMillis(int32(k.timeout().Milliseconds()))
	return adm, nil
}

// properties are the options that the file of client properties asks for.
func (k *Kafka) properties() ([]kgo.Opt, error) {
	if k.Properties == "" {
		return nil, nil
	}
	m, err := ReadProperties(k.Properties)
	if err != nil {
		return nil, err
	}
	return Options(m)
}

// ReadProperties reads a .properties file; a later line of a key wins.
func ReadProperties(path string) (map[string]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	entries, err := properties.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m := make(map[string]string, len(entries))
	for _, e := range entries {
		m[e.Key] = e.Value
	}
	return m, nil
}

// Options translates the client properties that decide how to connect. Others have no effect here, or are read by the command
// that they concern; one that would protect the connection, and cannot be kept, is an error.
func Options(m map[string]string) ([]kgo.Opt, error) {
	var opts []kgo.Opt
	if id := m["client.id"]; id != "" {
		opts = append(opts, kgo.ClientID(id))
	}
	if p := m["security.protocol"]; p != "" && !strings.EqualFold(p, "PLAINTEXT") {
		return nil, fmt.Errorf("security.protocol=%s: these commands connect by PLAINTEXT only; use a PLAINTEXT listener of the broker, or the Apache tool", p)
	}
	return opts, nil
}

// unreachable explains why there is no connection.
func unreachable(what, where, flag string, err error) error {
	start := map[string]string{"Kafka": "`ottla up` starts one, with a coordinator", "ZooKeeper": "`ottla coordinator` starts one, `ottla up` one with a broker"}[what]
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return fmt.Errorf("cannot connect to %s at %s: %w; check the name, or give another address with %s", what, where, err, flag)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens at %s (connection refused): is %s running there? %s; %s says where else to look", where, what, start, flag)
	}
	return fmt.Errorf("cannot connect to %s at %s: %w; is it running and reachable? %s says where else to look", what, where, err, flag)
}
