package zk

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-zookeeper/zk"

	"ottla/cmd/internal/client"
)

// Quotas stand below quotaRoot, at the path that they bound: zookeeper_limits with the limits, zookeeper_stats with what there is,
// which the server keeps.
const (
	quotaRoot = "/zookeeper/quota"
	limitNode = "zookeeper_limits"
	statNode  = "zookeeper_stats"
)

// The limits, in the words of ZooKeeper. Soft ones are only logged by the server; hard ones are enforced with enforceQuota=true.
const (
	softCount = "count"
	softBytes = "bytes"
	hardCount = "countHardLimit"
	hardBytes = "byteHardLimit"
)

// limits are those of a quota, or the sums of its statistics; -1 or missing: none.
type limits map[string]int64

func (l limits) get(key string) int64 {
	if n, ok := l[key]; ok {
		return n
	}
	return -1
}

// parseLimits reads count=N,bytes=M, behind which come ;key=value with the hard limits.
func parseLimits(data []byte) (limits, error) {
	l := limits{}
	for _, pair := range strings.FieldsFunc(string(data), func(r rune) bool { return r == ',' || r == ';' }) {
		key, value, _ := strings.Cut(pair, "=")
		value = strings.TrimSuffix(value, "=") // before the hard limits, for the sake of parsers that know none
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the quota %q is not key=number", data)
		}
		l[key] = n
	}
	return l, nil
}

func (l limits) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "count=%d,bytes=%d", l.get(softCount), l.get(softBytes))
	first := true
	for _, key := range slices.Sorted(maps.Keys(l)) {
		if key == softCount || key == softBytes {
			continue
		}
		if first {
			b.WriteByte('=')
			first = false
		}
		fmt.Fprintf(&b, ";%s=%d", key, l[key])
	}
	return b.String()
}

// quotaOf reads a quota and what counts against it. Paths of quotas have no chroot: a client below one sets them below its own
// /zookeeper, which the server does not look at.
func quotaOf(t *client.Tree, path string) (limit, used limits, err error) {
	for _, part := range []struct {
		node string
		to   *limits
	}{{limitNode, &limit}, {statNode, &used}} {
		at, err := t.At(quotaRoot + path + "/" + part.node)
		if err != nil {
			return nil, nil, err
		}
		data, _, err := t.Get(at)
		if err != nil {
			return nil, nil, err
		}
		if *part.to, err = parseLimits(data); err != nil {
			return nil, nil, err
		}
	}
	return limit, used, nil
}

// setQuota sets some limits of a path, and leaves its others. There is no quota above or below another one. It returns warnings.
func setQuota(t *client.Tree, path string, want limits) (warnings []string, err error) {
	if path == "/" {
		return nil, errors.New("Path must not end with / character") // its client's words: the root can have none
	}
	at, err := t.At(path)
	if err != nil {
		return nil, err
	}
	root, err := t.At(quotaRoot)
	if err != nil {
		return nil, err
	}
	switch there, _, err := t.Exists(at); {
	case err != nil:
		return nil, err
	case !there:
		return nil, fmt.Errorf("%s does not exist.", path)
	}
	own := join(root, strings.Trim(path, "/"))
	if err := noOtherQuota(t, root, own, path); err != nil {
		return nil, err
	}
	if err := makeAbove(t, own+"/"); err != nil {
		return nil, err
	}
	old, used, err := quotaOf(t, path)
	switch {
	case errors.Is(err, zk.ErrNoNode):
		all := limits{softCount: -1, softBytes: -1, hardCount: -1, hardBytes: -1}
		maps.Copy(all, want)
		if _, err := t.Create(own+"/"+limitNode, []byte(all.String()), 0, open); err != nil {
			return nil, err
		}
		if _, err := t.Create(own+"/"+statNode, []byte(limits{softCount: 0, softBytes: 0}.String()), 0, open); err != nil && !errors.Is(err, zk.ErrNodeExists) {
			return nil, err
		}
		if old, used, err = quotaOf(t, path); err != nil {
			return nil, err
		}
		return exceeded(old, used), nil
	case err != nil:
		return nil, err
	}
	maps.Copy(old, want)
	_, err = t.Set(own+"/"+limitNode, []byte(old.String()), -1)
	return exceeded(old, used), err
}

// noOtherQuota makes sure that no node above or below has one.
func noOtherQuota(t *client.Tree, root, own, path string) error {
	for i := len(root) + 1; i < len(own); i++ {
		if own[i] != '/' {
			continue
		}
		there, _, err := t.Exists(own[:i] + "/" + limitNode)
		if err != nil {
			return err
		}
		if there {
			return fmt.Errorf("%s has a parent %s which has a quota", path, own[len(root):i])
		}
	}
	all, err := list(t, own)
	if errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	for _, at := range all {
		if dir, ok := strings.CutSuffix(at, "/"+limitNode); ok && dir != own {
			return fmt.Errorf("%s has a child %s which has a quota", path, strings.TrimPrefix(dir, root))
		}
	}
	return err
}

// exceeded says which limits are below what there is already.
func exceeded(limit, used limits) (warnings []string) {
	over := func(key string, have int64) bool { return limit.get(key) > -1 && limit.get(key) < have }
	if n := used.get(softCount); over(softCount, n) || over(hardCount, n) {
		warnings = append(warnings, fmt.Sprintf("[Warning]: the count quota you create is less than the existing count:%d", n))
	}
	if n := used.get(softBytes); over(softBytes, n) || over(hardBytes, n) {
		warnings = append(warnings, fmt.Sprintf("[Warning]: the bytes quota you create is less than the existing bytes:%d", n))
	}
	return warnings
}

// deleteQuota takes some limits of a path away, or with none given its whole quota. False: there is none.
func deleteQuota(t *client.Tree, path string, keys []string) (bool, error) {
	root, err := t.At(quotaRoot)
	if err != nil {
		return false, err
	}
	own := join(root, strings.Trim(path, "/"))
	data, _, err := t.Get(own + "/" + limitNode)
	if errors.Is(err, zk.ErrNoNode) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if len(keys) > 0 {
		l, err := parseLimits(data)
		if err != nil {
			return false, err
		}
		for _, k := range keys {
			l[k] = -1
		}
		_, err = t.Set(own+"/"+limitNode, []byte(l.String()), -1)
		return true, err
	}
	if err := deleteEach(t, []string{own + "/" + statNode, own + "/" + limitNode}); err != nil {
		return false, err
	}
	for ; own != root; own = own[:strings.LastIndexByte(own, '/')] { // nodes that are there for this quota only
		if err := t.Delete(own, -1); errors.Is(err, zk.ErrNotEmpty) {
			break
		} else if err != nil && !errors.Is(err, zk.ErrNoNode) {
			return true, err
		}
	}
	return true, nil
}
