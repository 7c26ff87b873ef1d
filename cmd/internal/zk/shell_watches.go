package zk

import (
	"errors"
	"strconv"
	"strings"

	"github.com/go-zookeeper/zk"

	"ottla/coord/wire"
)

func (s *shell) addWatch(w *words) error {
	kind := wire.WatcherPersistentRecursive
	switch mode := strings.ToUpper(w.value["m"]); {
	case len(w.rest) > 1, mode != "" && mode != "PERSISTENT" && mode != "PERSISTENT_RECURSIVE":
		return errors.New("addWatch " + commands["addWatch"].usage)
	case mode == "PERSISTENT":
		kind = wire.WatcherPersistent
	}
	return s.on(w, func(_, at string) error {
		s.mine.add(at, kind)
		err := s.t.AddWatch(s.ctx, at, kind == wire.WatcherPersistentRecursive)
		if err != nil {
			s.mine.remove(at, kind)
		}
		return err
	})
}

func (s *shell) removeWatches(w *words) error {
	kind := wire.WatcherAny
	for _, k := range []struct {
		flag string
		kind int32
	}{{"c", wire.WatcherChildren}, {"d", wire.WatcherData}, {"p", wire.WatcherPersistent}, {"r", wire.WatcherPersistentRecursive}} {
		if w.flags[k.flag] {
			kind = k.kind
			break
		}
	}
	return s.on(w, func(path, at string) error {
		if err := s.t.RemoveWatches(s.ctx, at, kind); err != nil {
			return err
		}
		for _, name := range s.mine.remove(at, kind) {
			s.event("SyncConnected", name, path, -1)
		}
		return nil
	})
}

// quotaFlags are the limits that options stand for.
var quotaFlags = map[string]string{"n": softCount, "b": softBytes, "N": hardCount, "B": hardBytes}

func (s *shell) setQuota(w *words) error {
	if len(w.value) == 0 {
		return errors.New(parser + "MissingOptionException: Missing required option: [-n num soft quota, -b bytes soft quota, -N num hard quota, -B bytes hard quota]")
	}
	if strings.HasPrefix(w.rest[0], quotaRoot) {
		s.complain("cannot set a quota under the path: %s\n", quotaRoot)
		return nil
	}
	want := limits{}
	for flag, text := range w.value {
		n, err := strconv.ParseInt(text, 10, 64)
		switch {
		case err != nil:
			s.complain("NumberFormatException happens when parsing the option value\n")
			return nil
		case (flag == "n" || flag == "N") && n <= 0:
			s.complain("the num quota must be greater than zero\n")
			return nil
		case n < 0:
			s.complain("the bytes quota must be greater than or equal to zero\n")
			return nil
		}
		want[quotaFlags[flag]] = n
	}
	return s.on(w, func(path, _ string) error {
		warnings, err := setQuota(s.t, path, want)
		for _, w := range warnings {
			s.print("%s\n", w)
		}
		return err
	})
}

func (s *shell) listQuota(w *words) error {
	return s.on(w, func(path, _ string) error {
		s.complain("absolute path is %s/%s\n", quotaRoot+path, limitNode)
		limit, used, err := quotaOf(s.t, path)
		if errors.Is(err, zk.ErrNoNode) {
			s.complain("quota for %s does not exist.\n", path)
			return nil
		}
		if err == nil {
			s.print("Output quota for %s %s\nOutput stat for %s %s\n", path, limit, path, used)
		}
		return err
	})
}

func (s *shell) deleteQuota(w *words) error {
	var keys []string
	for flag := range w.flags {
		keys = append(keys, quotaFlags[flag])
	}
	return s.on(w, func(path, _ string) error {
		had, err := deleteQuota(s.t, path, keys)
		if err == nil && !had {
			s.print("Quota does not exist for %s\n", path)
		}
		return err
	})
}
