package api

import (
	"context"
	"regexp"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// softwareName is what KIP-511 allows as a client's name and version.
var softwareName = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

// RegisterVersions adds ApiVersions v0-4, which answers with what the registry holds. featureEpoch is the version of the
// znode /feature, -1 while it is unknown (KIP-584).
func RegisterVersions(r *Registry, featureEpoch func() int64) {
	Register(r, 0, 4, func(_ context.Context, req *Request, q *kmsg.ApiVersionsRequest) (kmsg.Response, error) {
		resp := kmsg.NewPtrApiVersionsResponse()
		if req.Version >= 3 && !(softwareName.MatchString(q.ClientSoftwareName) && softwareName.MatchString(q.ClientSoftwareVersion)) {
			resp.ErrorCode = kerr.InvalidRequest.Code
			return resp, nil
		}
		for _, e := range r.Entries() {
			resp.ApiKeys = append(resp.ApiKeys, apiKey(e))
		}
		resp.FinalizedFeaturesEpoch = featureEpoch()
		return resp, nil
	})
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
