package oracle

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// orderFree are the arrays whose order means nothing, by API and path: Kafka fills them from a hash map or a set.
var orderFree = map[string]bool{
	"Metadata.Brokers": true, "Metadata.Topics": true, "Metadata.Topics.Partitions": true,
	"DescribeCluster.Brokers": true, "ListGroups.Groups": true,
	"DescribeLogDirs.Dirs": true, "DescribeLogDirs.Dirs.Topics": true, "DescribeLogDirs.Dirs.Topics.Partitions": true,
	"ElectLeaders.Topics": true, "ElectLeaders.Topics.Partitions": true,
	"DescribeClientQuotas.Entries": true, "DescribeClientQuotas.Entries.Entity": true, "DescribeClientQuotas.Entries.Values": true,
	"AlterClientQuotas.Entries": true, "AlterClientQuotas.Entries.Entity": true,
	"AlterUserSCRAMCredentials.Results": true, "UpdateFeatures.Results": true,
	"OffsetDelete.Topics": true, "OffsetDelete.Topics.Partitions": true, "OffsetCommit.Topics": true, "OffsetCommit.Topics.Partitions": true, "OffsetFetch.Topics": true, "OffsetFetch.Topics.Partitions": true,
	"OffsetFetch.Groups.Topics": true, "OffsetFetch.Groups.Topics.Partitions": true, "DeleteGroups.Groups": true,
	"DeleteRecords.Topics": true, "DeleteRecords.Topics.Partitions": true, "Produce.Topics": true, "Produce.Topics.Partitions": true,
	"CreateTopics.Topics": true, "DescribeConfigs.Resources": true, "AlterConfigs.Resources": true, "IncrementalAlterConfigs.Resources": true,
	"ListTransactions.UnknownStateFilters": true, "DescribeProducers.Topics.Partitions.ActiveProducers": true,
}

// names is what one server is recognised by, and the names of the ids that it invented.
type names struct {
	port, dir string
	zookeeper string
	given     map[string]string // by id; see pairs
}

func newNames(address, dir, zookeeper string) *names {
	_, port, _ := net.SplitHostPort(address)
	return &names{port: port, dir: filepath.Clean(dir), zookeeper: zookeeper, given: map[string]string{}}
}

// invented is a text with ids in it that a server made up. Where the texts of two servers meet at the same place, their ids are the same
// one from then on.
type invented struct {
	text string // each id is a %
	ids  []string
	// as is the text as far as its ids have names, for the order of arrays.
	as string
}

func (v invented) String() string { return v.as }

var uuidText = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

func (n *names) name(id string) string {
	if name, ok := n.given[id]; ok {
		return name
	}
	return "<id>"
}

// text is s with the server's own address and directory replaced, and its ids apart.
func (n *names) text(s string) any {
	s = strings.ReplaceAll(s, n.dir, "<dir>")
	s = strings.ReplaceAll(s, n.zookeeper, "<zookeeper>")
	s = strings.ReplaceAll(s, "127.0.0.1:"+n.port, "<address>")
	ids := uuidText.FindAllString(s, -1)
	if len(ids) == 0 {
		return s
	}
	return invented{uuidText.ReplaceAllString(s, "%"), ids, uuidText.ReplaceAllStringFunc(s, n.name)}
}

func (n *names) id(id string) any { return invented{"%", []string{id}, n.name(id)} }

// pairs tells which ids of two servers are the same.
type pairs struct{ ours, theirs *names }

// same binds the ids of two texts to each other, or says that they are others.
func (p pairs) same(a, b invented) bool {
	if a.text != b.text || len(a.ids) != len(b.ids) {
		return false
	}
	for i := range a.ids {
		x, known := p.ours.given[a.ids[i]]
		y, knownToo := p.theirs.given[b.ids[i]]
		if known != knownToo || x != y {
			return false
		}
		if !known {
			name := fmt.Sprintf("<id %d>", len(p.ours.given)+1)
			p.ours.given[a.ids[i]], p.theirs.given[b.ids[i]] = name, name
		}
	}
	return true
}

// tree is an answer as values that can be compared: strings, []any, and maps of fields.
type tree struct {
	api   string
	names *names
	// touched says that something was replaced or sorted, so that the bytes of the two need not be equal.
	touched bool
}

// timeSlack is how far from now a time may be to count as now.
const timeSlack = 10 * time.Minute

func (t *tree) value(path string, v reflect.Value) any {
	field := path[strings.LastIndex(path, ".")+1:]
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return "null"
		}
		return t.value(path, v.Elem())
	case reflect.Struct:
		fields := map[string]any{}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !f.IsExported() || f.Name == "Version" {
				continue
			}
			if f.Name == "UnknownTags" {
				if tags := v.Field(i).Interface().(kmsg.Tags); tags.Len() > 0 {
					fields[f.Name] = fmt.Sprint(tags.Len(), " unknown tags")
				}
				continue
			}
			fields[f.Name] = t.value(path+"."+f.Name, v.Field(i))
		}
		return fields
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return t.bytes(field, v.Bytes())
		}
		list := make([]any, v.Len())
		for i := range list {
			list[i] = t.value(path, v.Index(i))
		}
		if orderFree[path] && len(list) > 1 {
			t.touched = true
			slices.SortStableFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
		return list
	case reflect.Array: // a UUID
		id := hex.EncodeToString(v.Slice(0, v.Len()).Bytes())
		if strings.Trim(id, "0") == "" {
			return id
		}
		t.touched = true
		return t.names.id(id)
	case reflect.String:
		return t.string(field, v.String())
	case reflect.Int64, reflect.Int32:
		return t.number(path, field, v.Int())
	default:
		return fmt.Sprint(v.Interface())
	}
}

func (t *tree) replace(with string) any {
	t.touched = true
	return with
}

func (t *tree) string(field, s string) any {
	if field == "ClusterID" && s != "" {
		return t.replace("<cluster>")
	}
	with := t.names.text(s)
	t.touched = t.touched || with != any(s)
	return with
}

func (t *tree) number(path, field string, n int64) any {
	switch {
	case field == "Port" && strconv.FormatInt(n, 10) == t.names.port:
		return t.replace("<port>")
	case field == "ProducerID" && n >= 0 && t.api == "InitProducerID":
		t.touched = true
		return t.names.id("producer " + strconv.FormatInt(n, 10))
	case path == "Fetch.SessionID" && n != 0:
		return t.replace("<session>")
	case field == "UsableBytes" && n > 0:
		return t.replace("<bytes>")
	case field == "FinalizedFeaturesEpoch":
		return fmt.Sprint(n)
	}
	if isNow(n) {
		return t.replace("<now>")
	}
	return n
}

func (t *tree) bytes(field string, b []byte) any {
	if field == "RecordBatches" {
		return t.records(b)
	}
	if field == "MemberAssignment" || len(b) > 0 && !printable(b) {
		return base64.StdEncoding.EncodeToString(b)
	}
	return t.string(field, string(b))
}

func printable(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c < ' ' || c > '~' })
}

// records are the batches or messages of an answer, each apart, and what stands behind the last whole one.
func (t *tree) records(b []byte) any {
	entries := []any{}
	for len(b) >= 17 {
		n := 12 + int64(int32(binary.BigEndian.Uint32(b[8:])))
		if n < 17 || n > int64(len(b)) {
			break
		}
		e := slices.Clone(b[:n])
		b = b[n:]
		if stamps := []int{27, 35}; e[16] == 2 && len(e) >= 61 {
			t.stamps(e, 17, stamps...)
		} else if e[16] == 1 && len(e) >= 26 {
			t.stamps(e, 12, 18)
		}
		entries = append(entries, base64.StdEncoding.EncodeToString(e))
	}
	if len(b) > 21 && b[16] == 2 { // cut off: its checksum may cover a time of now that is not there
		t.touched = true
		b = slices.Clone(b)
		clear(b[17:21])
	}
	return map[string]any{"Entries": entries, "Rest": base64.StdEncoding.EncodeToString(b)}
}

// stamps puts 0 in the place of times of now, and of the checksum over them.
func (t *tree) stamps(e []byte, checksum int, at ...int) {
	for _, i := range at {
		if isNow(int64(binary.BigEndian.Uint64(e[i:]))) {
			t.touched = true
			clear(e[i : i+8])
			clear(e[checksum : checksum+4])
		}
	}
}

func isNow(ms int64) bool {
	d := time.Since(time.UnixMilli(ms))
	return d > -timeSlack && d < timeSlack
}

// difference is one field that is not equal.
type difference struct {
	path         string // without indexes: Topics.Partitions.ErrorCode
	ours, theirs string
}

// diff compares two trees.
func (p pairs) diff(path string, ours, theirs any) []difference {
	switch a := ours.(type) {
	case map[string]any:
		b, ok := theirs.(map[string]any)
		if !ok {
			break
		}
		var all []difference
		keys := map[string]bool{}
		for k := range a {
			keys[k] = true
		}
		for k := range b {
			keys[k] = true
		}
		for k := range keys {
			all = append(all, p.diff(strings.TrimPrefix(path+"."+k, "."), a[k], b[k])...)
		}
		slices.SortFunc(all, func(x, y difference) int { return strings.Compare(x.path, y.path) })
		return all
	case []any:
		b, ok := theirs.([]any)
		if !ok {
			break
		}
		if len(a) != len(b) {
			return []difference{{path, fmt.Sprintf("%d: %v", len(a), short(a)), fmt.Sprintf("%d: %v", len(b), short(b))}}
		}
		var all []difference
		for i := range a {
			all = append(all, p.diff(path, a[i], b[i])...)
		}
		return all
	}
	a, isA := ours.(invented)
	b, isB := theirs.(invented)
	if isA && isB && p.same(a, b) || !isA && !isB && reflect.DeepEqual(ours, theirs) {
		return nil
	}
	return []difference{{path, short(ours), short(theirs)}}
}

func short(v any) string {
	s := fmt.Sprint(v)
	if len(s) > 9000 {
		s = s[:9000] + "…"
	}
	return s
}
