//go:build unix

package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/record"
)

// TestHalfOpenConnections opens connections that send nothing, a part of a length, of a header or of a body, and go silent. A
// producer beside them does not notice, each costs a few KiB, and what is idle is closed after connections.max.idle.ms.
func TestHalfOpenConnections(t *testing.T) {
	coord := Coordinator(t)
	idle := Scale(5, 30)
	b := Broker(t, 0, coord.Address, "connections.max.idle.ms="+strconv.Itoa(idle*1000))
	createTopic(t, b.Address, "t", 1, nil)
	rate, seconds := 100, Scale(2, 10)
	latencies(t, b.Address, "t", rate, 1)
	alone := percentile(latencies(t, b.Address, "t", rate, seconds), 0.99)
	before := rss(t, b.Process)
	whole := kmsg.NewRequestFormatter().AppendRequest(nil, produce("t", 1, oneBatch(t, 500)), 1)
	n := Scale(500, 10_000)
	var conns []net.Conn
	opening := time.Now()
	for i := range n {
		c, err := net.Dial("tcp", b.Address)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer c.Close()
		conns = append(conns, c)
		if _, err := c.Write(whole[:[]int{0, 3, 9, 300}[i%4]]); err != nil {
			t.Fatal(err)
		}
	}
	beside := percentile(latencies(t, b.Address, "t", rate, seconds), 0.99)
	each := (rss(t, b.Process) - before) / int64(n)
	Result(t, "%d half-open connections: %d bytes each; a producer's p99 alone %v, beside them %v", n, each, alone, beside)
	if each > 24<<10 {
		t.Errorf("%d bytes for each of %d connections", each, n)
	}
	Within(t, "the producer's p99", beside, max(2*alone, 2*time.Millisecond))
	for i, c := range conns {
		_ = c.SetReadDeadline(opening.Add(time.Duration(idle)*4*time.Second + time.Minute))
		if _, err := c.Read(make([]byte, 1)); !closedByPeer(err) {
			t.Fatalf("connection %d is not closed for being idle: %v", i, err)
		}
	}
	latencies(t, b.Address, "t", rate, 1)
	b.Stop(t)
}

func closedByPeer(err error) bool {
	return errors.Is(err, io.EOF) || err != nil && strings.Contains(err.Error(), "reset")
}

// TestMalformedRequests sends frames that are cut off, too short, of unknown APIs, with bodies that end early, and batches with a
// wrong checksum: the connection is closed, or the field's own error is the answer, and nobody else notices.
func TestMalformedRequests(t *testing.T) {
	coord := Coordinator(t)
	b := Broker(t, 0, coord.Address)
	createTopic(t, b.Address, "t", 1, nil)
	frame := func(body ...byte) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
	}
	formatter := kmsg.NewRequestFormatter()
	whole := formatter.AppendRequest(nil, produce("t", 1, oneBatch(t, 500)), 1)
	short := append([]byte{}, whole[:len(whole)-100]...)
	binary.BigEndian.PutUint32(short, uint32(len(short)-4))
	for what, bytes := range map[string][]byte{
		"2 GiB":                      {0x7f, 0xff, 0xff, 0xff, 0},
		"a negative length":          {0xff, 0xff, 0xff, 0xff, 0},
		"no bytes":                   frame(),
		"half a header":              frame(0, 3, 0),
		"an API that nobody has":     frame(0x7f, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff),
		"a version that nobody has":  frame(0, 3, 0x7f, 0, 0, 0, 0, 1, 0xff, 0xff),
		"a client id without end":    frame(0, 3, 0, 0, 0, 0, 0, 1, 0x7f, 0xff, 'x'),
		"a body that ends early":     short,
		"2^31 topics in Metadata v1": frame(0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff),
	} {
		c := dialRaw(t, b.Address)
		if _, err := c.Write(bytes); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Read(make([]byte, 1)); !closedByPeer(err) {
			t.Errorf("%s: %v, want a closed connection", what, err)
		}
	}
	// Cut off at any byte, by a client that goes away.
	for n := range 200 {
		c := dialRaw(t, b.Address)
		_, _ = c.Write(whole[:n*len(whole)/200])
		c.Close()
	}
	c := dialRaw(t, b.Address)
	for _, at := range []int{17, 20, 22, 57, 100, 500} { // of the checksum, of what it covers in the header, of the record
		batch := oneBatch(t, 500)
		batch[at] ^= 0x40
		got := c.exchange(t, "x", produce("t", 1, batch)).(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
		if got != kerr.CorruptMessage.Code {
			t.Errorf("byte %d of a batch is wrong: %v", at, kerr.ErrorForCode(got))
		}
	}
	if end := endOffsets(t, Client(t, b.Address), "t")[0]; end != 0 {
		t.Errorf("%d records are in the log", end)
	}
	latencies(t, b.Address, "t", 100, 1)
	b.Stop(t)
}

// bomb is a batch of one record of zeros, compressed.
func bomb(t *testing.T, codec record.Codec, size int) []byte {
	t.Helper()
	b := record.NewBuilder(record.BuilderOptions{LeaderEpoch: -1, Codec: codec})
	b.Append(nil, make([]byte, size), nil, 1)
	out, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(out)
}

// oldBomb is a message of format v1 that wraps one of zeros, compressed with gzip.
func oldBomb(t *testing.T, size int) []byte {
	t.Helper()
	message := func(attributes byte, value []byte) []byte {
		body := append([]byte{1, attributes}, make([]byte, 8)...)
		body = binary.BigEndian.AppendUint32(body, 0xffffffff) // no key
		body = append(binary.BigEndian.AppendUint32(body, uint32(len(value))), value...)
		out := binary.BigEndian.AppendUint32(make([]byte, 8), uint32(len(body)+4))
		return append(binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(body)), body...)
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(message(0, make([]byte, size))); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return message(1, b.Bytes())
}

// TestZipBombs produces small batches that decompress to hundreds of MiB, from many connections at a time, to topics that make the
// broker open them (another codec, an old format), and fetches one that it need not open as an old client, who does.
func TestZipBombs(t *testing.T) {
	coord := Coordinator(t)
	b := Broker(t, 0, coord.Address)
	text := func(s string) *string { return &s }
	createTopic(t, b.Address, "t", 1, nil)
	createTopic(t, b.Address, "gzip", 1, map[string]*string{"compression.type": text("gzip")})
	createTopic(t, b.Address, "plain", 1, map[string]*string{"compression.type": text("uncompressed")})
	createTopic(t, b.Address, "stamped", 1, map[string]*string{"compression.type": text("lz4"), "message.timestamp.type": text("LogAppendTime")})
	createTopic(t, b.Address, "as-is", 1, nil)
	latencies(t, b.Address, "t", 100, 1)
	before := rss(t, b.Process)
	const size = 200 << 20 // the bound is 128 times max.message.bytes
	bombs := map[string][]byte{"gzip": bomb(t, record.Gzip, size), "zstd": bomb(t, record.Zstd, size), "lz4": bomb(t, record.LZ4, size)}
	var most int64
	done := make(chan struct{})
	var watch, all sync.WaitGroup
	watch.Go(func() {
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-tick.C:
				most = max(most, rss(t, b.Process))
			case <-done:
				return
			}
		}
	})
	send := func(what string, req func() kmsg.Request, judge func(kmsg.Response) int16, want ...int16) {
		for range Scale(4, 32) {
			c := dialRaw(t, b.Address)
			all.Go(func() {
				if got := judge(c.exchange(t, "x", req())); !slices.Contains(want, got) {
					t.Errorf("%s: %v", what, kerr.ErrorForCode(got))
				}
			})
		}
	}
	code := func(r kmsg.Response) int16 { return r.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode }
	for codec, batch := range bombs {
		for _, topic := range []string{"gzip", "plain", "stamped"} {
			if codec == topic || codec == "lz4" && topic == "stamped" || len(batch) > 1_000_000 {
				continue // it need not be opened
			}
			send(codec+" to "+topic, func() kmsg.Request { return produce(topic, 1, batch) }, code, kerr.MessageTooLarge.Code)
		}
	}
	old := oldBomb(t, size)
	send("format v1", func() kmsg.Request {
		req := produce("t", 1, old)
		req.SetVersion(2)
		return req
	}, code, kerr.MessageTooLarge.Code)
	c := dialRaw(t, b.Address)
	if got := code(c.exchange(t, "x", produce("as-is", 1, bombs["gzip"]))); got != 0 {
		t.Errorf("a batch that is not opened: %v", kerr.ErrorForCode(got))
	}
	send("an old fetch", func() kmsg.Request {
		req := fetch4("as-is", 0, 0)
		req.SetVersion(2)
		return req
	}, func(r kmsg.Response) int16 {
		p := r.(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if p.ErrorCode == 0 && len(p.RecordBatches) > 8<<20 {
			return -1
		}
		return p.ErrorCode
	}, 0, kerr.MessageTooLarge.Code)
	beside := percentile(latencies(t, b.Address, "t", 50, 2), 0.99)
	all.Wait()
	close(done)
	watch.Wait()
	Result(t, "%d bombs of 200 MiB at a time: resident memory grew by at most %d MiB; a producer's p99 beside them %v", Scale(4, 32)*7, (most-before)>>20, beside)
	if grown := most - before; grown > 1536<<20 {
		t.Errorf("bombs cost %d MiB: more than one at a time is open", grown>>20)
	}
	b.Stop(t)
}
