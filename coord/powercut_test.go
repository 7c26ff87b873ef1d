package coord_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"ottla/coord"
	"ottla/coord/coordtest"
	"ottla/internal/fs"
)

// history is what clients of a coordinator know before the power goes.
type history struct {
	acked  int      // steps of the workload that were acknowledged
	events []string // that the watcher saw, in order
	zxid   int64    // highest seen
	id     int64    // the writer's session
	pw     []byte
}

// step is one write of the workload, and what it does to a model of the tree.
type step struct {
	do    func(c *client) error
	model func(tree map[string]string)
	event string // what a watch on /watched must tell of it
}

// The recorded workload. One client writes, so that the tree goes through exactly these states.
func workload() []step {
	var list []step
	create := func(path, data string, flags int32) {
		list = append(list, step{
			do:    func(c *client) error { return c.create(path, []byte(data), flags) },
			model: func(m map[string]string) { m[path] = data },
		})
	}
	set := func(path, data, event string) {
		list = append(list, step{
			do:    func(c *client) error { return c.set(path, []byte(data)) },
			model: func(m map[string]string) { m[path] = data },
			event: event,
		})
	}
	create("/watched", "0", 0)
	create("/eph", "session", 1)
	for i := range 6 {
		create(fmt.Sprintf("/n%d", i), strings.Repeat("x", i*173%500), 0)
		set("/watched", fmt.Sprint(i+1), "3 /watched")
	}
	list = append(list, step{
		do:    func(c *client) error { return c.remove("/n2") },
		model: func(m map[string]string) { delete(m, "/n2") },
	})
	set("/n3", strings.Repeat("y", 1500), "")
	set("/watched", "last", "3 /watched")
	return list
}

// options are those of a server with a small log, so that the workload fills several segments and makes checkpoints.
func options(t testing.TB, fsys fs.FS) coord.Options {
	o := coordtest.Options(t)
	o.Logger = zerolog.Nop()
	coordtest.OnDisk(fsys)(&o)
	o.Config.SegmentBytes, o.Config.CheckpointTxns = 2048, 8
	return o
}

// live runs the workload against a server on fsys until it ends or the power does.
func live(t *testing.T, fsys fs.FS, steps []step) (h history, err error) {
	srv, err := coordtest.StartWith(t, options(t, fsys))
	if err != nil {
		return h, err
	}
	defer func() {
		if serr := srv.Stop(); err == nil {
			err = serr
		}
	}()
	writer, watcher := dial(t, srv.Address()), dial(t, srv.Address())
	defer writer.close()
	defer watcher.close()
	defer func() {
		h.zxid = max(writer.zxid, watcher.zxid)
		h.events = watcher.events
		h.id, h.pw = writer.id, writer.pw
	}()
	if err := writer.connect(); err != nil {
		return h, err
	}
	if err := watcher.connect(); err != nil {
		return h, err
	}
	for _, s := range steps {
		if err := s.do(writer); err != nil {
			return h, err
		}
		h.acked++
		// Reads what is there and sets the watch anew. The event of a step is on its way before the step's acknowledgement.
		if _, err := watcher.get("/watched", true); err != nil {
			return h, err
		}
	}
	return h, nil
}

// verify starts a server on what is left and compares it with what the clients know.
func verify(t *testing.T, disk *fs.Crash, steps []step, h history) error {
	srv, err := coordtest.StartWith(t, options(t, disk))
	if err != nil {
		return fmt.Errorf("refuses to start: %w", err)
	}
	defer srv.Stop()
	c := dial(t, srv.Address())
	defer c.close()
	if h.acked > 0 {
		c.id, c.pw, c.zxid = h.id, h.pw, h.zxid
	}
	if err := c.connect(); err != nil {
		return fmt.Errorf("the session of the writer: %w", err)
	}
	have := map[string]string{}
	names, err := c.children("/")
	if err != nil {
		return err
	}
	for _, n := range names {
		if n == "zookeeper" {
			continue
		}
		data, err := c.get("/"+n, false)
		if err != nil {
			return err
		}
		have["/"+n] = string(data)
	}
	if c.zxid < h.zxid {
		return fmt.Errorf("zxid %#x, but %#x was seen", c.zxid, h.zxid)
	}
	// The tree is in the state after the last acknowledged step, or after the one that was under way.
	model := map[string]string{}
	at := -1
	events := 0
	for i := 0; ; i++ {
		if maps.Equal(model, have) && i >= h.acked {
			at = i
			break
		}
		if i == len(steps) || i > h.acked {
			break
		}
		steps[i].model(model)
		if steps[i].event != "" {
			events++
		}
	}
	if at < 0 {
		return fmt.Errorf("%d steps were acknowledged, but the tree is %v", h.acked, slices.Sorted(maps.Keys(have)))
	}
	if len(h.events) > events {
		return fmt.Errorf("%d changes were seen by the watch, %d are left", len(h.events), events)
	}
	return nil
}

// run cuts the power in operation cut and tries what is left.
func run(t *testing.T, steps []step, rules []fs.Rule, cut int, seeds uint64) (ops int, broken error) {
	t.Helper()
	disk := coordtest.NewDisk()
	start := disk.Ops()
	if cut > 0 {
		disk.CutAt(start + cut)
	}
	faulty := fs.NewFaulty(disk)
	for _, r := range rules {
		faulty.Inject(r)
	}
	h, err := live(t, faulty, steps)
	if cut == 0 {
		must(t, err)
	}
	ops = disk.Ops() - start
	disk.Cut()
	for _, loss := range fs.Losses {
		for seed := range seeds {
			if err := verify(t, disk.Survivor(loss, seed), steps, h); err != nil {
				return ops, fmt.Errorf("cut in operation %d, %v, seed %d: %w", cut, loss, seed, err)
			}
			if loss != fs.Tear {
				break
			}
		}
	}
	return ops, nil
}

// The power is cut in each operation of the workload. What a client was told, by an answer or by a watch, is there afterwards;
// sessions and their ephemeral nodes too, and zxids go on rising.
func TestPowerCut(t *testing.T) {
	steps := workload()
	ops, err := run(t, steps, nil, 0, 1)
	must(t, err)
	if ops < 50 {
		t.Fatalf("only %d operations", ops)
	}
	for cut := 1; cut <= ops; cut++ {
		if _, err := run(t, steps, nil, cut, 2); err != nil {
			t.Error(err)
		}
	}
}

// The syncs on which an acknowledgement of the running server depends, each taken out: the test above must see it. Those of first starts
// and of recovery are in coord/store's list.
func TestPowerCutNeedsEachSync(t *testing.T) {
	steps := workload()
	for _, tc := range []struct {
		what string
		rule fs.Rule
	}{
		{"fdatasync of each group", fs.Rule{Op: fs.OpDatasync, Name: "*.wal", Skip: 2}},
		{"fdatasync of one group", fs.Rule{Op: fs.OpDatasync, Name: "*.wal", Skip: 6, Times: 1}},
		{"directory of the log with a new segment", fs.Rule{Op: fs.OpSyncDir, Name: "log", Skip: 1}},
	} {
		t.Run(tc.what, func(t *testing.T) {
			tc.rule.Swallow = true
			for cut := 1; cut < 120; cut++ {
				if _, err := run(t, steps, []fs.Rule{tc.rule}, cut, 4); err != nil {
					t.Log(err)
					return
				}
			}
			t.Error("nothing is lost without it")
		})
	}
}

func TestWorkloadWithoutAFault(t *testing.T) {
	steps := workload()
	disk := coordtest.NewDisk()
	h, err := live(t, disk, steps)
	must(t, err)
	var want []string
	for _, s := range steps {
		if s.event != "" {
			want = append(want, s.event)
		}
	}
	if h.acked != len(steps) || !slices.Equal(h.events, want) {
		t.Errorf("%d of %d steps, events %v, want %v", h.acked, len(steps), h.events, want)
	}
	if err := verify(t, disk, steps, h); err != nil {
		t.Error(err)
	}
}
