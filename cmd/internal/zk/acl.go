package zk

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"
)

type permission struct {
	letter byte
	bit    int32
}

// permissions are the letters of an ACL.
var permissions = []permission{{'c', zk.PermCreate}, {'d', zk.PermDelete}, {'r', zk.PermRead}, {'w', zk.PermWrite}, {'a', zk.PermAdmin}}

// letters are the permissions of an ACL's entry.
func letters(perms int32) string {
	var b strings.Builder
	for _, p := range permissions {
		if perms&p.bit != 0 {
			b.WriteByte(p.letter)
		}
	}
	return b.String()
}

// parseACL reads scheme:id:perms,scheme:id:perms; an id may hold colons. faults is what is wrong with it, as ZooKeeper's client
// says it before it uses the rest.
func parseACL(text string) (acl []zk.ACL, faults []string) {
	for part := range strings.SplitSeq(text, ",") {
		first, last := strings.IndexByte(part, ':'), strings.LastIndexByte(part, ':')
		if first == last {
			faults = append(faults, part+" does not have the form scheme:id:perm")
			continue
		}
		a := zk.ACL{Scheme: part[:first], ID: part[first+1 : last]}
		for _, r := range part[last+1:] {
			i := slices.IndexFunc(permissions, func(p permission) bool { return rune(p.letter) == r })
			if i < 0 {
				faults = append(faults, fmt.Sprintf("Unknown perm type: %c", r))
				continue
			}
			a.Perms |= permissions[i].bit
		}
		acl = append(acl, a)
	}
	return acl, faults
}
