package auth

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
)

// store is a ZooKeeper of settings.
type store map[string]map[string]string

func (s store) Entities(context.Context, string) (map[string]map[string]string, []error, error) {
	return s, nil, nil
}

func (s store) Entity(_ context.Context, _, name string) (map[string]string, bool, error) {
	c := map[string]string{}
	maps.Copy(c, s[name])
	return c, s[name] != nil, nil
}

func (s store) ChangeEntity(_ context.Context, _, name string, settings map[string]string) error {
	s[name] = settings
	if len(settings) == 0 {
		delete(s, name)
	}
	return nil
}

type served struct {
	t            *testing.T
	r            *api.Registry
	store        store
	isController bool
}

func serve(t *testing.T) *served {
	s := &served{t, api.NewRegistry(), store{}, true}
	RegisterNone(s.r)
	RegisterSCRAM(s.r, Config{
		Entities: func(context.Context) (Entities, error) { return s.store, nil }, IsController: func() bool { return s.isController },
		Altering: new(sync.Mutex), Log: zerolog.Nop(),
	})
	return s
}

func (s *served) ask(q kmsg.Request, version int16) (kmsg.Response, error) {
	s.t.Helper()
	e, ok := s.r.Lookup(q.Key())
	if !ok {
		s.t.Fatalf("%T is not served", q)
	}
	q.SetVersion(version)
	resp, err := e.Handle(s.t.Context(), &api.Request{
		Key: q.Key(), Version: version, Body: q.AppendTo(nil), Conn: &api.Conn{Listener: "PLAINTEXT", Principal: "User:ANONYMOUS"},
	})
	if err != nil {
		return nil, err
	}
	return resp.(kmsg.Response), nil
}

// TestCredential: the example of RFC 7677.
func TestCredential(t *testing.T) {
	// SaltedPassword of RFC 7677: PBKDF2-HMAC-SHA-256 of "pencil", salt W22ZaJ0SNY7soEsUEjb6gQ==, 4096 iterations.
	salted := []byte("\xc4\xa4\x95\x10\x32\x3a\xb4\xf9\x52\xca\xc1\xfa\x99\x44\x19\x39\xe7\x8e\xa7\x4d\x6b\xe8\x1d\xdf\x70\x96\xe8\x75\x13\xdc\x61\x5d")
	got, err := mechanisms[1].credential([]byte("salt"), salted, 4096)
	want := "salt=c2FsdA==,stored_key=WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,server_key=wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=,iterations=4096"
	if got != want || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	if n, err := iterationsOf(got); n != 4096 || err != nil {
		t.Error(n, err)
	}
	for _, bad := range []string{"", "salt=c2FsdA==", strings.Replace(want, "4096", "many", 1), strings.Replace(want, "=WG5", "=*", 1)} {
		if _, err := iterationsOf(bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func upsert(name string, mechanism int8, iterations int32) kmsg.AlterUserSCRAMCredentialsRequestUpsertion {
	return kmsg.AlterUserSCRAMCredentialsRequestUpsertion{Name: name, Mechanism: mechanism, Iterations: iterations, Salt: []byte("s"), SaltedPassword: []byte("p")}
}

// TestAlterUserScramCredentials: codes and texts as Apache Kafka 3.9 has them; a user of whom anything is wrong keeps all he had.
func TestAlterUserScramCredentials(t *testing.T) {
	s := serve(t)
	s.store["w%C3%B6"] = map[string]string{"producer_byte_rate": "1"}
	type upserts = []kmsg.AlterUserSCRAMCredentialsRequestUpsertion
	type deletions = []kmsg.AlterUserSCRAMCredentialsRequestDeletion
	for _, c := range []struct {
		what string
		set  upserts
		del  deletions
		user string
		code *kerr.Error
		text string
	}{
		{"set", upserts{upsert("wö", 1, 4096), upsert("wö", 2, 16384)}, nil, "wö", nil, ""},
		{"no user", upserts{upsert("", 1, 4096)}, nil, "", kerr.UnacceptableCredential, "Username must not be empty"},
		{"mechanism", upserts{upsert("a", 3, 4096)}, nil, "a", kerr.UnsupportedSaslMechanism, "Unknown SCRAM mechanism"},
		{"few", upserts{upsert("a", 1, 4095)}, nil, "a", kerr.UnacceptableCredential, "Too few iterations"},
		{"many", upserts{upsert("a", 1, 16385)}, nil, "a", kerr.UnacceptableCredential, "Too many iterations"},
		{"twice", upserts{upsert("wö", 1, 4096), upsert("wö", 1, 8192)}, nil, "wö", kerr.DuplicateResource, "A user credential cannot be altered twice in the same request"},
		{"both", upserts{upsert("wö", 1, 8192)}, deletions{{Name: "wö", Mechanism: 1}}, "wö", kerr.DuplicateResource, "A user credential cannot be altered twice in the same request"},
		{"unknown", nil, deletions{{Name: "b", Mechanism: 2}}, "b", kerr.ResourceNotFound, "Attempt to delete a user credential that does not exist"},
		{"delete", upserts{upsert("wö", 1, 5000)}, deletions{{Name: "wö", Mechanism: 2}}, "wö", nil, ""},
	} {
		q := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
		q.Upsertions, q.Deletions = c.set, c.del
		resp, err := s.ask(q, 0)
		if err != nil {
			t.Fatal(err)
		}
		rs := resp.(*kmsg.AlterUserSCRAMCredentialsResponse).Results
		if len(rs) != 1 || rs[0].User != c.user || kerr.TypedErrorForCode(rs[0].ErrorCode) != c.code || *rs[0].ErrorMessage != c.text {
			t.Errorf("%s: %+v", c.what, rs)
		}
	}
	if got := slices.Sorted(maps.Keys(s.store["w%C3%B6"])); !slices.Equal(got, []string{"SCRAM-SHA-256", "producer_byte_rate"}) || len(s.store) != 1 {
		t.Errorf("stored %v", s.store)
	}
	describe := func(users ...string) []kmsg.DescribeUserSCRAMCredentialsResponseResult {
		q := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
		for _, u := range users {
			q.Users = append(q.Users, kmsg.DescribeUserSCRAMCredentialsRequestUser{Name: u})
		}
		resp, err := s.ask(q, 0)
		if err != nil {
			t.Fatal(err)
		}
		return resp.(*kmsg.DescribeUserSCRAMCredentialsResponse).Results
	}
	if all := describe(); len(all) != 1 || all[0].User != "wö" || all[0].CredentialInfos[0].Iterations != 5000 {
		t.Errorf("%+v", all)
	}
	got := describe("wö", "b", "", "c", "c")
	for i, code := range []int16{0, kerr.ResourceNotFound.Code, kerr.ResourceNotFound.Code, kerr.DuplicateResource.Code} {
		if len(got) != 4 || got[i].ErrorCode != code {
			t.Fatalf("%+v", got)
		}
	}
	s.isController = false
	q := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	q.Upsertions = upserts{upsert("a", 1, 4096)}
	if resp, err := s.ask(q, 0); err != nil || resp.(*kmsg.AlterUserSCRAMCredentialsResponse).Results[0].ErrorCode != kerr.NotController.Code {
		t.Error(resp, err)
	}
}

func FuzzIterationsOf(f *testing.F) {
	f.Add("salt=c2FsdA==,stored_key=WG5d,server_key=wfPL,iterations=4096")
	f.Fuzz(func(t *testing.T, s string) { _, _ = iterationsOf(s) })
}

// TestNone: unknown codes close the connection, everything else is SECURITY_DISABLED.
func TestNone(t *testing.T) {
	s := serve(t)
	for version := int16(0); version <= 3; version++ {
		q := kmsg.NewPtrDescribeACLsRequest()
		q.ResourceType, q.ResourcePatternType, q.Operation, q.PermissionType = 1, 1, 1, 1
		resp, err := s.ask(q, version)
		if err != nil || resp.(*kmsg.DescribeACLsResponse).ErrorCode != kerr.SecurityDisabled.Code {
			t.Errorf("v%d: %v, %v", version, resp, err)
		}
		q.Operation = 0
		if resp, err := s.ask(q, version); err == nil {
			t.Errorf("v%d: an unknown operation is answered %v", version, resp)
		}
		token := kmsg.NewPtrCreateDelegationTokenRequest()
		resp, err = s.ask(token, version)
		if r, ok := resp.(*kmsg.CreateDelegationTokenResponse); !ok || err != nil || r.ErrorCode != kerr.DelegationTokenRequestNotAllowed.Code || r.PrincipalName != "ANONYMOUS" {
			t.Errorf("v%d: %+v, %v", version, resp, err)
		}
	}
}
