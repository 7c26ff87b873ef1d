package zkdata

import (
	"fmt"
	"strings"

	"ottla/coord/tree"
)

const (
	quotaStats  = "zookeeper_stats"
	quotaLimits = "zookeeper_limits"
)

// countQuotas writes into the nodes that tell the use of a quota what is used: ZooKeeper changes them beside the log, so they are as old as
// the snapshot.
func (d *Database) countQuotas() {
	type use struct{ count, bytes int64 }
	uses := map[string]*use{} // by the path that the quota is for
	for path := range d.Nodes {
		if at, ok := strings.CutPrefix(path, tree.PathQuota+"/"); ok {
			if of, ok := strings.CutSuffix(at, "/"+quotaStats); ok && d.Nodes[tree.PathQuota+"/"+of+"/"+quotaLimits] != nil {
				uses["/"+of] = &use{}
			}
		}
	}
	if len(uses) == 0 {
		return
	}
	for path, n := range d.Nodes {
		for at := path; at != "/"; at, _ = split(at) {
			if u := uses[at]; u != nil {
				u.count++
				u.bytes += int64(len(n.Data))
			}
		}
	}
	for of, u := range uses {
		d.Nodes[tree.PathQuota+of+"/"+quotaStats].Data = fmt.Appendf(nil, "count=%d,bytes=%d", u.count, u.bytes)
	}
}
