package config

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"net/url"
	"slices"
	"strings"

	"ottla/broker/config/keys"
	"ottla/broker/znode"
	"ottla/cmd/internal/client"
)

// inZooKeeper reads and writes the znodes of entities, with the texts of the tool of 2.8.
func (c *call) inZooKeeper(t target) error {
	w := c.OutOrStdout()
	fmt.Fprintln(w, "Warning: --zookeeper is deprecated and will be removed in a future version of Kafka.")
	fmt.Fprintln(w, "Use --bootstrap-server instead to specify a broker to connect to.")
	ctx, cancel := c.kafka.Context(c.Context())
	defer cancel()
	z := client.ZooKeeper{Connect: c.zookeeper}
	cl, s, err := z.Layout(ctx)
	if err != nil {
		return err
	}
	defer cl.Close()
	if t.has("users") && t.types[0] == "clients" { // users own clients
		slices.Reverse(t.types)
		slices.Reverse(t.names)
	}
	if c.on("alter") {
		return c.write(ctx, s, t.owner())
	}
	all, err := owners(ctx, s, t.owner())
	if err != nil {
		return err
	}
	for _, o := range all {
		config, _, err := s.Entity(ctx, o[0].kind, node(o))
		if err != nil {
			return err
		}
		if len(config) == 0 && len(t.types) == 1 && len(t.names) == 0 && t.has("users") {
			continue // only the parent of its clients
		}
		var pairs []string
		for k, v := range config {
			pairs = append(pairs, k+"="+v)
		}
		slices.Sort(pairs)
		fmt.Fprintf(w, "Configs for %s are %s\n", inWords(o), strings.Join(pairs, ","))
	}
	return nil
}

// node is where the configuration of an owner is, below its kind: bob, or bob/clients/app.
func node(o owner) string {
	var path []string
	for i, p := range o {
		name := znode.DefaultEntity
		if p.name != "" {
			if name = p.name; p.kind == "users" || p.kind == "clients" {
				name = strings.ReplaceAll(url.QueryEscape(p.name), "+", "%20")
			}
		}
		if i > 0 {
			path = append(path, p.kind)
		}
		path = append(path, name)
	}
	return strings.Join(path, "/")
}

// inWords names an owner as the tool of 2.8 does.
func inWords(o owner) string {
	var out []string
	for _, p := range o {
		title := map[string]string{"users": "user-principal", "clients": "client-id", "topics": "topic"}[p.kind]
		if title == "" {
			title = p.kind
		}
		if p.name == "" {
			out = append(out, "default "+title)
		} else {
			out = append(out, fmt.Sprintf("%s '%s'", title, p.name))
		}
	}
	return strings.Join(out, ", ")
}

// owners are those with a configuration that o stands for.
func owners(ctx context.Context, s *znode.Session, o owner) ([]owner, error) {
	at := slices.IndexFunc(o, func(p part) bool { return p.any })
	if at < 0 {
		return []owner{o}, nil
	}
	var names []string
	var err error
	if o[at].kind == "topics" {
		names, err = s.TopicNames(ctx)
	} else {
		dir := o[0].kind
		if at > 0 {
			dir += "/" + node(o[:at]) + "/" + o[at].kind
		}
		names, err = s.Children(ctx, znode.ConfigPath+"/"+dir)
	}
	if err != nil && !errors.Is(err, znode.ErrNoNode) {
		return nil, err
	}
	slices.Sort(names)
	var out []owner
	for _, n := range names {
		one := slices.Clone(o)
		one[at].any = false
		if n != znode.DefaultEntity {
			if one[at].name, err = url.PathUnescape(n); err != nil {
				one[at].name = n
			}
		}
		more, err := owners(ctx, s, one)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// write changes a configuration and notifies the brokers.
func (c *call) write(ctx context.Context, s *znode.Session, o owner) error {
	set, drop, err := c.changes()
	if err != nil {
		return err
	}
	kind := o[0].kind
	if err := prepare(ctx, s, o, set); err != nil {
		return err
	}
	now, _, err := s.Entity(ctx, kind, node(o))
	if err != nil {
		return err
	}
	if err := missing(func(k string) bool { _, ok := now[k]; return ok }, drop); err != nil {
		return err
	}
	for k, v := range set {
		now[k] = v
	}
	for _, k := range drop {
		delete(now, k)
	}
	if err := s.SetEntity(ctx, kind, node(o), now); err != nil {
		return err
	}
	if err := s.NotifyEntity(ctx, kind, node(o)); err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "Completed updating config for entity: %s.\n", inWords(o))
	return nil
}

// prepare judges what is to be set, and hashes passwords.
func prepare(ctx context.Context, s *znode.Session, o owner, set map[string]string) error {
	switch o[0].kind {
	case "topics":
		all, err := s.TopicNames(ctx)
		if err != nil {
			return err
		}
		if !slices.Contains(all, o[0].name) {
			return fmt.Errorf("Topic '%s' does not exist.", o[0].name)
		}
		for k, v := range set {
			key, ok := keys.Topic.Lookup(k)
			if !ok {
				return fmt.Errorf("Unknown topic config name: %s", k)
			}
			if _, err := key.Parse(v); err != nil {
				return err
			}
		}
	case "brokers":
		return notRunning(ctx, s, o[0].name, set)
	case "users":
		for k, v := range set {
			if scramMechanisms[k] == 0 {
				continue
			}
			hashed, err := hashPassword(k, v)
			if err != nil {
				return err
			}
			set[k] = hashed
		}
	}
	return nil
}

// notRunning refuses to write the configuration of a broker that runs: it would not be validated.
func notRunning(ctx context.Context, s *znode.Session, id string, set map[string]string) error {
	if len(set) == 0 {
		return nil
	}
	brokers, _, err := s.Brokers(ctx)
	if err != nil && !errors.Is(err, znode.ErrNoNode) {
		return err
	}
	for _, b := range brokers {
		if id == "" || id == fmt.Sprint(b.ID) {
			return invalidf("requirement failed: --bootstrap-server option must be specified to update the configuration of brokers while broker %d is running", b.ID)
		}
	}
	for k, v := range set {
		key, ok := keys.Broker.Lookup(k)
		if !ok {
			continue // a listener's own, or a plug-in's
		}
		if key.Type == keys.Password {
			return invalidf("%s is a password, and this command has no password.encoder.secret to encrypt it with; set it once the broker runs, with --bootstrap-server", k)
		}
		if _, err := key.Parse(v); err != nil {
			return err
		}
	}
	return nil
}

// hashPassword makes of [iterations=N,]password=TEXT what Kafka stores (RFC 5802): the password itself is not stored.
func hashPassword(mechanism, text string) (string, error) {
	iterations, password, err := credential(mechanism, text)
	if err != nil {
		return "", invalid(err.Error())
	}
	salt := make([]byte, 24)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	sum, size := func() hash.Hash { return sha256.New() }, sha256.Size
	if mechanism == "SCRAM-SHA-512" {
		sum, size = func() hash.Hash { return sha512.New() }, sha512.Size
	}
	salted, err := pbkdf2.Key(sum, password, salt, int(iterations), size)
	if err != nil {
		return "", err
	}
	mac := func(text string) []byte {
		m := hmac.New(sum, salted)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	stored := sum()
	stored.Write(mac("Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("salt=%s,stored_key=%s,server_key=%s,iterations=%d", b64(salt), b64(stored.Sum(nil)), b64(mac("Server Key")), iterations), nil
}
