package group

import "ottla/broker/api"

// Register adds the coordinator's APIs: FindCoordinator, those of membership, of offsets, and of administrators.
func (c *Coordinator) Register(r *api.Registry) {
	api.Register(r, 0, 6, c.findCoordinator)
	api.Register(r, 0, 9, c.joinGroup)
	api.Register(r, 0, 5, c.syncGroup)
	api.Register(r, 0, 4, c.heartbeat)
	api.Register(r, 0, 5, c.leaveGroup)
	api.Register(r, 0, 9, c.offsetCommit)
	api.Register(r, 0, 9, c.offsetFetch)
	api.Register(r, 0, 5, c.describeGroups)
	api.Register(r, 0, 5, c.listGroups)
	api.Register(r, 0, 2, c.deleteGroups)
	api.Register(r, 0, 0, c.offsetDelete)
	api.Register(r, 0, 0, c.consumerGroupHeartbeat)
	api.Register(r, 0, 0, c.consumerGroupDescribe)
}
