package topic

import (
	"crypto/rand"
	"strings"
	"testing"
)

func TestCoordinatorPartitionIsJavasHash(t *testing.T) {
	// Values of "s".hashCode() in Java: "group" 98629247, "" 0, "polygenelubricants" Integer.MIN_VALUE, "é" 233
	for _, c := range []struct {
		key  string
		want int32
	}{{"group", 98629247 % 50}, {"", 0}, {"polygenelubricants", 0}, {"é", 233 % 50}} {
		if got := CoordinatorPartition(c.key, 50); got != c.want {
			t.Errorf("CoordinatorPartition(%q) = %d, want %d", c.key, got, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	for _, ok := range []string{"test", "a.b_c-D9", "__consumer_offsets", strings.Repeat("x", 249)} {
		if err := Validate(ok); err != nil {
			t.Errorf("Validate(%q): %v", ok, err)
		}
	}
	for _, bad := range []string{"", ".", "..", "a b", "a/b", "é", strings.Repeat("x", 250)} {
		if Validate(bad) == nil {
			t.Errorf("Validate(%q) accepted it", bad)
		}
	}
	if !Collides("a.b", "a_b") || Collides("a.b", "a.c") {
		t.Error("Collides must take dots and underscores as equal, and nothing else")
	}
}

func TestDirectoriesAndIDsRoundTrip(t *testing.T) {
	p := Partition{"a-1", 7}
	if got, err := ParseDir(p.String()); err != nil || got != p {
		t.Errorf("ParseDir(%q) = %v, %v", p, got, err)
	}
	for _, bad := range []string{"", "a", "-1", "a-", "a-x", "a-1x"} {
		if got, err := ParseDir(bad); err == nil {
			t.Errorf("ParseDir(%q) = %v", bad, got)
		}
	}
	id, err := NewID(rand.Read)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseID(id.String()); err != nil || got != id {
		t.Errorf("ParseID(%q) = %v, %v", id, got, err)
	}
}
