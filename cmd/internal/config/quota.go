package config

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/cmd/internal/client"
)

// owner is who a quota, or a SCRAM credential, is for: parts of which each is a user, a client or an address; "" as the name of
// a part is the default of all.
type owner []part

type part struct {
	kind string // users, clients, ips
	name string
	any  bool // in a description: whatever has such a part
}

// quotaKinds are the wire's names of the parts.
var quotaKinds = map[string]string{"users": "user", "clients": "client-id", "ips": "ip"}

var quotaKeys = map[string][]string{
	"users": {"producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate"},
	"ips":   {"connection_creation_rate"},
}

// parseOwner reads user/NAME, user, client/ID, client, user/NAME/client/ID, ip/ADDRESS and ip. ok is false for anything else.
func parseOwner(text string) (o owner, ok bool) {
	ours := map[string]string{"user": "users", "client": "clients", "ip": "ips"}
	for words := strings.Split(text, "/"); len(words) > 0; {
		kind := ours[words[0]]
		if kind == "" || len(o) == 2 || len(o) == 1 && (o[0].kind != "users" || kind != "clients") {
			return nil, false
		}
		words = words[1:]
		p := part{kind: kind}
		if len(words) > 0 && (ours[words[0]] == "" || len(words) == 1) {
			p.name, words = words[0], words[1:]
		}
		o = append(o, p)
	}
	return o, len(o) > 0
}

func (o owner) String() string {
	var out []string
	for _, p := range o {
		out = append(out, strings.TrimSuffix(strings.TrimSuffix(p.kind, "s")+"/"+p.name, "/"))
	}
	return strings.Join(out, "/")
}

// quota is the quotas of one owner.
type quota struct {
	owner  owner
	values []kadm.ClientQuotaValue // by key
}

// quotas reads the quotas of an owner, or of all that have parts of these kinds, sorted.
func (o owner) quotas(s client.Session) ([]quota, error) {
	var ask []kadm.DescribeClientQuotaComponent
	for _, p := range o {
		c := kadm.DescribeClientQuotaComponent{Type: quotaKinds[p.kind]}
		switch {
		case p.any:
			c.MatchType = 2
		case p.name == "":
			c.MatchType = 1
		default:
			c.MatchName = &p.name
		}
		ask = append(ask, c)
	}
	found, err := s.DescribeClientQuotas(s, true, ask)
	if err != nil {
		return nil, err
	}
	var out []quota
	for _, f := range found {
		var q quota
		for kind, wire := range quotaKinds {
			for _, c := range f.Entity {
				if c.Type == wire {
					p := part{kind: kind}
					if c.Name != nil {
						p.name = *c.Name
					}
					q.owner = append(q.owner, p)
				}
			}
		}
		slices.SortFunc(q.owner, func(a, b part) int { return -cmp.Compare(a.kind, b.kind) }) // users before clients
		q.values = f.Values
		slices.SortFunc(q.values, func(a, b kadm.ClientQuotaValue) int { return cmp.Compare(a.Key, b.Key) })
		out = append(out, q)
	}
	slices.SortFunc(out, func(a, b quota) int { return cmp.Compare(a.owner.String(), b.owner.String()) })
	return out, nil
}

// setQuotas changes quotas of an owner.
func (o owner) setQuotas(s client.Session, set map[string]string, drop []string) error {
	var e kadm.AlterClientQuotaEntry
	for _, p := range o {
		c := kadm.ClientQuotaEntityComponent{Type: quotaKinds[p.kind]}
		if p.name != "" {
			c.Name = &p.name
		}
		e.Entity = append(e.Entity, c)
	}
	for k, v := range set {
		f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		if err != nil {
			return fmt.Errorf("Cannot parse quota configuration value for %s: %s", k, v)
		}
		e.Ops = append(e.Ops, kadm.AlterClientQuotaOp{Key: k, Value: f})
	}
	for _, k := range drop {
		e.Ops = append(e.Ops, kadm.AlterClientQuotaOp{Key: k, Remove: true})
	}
	rs, err := s.AlterClientQuotas(s, []kadm.AlterClientQuotaEntry{e})
	if err != nil {
		return err
	}
	for _, r := range rs {
		if r.Err != nil {
			return explain(r.Err, &r.ErrMessage)
		}
	}
	return nil
}

// scramMechanisms by name.
var scramMechanisms = map[string]kadm.ScramMechanism{"SCRAM-SHA-256": kadm.ScramSha256, "SCRAM-SHA-512": kadm.ScramSha512}

const (
	scramIterations    = 4096 // if none are given
	scramIterationsMin = 4096
)

// credential reads [iterations=N,]password=TEXT.
func credential(mechanism, text string) (iterations int32, password string, err error) {
	count, rest, ok := strings.Cut(text, ",")
	if n, found := strings.CutPrefix(count, "iterations="); ok && found {
		text = rest
		if n != "" && n != "-1" {
			i, err := strconv.ParseInt(n, 10, 32)
			if err != nil {
				return 0, "", fmt.Errorf("Invalid credential property %s=%s,%s", mechanism, count, "[hidden]")
			}
			if iterations = int32(i); iterations < scramIterationsMin {
				return 0, "", fmt.Errorf("Iterations %d is less than the minimum %d required for %s", iterations, scramIterationsMin, mechanism)
			}
		}
	}
	if iterations == 0 {
		iterations = scramIterations
	}
	password, ok = strings.CutPrefix(text, "password=")
	if !ok {
		return 0, "", fmt.Errorf("Invalid credential property %s=[hidden]: want password=TEXT or iterations=N,password=TEXT", mechanism)
	}
	return iterations, password, nil
}

// setScram changes the credentials of a user.
func setScram(s client.Session, user string, set map[string]string, drop []string) error {
	var del []kadm.DeleteSCRAM
	var upsert []kadm.UpsertSCRAM
	for _, m := range drop {
		del = append(del, kadm.DeleteSCRAM{User: user, Mechanism: scramMechanisms[m]})
	}
	for m, text := range set {
		iterations, password, err := credential(m, text)
		if err != nil {
			return err
		}
		upsert = append(upsert, kadm.UpsertSCRAM{User: user, Mechanism: scramMechanisms[m], Iterations: iterations, Password: password})
	}
	rs, err := s.AlterUserSCRAMs(s, del, upsert)
	if err != nil {
		return err
	}
	for _, r := range rs {
		if r.Err != nil {
			return explain(r.Err, &r.ErrMessage)
		}
	}
	return nil
}

// scram is the credentials of a user, without what is secret.
type scram struct {
	user string
	has  []kadm.CredInfo
	err  error
}

// scrams reads the credentials of users, or of all. Users without any are left out.
func scrams(s client.Session, users ...string) ([]scram, error) {
	found, err := s.DescribeUserSCRAMs(s, users...)
	if err != nil {
		return nil, err
	}
	var out []scram
	for _, u := range found.Sorted() {
		if errors.Is(u.Err, kerr.ResourceNotFound) {
			continue
		}
		var err error
		if u.Err != nil {
			err = explain(u.Err, &u.ErrMessage)
		}
		out = append(out, scram{u.User, u.CredInfos, err})
	}
	return out, nil
}

// parted separates quotas from credentials.
func parted(keys []string) (quotas, scrams, unknown []string) {
	for _, k := range keys {
		switch {
		case slices.Contains(quotaKeys["users"], k):
			quotas = append(quotas, k)
		case scramMechanisms[k] != 0:
			scrams = append(scrams, k)
		default:
			unknown = append(unknown, k)
		}
	}
	return quotas, scrams, unknown
}

// javaDouble writes a number as Java's Double.toString does.
func javaDouble(f float64) string {
	if a := math.Abs(f); a != 0 && (a < 1e-3 || a >= 1e7) && !math.IsInf(f, 0) {
		s := strconv.FormatFloat(f, 'E', -1, 64)
		mantissa, exponent, _ := strings.Cut(s, "E")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		sign := strings.TrimLeft(exponent[:1], "+")
		return mantissa + "E" + sign + strings.TrimLeft(exponent[1:], "0")
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
