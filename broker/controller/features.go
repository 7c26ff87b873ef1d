package controller

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/controller/planner"
)

// Upgrade types of UpdateFeatures (KIP-584).
const (
	featureUpgrade         = 1
	featureSafeDowngrade   = 2
	featureUnsafeDowngrade = 3
)

// UpdateFeatures: versions 0 and 1. A cluster in ZooKeeper mode has no features, so there is none that can be changed.
func (h *Handlers) updateFeatures(_ context.Context, r *api.Request, q *kmsg.UpdateFeaturesRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrUpdateFeaturesResponse()
	if !h.Controller.IsActive() {
		resp.ErrorCode, resp.ErrorMessage = errNotController.Code, describe(errNotController.Code)
		return resp, nil
	}
	answered := map[string]bool{}
	for _, u := range q.FeatureUpdates {
		if answered[u.Feature] {
			continue // the first one of a name counts
		}
		answered[u.Feature] = true
		if r.Version == 0 {
			u.UpgradeType = featureUpgrade
			if u.AllowDowngrade {
				u.UpgradeType = featureSafeDowngrade
			}
		}
		err := judgeFeature(u)
		a := kmsg.NewUpdateFeaturesResponseResult()
		a.Feature, a.ErrorCode, a.ErrorMessage = u.Feature, api.Code(err), text(err)
		resp.Results = append(resp.Results, a)
	}
	return resp, nil
}

// judgeFeature says why a feature cannot be changed.
func judgeFeature(u kmsg.UpdateFeaturesRequestFeatureUpdate) error {
	refuse := func(format string, args ...any) error { return planner.Refuse(kerr.InvalidRequest, format, args...) }
	switch {
	case u.Feature == "":
		return refuse("Feature name can not be empty.")
	case u.UpgradeType < featureUpgrade || u.UpgradeType > featureUnsafeDowngrade:
		return refuse("Received unknown upgrade type.")
	case u.MaxVersionLevel < 1 && u.UpgradeType != featureUpgrade:
		return refuse("Can not delete non-existing finalized feature.")
	case u.MaxVersionLevel < 1:
		return refuse("Can not provide versionLevel: %d less than 1 without setting the SAFE downgradeType in the request.", u.MaxVersionLevel)
	}
	return refuse("Could not apply finalized feature update because the provided feature is not supported.")
}

var errEnvelope = errors.New("an Envelope is for controllers of KRaft")

// envelope serves what brokers forward to a controller (KIP-590). In ZooKeeper mode nobody forwards: as in Apache Kafka the connection
// is closed.
func envelope(context.Context, *api.Request, *kmsg.EnvelopeRequest) (kmsg.Response, error) {
	return nil, errEnvelope
}
