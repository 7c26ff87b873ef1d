package zk

import (
	"strings"
	"testing"
)

func TestPathFault(t *testing.T) {
	for path, want := range map[string]string{
		"/": "", "/a": "", "/a/b.c/.d/...": "", "/é 日": "", "": "length", "a": "start with", "/a/": "not end", "//a": "empty node name specified @1", "/a//b": "@3",
		"/.": "relative paths not allowed @1", "/..": "relative paths not allowed @2", "/a/../b": "@4", "/a\x00": "null character not allowed @2", "/a\x1fb": "invalid character @2",
		"/\U0001f600": "invalid character @1", "/é\xff": "invalid character @2", "/\xff": "invalid character @1",
	} {
		if got := pathFault(path); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q in it", path, got, want)
		}
	}
}

func FuzzPathFault(f *testing.F) {
	f.Add("/a/b")
	f.Add("/..\xff")
	f.Fuzz(func(t *testing.T, path string) {
		if pathFault(path) == "" && (path[0] != '/' || strings.Contains(path, "//") || strings.ContainsRune(path, 0)) {
			t.Errorf("%q was accepted", path)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("create -s -t 5 /a \"x y\"", "world:anyone:r,digest:a:b=:cdrwa", "count=1,bytes=2=;byteHardLimit=3")
	f.Fuzz(func(t *testing.T, line, acl, quota string) {
		words := split(line)
		if c := commands[words[0]]; c != nil {
			_, _ = parse(words[1:], c)
		}
		if a, faults := parseACL(acl); len(faults) == 0 && len(a) == 0 {
			t.Errorf("%q is neither right nor wrong", acl)
		}
		if l, err := parseLimits([]byte(quota)); err == nil {
			if again, err := parseLimits([]byte(l.String())); err != nil || again.String() != l.String() {
				t.Errorf("%q is written as %q, which is %q", quota, l, again)
			}
		}
	})
}
