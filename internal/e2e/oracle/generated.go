package oracle

import (
	"bufio"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
)

// vector is the body of a request that Apache Kafka's own schemas wrote, with random values (testdata/messages).
type vector struct {
	key, version int16
	body         []byte
}

func readVectors(file string) ([]vector, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	var all []vector
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		c := append(strings.Fields(lines.Text()), "")
		if c[0] != "Q" {
			continue
		}
		key, err1 := strconv.ParseInt(c[1], 10, 16)
		version, err2 := strconv.ParseInt(c[3], 10, 16)
		body, err3 := hex.DecodeString(c[5])
		if err1 != nil || err2 != nil || err3 != nil {
			return nil, fmt.Errorf("%s: %q", file, lines.Text())
		}
		all = append(all, vector{int16(key), int16(version), body})
	}
	return all, lines.Err()
}

// request decodes a vector.
func (v vector) request() (kmsg.Request, error) {
	q := kmsg.RequestForKey(v.key)
	q.SetVersion(v.version)
	if s, ok := q.(*kmsg.StopReplicaRequest); ok {
		r := &api.StopReplicaRequest{StopReplicaRequest: *s}
		err := r.ReadFrom(v.body)
		*s = r.StopReplicaRequest
		return s, err
	}
	return q, q.ReadFrom(v.body)
}

// mutator puts values into a request that mean something to the servers: random ones are refused by the first check.
type mutator struct {
	random *rand.Rand
	// Values to choose from, by what the name of a field contains.
	words map[string][]string
}

func newMutator(seed uint64) *mutator {
	return &mutator{rand.New(rand.NewPCG(seed, 1)), map[string][]string{
		"Topic": {"wire", "small", "compacted", "append-time", "elsewhere", "no-such-topic", "bad name", "", "__consumer_offsets"},
		"Group": {"g", "recorded", "empty", "no-such-group", ""},
	}}
}

// bounds are the values of numbers that would make a server wait, or make more than a test wants, by the name of their field.
var bounds = map[string]int64{
	"TimeoutMillis": 150, "MaxWaitMillis": 150, "SessionTimeoutMillis": 6000, "RebalanceTimeoutMillis": 150, "MinBytes": 1, "NumPartitions": 4, "Count": 6,
	"ReplicationFactor": 1, "IsolationLevel": 1, // another level is an internal error on Apache Kafka, and of no account here
}

// mutate changes about half of the fields of a request. What it makes depends on the seed alone.
func (m *mutator) mutate(q kmsg.Request) {
	m.value("", reflect.ValueOf(q).Elem())
}

func (m *mutator) value(name string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.IsExported() && f.Name != "Version" && f.Name != "UnknownTags" {
				m.value(f.Name, v.Field(i))
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		if n := v.Len(); n > 2 {
			v.Set(v.Slice(0, 2))
		}
		for i := range v.Len() {
			m.value(name, v.Index(i))
		}
	case reflect.Bool:
		if name == "AllowAutoTopicCreation" {
			v.SetBool(false)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			m.value(name, v.Elem())
		}
	case reflect.String:
		if words := m.wordsFor(name); words != nil {
			v.SetString(words[m.random.IntN(len(words))])
		}
	case reflect.Int32, reflect.Int64, reflect.Int16, reflect.Int8:
		m.number(name, v)
	}
}

func (m *mutator) wordsFor(name string) []string {
	for key, words := range m.words {
		if strings.HasPrefix(name, key) {
			return words
		}
	}
	return nil
}

func (m *mutator) number(name string, v reflect.Value) {
	if most, ok := bounds[name]; ok {
		if n := v.Int(); n > most || n < -1 {
			v.SetInt(m.random.Int64N(most + 1))
		}
		return
	}
	if m.random.IntN(2) == 0 {
		small := []int64{0, 0, 1, -1, 2, 5}
		v.SetInt(small[m.random.IntN(len(small))])
	}
}
