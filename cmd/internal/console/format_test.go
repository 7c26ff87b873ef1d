package console

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"ottla/cmd/internal/output"
)

func aRecord() *kgo.Record {
	return &kgo.Record{
		Topic: "t", Partition: 3, Offset: 41, LeaderEpoch: 2, Timestamp: time.UnixMilli(1_700_000_000_123), Key: []byte("k"), Value: []byte("v"),
		Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "b"}},
	}
}

// TestFormatter: the properties of Apache Kafka's DefaultMessageFormatter, whose output peer_test.go of package cli compares.
func TestFormatter(t *testing.T) {
	long := aRecord()
	long.Value = []byte{0, 0, 0, 0, 0, 0, 1, 0}
	empty := &kgo.Record{}
	for _, c := range []struct {
		record     *kgo.Record
		properties string
		want       string
	}{
		{aRecord(), "", "v\n"},
		{aRecord(), "print.key=true print.timestamp=TRUE print.partition=true print.offset=true print.epoch=true print.headers=true",
			"CreateTime:1700000000123\tPartition:3\tOffset:41\tEpoch:2\ta:1,b:null\tk\tv\n"},
		{aRecord(), "print.key=true key.separator=<> line.separator=; headers.separator=| print.headers=true null.literal=NIL", "a:1|b:NIL<>k<>v;"},
		{aRecord(), "print.value=false print.key=true", "k\n"},
		{aRecord(), "print.value=false", "\n"},
		{empty, "print.key=true print.headers=true", "NO_HEADERS\tnull\tnull\n"},
		{long, "value.deserializer=org.apache.kafka.common.serialization.LongDeserializer print.key=true", "k\t256\n"},
	} {
		p := newPrinter()
		for _, x := range strings.Fields(c.properties) {
			k, v, _ := strings.Cut(x, "=")
			if known, err := p.set(k, v); !known || err != nil {
				t.Fatalf("%s: %v, %v", x, known, err)
			}
		}
		var b bytes.Buffer
		if err := p.write(&b, c.record); err != nil || b.String() != c.want {
			t.Errorf("%s: %q, %v, want %q", c.properties, b.String(), err, c.want)
		}
	}
}

func TestDeserializers(t *testing.T) {
	for class, want := range map[string]string{"IntegerDeserializer": "-2", "ShortDeserializer": "!", "StringDeserializer": "\xff\xff\xff\xfe"} {
		d, err := deserializer("org.apache.kafka.common.serialization." + class)
		if err != nil {
			t.Fatal(err)
		}
		got, err := d([]byte{255, 255, 255, 254})
		if err != nil {
			got = []byte("!")
		}
		if string(got) != want {
			t.Errorf("%s: %q, want %q", class, got, want)
		}
	}
	if _, err := deserializer("com.example.Mine"); err == nil {
		t.Error("an unknown class")
	}
}

func TestLayouts(t *testing.T) {
	r := aRecord()
	binary := aRecord()
	binary.Value = []byte{0xff}
	for _, c := range []struct {
		record *kgo.Record
		as     output.Format
		format string
		fields string
		want   string
	}{
		{r, output.AsTable, "", "partition,offset,value", "3 41 v\n"},
		{r, output.AsTable, "", "topic,timestamp,key,headers", "t 1700000000123 k a=1,b=null\n"},
		{r, output.AsTable, `%p %o %v\n`, "", "3 41 v\n"},
		{r, output.AsJSON, "", "", `{"topic":"t","partition":3,"offset":41,"timestamp":"2023-11-14T22:13:20.123Z","key":"k","value":"v","headers":[{"key":"a","value":"1"},{"key":"b","value":null}]}` + "\n"},
		{binary, output.AsJSON, "", "", `{"topic":"t","partition":3,"offset":41,"timestamp":"2023-11-14T22:13:20.123Z","key":"k","value":null,"valueBase64":"/w==","headers":[{"key":"a","value":"1"},{"key":"b","value":null}]}` + "\n"},
	} {
		print, err := layoutOf(c.as, c.format, strings.Split(c.fields, ","), " ")
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := print(&b, c.record); err != nil || b.String() != c.want {
			t.Errorf("%+v: %q, %v", c, b.String(), err)
		}
	}
	if _, err := layoutOf(output.AsTable, "", []string{"size"}, " "); err == nil {
		t.Error("--print size")
	}
	if _, err := layoutOf(output.AsTable, "%q", nil, " "); err == nil {
		t.Error("an unknown verb was accepted")
	}
}

func TestBegin(t *testing.T) {
	for _, c := range []struct {
		fromBeginning bool
		offset        string
		partition     int32
		want          kgo.Offset
		bad           bool
	}{
		{false, "", -1, kgo.NewOffset().AtEnd(), false},
		{true, "", -1, kgo.NewOffset().AtStart(), false},
		{false, "7", 0, kgo.NewOffset().At(7), false},
		{false, "-3", 0, kgo.NewOffset().AtEnd().Relative(-3), false},
		{false, "earliest", 0, kgo.NewOffset().AtStart(), false},
		{false, "x", 0, kgo.Offset{}, true},
		{false, "7", -1, kgo.Offset{}, true},
		{true, "7", 0, kgo.Offset{}, true},
	} {
		if got, err := begin(c.fromBeginning, c.offset, c.partition); (err != nil) != c.bad || got != c.want {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
}
