package compact

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"ottla/broker/record"
	"ottla/internal/fs"
)

var tears = flag.Uint64("tears", 3, "ways to tear unsynced writes at each power cut")

// work appends, cleans, appends more and cleans again, in groups of several segments, with transactions and deletions. What was
// acknowledged is in w.sent.
func (w *world) work() error {
	if err := w.start(true, 0, 0); err != nil {
		return err
	}
	for round := range 3 {
		for i := range 8 {
			v := strings.Repeat("v", 30*(i%4)+1)
			if i == 5 {
				v = ""
			}
			if err := w.send(int64(1+i%2), false, record.None, rec{key: fmt.Sprint("k", i%5), value: v}, rec{key: fmt.Sprint("r", round), value: "x"}); err != nil {
				return err
			}
		}
		if err := w.send(3, true, record.None, rec{key: "k0", value: fmt.Sprint("in transaction ", round)}); err != nil {
			return err
		}
		if err := w.end(3, record.ControlType(round%2)); err != nil {
			return err
		}
		if err := w.log.Roll(); err != nil {
			return err
		}
		w.now = w.now.Add(700 * time.Millisecond)
		w.broken = true // a cut may come between two swaps
		if _, err := w.clean(); err != nil {
			return err
		}
		w.log.Housekeep(w.now.Add(time.Hour))
	}
	return w.log.Flush()
}

// TestPowerCut cuts the power at every operation: what was acknowledged and is the last of its key is there afterwards, nothing is there
// twice or out of order, and cleaning goes on.
func TestPowerCut(t *testing.T) {
	whole := fs.NewCrash()
	must(t, whole.MkdirAll("/data", 0o755))
	whole.Persist()
	w := newWorld(t, whole, "/data/t-0")
	must(t, w.work())
	must(t, w.checkClean())
	from := 1
	for ; whole.Trace()[from-1].Op != fs.OpCreate || !strings.HasSuffix(whole.Trace()[from-1].Name, cleanedLog); from++ {
	}
	for n := from - 1; n <= whole.Ops()+1; n++ { // before the first round there is nothing new: commitlog and logdir have that
		c := fs.NewCrash()
		must(t, c.MkdirAll("/data", 0o755))
		c.Persist()
		c.CutAt(n)
		w := newWorld(t, c, "/data/t-0")
		if err := w.work(); err != nil && !errors.Is(err, fs.ErrPowerCut) {
			t.Fatalf("cut at %d: the work ended with %v", n, err)
		}
		c.Cut()
		cleaned, point := cleanedTo(w.log), w.log.RecoveryPoint()
		_ = w.log.Close(false)
		for _, loss := range fs.Losses {
			for seed := range *tears {
				if loss != fs.Tear && seed > 0 {
					continue
				}
				// The checkpoints on the disk are as old as a flush, or new.
				for _, at := range [][2]int64{{0, 0}, {cleaned, point}} {
					if err := w.survive(c.Survivor(loss, seed), at[0], at[1]); err != nil {
						t.Fatalf("cut at %d (%s), %s, seed %d, checkpoints %v: %v", n, whole.Trace()[min(n, whole.Ops())-1], loss, seed, at, err)
					}
				}
			}
		}
	}
	t.Logf("%d operations", whole.Ops()-from)
}

const cleanedLog = ".log.cleaned"

// survive opens what a cut left, looks at it, cleans it and looks again.
func (w *world) survive(fsys fs.FS, cleaned, point int64) error {
	s := *w
	s.fs, s.broken = fsys, true
	s.w = &worker{memory: w.w.memory, load: w.w.load, room: w.w.room, pace: w.w.pace, checkpoint: w.w.checkpoint}
	if err := s.start(false, cleaned, point); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer func() { _ = s.log.Close(false) }()
	if err := s.check(); err != nil {
		return err
	}
	for offset := range s.sent {
		if offset >= s.log.LogEnd() {
			return fmt.Errorf("ends at %d, acknowledged was %d", s.log.LogEnd(), offset)
		}
	}
	if err := s.log.Roll(); err != nil {
		return err
	}
	for {
		did, err := s.clean()
		if err != nil {
			return fmt.Errorf("cleaning: %w", err)
		}
		if !did {
			break
		}
	}
	if err := s.checkClean(); err != nil {
		return fmt.Errorf("cleaned again: %w", err)
	}
	files, err := fsys.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".cleaned") || strings.HasSuffix(f.Name(), ".swap") {
			return fmt.Errorf("%s is left", f.Name())
		}
	}
	return nil
}
