package acl

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestRules reads options, and looks at what they stand for.
func TestRules(t *testing.T) {
	for line, want := range map[string]string{
		"--topic t --allow-principal User:a --operation Read --operation write": "TOPIC t User:a * READ ALLOW, User:a * WRITE ALLOW",
		"--cluster --deny-principal User:a --deny-host 10.0.0.1":                "CLUSTER kafka-cluster User:a 10.0.0.1 ALL DENY",
		"--producer --topic t --idempotent --allow-principal User:a":            "TOPIC t User:a * WRITE ALLOW, User:a * CREATE ALLOW, User:a * DESCRIBE ALLOW; CLUSTER kafka-cluster User:a * IDEMPOTENT_WRITE ALLOW",
		"--consumer --topic t --group g --allow-principal User:a":               "TOPIC t User:a * READ ALLOW, User:a * DESCRIBE ALLOW; GROUP g User:a * READ ALLOW",
		"--topic t": "TOPIC t ",
	} {
		cmd := KafkaACLs()
		if err := cmd.ParseFlags(strings.Fields(line)); err != nil {
			t.Fatal(err)
		}
		c := &call{Command: cmd}
		get := func(name string) []string { v, _ := cmd.Flags().GetStringArray(name); return v }
		c.topics, c.groups, c.allow, c.deny, c.denyHosts, c.operations = get("topic"), get("group"), get("allow-principal"), get("deny-principal"), get("deny-host"), get("operation")
		rules, err := c.rules(c.resources(kmsg.ACLResourcePatternTypeLiteral))
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
		var out []string
		for _, r := range rules {
			var es []string
			for _, e := range r.entries {
				es = append(es, fmt.Sprint(e.principal, " ", e.host, " ", e.operation, " ", e.permission))
			}
			out = append(out, fmt.Sprint(r.kind, " ", r.name, " ", strings.Join(es, ", ")))
		}
		if got := strings.Join(out, "; "); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}
