package api

import (
	"context"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// versionsMax is the newest version of ApiVersions that is served, of 0 on.
const versionsMax = 4

// RegisterVersions adds ApiVersions, which answers with what the registry holds. featureEpoch is the version of the znode
// /feature, -1 while it is unknown (KIP-584).
func RegisterVersions(r *Registry, featureEpoch func() int64) {
	v := &versions{r: r, featureEpoch: featureEpoch}
	Register(r, 0, versionsMax, func(_ context.Context, req *Request, q *kmsg.ApiVersionsRequest) (kmsg.Response, error) {
		if req.Version >= 3 && !(isSoftwareName(q.ClientSoftwareName) && isSoftwareName(q.ClientSoftwareVersion)) {
			resp := kmsg.NewPtrApiVersionsResponse()
			resp.ErrorCode = kerr.InvalidRequest.Code
			return resp, nil
		}
		return v.answer(req.Version), nil
	})
}

// versions keeps the answer to each version of ApiVersions ready: every connection of every client begins by asking, and no two
// answers differ until the features do.
type versions struct {
	r            *Registry
	featureEpoch func() int64
	ready        [versionsMax + 1]atomic.Pointer[versionsAnswer]
}

// versionsAnswer is an answer and its encoding. Requests get copies, which share both the list of APIs and the encoding.
type versionsAnswer struct {
	kmsg.ApiVersionsResponse
	encoded []byte // while nobody is throttled
}

// AppendTo implements Response.
func (a *versionsAnswer) AppendTo(dst []byte) []byte {
	if a.ThrottleMillis != 0 {
		return a.ApiVersionsResponse.AppendTo(dst)
	}
	return append(dst, a.encoded...)
}

func (v *versions) answer(version int16) *versionsAnswer {
	epoch := v.featureEpoch()
	a := v.ready[version].Load()
	if a == nil || a.FinalizedFeaturesEpoch != epoch {
		a = &versionsAnswer{ApiVersionsResponse: kmsg.NewApiVersionsResponse()}
		for _, e := range v.r.Entries() {
			a.ApiKeys = append(a.ApiKeys, apiKey(e))
		}
		a.Version, a.FinalizedFeaturesEpoch = version, epoch
		a.encoded = a.ApiVersionsResponse.AppendTo(nil)
		v.ready[version].Store(a)
	}
	own := *a
	return &own
}

// isSoftwareName says whether s is what KIP-511 allows as a client's name or version: letters, digits, dots and hyphens, neither
// of the latter two at an end.
func isSoftwareName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case (c == '.' || c == '-') && 0 < i && i < len(s)-1:
		default:
			return false
		}
	}
	return s != ""
}

// UnsupportedVersions is the answer to an ApiVersions request of a version that is not served: always laid out as version 0,
// so that any client can read it, with just the entry of ApiVersions.
func (r *Registry) UnsupportedVersions() Response {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = kerr.UnsupportedVersion.Code
	if e, ok := r.Lookup(resp.Key()); ok {
		resp.ApiKeys = append(resp.ApiKeys, apiKey(e))
	}
	return resp
}

func apiKey(e Entry) kmsg.ApiVersionsResponseApiKey {
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MinVersion, k.MaxVersion = e.Key, e.Min, e.Max
	return k
}
