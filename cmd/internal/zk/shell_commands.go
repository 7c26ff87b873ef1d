package zk

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-zookeeper/zk"

	"ottla/cmd/internal/client"
	"ottla/coord/wire"
)

// shellCommand is a command of ZooKeeper's client.
type shellCommand struct {
	usage   string // behind its name
	flags   string // options without a value, separated by blanks
	valued  string // options with one
	needs   int    // arguments without which the usage is the answer
	one     bool   // its options exclude each other
	offline bool   // works without a session
	run     func(s *shell, w *words) error
}

const (
	optionsOfGet = "\n -b   Output data in base64 format\n -s   Print znode stats additionally\n -w   Watch for changes on the znode\n -x   Output data in hexdump format\n"
	optionsOfSet = "\n -b         Supply data in base64 format\n -s         Print znode stats additionally\n -v <arg>   Set with an expected version\n"
)

var commands map[string]*shellCommand

func init() { // redo looks commands up
	commands = map[string]*shellCommand{
		"addauth":              {"scheme auth", "", "", 1, false, false, (*shell).addAuth},
		"addWatch":             {"[-m mode] path # optional mode is one of [PERSISTENT, PERSISTENT_RECURSIVE] - default is PERSISTENT_RECURSIVE", "", "m", 1, false, false, (*shell).addWatch},
		"close":                {"", "", "", 0, false, false, (*shell).closeSession},
		"config":               {"[-c] [-w] [-s]", "c w s", "", 0, false, false, (*shell).config},
		"connect":              {"host:port", "", "", 0, false, true, (*shell).reconnect},
		"create":               {"[-s] [-e] [-c] [-t ttl] path [data] [acl]", "s e c", "t", 1, false, false, (*shell).create},
		"delete":               {"[-v version] path", "", "v", 1, false, false, (*shell).delete},
		"deleteall":            {"path [-b batch size]", "", "b", 1, false, false, (*shell).deleteAll},
		"delquota":             {"[-n|-b|-N|-B] path", "n b N B", "", 1, true, false, (*shell).deleteQuota},
		"get":                  {"[-s] [-w] [-b] [-x] path", "s w b x", "", 1, false, false, (*shell).get},
		"getAcl":               {"[-s] path", "s", "", 1, false, false, (*shell).getACL},
		"getAllChildrenNumber": {"path", "", "", 1, false, false, (*shell).countBelow},
		"getEphemerals":        {"path", "", "", 0, false, false, (*shell).ephemerals},
		"history":              {"", "", "", 0, false, true, (*shell).showHistory},
		"listquota":            {"path", "", "", 1, false, false, (*shell).listQuota},
		"ls":                   {"[-s] [-w] [-R] path", "s w R", "", 1, false, false, (*shell).ls},
		"printwatches":         {"on|off", "", "", 0, false, true, (*shell).printWatches},
		"quit":                 {"", "", "", 0, false, true, func(*shell, *words) error { return nil }}, // the loop ends it
		"reconfig": {
			"[-s] [-v version] [[-file path] | [-members serverID=host:port1:port2;port3[,...]*]] | [-add serverId=host:port1:port2;port3[,...]]* [-remove serverId[,...]*]",
			"s", "v file members add remove", 0, false, false, (*shell).reconfig,
		},
		"redo":          {"cmdno", "", "", 0, false, true, (*shell).redo},
		"removewatches": {"path [-c|-d|-a] [-l]", "c d p r a l", "", 1, false, false, (*shell).removeWatches},
		"set":           {"path data [-s] [-v version] [-b]", "s b", "v", 2, false, false, (*shell).set},
		"setAcl":        {"[-s] [-v version] [-R] path acl", "s R", "v", 2, false, false, (*shell).setACL},
		"setquota":      {"-n|-b|-N|-B val path", "", "n b N B", 1, true, false, (*shell).setQuota},
		"stat":          {"[-w] path", "w", "", 1, false, false, (*shell).stat},
		"sync":          {"path", "", "", 1, false, false, (*shell).sync},
		"version":       {"", "", "", 0, false, false, (*shell).version},
		"whoami":        {"", "", "", 0, false, false, (*shell).whoAmI},
	}
}

// help lists the commands there are, in the form of ZooKeeper's client.
func help() (lines []string) {
	for name, c := range commands {
		lines = append(lines, name+" "+c.usage)
	}
	slices.Sort(lines)
	return lines
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

const parser = "org.apache.commons.cli." // whose exceptions name themselves

// parse separates options from arguments, as ZooKeeper's client does: in any order, flags also together.
func parse(args []string, c *shellCommand) (*words, error) {
	w := &words{flags: map[string]bool{}, value: map[string]string{}}
	flags, valued := strings.Fields(c.flags), strings.Fields(c.valued)
	chosen := "" // of options that exclude each other
	for i := 0; i < len(args); i++ {
		a := args[i]
		name := strings.TrimPrefix(a, "-")
		switch {
		case name == a || name == "":
			w.rest = append(w.rest, a)
		case c.one && chosen != "" && chosen != name && slices.Contains(append(flags, valued...), name):
			return nil, fmt.Errorf("%sAlreadySelectedException: The option '%s' was specified but an option from this group has already been selected: '%s'", parser, name, chosen)
		case slices.Contains(flags, name):
			w.flags[name], chosen = true, name
		case slices.Contains(valued, name):
			if i++; i == len(args) {
				return nil, errors.New(parser + "MissingArgumentException: Missing argument for option: " + name)
			}
			w.value[name], chosen = args[i], name
		case len(name) > 1 && strings.Trim(name, strings.Join(flags, "")) == "":
			for _, r := range name {
				w.flags[string(r)] = true
			}
		default:
			return nil, errors.New(parser + "UnrecognizedOptionException: Unrecognized option: " + a)
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

// execute runs one command. The error's text is what ZooKeeper's client prints.
func (s *shell) execute(args []string) error {
	name := args[0]
	c, ok := commands[name]
	if !ok {
		return unknownCommand(name)
	}
	if s.t == nil && !c.offline {
		s.print("Not connected\n")
		return nil
	}
	w, err := parse(args[1:], c)
	if err != nil {
		return err
	}
	if len(w.rest) < c.needs {
		usage := name + " " + c.usage
		switch {
		case !s.zxids:
		case name == "get":
			usage += optionsOfGet
		case name == "set":
			usage += optionsOfSet
		}
		return errors.New(usage)
	}
	return c.run(s, w)
}

// on runs f for the path that is a command's first argument.
func (s *shell) on(w *words, f func(path, at string) error) error {
	path := w.rest[0]
	if fault := pathFault(path); fault != "" {
		return errors.New(fault)
	}
	at, err := s.t.At(path)
	if err != nil {
		return err
	}
	return s.explain(f(path, at), path)
}

// javaNames are ZooKeeper's codes in the words of its client.
var javaNames = map[wire.Code]string{
	wire.CodeRuntimeInconsistency: "RuntimeInconsistency", wire.CodeMarshallingError: "MarshallingError", wire.CodeUnimplemented: "Unimplemented",
	wire.CodeBadArguments: "BadArguments", wire.CodeNoNode: "NoNode", wire.CodeNoAuth: "NoAuth", wire.CodeBadVersion: "BadVersion",
	wire.CodeNoChildrenForEphemerals: "NoChildrenForEphemerals", wire.CodeNodeExists: "NodeExists", wire.CodeInvalidACL: "InvalidACL",
	wire.CodeAuthFailed: "AuthFailed", wire.CodeNotEmpty: "Directory not empty", wire.CodeSessionExpired: "Session expired",
	wire.CodeSessionMoved: "Session moved", wire.CodeNotReadOnly: "Not a read-only call", wire.CodeNoWatcher: "No such watcher",
	wire.CodeReconfigDisabled: "Reconfig is disabled", wire.CodeSessionClosedRequireAuth: "Session closed because client failed to authenticate",
	wire.CodeQuotaExceeded: "Quota has exceeded", wire.CodeThrottledOp: "Op throttled due to high load",
}

// javaTexts are those that it has a sentence for.
var javaTexts = map[wire.Code]string{
	wire.CodeNoNode: "Node does not exist: ", wire.CodeNodeExists: "Node already exists: ", wire.CodeNotEmpty: "Node not empty: ",
	wire.CodeNoChildrenForEphemerals: "Ephemerals cannot have children: ", wire.CodeBadVersion: "version No is not valid : ",
	wire.CodeNoAuth: "Insufficient permission : ", wire.CodeInvalidACL: "Acl is not valid : ", wire.CodeBadArguments: "Arguments are not valid : ",
	wire.CodeQuotaExceeded: "Quota has exceeded : ", wire.CodeNotReadOnly: "Not a read-only call: ",
}

// explain is an error of ZooKeeper in the words of its client.
func (s *shell) explain(err error, path string) error {
	var failed *failedAt
	if errors.As(err, &failed) {
		path = s.t.Shown(failed.at)
	}
	code, ok := client.CodeOf(err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, zk.ErrConnectionClosed), errors.Is(err, zk.ErrNoServer):
		return fmt.Errorf("KeeperErrorCode = ConnectionLoss for %s", path)
	case ok && javaTexts[code] != "":
		return errors.New(javaTexts[code] + path)
	case ok:
		return errors.New(keeperMessage(code, path))
	}
	return err
}

func keeperMessage(code wire.Code, path string) string {
	m := "KeeperErrorCode = " + javaNames[code]
	if path != "" {
		m += " for " + path
	}
	return m
}

// deprecated is the old form "command path something" that stands for an option.
func (s *shell) deprecated(w *words, old, now string) bool {
	if len(w.rest) < 2 {
		return false
	}
	s.complain("'%s' has been deprecated. Please use '%s' instead.\n", old, now)
	return true
}

func (s *shell) showHistory(*words) error {
	for i, l := range s.history[max(0, len(s.history)-11):] {
		s.print("%d - %s\n", max(0, len(s.history)-11)+i, l)
	}
	return nil
}

func (s *shell) redo(w *words) error {
	if len(w.rest) == 0 {
		return nil
	}
	i, err := strconv.Atoi(w.rest[0])
	if err != nil {
		return fmt.Errorf("For input string: %q", w.rest[0])
	}
	if i < 0 || i >= len(s.history)-1 {
		return errors.New("Command index out of range")
	}
	again := split(s.history[i])
	if again[0] == "redo" {
		return errors.New("No redoing redos")
	}
	s.history[len(s.history)-1] = s.history[i]
	return s.execute(again)
}

func (s *shell) printWatches(w *words) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(w.rest) > 0 {
		s.quiet = w.rest[0] != "on"
		return nil
	}
	state := "on"
	if s.quiet {
		state = "off"
	}
	fmt.Fprintf(s.out, "printwatches is %s\n", state)
	return nil
}

func (s *shell) closeSession(*words) error {
	s.event("Closed", "None", "null", -1)
	s.close()
	return nil
}

func (s *shell) reconnect(w *words) error {
	if s.t != nil {
		s.event("Closed", "None", "null", -1)
	}
	if len(w.rest) > 0 {
		return s.connect(w.rest[0])
	}
	return s.connect(s.z.Connect)
}

func (s *shell) version(*words) error {
	s.print("ZooKeeper CLI version: 3.9 (ottla)\n")
	return nil
}

func (s *shell) addAuth(w *words) error {
	auth := []byte(nil)
	if len(w.rest) > 1 {
		auth = []byte(w.rest[1])
	}
	return s.explain(s.t.AddAuth(w.rest[0], auth), "")
}

func (s *shell) whoAmI(*words) error {
	who, err := s.t.WhoAmI(s.ctx)
	if err != nil {
		return s.explain(err, "")
	}
	s.print("Auth scheme: User\n")
	for _, i := range who {
		s.print("%s: %s\n", i.Scheme, i.User)
	}
	return nil
}
