package fsm

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"ottla/coord/tree"
	"ottla/coord/wire"
)

// usage is what a request did to what quotas count. It is booked once the request has succeeded: the parts of a multi are judged on what
// was there before it, as in ZooKeeper.
type usage struct {
	path         []byte
	nodes, bytes int64
	made         bool // the node was made by this request
}

// used notes a change of the tree.
func (m *Machine) used(path []byte, nodes, bytes int64, made bool) {
	m.usage = append(m.usage, usage{path, nodes, bytes, made})
}

// bookUsage writes what changed into the statistics of the quotas concerned, and counts from the beginning for those that are new.
func (m *Machine) bookUsage() {
	for _, u := range m.usage {
		q, ok := m.tree.Quota(u.path)
		if !ok || q.Stats == nil || u.nodes == 0 && u.bytes == 0 {
			continue
		}
		if s, ok := parseTrack(q.Stats.Data()); ok { // what a client broke stays broken
			s.count, s.bytes = s.count+u.nodes, s.bytes+u.bytes
			m.tree.Rewrite(q.Stats, s.appendTo(nil))
		}
	}
	for _, u := range m.usage {
		if u.made {
			m.countNew(u.path)
		}
	}
}

// countNew fills the statistics node at path, if it is one.
func (m *Machine) countNew(path []byte) {
	rest, ok := bytes.CutPrefix(path, []byte(tree.PathQuota+"/"))
	if !ok {
		return
	}
	prefix, ok := bytes.CutSuffix(rest, []byte("/"+tree.QuotaStats))
	if !ok {
		return
	}
	n := m.tree.Lookup(path)
	if n == nil {
		return // it was deleted again by the same request
	}
	var s track
	if root := m.tree.Lookup(slices.Concat([]byte("/"), prefix)); root != nil {
		s.count, s.bytes = root.Usage()
	}
	m.tree.Rewrite(n, s.appendTo(nil))
}

// checkQuota judges so many more nodes and bytes at a path. A hard limit goes before a soft one, which is only told of.
func (c *call) checkQuota(path []byte, nodes, size int64) wire.Code {
	if c.flags&FlagEnforceQuota == 0 || nodes == 0 && size == 0 {
		return wire.CodeOK
	}
	q, ok := c.m.tree.Quota(path)
	if !ok || q.Stats == nil {
		return wire.CodeOK
	}
	limits, ok1 := parseTrack(q.Limits.Data())
	stats, ok2 := parseTrack(q.Stats.Data())
	if !ok1 || !ok2 {
		return wire.CodeMarshallingError
	}
	for _, x := range [...]struct{ more, have, soft, hard int64 }{
		{nodes, stats.count, limits.count, limits.get("countHardLimit")},
		{size, stats.bytes, limits.bytes, limits.get("byteHardLimit")},
	} {
		limit := x.soft
		if x.hard > -1 {
			limit = x.hard
		}
		if x.more == 0 || limit <= -1 || x.have+x.more <= limit {
			continue
		}
		c.res.Quota = q.Prefix
		if x.hard > -1 {
			return wire.CodeQuotaExceeded
		}
	}
	return wire.CodeOK
}

// track is the text of a limits or a statistics node: "count=N,bytes=M", behind it perhaps "=" and ";key=value" each.
type track struct {
	count, bytes int64 // -1: none
	rest         []trackValue
}

type trackValue struct {
	key   string
	value int64
}

// parseTrack is false where ZooKeeper's parser gives up.
func parseTrack(data []byte) (t track, ok bool) {
	t.count, t.bytes = -1, -1
	text := strings.TrimRight(string(data), ",;")
	if text == "" {
		return t, true
	}
	for pair := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == ';' }) {
		parts := strings.Split(strings.TrimRight(pair, "="), "=")
		value := int64(-1)
		switch {
		case len(parts) < 2:
			return t, false
		case parts[1] != "":
			n, err := strconv.ParseInt(parts[1], 10, 64)
			if err != nil {
				return t, false
			}
			value = n
		}
		switch parts[0] {
		case "count":
			t.count = value
		case "bytes":
			t.bytes = value
		default:
			t.set(parts[0], value)
		}
	}
	return t, text[0] != ',' && text[0] != ';'
}

func (t *track) find(key string) (int, bool) {
	return slices.BinarySearchFunc(t.rest, key, func(v trackValue, key string) int { return strings.Compare(v.key, key) })
}

func (t *track) set(key string, value int64) {
	i, ok := t.find(key)
	if !ok {
		t.rest = slices.Insert(t.rest, i, trackValue{key: key})
	}
	t.rest[i].value = value
}

func (t *track) get(key string) int64 {
	if i, ok := t.find(key); ok {
		return t.rest[i].value
	}
	return -1
}

// appendTo writes the text. The second "=" hides what follows from the parsers of old clients.
func (t *track) appendTo(b []byte) []byte {
	b = strconv.AppendInt(append(b, "count="...), t.count, 10)
	b = strconv.AppendInt(append(b, ",bytes="...), t.bytes, 10)
	if len(t.rest) > 0 {
		b = append(b, '=')
	}
	for _, v := range t.rest {
		b = append(append(append(b, ';'), v.key...), '=')
		b = strconv.AppendInt(b, v.value, 10)
	}
	return b
}
