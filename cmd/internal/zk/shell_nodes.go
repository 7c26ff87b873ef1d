package zk

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"

	"ottla/cmd/internal/client"
	"ottla/coord/wire"
)

// watched runs a request that sets a watch. The watch counts from before the answer, since its event may follow at once.
func (s *shell) watched(w *words, at string, kind int32, ask func(watch bool) error) error {
	if !w.flags["w"] {
		return ask(false)
	}
	s.mine.add(at, kind)
	err := ask(true)
	if err != nil {
		s.mine.remove(at, kind)
	}
	return err
}

func (s *shell) ls(w *words) error {
	if s.deprecated(w, "ls path [watch]", "ls [-w] path") {
		w.flags["w"] = true
	}
	return s.on(w, func(_, at string) error {
		if w.flags["R"] {
			return s.lsAll(w, at)
		}
		var names []string
		var st *zk.Stat
		err := s.watched(w, at, wire.WatcherChildren, func(watch bool) (err error) {
			if watch {
				names, st, _, err = s.t.ChildrenW(at)
			} else {
				names, st, err = s.t.Children(at)
			}
			return err
		})
		if err != nil {
			return err
		}
		slices.Sort(names)
		s.print("[%s]\n", strings.Join(names, ", "))
		if w.flags["s"] {
			s.printStat(st)
		}
		return nil
	})
}

func (s *shell) lsAll(w *words, at string) error {
	if _, _, err := s.t.Get(at); err != nil {
		return err
	}
	return visit(s.t, at, func(at string) error {
		s.print("%s\n", s.t.Shown(at))
		if !w.flags["w"] {
			return nil
		}
		return s.watched(w, at, wire.WatcherChildren, func(bool) error {
			_, _, _, err := s.t.ChildrenW(at)
			if errors.Is(err, zk.ErrNoNode) {
				return nil
			}
			return err
		})
	})
}

func (s *shell) get(w *words) error {
	if s.deprecated(w, "get path [watch]", "get [-s] [-w] path") {
		w.flags["w"] = true
	}
	return s.on(w, func(_, at string) error {
		var data []byte
		var st *zk.Stat
		err := s.watched(w, at, wire.WatcherData, func(watch bool) (err error) {
			if watch {
				data, st, _, err = s.t.GetW(at)
			} else {
				data, st, err = s.t.Get(at)
			}
			return err
		})
		if err != nil {
			return err
		}
		if data == nil {
			data = []byte("null")
		}
		switch {
		case w.flags["x"]:
			data = []byte(hexDump(data))
		case w.flags["b"]:
			data = []byte(base64.StdEncoding.EncodeToString(data))
		}
		s.print("%s\n", data)
		if w.flags["s"] {
			s.printStat(st)
		}
		return nil
	})
}

// hexDump is data as the table that ZooKeeper's client prints.
func hexDump(data []byte) string {
	const width = 16
	if len(data) == 0 {
		return ""
	}
	var b strings.Builder
	rule := "+--------+-------------------------------------------------+----------------+"
	b.WriteString("         +-------------------------------------------------+\n")
	b.WriteString("         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |\n" + rule)
	for at := 0; at < len(data); at += width {
		line := data[at:min(len(data), at+width)]
		hex, text := "", ""
		for _, c := range line {
			hex += fmt.Sprintf(" %02x", c)
			if c < 0x20 || c >= 0x7f {
				c = '.'
			}
			text += string(c)
		}
		fmt.Fprintf(&b, "\n|%08x|%-*s |%-*s|", at, 3*width, hex, width, text)
	}
	b.WriteString("\n" + rule)
	return b.String()
}

func (s *shell) stat(w *words) error {
	if s.deprecated(w, "stat path [watch]", "stat [-w] path") {
		w.flags["w"] = true
	}
	return s.on(w, func(_, at string) error {
		var there bool
		var st *zk.Stat
		err := s.watched(w, at, wire.WatcherData, func(watch bool) (err error) {
			if watch {
				there, st, _, err = s.t.ExistsW(at)
			} else {
				there, st, err = s.t.Exists(at)
			}
			return err
		})
		if err == nil && !there {
			err = zk.ErrNoNode
		}
		if err == nil {
			s.printStat(st)
		}
		return err
	})
}

// ttlMax is the longest time to live that a node can have.
const ttlMax = 1<<40 - 1

func (s *shell) create(w *words) error {
	kind := kindOf{sequential: w.flags["s"], ephemeral: w.flags["e"], container: w.flags["c"]}
	if kind.container && (kind.ephemeral || kind.sequential) {
		return errors.New("-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential.")
	}
	if ttl, ok := w.value["t"]; ok {
		ms, err := strconv.ParseInt(ttl, 10, 64)
		switch {
		case err != nil:
			return errors.New("-t argument must be a long value")
		case kind.ephemeral:
			return errors.New("TTLs cannot be used with Ephemeral znodes")
		case kind.container:
			return errors.New("TTLs cannot be used with Container znodes")
		case ms <= 0 || ms > ttlMax:
			return fmt.Errorf("ttl must be positive and cannot be larger than: %d", int64(ttlMax))
		}
		kind.ttl = time.Duration(ms) * time.Millisecond
	}
	path, nameless := w.rest[0], false
	if kind.sequential && strings.HasSuffix(path, "/") && path != "/" {
		nameless, w.rest[0] = true, strings.TrimSuffix(path, "/")
	}
	acl := open
	if len(w.rest) > 2 {
		acl = s.acl(w.rest[2])
		if len(acl) == 0 {
			s.complain("%s\n", keeperMessage(wire.CodeInvalidACL, ""))
			return errors.New("Acl is not valid : null")
		}
	}
	return s.on(w, func(path, at string) error {
		if nameless {
			at += "/" // the name is the number alone
		}
		var data []byte
		if len(w.rest) > 1 {
			data = []byte(w.rest[1])
		}
		made, err := makeNode(s.t, at, data, kind, acl)
		if errors.Is(err, zk.ErrInvalidACL) {
			s.complain("%s\n", keeperMessage(wire.CodeInvalidACL, path))
		}
		if err == nil {
			s.complain("Created %s\n", s.t.Shown(made)) // there, as ZooKeeper's client does
		}
		return err
	})
}

func (s *shell) set(w *words) error {
	v, err := w.version()
	if err != nil {
		return err
	}
	data := []byte(w.rest[1])
	if w.flags["b"] {
		if data, err = base64.StdEncoding.DecodeString(w.rest[1]); err != nil {
			return fmt.Errorf("Illegal base64: %w", err)
		}
	}
	return s.on(w, func(_, at string) error {
		st, err := s.t.Set(at, data, v)
		if err == nil && w.flags["s"] {
			s.printStat(st)
		}
		return err
	})
}

func (s *shell) delete(w *words) error {
	v, err := w.version()
	if err != nil {
		return err
	}
	s.deprecated(w, "delete path [version]", "delete [-v version] path")
	return s.on(w, func(_, at string) error { return s.t.Delete(at, v) })
}

func (s *shell) deleteAll(w *words) error {
	batch := batchMax
	if b, ok := w.value["b"]; ok {
		var err error
		if batch, err = strconv.Atoi(b); err != nil {
			return errors.New("-b argument must be an int value")
		}
	}
	return s.on(w, func(path, at string) error {
		err := deleteAll(s.t, at, batch)
		var failed *failedAt
		if errors.As(err, &failed) { // which one, its client does not say
			s.complain("Failed to delete some node(s) in the subtree!\n")
			return nil
		}
		return err
	})
}

func (s *shell) sync(w *words) error {
	return s.on(w, func(_, at string) error {
		_, err := s.t.Sync(at)
		if err == nil {
			s.print("Sync is OK\n")
		}
		return err
	})
}

// acl reads an ACL and prints what is wrong with it, as ZooKeeper's client does before it goes on with the rest.
func (s *shell) acl(text string) []zk.ACL {
	acl, faults := parseACL(text)
	for _, f := range faults {
		s.complain("%s\n", f)
	}
	return acl
}

func (s *shell) getACL(w *words) error {
	return s.on(w, func(_, at string) error {
		acl, st, err := s.t.GetACL(at)
		if err != nil {
			return err
		}
		for _, a := range acl {
			s.print("'%s,'%s\n: %s\n", a.Scheme, a.ID, letters(a.Perms))
		}
		if w.flags["s"] {
			s.printStat(st)
		}
		return nil
	})
}

func (s *shell) setACL(w *words) error {
	v, err := w.version()
	if err != nil {
		return err
	}
	acl := s.acl(w.rest[1])
	if len(acl) == 0 {
		return errors.New("Acl is not valid : null")
	}
	return s.on(w, func(_, at string) error {
		if w.flags["R"] {
			return visit(s.t, at, func(at string) error {
				if _, err := s.t.SetACL(at, acl, v); err != nil {
					code, _ := client.CodeOf(err)
					s.print("%s", keeperMessage(code, s.t.Shown(at)))
				}
				return nil
			})
		}
		st, err := s.t.SetACL(at, acl, v)
		if err == nil && w.flags["s"] {
			s.printStat(st)
		}
		return err
	})
}

func (s *shell) countBelow(w *words) error {
	return s.on(w, func(_, at string) error {
		n, err := s.t.CountBelow(s.ctx, at)
		if err == nil {
			s.print("%d\n", n)
		}
		return err
	})
}

func (s *shell) ephemerals(w *words) error {
	if len(w.rest) == 0 {
		w.rest = []string{"/"}
	}
	return s.on(w, func(_, at string) error {
		paths, err := s.t.Ephemerals(s.ctx, at)
		if err != nil {
			return err
		}
		for i := range paths {
			paths[i] = s.t.Shown(paths[i])
		}
		slices.Sort(paths)
		s.print("[%s]\n", strings.Join(paths, ", "))
		return nil
	})
}

// configNode is where a server tells its ensemble, whatever the chroot.
const configNode = "/zookeeper/config"

func (s *shell) config(w *words) error {
	var data []byte
	var st *zk.Stat
	err := s.watched(w, configNode, wire.WatcherData, func(watch bool) (err error) {
		if watch {
			data, st, _, err = s.t.GetW(configNode)
		} else {
			data, st, err = s.t.Get(configNode)
		}
		return err
	})
	if err != nil {
		return s.explain(err, configNode)
	}
	text := string(data)
	if data == nil {
		text = "null"
	}
	if w.flags["c"] {
		text = clientConfig(text)
	}
	s.print("%s\n", text)
	if w.flags["s"] {
		s.printStat(st)
	}
	return nil
}

// clientConfig is what of an ensemble's configuration a client needs: its version, and host:port of each server.
func clientConfig(text string) string {
	version := ""
	var servers []string
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch {
		case key == "version":
			version = value
		case strings.HasPrefix(key, "server."):
			server, address, ok := strings.Cut(value, ";")
			if !ok {
				continue
			}
			if host, _, _ := strings.Cut(server, ":"); !strings.Contains(address, ":") {
				address = host + ":" + address
			}
			servers = append(servers, address)
		}
	}
	return version + " " + strings.Join(servers, ",")
}

func (s *shell) reconfig(w *words) error {
	joining, add := w.value["add"]
	leaving, remove := w.value["remove"]
	members, all := w.value["members"]
	file, fromFile := w.value["file"]
	switch {
	case !add && !remove && !all && !fromFile:
		return errors.New("reconfig " + commands["reconfig"].usage)
	case (all || fromFile) && (add || remove):
		return errors.New("Can't use -file or -members together with -add or -remove (mixing incremental and non-incremental modes is not allowed)")
	case all && fromFile:
		return errors.New("Can't use -file and -members together (conflicting non-incremental modes)")
	}
	version := int64(-1)
	if v, ok := w.value["v"]; ok {
		var err error
		if version, err = strconv.ParseInt(v, 16, 64); err != nil {
			return errors.New("-v must be followed by a long (configuration version)")
		}
	}
	var err error
	switch {
	case fromFile:
		text, ferr := os.ReadFile(file)
		if ferr != nil {
			return fmt.Errorf("Error processing %s: %w", file, ferr)
		}
		members = strings.Join(slices.DeleteFunc(strings.Split(string(text), "\n"), func(l string) bool { return !strings.HasPrefix(l, "server.") }), ",")
		fallthrough
	case all:
		_, err = s.t.Reconfig([]string{strings.ToLower(members)}, version)
	default:
		_, err = s.t.IncrementalReconfig([]string{strings.ToLower(joining)}, []string{strings.ToLower(leaving)}, version)
	}
	if err != nil {
		return s.explain(err, "")
	}
	data, st, err := s.t.Get(configNode)
	if err != nil {
		return s.explain(err, configNode)
	}
	s.print("Committed new configuration:\n%s\n", data)
	if w.flags["s"] {
		s.printStat(st)
	}
	return nil
}
