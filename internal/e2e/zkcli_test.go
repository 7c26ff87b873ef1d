//go:build unix

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// zkCliScript is a session of zkCli with every command that it has, right and wrong, and leaves nothing behind.
const zkCliScript = `create /t "two words"
get /t
get -s /nope
create /t x
create -e /t/eph x
getEphemerals
getEphemerals /
getEphemerals /t/e
getEphemerals t
getAllChildrenNumber /t
getAllChildrenNumber /nope
getAllChildrenNumber
whoami
addauth digest u:p
whoami
addWatch /t
addWatch -m persistent /t
addWatch -m foo /t
addWatch
set /t new
removewatches /t -p
removewatches /t -r
removewatches /t
get -w /t
ls -w /t
removewatches -d /t
removewatches -a /t
ls -w /t
create /t/once
removewatches -c /t
create /q x
setquota -n 5 /q
setquota -N 1 -b 3 /q
setquota -b 0 /q
setquota -N 5 /q
listquota /q
create /q/a
setquota -n 1 /q/a
setquota -n 1 /
listquota /nope
delquota -b /q
listquota /q
delquota /q
delquota /q
listquota /q
setquota -n 0 /q
setquota -b -1 /q
setquota -n x /q
setquota -n 3 /nope
setquota /q
setquota -n 3 /zookeeper/quota/x
config
config -c
config -s
reconfig -add 1=a:1:2;3
reconfig
reconfig -add x -members y
reconfig -v zz -add x
sync /t
sync
create -t 1000000 /t/ttl x
create -t x /t/ttl2 x
create -t 5 -e /t/ttl2 x
create -t 5 -c /t/ttl2 x
create -c -s /t/ttl2
create -c /t/cont
create -t 0 /t/ttl3
setAcl -R /t world:anyone:cdrwa
setAcl /t foo
setAcl -s /t world:anyone:cdrwaq
getAcl -s /t
setAcl -v 1 /t world:anyone:r
setAcl -v 2 /t world:anyone:rwa
setAcl /t auth::cdrwa
getAcl /t
setAcl /t
create /t/bad x digest
create /t/bad x digest:foo:r
create -s /t/s- x auth::r,world:anyone:cdrwa
deleteall /nope
deleteall -b x /t
ls -R /t
ls -R /nope
ls -Rs /t
ls /t/
ls t
ls
get
set /x
set /t -5
get /t
set /t dGVzdA== -b
get -b /t
get -x /t
set -v 77 /t x
set -s /t x
stat /t/cont
stat /nope
delete /zookeeper
delete /
create /
create /t/eph/kid
create /x//y
create /x/./y
create /x/../y
create /x/y/..
create relative
delete -v 9 /t/once
delete /t
ls -q /t
ls2 /
rmr /
help
redo 0
redo 500
redo x1
printwatches
printwatches off
printwatches
printwatches on
create /t/deep
create /t/deep/a
create /t/deep/b
create /t/deep/a/x
create /t/deep/a/x/y
create /t/deep/b/z
addWatch -m PERSISTENT_RECURSIVE /t/deep
ls -R /t/deep
ls /t/cont watch
get /t/cont watch
stat /t/cont watch
delete /t/cont 0
deleteall /t/deep/b
removewatches /t/deep
deleteall /q
deleteall -b 2 /t
ls /
history
close
ls /
connect
ls /
quit
`

// TestZkCli: the same session with the real zkCli and with ours, each on a real ZooKeeper and on our coordinator, prints the same.
func TestZkCli(t *testing.T) {
	Peers(t, "zookeeper")
	script := strings.Replace(zkCliScript, "redo x1\n", "", 1) // there Java's ends
	lines := []string{"extendedTypesEnabled=true", "4lw.commands.whitelist=*"}
	servers := []*Server{ZooKeeper(t, lines...), Coordinator(t, lines...)}
	programs := [][]string{Apache(t, "zookeeper", "zkCli"), {Binary(t), "as", "zkCli"}}
	var first Printed
	for i, server := range servers {
		for j, program := range programs {
			out, errs := zkCliSession(t, append(program, "-server", server.Address), script)
			p := Printed{Out: zkCliText(out, server.Address), Errs: zkCliText(errs, server.Address)}
			if i == 0 && j == 0 {
				first = p
				continue
			}
			who := fmt.Sprintf("%s's server, %s", [...]string{"Apache", "our"}[i], [...]string{"their zkCli", "our zkCli"}[j])
			if d := cmp.Diff(strings.Split(first.Out, "\n"), strings.Split(p.Out, "\n")); d != "" {
				t.Errorf("%s, output:\n%s", who, d)
			}
			if d := cmp.Diff(strings.Split(first.Errs, "\n"), strings.Split(p.Errs, "\n")); d != "" {
				t.Errorf("%s, errors:\n%s", who, d)
			}
		}
	}
}

// zkCliSession runs a program on a script and returns what it printed.
func zkCliSession(t *testing.T, command []string, script string) (out, errs string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var o, e bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = strings.NewReader(script), &o, &e, 5*time.Second
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s\n%s", strings.Join(command, " "), err, last(o.String(), 2000), last(e.String(), 2000))
	}
	return o.String(), e.String()
}

var (
	zkCliEvent   = regexp.MustCompile(`WatchedEvent (.*)`)
	zkCliNumbers = regexp.MustCompile(`^([cmp]Zxid|[cm]time|ephemeralOwner) = .*|zxid: \d+`)
)

// zkCliText is what zkCli printed, without prompts, numbers, times and empty lines, and with the events behind everything else:
// they come from a thread of their own, which may write into the prompt.
func zkCliText(text, address string) string {
	var lines, events []string
	for line := range strings.Lines(strings.ReplaceAll(text, address, "SERVER")) {
		line = strings.TrimSpace(line)
		switch m := zkCliEvent.FindStringSubmatch(line); {
		case m != nil:
			events = append(events, zkCliNumbers.ReplaceAllString(m[1], "zxid"))
		case line == "", line == "WATCHER::", strings.HasPrefix(line, "[zk: "), strings.HasPrefix(line, "JLine support"),
			strings.Contains("\n"+zkCliScript, "\n"+line+"\n"): // the echo of a line, when an event came between it and the prompt
		default:
			lines = append(lines, zkCliNumbers.ReplaceAllString(line, "$1"))
		}
	}
	return strings.Join(append(lines, events...), "\n")
}
