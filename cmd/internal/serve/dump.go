package serve

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"ottla/coord"
	"ottla/coord/fsm"
	"ottla/coord/tree"
	"ottla/coord/wire"
)

// The lines of a dump. Ids of sessions and zxids are hexadecimal, as ZooKeeper prints them; times are ms since 1970. Data that is no UTF-8 stands in dataBase64.
type (
	dumpedData struct {
		Data       *string `json:"data,omitempty"`
		DataBase64 []byte  `json:"dataBase64,omitempty"`
	}
	dumpedACL struct {
		Scheme string `json:"scheme"`
		ID     string `json:"id"`
		Perms  int32  `json:"perms"`
	}
	dumpedNode struct {
		Kind string `json:"kind"` // node
		Path string `json:"path"`
		dumpedData
		ACL            []dumpedACL `json:"acl"`
		Czxid          string      `json:"czxid"`
		Mzxid          string      `json:"mzxid"`
		Pzxid          string      `json:"pzxid"`
		Ctime          int64       `json:"ctime"`
		Mtime          int64       `json:"mtime"`
		Version        int32       `json:"version"`
		Cversion       int32       `json:"cversion"`
		Aversion       int32       `json:"aversion"`
		EphemeralOwner string      `json:"ephemeralOwner,omitempty"`
		Container      bool        `json:"container,omitempty"`
		TTL            int64       `json:"ttlMs,omitempty"`
	}
	dumpedSession struct {
		Kind    string `json:"kind"` // session
		ID      string `json:"id"`
		Timeout int32  `json:"timeoutMs"`
	}
	dumpedEntry struct {
		Kind     string          `json:"kind"` // entry
		File     string          `json:"file"`
		Offset   int64           `json:"offset"`
		Index    uint64          `json:"index"`
		Term     uint64          `json:"term"`
		Requests []dumpedRequest `json:"requests,omitempty"`
	}
	dumpedRequest struct {
		Session string       `json:"session"`
		Cxid    int32        `json:"cxid"`
		Time    string       `json:"time"`
		Ops     []dumpedPart `json:"ops"`
	}
	dumpedPart struct {
		Op   string `json:"op"`
		Path string `json:"path,omitempty"`
		dumpedData
	}
)

func dataOf(b []byte) (d dumpedData) {
	switch {
	case b == nil:
	case utf8.Valid(b):
		s := string(b)
		d.Data = &s
	default:
		d.DataBase64 = b
	}
	return d
}

func hex(v int64) string { return fmt.Sprintf("0x%x", uint64(v)) }

// Dump is `ottla coordinator dump`.
func Dump() *cobra.Command {
	var p place
	var log bool
	cmd := &cobra.Command{
		Use:   "dump [DIR]",
		Short: "Write the data of a stopped coordinator as lines of JSON",
		Long: `Write the data of a stopped coordinator as lines of JSON: a line for each znode, with all of its stat and access control, and for each session. With --log
instead a line for each entry that the write-ahead log holds, decoded, with its place in the file; that works on a damaged log too: places that cannot be read
are named on standard error and in the exit code. Nothing is changed. Passwords of sessions are left out; data of znodes is not, and may be secret.`,
		Example: `  ottla coordinator dump /var/lib/ottla/coordinator | jq -r 'select(.ephemeralOwner) | .path'
  ottla coordinator dump --config zoo.cfg --log | grep '"/brokers/topics/orders"'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			p.in(args)
			c, err := p.load()
			if err != nil {
				return err
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			defer func() { err = errors.Join(err, out.Flush()) }()
			e := json.NewEncoder(out)
			e.SetEscapeHTML(false)
			if log {
				damage, err := coord.ReadLog(c.DataDir, c.DataLogDir, func(le *coord.LogEntry) error { return e.Encode(entryLine(le)) })
				return errors.Join(append(damage, err)...)
			}
			off, err := coord.OpenOffline(c.DataDir, c.DataLogDir)
			if err != nil {
				return fmt.Errorf("%w\n`ottla coordinator repair` says what can be saved", err)
			}
			return dumpState(e, off.Machine)
		},
	}
	p.flags(cmd)
	cmd.Flags().BoolVar(&log, "log", false, "the entries of the log")
	return cmd
}

func dumpState(e *json.Encoder, m *fsm.Machine) error {
	t := m.Tree()
	if err := t.Walk(func(path string, n *tree.Node) error {
		v := t.Image(n)
		var stat wire.Stat
		n.Stat(&stat)
		line := dumpedNode{
			Kind: "node", Path: path, dumpedData: dataOf(v.Data), ACL: []dumpedACL{}, Czxid: hex(v.Czxid), Mzxid: hex(v.Mzxid), Pzxid: hex(v.Pzxid),
			Ctime: v.Ctime, Mtime: v.Mtime, Version: v.Version, Cversion: stat.Cversion, Aversion: v.Aversion, Container: n.Container(), TTL: n.TTL(),
		}
		if owner := n.EphemeralOwner(); owner != 0 {
			line.EphemeralOwner = hex(owner)
		}
		for _, a := range v.ACL {
			line.ACL = append(line.ACL, dumpedACL{a.Scheme, a.ID.ID, a.Perms})
		}
		return e.Encode(&line)
	}); err != nil {
		return err
	}
	var err error
	m.EachSession(func(s fsm.Session) {
		if err == nil {
			err = e.Encode(dumpedSession{"session", hex(s.ID), s.TimeoutMs})
		}
	})
	return err
}

func entryLine(le *coord.LogEntry) *dumpedEntry {
	line := &dumpedEntry{Kind: "entry", File: le.File, Offset: le.Offset, Index: le.Index, Term: le.Term}
	for _, q := range le.Requests {
		r := dumpedRequest{Session: hex(q.Session), Cxid: q.Cxid, Time: time.UnixMilli(q.Time).UTC().Format(time.RFC3339Nano), Ops: []dumpedPart{}}
		for _, p := range q.Parts {
			r.Ops = append(r.Ops, dumpedPart{p.Op, p.Path, dataOf(p.Data)})
		}
		line.Requests = append(line.Requests, r)
	}
	return line
}
