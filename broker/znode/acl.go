package znode

import (
	"strings"

	"github.com/go-zookeeper/zk"
)

var (
	// openACL is the ACL of every node while zookeeper.set.acl is false.
	openACL = zk.WorldACL(zk.PermAll)
	// ownACL is for the identities that the session has when it writes: the server puts them in the place of auth.
	ownACL = []zk.ACL{{Perms: zk.PermAll, Scheme: "auth"}}
	// readableACL is ownACL, and lets everybody read.
	readableACL = append(ownACL[:1:1], zk.WorldACL(zk.PermRead)...)
)

// sensitive begin the paths of nodes that nobody else may read: passwords are in them.
var sensitive = []string{"/config/users", "/config/brokers", "/delegation_token/tokens"}

// acl is what Apache Kafka gives a new node at path, without the chroot. /consumers is open to everybody even where nodes are
// protected: old consumers, which no broker knows, write below it.
func (c *Client) acl(path string) []zk.ACL {
	if !c.cfg.SecureACL || path == "/consumers" {
		return openACL
	}
	for _, s := range sensitive {
		if strings.HasPrefix(path, s) {
			return ownACL
		}
	}
	return readableACL
}
