package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/znode"
)

// Entities is where the settings of users are kept: a znode.Session. Names are sanitized.
type Entities interface {
	// Entities reads all of a kind, by name. Unreadable ones are in skipped.
	Entities(ctx context.Context, kind string) (all map[string]map[string]string, skipped []error, err error)
	// Entity reads one; it is empty if there is none.
	Entity(ctx context.Context, kind, name string) (settings map[string]string, exists bool, err error)
	// ChangeEntity replaces the settings of one, and notifies all brokers.
	ChangeEntity(ctx context.Context, kind, name string, settings map[string]string) error
}

// Config is what the handlers of SCRAM credentials need. All fields must be set.
type Config struct {
	// Entities returns the present ZooKeeper session; the error is answered to the client.
	Entities func(ctx context.Context) (Entities, error)
	// IsController says whether this broker is the controller, the only one that alters credentials.
	IsController func() bool
	// Altering is held while a user is read, changed and written back. Quotas share it: they are settings of users too.
	Altering *sync.Mutex
	Log      zerolog.Logger
}

// users is the kind of entity that has credentials.
const users = "users"

// mechanism is a way to authenticate (RFC 7677).
type mechanism struct {
	name string // as a setting and on the wire of SASL
	hash func() hash.Hash
}

// mechanisms by their numbers in requests, from 1 on.
var mechanisms = []mechanism{1: {"SCRAM-SHA-256", sha256.New}, 2: {"SCRAM-SHA-512", sha512.New}}

func mechanismOf(number int8) (mechanism, bool) {
	if number < 1 || int(number) >= len(mechanisms) {
		return mechanism{}, false
	}
	return mechanisms[number], true
}

// How often a password may have been hashed.
const (
	iterationsMin = 4096
	iterationsMax = 16384
)

// credential is the setting for a password that its user has salted and hashed already: what proves it can be checked with, and not
// the password itself. An empty hash makes none.
func (m mechanism) credential(salt, saltedPassword []byte, iterations int32) (string, error) {
	if len(saltedPassword) == 0 {
		return "", errors.New("the salted password is empty")
	}
	mac := func(text string) []byte {
		h := hmac.New(m.hash, saltedPassword)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := m.hash()
	stored.Write(mac("Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("salt=%s,stored_key=%s,server_key=%s,iterations=%d",
		encode(salt), encode(stored.Sum(nil)), encode(mac("Server Key")), iterations), nil
}

// iterationsOf reads a credential's iterations.
func iterationsOf(credential string) (int32, error) {
	fields := map[string]string{}
	for f := range strings.SplitSeq(credential, ",") {
		key, value, _ := strings.Cut(f, "=")
		fields[key] = value
	}
	if len(fields) != 4 {
		return 0, errors.New("credential does not have four fields")
	}
	for _, key := range []string{"salt", "stored_key", "server_key"} {
		if _, err := base64.StdEncoding.DecodeString(fields[key]); err != nil {
			return 0, fmt.Errorf("credential's %s: %w", key, err)
		}
	}
	n, err := strconv.ParseInt(fields["iterations"], 10, 32)
	return int32(n), err
}

// scram serves the two APIs. Safe for concurrent use.
type scram struct{ Config }

// RegisterSCRAM adds DescribeUserScramCredentials v0 and AlterUserScramCredentials v0 (KIP-554).
func RegisterSCRAM(r *api.Registry, c Config) {
	s := &scram{c}
	api.Register(r, 0, 0, s.describe)
	api.Register(r, 0, 0, s.alter)
}

const (
	emptyUser   = "Username must not be empty"
	unknownUser = "Attempt to describe a user credential that does not exist: "
)

func (s *scram) describe(ctx context.Context, _ *api.Request, q *kmsg.DescribeUserSCRAMCredentialsRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrDescribeUserSCRAMCredentialsResponse()
	resp.ErrorMessage = kmsg.StringPtr("")
	z, err := s.Entities(ctx)
	if err == nil && len(q.Users) == 0 {
		resp.Results, err = s.describeAll(ctx, z)
	}
	if err != nil {
		s.Log.Error().Err(err).Msg("SCRAM credentials cannot be described")
		resp.ErrorCode, resp.ErrorMessage = api.Code(err), kmsg.StringPtr(serverError)
		return resp, nil
	}
	times := map[string]int{}
	for _, u := range q.Users {
		times[u.Name]++
	}
	for _, u := range q.Users {
		n := times[u.Name]
		if n == 0 {
			continue // answered
		}
		times[u.Name] = 0
		r := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
		r.User, r.ErrorMessage = u.Name, kmsg.StringPtr("")
		switch {
		case u.Name == "":
			r.ErrorCode, *r.ErrorMessage = kerr.ResourceNotFound.Code, emptyUser
		case n > 1:
			r.ErrorCode = kerr.DuplicateResource.Code
			*r.ErrorMessage = "Cannot describe SCRAM credentials for the same user twice in a single request: " + u.Name
		default:
			settings, _, err := z.Entity(ctx, users, znode.Sanitize(u.Name))
			if err != nil {
				r.ErrorCode, *r.ErrorMessage = api.Code(err), serverError
			} else if !s.fill(&r, settings) {
				r.ErrorCode, *r.ErrorMessage = kerr.ResourceNotFound.Code, unknownUser+u.Name
			}
		}
		resp.Results = append(resp.Results, r)
	}
	return resp, nil
}

// serverError is Kafka's text for what has no code.
const serverError = "The server experienced an unexpected error when processing the request."

func (s *scram) describeAll(ctx context.Context, z Entities) ([]kmsg.DescribeUserSCRAMCredentialsResponseResult, error) {
	all, skipped, err := z.Entities(ctx, users)
	if err != nil {
		return nil, err
	}
	for _, err := range skipped {
		s.Log.Warn().Err(err).Msg("user cannot be read and is not described")
	}
	var results []kmsg.DescribeUserSCRAMCredentialsResponseResult
	for node, settings := range all {
		r := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
		r.ErrorMessage = kmsg.StringPtr("")
		if r.User, err = url.QueryUnescape(node); err == nil && s.fill(&r, settings) {
			results = append(results, r)
		}
	}
	slices.SortFunc(results, func(a, b kmsg.DescribeUserSCRAMCredentialsResponseResult) int { return strings.Compare(a.User, b.User) })
	return results, nil
}

// fill describes the credentials among the settings of a user. false: there are none.
func (s *scram) fill(r *kmsg.DescribeUserSCRAMCredentialsResponseResult, settings map[string]string) bool {
	found := false
	for number, m := range mechanisms {
		value, ok := settings[m.name]
		if !ok || number == 0 {
			continue
		}
		found = true
		i := kmsg.NewDescribeUserSCRAMCredentialsResponseResultCredentialInfo()
		i.Mechanism = int8(number)
		var err error
		if i.Iterations, err = iterationsOf(value); err != nil {
			s.Log.Error().Err(err).Str("user", r.User).Str("mechanism", m.name).Msg("SCRAM credential cannot be read")
			r.CredentialInfos, r.ErrorCode, r.ErrorMessage = nil, kerr.UnknownServerError.Code, kmsg.StringPtr(serverError)
			return true
		}
		r.CredentialInfos = append(r.CredentialInfos, i)
	}
	return found
}
