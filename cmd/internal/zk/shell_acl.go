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

func (s *shell) getACL(w *words, _, at string) error {
	acl, st, err := s.t.GetACL(at)
	if err != nil {
		return err
	}
	for _, a := range acl {
		letters := ""
		for _, p := range permissions {
			if a.Perms&p.bit != 0 {
				letters += string(p.letter)
			}
		}
		s.print("'%s,'%s\n: %s\n", a.Scheme, a.ID, letters)
	}
	if w.flags["s"] {
		s.printStat(st)
	}
	return nil
}

func (s *shell) setACL(w *words, _, at string) error {
	v, err := w.version()
	if err != nil {
		return err
	}
	acl, err := parseACL(w.rest[1])
	if err != nil {
		return err
	}
	st, err := s.t.SetACL(at, acl, v)
	if err == nil && w.flags["s"] {
		s.printStat(st)
	}
	return err
}

// parseACL reads scheme:id:perms,scheme:id:perms; an id may hold colons.
func parseACL(text string) ([]zk.ACL, error) {
	var out []zk.ACL
	for _, part := range strings.Split(text, ",") {
		first, last := strings.IndexByte(part, ':'), strings.LastIndexByte(part, ':')
		if first < 0 || first == last {
			return nil, fmt.Errorf("%s does not have the form scheme:id:perm", part)
		}
		a := zk.ACL{Scheme: part[:first], ID: part[first+1 : last]}
		for _, r := range part[last+1:] {
			i := slices.IndexFunc(permissions, func(p permission) bool { return rune(p.letter) == r })
			if i < 0 {
				return nil, fmt.Errorf("Unknown perm type: %c", r)
			}
			a.Perms |= permissions[i].bit
		}
		out = append(out, a)
	}
	return out, nil
}
