package api_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
)

// askVersions asks the registry as version v; the answer is decoded from its own bytes.
func askVersions(t *testing.T, r *api.Registry, v int16, name string, throttle int32) *kmsg.ApiVersionsResponse {
	t.Helper()
	q := kmsg.NewPtrApiVersionsRequest()
	q.Version, q.ClientSoftwareName, q.ClientSoftwareVersion = v, name, "1.2.3"
	e, _ := r.Lookup(q.Key())
	resp, err := e.Handle(context.Background(), &api.Request{Key: q.Key(), Version: v, Body: q.AppendTo(nil)})
	if err != nil {
		t.Fatal(err)
	}
	resp.(kmsg.SetThrottleResponse).SetThrottle(throttle)
	got := kmsg.NewPtrApiVersionsResponse()
	got.Version = v
	if err := got.ReadFrom(resp.AppendTo([]byte("before"))[len("before"):]); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestVersions(t *testing.T) {
	epoch := int64(-1)
	r := api.NewRegistry()
	api.RegisterVersions(r, func() int64 { return epoch })
	r.Add(api.Entry{Key: 3, Min: 1, Max: 12, Handle: func(context.Context, *api.Request) (api.Response, error) { return nil, nil }})
	for v := int16(0); v <= 4; v++ {
		for _, want := range []struct {
			epoch    int64
			throttle int32
		}{{-1, 0}, {-1, 7}, {5, 0}, {6, 0}, {6, 0}} {
			epoch = want.epoch
			got := askVersions(t, r, v, "client", want.throttle)
			var apis [][3]int16
			for _, k := range got.ApiKeys {
				apis = append(apis, [3]int16{k.ApiKey, k.MinVersion, k.MaxVersion})
			}
			if d := cmp.Diff([][3]int16{{3, 1, 12}, {18, 0, 4}}, apis); d != "" || got.ErrorCode != 0 {
				t.Errorf("v%d: error %d, %s", v, got.ErrorCode, d)
			}
			if v >= 1 && got.ThrottleMillis != want.throttle || v >= 3 && got.FinalizedFeaturesEpoch != want.epoch {
				t.Errorf("v%d: %+v, want %+v", v, got, want)
			}
		}
	}
}

// KIP-511 says what a client may call itself.
func TestSoftwareNames(t *testing.T) {
	r := api.NewRegistry()
	api.RegisterVersions(r, func() int64 { return -1 })
	for name, want := range map[string]int16{
		"a": 0, "apache-kafka-java": 0, "v1.2.3-rc1": 0, "9": 0, "A.-b": 0, strings.Repeat("x", 300): 0,
		"": kerr.InvalidRequest.Code, "-a": kerr.InvalidRequest.Code, "a-": kerr.InvalidRequest.Code, ".": kerr.InvalidRequest.Code,
		"a b": kerr.InvalidRequest.Code, "a_b": kerr.InvalidRequest.Code, "ä": kerr.InvalidRequest.Code, "a\n": kerr.InvalidRequest.Code,
	} {
		if got := askVersions(t, r, 3, name, 0); got.ErrorCode != want {
			t.Errorf("%q: error %d, want %d", name, got.ErrorCode, want)
		}
		if got := askVersions(t, r, 2, name, 0); got.ErrorCode != 0 {
			t.Errorf("%q in version 2: error %d", name, got.ErrorCode)
		}
	}
}
