package znode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-zookeeper/zk"
)

// Elected is a controllership won.
type Elected struct {
	Epoch int32 // the controller epoch, in requests and partition states
	Fence Fence // binds writes to it
}

type controllerJSON struct {
	Version    int    `json:"version"`
	BrokerID   int32  `json:"brokerid"`
	Timestamp  string `json:"timestamp"`
	KRaftEpoch int32  `json:"kraftControllerEpoch"`
}

// Controller reads who the controller is; ok is false if there is none. version is the node's, for Fence; kraft says that a
// KRaft controller has taken over the cluster.
func (s *Session) Controller(ctx context.Context) (id int32, version int32, kraft bool, ok bool, err error) {
	data, stat, err := s.Get(ctx, ControllerPath)
	if isNoNode(err) {
		return -1, 0, false, false, nil
	}
	if err != nil {
		return -1, 0, false, false, err
	}
	var j struct { // the timestamp is a string in some versions and a number in others
		BrokerID   *int32 `json:"brokerid"`
		KRaftEpoch *int32 `json:"kraftControllerEpoch"`
	}
	if err := json.Unmarshal(data, &j); err != nil || j.BrokerID == nil {
		return -1, 0, false, false, fmt.Errorf("%s holds %q, which names no controller", ControllerPath, data)
	}
	return *j.BrokerID, stat.Version, j.KRaftEpoch != nil && *j.KRaftEpoch > 0, true, nil
}

// ErrNotElected means that another broker was elected meanwhile.
var ErrNotElected = errors.New("another broker was elected controller")

// Elect tries to become the controller: one multi creates /controller, ephemeral, and raises /controller_epoch. now goes
// into the node. ErrNotElected if somebody else was faster.
func (s *Session) Elect(ctx context.Context, brokerID int32, now time.Time) (Elected, error) {
	epoch, version, err := s.controllerEpoch(ctx)
	if err != nil {
		return Elected{}, err
	}
	node := encode(controllerJSON{Version: 2, BrokerID: brokerID, Timestamp: timestamp(now), KRaftEpoch: -1})
	next := epoch + 1
	var stat Stat
	_, err = s.do(ctx, func(conn *zk.Conn) error {
		results, err := conn.Multi(
			&zk.CreateRequest{Path: s.path(ControllerPath), Data: node, Acl: s.client.acl(ControllerPath), Flags: zk.FlagEphemeral},
			&zk.SetDataRequest{Path: s.path(ControllerEpochPath), Data: []byte(strconv.Itoa(int(next))), Version: version},
		)
		if err == nil {
			stat = *results[1].Stat
		}
		return err
	})
	if err == nil {
		return Elected{Epoch: next, Fence: Fence{ControllerEpochPath, stat.Version}}, nil
	}
	if !errors.Is(err, ErrNodeExists) && !errors.Is(err, ErrBadVersion) {
		return Elected{}, pathError("create", ControllerPath, err)
	}
	// It may be our own: the reply to a first attempt was lost. Then node and epoch are as this attempt would have made them.
	_, owner, err := s.Get(ctx, ControllerPath)
	if err != nil && !isNoNode(err) {
		return Elected{}, err
	}
	if err == nil && owner.EphemeralOwner == s.id {
		if epoch, version, err := s.controllerEpoch(ctx); err == nil && epoch == next {
			return Elected{Epoch: next, Fence: Fence{ControllerEpochPath, version}}, nil
		}
	}
	return Elected{}, ErrNotElected
}

// controllerEpoch reads /controller_epoch, and makes it with 0 on a new cluster.
func (s *Session) controllerEpoch(ctx context.Context) (epoch, version int32, err error) {
	for {
		data, stat, err := s.Get(ctx, ControllerEpochPath)
		if isNoNode(err) {
			if _, err := s.CreateAll(ctx, ControllerEpochPath, []byte("0")); err != nil {
				return 0, 0, err
			}
			continue
		}
		if err != nil {
			return 0, 0, err
		}
		n, err := strconv.ParseInt(string(data), 10, 32)
		if err != nil {
			return 0, 0, fmt.Errorf("%s holds %q, which is not a number", ControllerEpochPath, data)
		}
		return int32(n), stat.Version, nil
	}
}

// Resign removes /controller if e is still the controllership in force.
func (s *Session) Resign(ctx context.Context, e Elected) error {
	_, err := s.Write(ctx, e.Fence, Delete(ControllerPath, -1))
	if isNoNode(err) || errors.Is(err, ErrFenced) {
		return nil
	}
	return err
}
