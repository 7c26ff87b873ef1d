package znode

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"ottla/broker/topic"
)

type clusterJSON struct {
	Version string `json:"version"` // a string, here only
	ID      string `json:"id"`
}

// ClusterID reads the cluster's id, or makes it: the first broker's wins. random fills its argument (crypto/rand.Read).
func (s *Session) ClusterID(ctx context.Context, random func([]byte) (int, error)) (string, error) {
	for {
		data, _, err := s.Get(ctx, ClusterIDPath)
		if err == nil {
			var j clusterJSON
			if err := json.Unmarshal(data, &j); err != nil || j.ID == "" {
				return "", fmt.Errorf("%s holds %q, which is no cluster id", ClusterIDPath, data)
			}
			return j.ID, nil
		}
		if !isNoNode(err) {
			return "", err
		}
		id, err := topic.NewID(random) // the same kind of UUID
		if err != nil {
			return "", err
		}
		if _, err := s.CreateAll(ctx, ClusterIDPath, encode(clusterJSON{Version: "1", ID: base64.RawURLEncoding.EncodeToString(id[:])})); err != nil {
			return "", err
		}
	}
}

// NextBrokerID takes a number from /brokers/seqid: reserved.broker.max.id + 1 for the first broker that asks.
func (s *Session) NextBrokerID(ctx context.Context, reservedMax int32) (int32, error) {
	for {
		w, err := s.Write(ctx, Fence{}, Set(SequencePath, []byte{}, -1))
		if err == nil {
			return reservedMax + w.Stat.Version, nil
		}
		if !isNoNode(err) {
			return 0, err
		}
		if _, err := s.CreateAll(ctx, SequencePath, nil); err != nil {
			return 0, err
		}
	}
}

// producerIDBlock is the size of the blocks of producer ids, fixed in Apache Kafka.
const producerIDBlock = 1000

type producerIDJSON struct {
	Version int    `json:"version"`
	Broker  int32  `json:"broker"`
	Start   string `json:"block_start"`
	End     string `json:"block_end"`
}

// ErrProducerIDsExhausted means that all producer ids have been given out.
var ErrProducerIDsExhausted = errors.New("all producer ids have been used")

// AllocateProducerIDs takes the next block of producer ids for a broker: start and the count from there on. By
// compare-and-set, so it is safe beside any number of others.
func (s *Session) AllocateProducerIDs(ctx context.Context, broker int32) (start int64, count int32, err error) {
	for {
		data, stat, err := s.Get(ctx, ProducerIDBlockPath)
		if isNoNode(err) {
			if _, err := s.CreateAll(ctx, ProducerIDBlockPath, nil); err != nil {
				return 0, 0, err
			}
			continue
		}
		if err != nil {
			return 0, 0, err
		}
		next := int64(0)
		if data != nil {
			var j producerIDJSON
			err := json.Unmarshal(data, &j)
			end, perr := strconv.ParseInt(j.End, 10, 64)
			if err = errors.Join(err, perr); err != nil {
				return 0, 0, fmt.Errorf("%s holds %q, which is no block: %w", ProducerIDBlockPath, data, err)
			}
			if end > 1<<63-1-producerIDBlock {
				return 0, 0, ErrProducerIDsExhausted
			}
			next = end + 1
		}
		block := encode(producerIDJSON{
			Version: 1, Broker: broker, Start: strconv.FormatInt(next, 10), End: strconv.FormatInt(next+producerIDBlock-1, 10),
		})
		_, err = s.Write(ctx, Fence{}, Set(ProducerIDBlockPath, block, stat.Version))
		if errors.Is(err, ErrBadVersion) {
			continue
		}
		return next, producerIDBlock, err
	}
}

type featureJSON struct {
	Features map[string]json.RawMessage `json:"features"`
	Version  int                        `json:"version"`
	Status   int                        `json:"status"` // 1 enabled
}

// EnableFeatures makes /feature, enabled and empty, or enables what an older cluster left disabled. Called by the controller.
func (s *Session) EnableFeatures(ctx context.Context) error {
	for {
		data, stat, err := s.Get(ctx, FeaturePath)
		if isNoNode(err) {
			if _, err = s.CreateAll(ctx, FeaturePath, encode(featureJSON{Features: map[string]json.RawMessage{}, Version: 2, Status: 1})); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		var j featureJSON
		if err := json.Unmarshal(data, &j); err != nil {
			return fmt.Errorf("%s holds %q: %w", FeaturePath, data, err)
		}
		if j.Status == 1 {
			return nil
		}
		j.Status, j.Version = 1, 2
		if j.Features == nil {
			j.Features = map[string]json.RawMessage{}
		}
		if _, err = s.Write(ctx, Fence{}, Set(FeaturePath, encode(j), stat.Version)); !errors.Is(err, ErrBadVersion) {
			return err
		}
	}
}

// FeatureEpoch is the version of /feature, as ApiVersions gives it; -1 if there is none. It sets the watch on the node.
func (s *Session) FeatureEpoch(ctx context.Context) (int64, error) {
	stat, exists, err := s.Exists(ctx, FeaturePath)
	if err != nil || !exists {
		return -1, err
	}
	return int64(stat.Version), nil
}
