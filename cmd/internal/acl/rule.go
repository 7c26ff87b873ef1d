package acl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/cmd/internal/client"
)

// resource is what an ACL is about.
type resource struct {
	kind    kmsg.ACLResourceType
	name    string // "" in a filter: any
	pattern kmsg.ACLResourcePatternType
}

func (r resource) String() string {
	return fmt.Sprintf("ResourcePattern(resourceType=%s, name=%s, patternType=%s)", r.kind, r.name, r.pattern)
}

// entry is who may do what, or may not.
type entry struct {
	principal, host string
	operation       kmsg.ACLOperation
	permission      kmsg.ACLPermissionType
}

func (e entry) String() string {
	return fmt.Sprintf("(principal=%s, host=%s, operation=%s, permissionType=%s)", e.principal, e.host, e.operation, e.permission)
}

// rule is a resource with its entries.
type rule struct {
	resource
	entries []entry
}

const clusterName = "kafka-cluster"

// resources are those that the options name.
func (c *call) resources(pattern kmsg.ACLResourcePatternType) (out []resource) {
	add := func(kind kmsg.ACLResourceType, names []string) {
		for _, n := range names {
			out = append(out, resource{kind, strings.TrimSpace(n), pattern})
		}
	}
	add(kmsg.ACLResourceTypeTopic, c.topics)
	if pattern == kmsg.ACLResourcePatternTypeLiteral && (c.on("cluster") || c.on("idempotent")) {
		add(kmsg.ACLResourceTypeCluster, []string{clusterName})
	}
	add(kmsg.ACLResourceTypeGroup, c.groups)
	add(kmsg.ACLResourceTypeTransactionalId, c.txns)
	add(kmsg.ACLResourceTypeDelegationToken, c.tokens)
	add(kmsg.ACLResourceTypeUser, c.users)
	return out
}

// shortcuts are the operations that a producer and a consumer need.
var shortcuts = map[string]map[kmsg.ACLResourceType][]kmsg.ACLOperation{
	"producer": {
		kmsg.ACLResourceTypeTopic:           {kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe, kmsg.ACLOperationCreate},
		kmsg.ACLResourceTypeTransactionalId: {kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe},
		kmsg.ACLResourceTypeCluster:         {kmsg.ACLOperationIdempotentWrite},
	},
	"consumer": {
		kmsg.ACLResourceTypeTopic: {kmsg.ACLOperationRead, kmsg.ACLOperationDescribe},
		kmsg.ACLResourceTypeGroup: {kmsg.ACLOperationRead},
	},
}

// rules are the entries that the options ask for, by resource.
func (c *call) rules(resources []resource) ([]rule, error) {
	var out []rule
	if !c.on("producer") && !c.on("consumer") {
		var ops []kmsg.ACLOperation
		for _, text := range c.operations {
			op, err := kmsg.ParseACLOperation(text)
			if err != nil || op == kmsg.ACLOperationUnknown {
				return nil, fmt.Errorf("there is no operation %s", text)
			}
			ops = append(ops, op)
		}
		for _, r := range resources {
			out = append(out, rule{r, c.entries(ops)})
		}
		return out, nil
	}
	for _, r := range resources {
		var ops []kmsg.ACLOperation
		for _, who := range []string{"producer", "consumer"} {
			if c.on(who) {
				ops = append(ops, shortcuts[who][r.kind]...)
			}
		}
		slices.Sort(ops)
		if ops = slices.Compact(ops); len(ops) > 0 {
			out = append(out, rule{r, c.entries(ops)})
		}
	}
	return out, nil
}

func (c *call) entries(ops []kmsg.ACLOperation) (out []entry) {
	add := func(principals, hosts []string, permission kmsg.ACLPermissionType) {
		if len(hosts) == 0 {
			hosts = []string{"*"}
		}
		for _, p := range principals {
			for _, op := range ops {
				for _, h := range hosts {
					out = append(out, entry{strings.TrimSpace(p), strings.TrimSpace(h), op, permission})
				}
			}
		}
	}
	add(c.allow, c.allowHosts, kmsg.ACLPermissionTypeAllow)
	add(c.deny, c.denyHosts, kmsg.ACLPermissionTypeDeny)
	return out
}

// describe reads the ACLs that match a resource.
func describe(s client.Session, r resource) ([]rule, error) {
	req := kmsg.NewPtrDescribeACLsRequest()
	req.ResourceType, req.ResourcePatternType = r.kind, r.pattern
	if r.name != "" {
		req.ResourceName = &r.name
	}
	req.Operation, req.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	resp, err := req.RequestWith(s, s.Kafka)
	if err != nil {
		return nil, err
	}
	if err := refused(resp.ErrorCode, resp.ErrorMessage); err != nil {
		return nil, err
	}
	var out []rule
	for _, x := range resp.Resources {
		y := rule{resource: resource{x.ResourceType, x.ResourceName, x.ResourcePatternType}}
		for _, a := range x.ACLs {
			y.entries = append(y.entries, entry{a.Principal, a.Host, a.Operation, a.PermissionType})
		}
		out = append(out, y)
	}
	return out, nil
}
