package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Source is where the configuration comes from. Later fields win.
type Source struct {
	// File is the path of a zoo.cfg, "" for none.
	File string
	// Env is the environment, as os.Environ returns it.
	Env []string
	// Overrides are key=value from the command line.
	Overrides []string
}

// Setting is a value and where it was found.
type Setting struct {
	Key, Value, Where string
}

// Load reads a configuration. Warnings are sentences for the log. The error names every mistake, one per line.
func Load(src Source) (c *Config, warnings []string, err error) {
	l := loader{settings: map[string]Setting{}}
	if src.File != "" {
		l.file(src.File)
	}
	l.environment(src.Env)
	for _, o := range src.Overrides {
		k, v, ok := strings.Cut(o, "=")
		if !ok {
			l.errs = append(l.errs, fmt.Errorf("--override %s: want key=value", o))
			continue
		}
		l.set(Setting{strings.TrimSpace(k), strings.TrimSpace(v), "--override"})
	}
	c = base()
	if src.File == "" {
		c = Default()
		c.MinSessionTimeout, c.MaxSessionTimeout = 0, 0 // follow the tick
	}
	l.servers(c)
	// By name, so that readonlymode.enabled adds to the 4lw.commands.whitelist that was set.
	for _, name := range slices.Sorted(maps.Keys(l.settings)) {
		l.apply(c, l.settings[name])
		if k := lookup(name); k != nil && !k.Secret {
			c.Shown = append(c.Shown, name+"="+l.settings[name].Value)
		}
	}
	if src.File != "" && !l.plain && c.TLS.Port >= 0 {
		c.ClientPort = -1 // whoever names only a port for TLS wants no other
	}
	c.finish()
	l.security(c)
	if c.DataDir == "" && len(l.errs) == 0 {
		l.errs = append(l.errs, fmt.Errorf("%s: dataDir is not set. Without it the data has no place; write dataDir=/var/lib/ottla/coordinator", src.File))
	}
	if c.MinSessionTimeout > c.MaxSessionTimeout {
		l.errs = append(l.errs, fmt.Errorf("minSessionTimeout (%v) is above maxSessionTimeout (%v)", c.MinSessionTimeout, c.MaxSessionTimeout))
	}
	if len(l.errs) > 0 {
		return nil, l.warnings, errors.Join(l.errs...)
	}
	return c, l.warnings, nil
}

type loader struct {
	settings map[string]Setting
	warnings []string
	errs     []error
	plain    bool // clientPort is set
}

func (l *loader) set(s Setting) { l.settings[s.Key] = s }

func (l *loader) file(path string) {
	f, err := os.Open(path)
	if err != nil {
		l.errs = append(l.errs, fmt.Errorf("read the configuration: %w", err))
		return
	}
	defer f.Close()
	list, err := parseProperties(f)
	if err != nil {
		l.errs = append(l.errs, fmt.Errorf("%s: %w", path, err))
		return
	}
	for _, e := range list {
		where := fmt.Sprintf("%s:%d", path, e.line)
		if old, ok := l.settings[e.key]; ok {
			l.warnings = append(l.warnings, fmt.Sprintf("%s: %s was already set in %s; the later one counts", where, e.key, old.Where))
		}
		l.set(Setting{e.key, e.value, where})
	}
}

// environment takes the variables of ZooKeeper's docker image, and of the flags for the JVM what ZooKeeper itself would read.
func (l *loader) environment(env []string) {
	vars := map[string]string{}
	for _, e := range env {
		if k, v, ok := strings.Cut(e, "="); ok {
			vars[k] = v
		}
	}
	for _, flags := range []string{"KAFKA_OPTS", "JVMFLAGS", "SERVER_JVMFLAGS"} {
		for f := range strings.FieldsSeq(vars[flags]) {
			k, v, _ := strings.Cut(strings.TrimPrefix(f, "-D"), "=")
			name, ours := strings.CutPrefix(k, "zookeeper.")
			ours = ours || k == "jute.maxbuffer" || k == jaasKey || strings.HasPrefix(k, "znode.container.")
			if strings.HasPrefix(f, "-D") && ours {
				l.set(Setting{name, strings.Trim(v, `"'`), flags})
			}
		}
	}
	for i := range keys {
		if k := &keys[i]; k.Env != "" && k.Name != "server.*" && vars[k.Env] != "" {
			l.set(Setting{k.Name, vars[k.Env], k.Env})
		}
	}
	for i, s := range strings.Fields(vars["ZOO_SERVERS"]) {
		k, v, ok := strings.Cut(s, "=")
		if !ok { // the form of old images: only the addresses
			k, v = "server."+strconv.Itoa(i+1), s
		}
		l.set(Setting{k, v, "ZOO_SERVERS"})
	}
	for s := range strings.FieldsSeq(vars["ZOO_CFG_EXTRA"]) {
		k, v, _ := strings.Cut(s, "=")
		l.set(Setting{k, v, "ZOO_CFG_EXTRA"})
	}
	if v := vars["ZOO_MY_ID"]; v != "" {
		l.set(Setting{myID, v, "ZOO_MY_ID"})
	}
}

// myID is not a key of zoo.cfg: ZooKeeper reads it from a file of that name.
const myID = "myid"

// servers looks at the members of the ensemble: one is a standalone server, and may name the client port.
func (l *loader) servers(c *Config) {
	var lines []Setting
	for k, s := range l.settings {
		if _, err := strconv.Atoi(strings.TrimPrefix(k, "server.")); strings.HasPrefix(k, "server.") && err == nil {
			lines = append(lines, s)
			delete(l.settings, k)
		}
	}
	switch {
	case len(lines) > 1:
		slices.SortFunc(lines, func(a, b Setting) int { return strings.Compare(a.Key, b.Key) })
		l.errs = append(l.errs, fmt.Errorf("%s: %s and %d more server lines describe an ensemble, which this version does not form: "+
			"each server would go its own way with its own data. Remove the server lines for a single coordinator",
			lines[0].Where, lines[0].Key, len(lines)-1))
	case len(lines) == 1:
		_, client, ok := strings.Cut(lines[0].Value, ";")
		if !ok || client == "" {
			return
		}
		client, secure, _ := strings.Cut(client, ";")
		if _, ok := l.settings["secureClientPort"]; secure != "" && !ok {
			if i := strings.LastIndex(secure, ":"); i >= 0 {
				l.apply(c, Setting{"secureClientPortAddress", strings.Trim(secure[:i], "[]"), lines[0].Where})
				secure = secure[i+1:]
			}
			l.apply(c, Setting{"secureClientPort", secure, lines[0].Where})
		}
		if i := strings.LastIndex(client, ":"); i >= 0 {
			l.apply(c, Setting{"clientPortAddress", strings.Trim(client[:i], "[]"), lines[0].Where})
			client = client[i+1:]
		}
		l.apply(c, Setting{"clientPort", client, lines[0].Where})
	}
}

// apply does what one setting asks for.
func (l *loader) apply(c *Config, s Setting) {
	if s.Key == myID {
		n, err := strconv.Atoi(s.Value)
		if err != nil || n < 1 || n > 255 {
			l.errs = append(l.errs, fmt.Errorf("%s is %q, want a number from 1 to 255", s.Where, s.Value))
			return
		}
		c.MyID = n
		return
	}
	k := lookup(s.Key)
	if k == nil {
		if hint := closest(s.Key); hint != "" {
			hint = "; did you mean " + hint + "?"
			l.warnings = append(l.warnings, fmt.Sprintf("%s: %s is not a key of the coordinator%s", s.Where, s.Key, hint))
			return
		}
		l.warnings = append(l.warnings, fmt.Sprintf("%s: %s is not a key of the coordinator and has no effect", s.Where, s.Key))
		return
	}
	switch {
	case k.set != nil:
		l.plain = l.plain || k.Name == "clientPort"
		if err := k.set(c, s.Value); err != nil {
			want := ""
			if k.Range != "" {
				want = ", want " + k.Range
			}
			l.errs = append(l.errs, fmt.Errorf("%s: %s is %s%s", s.Where, s.Key, k.show(s.Value), want))
		}
	case k.refuse != nil:
		if why := k.refuse(s.Value); why != "" {
			l.errs = append(l.errs, fmt.Errorf("%s: %s is %s, which cannot be honoured: %s. Remove it to start without that protection", s.Where, s.Key, k.show(s.Value), why))
		}
	case k.warn != nil:
		if what := k.warn(s.Value); what != "" {
			l.warnings = append(l.warnings, fmt.Sprintf("%s: %s=%s has no effect: %s", s.Where, s.Key, s.Value, what))
		}
	}
}

// show quotes a value for a message; not one that opens doors.
func (k *Key) show(value string) string {
	if k.Secret {
		return "[hidden]"
	}
	return strconv.Quote(value)
}

// lookup finds the row of a key: its own, or the one of its beginning.
func lookup(name string) *Key {
	for i := range keys {
		if keys[i].Name == name {
			return &keys[i]
		}
	}
	for i := range keys {
		if p, ok := strings.CutSuffix(keys[i].Name, "*"); ok && strings.HasPrefix(name, p) {
			return &keys[i]
		}
	}
	return nil
}

// closest finds a key that differs only in case, dots and dashes, which is the usual mistake.
func closest(name string) string {
	plain := func(s string) string {
		return strings.NewReplacer(".", "", "-", "", "_", "").Replace(strings.ToLower(s))
	}
	for i := range keys {
		if plain(keys[i].Name) == plain(name) {
			return keys[i].Name
		}
	}
	return ""
}
