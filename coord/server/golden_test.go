package server_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"ottla/coord/coordtest/conformance"
	"ottla/coord/server"
	"ottla/coord/wire"
)

// golden is one frame of testdata/zookeeper/frames.jsonl: everything that a real server was asked and answered, in order.
type golden struct {
	N     int
	Conn  string
	Kind  string
	Text  string
	Frame string
}

func readGolden(t testing.TB) (lines []golden) {
	f, err := os.Open("../../testdata/zookeeper/frames.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var g golden
		if err := json.Unmarshal(s.Bytes(), &g); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, g)
	}
	return lines
}

// TestGoldenFrames sends what the real server was sent and expects the same bytes back, zxids included. Different are only session
// ids, passwords, times, and the order of children.
func TestGoldenFrames(t *testing.T) {
	b := start(t, func(c *server.Config) {
		c.ExtendedTypes = true // as the recorded server was started
	})
	type session struct{ theirs, ours, theirPassword, ourPassword []byte }
	var sessions []session
	conns := map[string]*conformance.Client{}
	connecting := map[string]bool{}
	clock := binary.BigEndian.AppendUint64(nil, uint64(time.Unix(1700000000, 0).UnixMilli()))
	opOf := map[string]map[string]wire.Op{}

	ours := func(theirs []byte) []byte {
		for _, s := range sessions {
			theirs = bytes.ReplaceAll(theirs, s.theirs, s.ours)
			theirs = bytes.ReplaceAll(theirs, s.theirPassword, s.ourPassword)
		}
		return theirs
	}
	lines := readGolden(t)
	// The order in which a closing session loses its nodes is not defined: ours is that of the paths.
	lines[181], lines[182] = lines[182], lines[181]
	for _, g := range lines {
		theirs, err := hex.DecodeString(g.Frame)
		if err != nil {
			t.Fatal(err)
		}
		if g.Kind == "request" {
			if strings.HasPrefix(g.Text, "connect ") {
				conns[g.Conn] = conformance.Dial(t, b.addr)
				connecting[g.Conn] = true
			} else {
				if opOf[g.Conn] == nil {
					opOf[g.Conn] = map[string]wire.Op{}
				}
				opOf[g.Conn][string(theirs[:4])] = wire.Op(int32(binary.BigEndian.Uint32(theirs[4:])))
			}
			conns[g.Conn].Write(wire.EndFrame(append(wire.BeginFrame(nil), ours(theirs)...), 0))
			continue
		}
		got := conns[g.Conn].Frame()
		if connecting[g.Conn] {
			connecting[g.Conn] = false
			if binary.BigEndian.Uint64(theirs[8:]) != 0 && !slices.ContainsFunc(sessions, func(s session) bool { return bytes.Equal(s.theirs, theirs[8:16]) }) {
				sessions = append(sessions, session{theirs[8:16], got[8:16], theirs[20:36], got[20:36]})
			}
		}
		want := ours(theirs)
		// Times differ: ours stands still.
		want = maskTimes(want, got, clock)
		if op := opOf[g.Conn][string(theirs[:4])]; g.Kind == "reply" && (op == wire.OpGetChildren || op == wire.OpGetChildren2 || op == wire.OpMultiRead || op == wire.OpGetEphemerals) {
			slices.Sort(want)
			got = slices.Clone(got)
			slices.Sort(got)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("frame %d, %s %s %s:\n got %x\nwant %x", g.N, g.Conn, g.Kind, g.Text, got, want)
		}
	}
}

// maskTimes puts our clock into want wherever got has it.
func maskTimes(want, got, clock []byte) []byte {
	if len(want) != len(got) {
		return want
	}
	want = slices.Clone(want)
	for i := 0; i+8 <= len(got); i++ {
		if bytes.Equal(got[i:i+8], clock) && bytes.HasPrefix(want[i:], []byte{0, 0, 1, 0xa2}) {
			copy(want[i:], clock)
		}
	}
	return want
}
