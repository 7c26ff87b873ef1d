package auth

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/config"
	"ottla/broker/znode"
)

// alteration is all that a request wants of one user.
type alteration struct {
	user    string
	removed []mechanism
	set     []setting
	seen    map[int8]bool
	refused *config.Refusal // nil: nothing speaks against it so far
}

type setting struct {
	mechanism mechanism
	q         kmsg.AlterUserSCRAMCredentialsRequestUpsertion
}

// alterations gathers a request by user, and judges what can be judged without knowing what users there are.
func alterations(q *kmsg.AlterUserSCRAMCredentialsRequest) []*alteration {
	var all []*alteration
	byUser := map[string]*alteration{}
	of := func(user string) *alteration {
		a := byUser[user]
		if a == nil {
			a = &alteration{user: user, seen: map[int8]bool{}}
			byUser[user] = a
			all = append(all, a)
		}
		return a
	}
	twice := map[*alteration]bool{}
	// judge notes that a mechanism of a user is to be altered. An alteration that is wrong in itself is refused before one that comes twice.
	judge := func(a *alteration, number int8) (mechanism, bool) {
		m, ok := mechanismOf(number)
		switch {
		case a.user == "":
			a.refuse(kerr.UnacceptableCredential, emptyUser)
			return m, false
		case !ok:
			a.refuse(kerr.UnsupportedSaslMechanism, "Unknown SCRAM mechanism")
			return m, false
		}
		if a.seen[number] {
			twice[a] = true
		}
		a.seen[number] = true
		return m, true
	}
	// Where both deletions and upsertions of a user are wrong, what is told is the last upsertion.
	for _, d := range q.Deletions {
		a := of(d.Name)
		if m, ok := judge(a, d.Mechanism); ok {
			a.removed = append(a.removed, m)
		}
	}
	for _, u := range q.Upsertions {
		a := of(u.Name)
		m, ok := judge(a, u.Mechanism)
		switch {
		case !ok:
		case u.Iterations < iterationsMin:
			a.refuse(kerr.UnacceptableCredential, "Too few iterations")
		case u.Iterations > iterationsMax:
			a.refuse(kerr.UnacceptableCredential, "Too many iterations")
		default:
			a.set = append(a.set, setting{m, u})
		}
	}
	for a := range twice {
		if a.refused == nil {
			a.refuse(kerr.DuplicateResource, "A user credential cannot be altered twice in the same request")
		}
	}
	return all
}

func (a *alteration) refuse(code *kerr.Error, text string) {
	a.refused = &config.Refusal{Code: code, Text: text}
}

func (s *scram) alter(ctx context.Context, _ *api.Request, q *kmsg.AlterUserSCRAMCredentialsRequest) (kmsg.Response, error) {
	s.Altering.Lock()
	defer s.Altering.Unlock()
	resp := kmsg.NewPtrAlterUserSCRAMCredentialsResponse()
	isController := s.IsController()
	for _, a := range alterations(q) {
		r := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		r.User, r.ErrorMessage = a.user, kmsg.StringPtr("")
		if !isController {
			r.ErrorCode, r.ErrorMessage = kerr.NotController.Code, nil
		} else if refused, err := s.carryOut(ctx, a); err != nil {
			s.Log.Error().Err(err).Str("user", a.user).Msg("SCRAM credentials are not altered")
			r.ErrorCode, r.ErrorMessage = api.Code(err), kmsg.StringPtr(serverError)
		} else if refused != nil {
			r.ErrorCode, r.ErrorMessage = refused.Code.Code, &refused.Text
		}
		resp.Results = append(resp.Results, r)
	}
	return resp, nil
}

// carryOut alters one user: all of it, or nothing.
func (s *scram) carryOut(ctx context.Context, a *alteration) (*config.Refusal, error) {
	if a.refused != nil {
		return a.refused, nil
	}
	z, err := s.Entities(ctx)
	if err != nil {
		return nil, err
	}
	settings, _, err := z.Entity(ctx, users, znode.Sanitize(a.user))
	if err != nil {
		return nil, err
	}
	for _, m := range a.removed {
		if _, ok := settings[m.name]; !ok {
			return &config.Refusal{Code: kerr.ResourceNotFound, Text: "Attempt to delete a user credential that does not exist"}, nil
		}
		delete(settings, m.name)
	}
	for _, set := range a.set {
		if settings[set.mechanism.name], err = set.mechanism.credential(set.q.Salt, set.q.SaltedPassword, set.q.Iterations); err != nil {
			return nil, fmt.Errorf("credential for %s: %w", set.mechanism.name, err)
		}
	}
	return nil, z.ChangeEntity(ctx, users, znode.Sanitize(a.user), settings)
}
