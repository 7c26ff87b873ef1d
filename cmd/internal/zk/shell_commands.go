package zk

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
)

// help lists the commands there are, with their options, in the form of ZooKeeper's client.
var help = []string{
	"addauth scheme auth",
	"close ",
	"create [-s] [-e] [-c] [-t ttl] path [data] [acl]",
	"delete [-v version] path",
	"deleteall path",
	"get [-s] [-w] path",
	"getAcl [-s] path",
	"history ",
	"ls [-s] [-w] [-R] path",
	"quit ",
	"set [-s] [-v version] path data",
	"setAcl [-s] [-v version] path acl",
	"stat [-w] path",
	"sync path",
	"version ",
}

// unknownCommand is a command that there is not.
type unknownCommand string

func (u unknownCommand) Error() string { return "Command not found " + string(u) }

// words are a command's options and what else it was given.
type words struct {
	flags map[string]bool
	value map[string]string // of options that take one
	rest  []string
}

// parse separates options from arguments: flags and valued list the letters that the command knows.
func parse(args []string, flags, valued string) (*words, error) {
	w := &words{flags: map[string]bool{}, value: map[string]string{}}
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case len(a) != 2 || a[0] != '-':
			w.rest = append(w.rest, a)
		case strings.Contains(flags, a[1:]):
			w.flags[a[1:]] = true
		case strings.Contains(valued, a[1:]) && i+1 < len(args):
			i++
			w.value[a[1:]] = args[i]
		default:
			return nil, fmt.Errorf("Unrecognized option: %s", a)
		}
	}
	return w, nil
}

func (w *words) version() (int32, error) {
	v, ok := w.value["v"]
	if !ok {
		return -1, nil
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("For input string: %q", v)
	}
	return int32(n), nil
}

// command is one that works on a path.
type command struct {
	flags, valued string
	needs         int // arguments
	run           func(s *shell, w *words, path, at string) error
}

var commands = map[string]command{
	"ls":        {"swR", "", 1, (*shell).ls},
	"ls2":       {"w", "", 1, (*shell).ls2},
	"get":       {"sw", "", 1, (*shell).get},
	"stat":      {"w", "", 1, (*shell).stat},
	"create":    {"sec", "t", 1, (*shell).create},
	"set":       {"s", "v", 2, (*shell).set},
	"delete":    {"", "v", 1, (*shell).delete},
	"deleteall": {"", "b", 1, (*shell).deleteAll},
	"rmr":       {"", "", 1, (*shell).deleteAll},
	"getAcl":    {"s", "", 1, (*shell).getACL},
	"setAcl":    {"s", "v", 2, (*shell).setACL},
	"sync":      {"", "", 1, (*shell).sync},
}

// execute runs one command. The error's text is what ZooKeeper's client prints.
func (s *shell) execute(args []string) error {
	name := args[0]
	switch name {
	case "help":
		return unknownCommand("help")
	case "history":
		for i, l := range s.history[max(0, len(s.history)-11):] {
			s.print("%d - %s\n", max(0, len(s.history)-11)+i, l)
		}
		return nil
	case "close", "quit":
		return nil
	case "version":
		s.print("ZooKeeper CLI version: 3.9 (ottla)\n")
		return nil
	case "addauth":
		if len(args) < 2 {
			return errors.New("addauth scheme auth")
		}
		return s.t.AddAuth(args[1], []byte(strings.Join(args[2:], " ")))
	}
	c, ok := commands[name]
	if !ok {
		return unknownCommand(name)
	}
	w, err := parse(args[1:], c.flags, c.valued)
	if err != nil {
		return err
	}
	if len(w.rest) < c.needs {
		for _, h := range help {
			if strings.HasPrefix(h, name+" ") {
				return errors.New(h)
			}
		}
		return errors.New(name + " path")
	}
	path := w.rest[0]
	if !strings.HasPrefix(path, "/") {
		return errors.New("Path must start with / character")
	}
	if len(path) > 1 && strings.HasSuffix(path, "/") && name != "create" {
		return errors.New("Path must not end with / character")
	}
	at, err := s.t.At(path)
	if err != nil {
		return err
	}
	if strings.HasSuffix(path, "/") && at != "/" {
		at += "/" // for a sequential node without a name of its own
	}
	return explainShell(c.run(s, w, path, at), path)
}

// explainShell is an error of ZooKeeper in the words of its client.
func explainShell(err error, path string) error {
	texts := map[error]string{
		zk.ErrNoNode: "Node does not exist: %s", zk.ErrNodeExists: "Node already exists: %s", zk.ErrNotEmpty: "Node not empty: %s",
		zk.ErrNoChildrenForEphemerals: "Ephemerals cannot have children: %s", zk.ErrBadVersion: "version No is not valid : %s",
		zk.ErrNoAuth: "Insufficient permission : %s", zk.ErrInvalidACL: "Acl is not valid : %s",
		zk.ErrConnectionClosed: "KeeperErrorCode = ConnectionLoss for %s", zk.ErrNoServer: "KeeperErrorCode = ConnectionLoss for %s",
		zk.ErrSessionExpired: "KeeperErrorCode = Session expired for %s",
	}
	for e, text := range texts {
		if errors.Is(err, e) {
			return fmt.Errorf(text, path)
		}
	}
	return err
}

func (s *shell) ls(w *words, path, at string) error {
	if w.flags["R"] {
		return s.lsAll(path, at)
	}
	var names []string
	var st *zk.Stat
	var err error
	if w.flags["w"] {
		var events <-chan zk.Event
		if names, st, events, err = s.t.ChildrenW(at); err == nil {
			s.watch(events)
		}
	} else {
		names, st, err = s.t.Children(at)
	}
	if err != nil {
		return err
	}
	slices.Sort(names)
	s.print("[%s]\n", strings.Join(names, ", "))
	if w.flags["s"] {
		s.printStat(st)
	}
	return nil
}

func (s *shell) ls2(w *words, path, at string) error {
	w.flags["s"] = true
	return s.ls(w, path, at)
}

// lsAll lists a node and all below it, level by level.
func (s *shell) lsAll(path, at string) error {
	queue := []string{at}
	for i := 0; i < len(queue); i++ {
		names, _, err := s.t.Children(queue[i])
		if errors.Is(err, zk.ErrNoNode) && i > 0 {
			continue // gone meanwhile
		}
		if err != nil {
			return err
		}
		s.print("%s\n", s.t.Shown(queue[i]))
		slices.Sort(names)
		for _, n := range names {
			queue = append(queue, strings.TrimSuffix(queue[i], "/")+"/"+n)
		}
	}
	return nil
}

func (s *shell) get(w *words, _, at string) error {
	var data []byte
	var st *zk.Stat
	var err error
	if w.flags["w"] {
		var events <-chan zk.Event
		if data, st, events, err = s.t.GetW(at); err == nil {
			s.watch(events)
		}
	} else {
		data, st, err = s.t.Get(at)
	}
	if err != nil {
		return err
	}
	if data == nil {
		data = []byte("null")
	}
	s.print("%s\n", data)
	if w.flags["s"] {
		s.printStat(st)
	}
	return nil
}

func (s *shell) stat(w *words, _, at string) error {
	var there bool
	var st *zk.Stat
	var err error
	if w.flags["w"] {
		var events <-chan zk.Event
		if there, st, events, err = s.t.ExistsW(at); err == nil {
			s.watch(events)
		}
	} else {
		there, st, err = s.t.Exists(at)
	}
	if err == nil && !there {
		err = zk.ErrNoNode
	}
	if err == nil {
		s.printStat(st)
	}
	return err
}

// printStat prints all there is to say about a node; times are in this machine's zone, as Java prints them.
func (s *shell) printStat(st *zk.Stat) {
	at := func(ms int64) string { return time.UnixMilli(ms).Format("Mon Jan 02 15:04:05 MST 2006") }
	s.print("cZxid = 0x%x\nctime = %s\nmZxid = 0x%x\nmtime = %s\npZxid = 0x%x\ncversion = %d\ndataVersion = %d\naclVersion = %d\nephemeralOwner = 0x%x\ndataLength = %d\nnumChildren = %d\n",
		uint64(st.Czxid), at(st.Ctime), uint64(st.Mzxid), at(st.Mtime), uint64(st.Pzxid), st.Cversion, st.Version, st.Aversion, uint64(st.EphemeralOwner), st.DataLength, st.NumChildren)
}

func (s *shell) create(w *words, _, at string) error {
	var data []byte
	acl := open
	if len(w.rest) > 1 {
		data = []byte(w.rest[1])
	}
	if len(w.rest) > 2 {
		var err error
		if acl, err = parseACL(w.rest[2]); err != nil {
			return err
		}
	}
	made, err := "", error(nil)
	flags := int32(0)
	if w.flags["s"] {
		flags |= zk.FlagSequence
	}
	switch ttl := w.value["t"]; {
	case w.flags["c"] && (flags != 0 || w.flags["e"] || ttl != ""):
		return errors.New("-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential.")
	case w.flags["c"]:
		made, err = s.t.CreateContainer(at, data, zk.FlagContainer, acl)
	case ttl != "":
		ms, perr := strconv.ParseInt(ttl, 10, 64)
		if perr != nil || w.flags["e"] {
			return errors.New("-t argument must be a long value, and cannot be combined with -e")
		}
		kind := int32(zk.FlagTTL)
		if w.flags["s"] {
			kind = zk.FlagPersistentSequentialWithTTL
		}
		made, err = s.t.CreateTTL(at, data, kind, acl, time.Duration(ms)*time.Millisecond)
	default:
		if w.flags["e"] {
			flags |= zk.FlagEphemeral
		}
		made, err = s.t.Create(at, data, flags, acl)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(s.errs, "Created "+s.t.Shown(made)) // there, as ZooKeeper's client does
	return nil
}

func (s *shell) set(w *words, _, at string) error {
	v, err := w.version()
	if err != nil {
		return err
	}
	st, err := s.t.Set(at, []byte(w.rest[1]), v)
	if err == nil && w.flags["s"] {
		s.printStat(st)
	}
	return err
}

func (s *shell) delete(w *words, _, at string) error {
	v, err := w.version()
	if err != nil {
		return err
	}
	return s.t.Delete(at, v)
}

func (s *shell) deleteAll(_ *words, _, at string) error { return deleteAll(s.t, at) }

func (s *shell) sync(_ *words, _, at string) error {
	_, err := s.t.Sync(at)
	if err == nil {
		s.print("Sync is OK\n")
	}
	return err
}
