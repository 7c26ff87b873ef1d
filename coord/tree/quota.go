package tree

import "bytes"

// Names of the two nodes that make a quota: on /p they are children of /zookeeper/quota/p.
const (
	QuotaLimits = "zookeeper_limits"
	QuotaStats  = "zookeeper_stats"
)

// Quota is the limit that a path falls under: the deepest one above it, or its own.
type Quota struct {
	Prefix []byte // the path that the limit is for; a beginning of the path that was asked for
	Limits *Node
	Stats  *Node // nil if somebody deleted it: then nothing is counted
}

// Quota finds the quota of a path. A limit for the root is none, as in ZooKeeper.
func (t *Tree) Quota(path []byte) (q Quota, ok bool) {
	n := t.quota
	if n == nil || len(n.children) == 0 || len(path) == 0 || path[0] != '/' {
		return q, false
	}
	for end := 0; end < len(path); {
		start := end + 1
		i := bytes.IndexByte(path[start:], '/')
		if end = len(path); i >= 0 {
			end = start + i
		}
		if n = n.children[string(path[start:end])]; n == nil {
			break
		}
		if limits := n.children[QuotaLimits]; limits != nil {
			q, ok = Quota{Prefix: path[:end], Limits: limits, Stats: n.children[QuotaStats]}, true
		}
	}
	return q, ok
}

// Usage counts n and everything below: nodes, and bytes of data.
func (n *Node) Usage() (nodes, size int64) {
	nodes, size = 1, int64(len(n.data))
	for _, c := range n.children {
		cn, cs := c.Usage()
		nodes, size = nodes+cn, size+cs
	}
	return nodes, size
}
