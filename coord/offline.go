package coord

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/rs/zerolog"

	"ottla/coord/ensemble"
	"ottla/coord/fsm"
	"ottla/coord/state"
	"ottla/coord/store"
	seam "ottla/internal/fs"
)

// Offline is the data of a stopped coordinator, as a start would find it.
type Offline struct {
	Machine    *fsm.Machine
	Checkpoint uint64 // index of the last entry in the checkpoint
	Last       uint64 // index of the last entry
	Term       uint64
	Requests   int // in the log behind the checkpoint
	Log        store.Recovery
}

// OpenOffline reads the directories, whose coordinator must be stopped, and changes nothing in them but what is only left over. A *store.DamageError says what
// cannot be read.
func OpenOffline(dir, logDir string) (*Offline, error) {
	if _, err := os.Stat(filepath.Join(dir, "meta")); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no data of a coordinator: there is no file meta in it", dir)
	}
	s, err := store.Open(store.Options{Dir: dir, LogDir: logDir, FS: seam.View(seam.OS), Checkpoints: store.OpenBoltIn(seam.View(seam.OS), filepath.Join(dir, "state.db")), Logger: zerolog.Nop()})
	if err != nil {
		return nil, err
	}
	off, err := offline(s)
	return off, errors.Join(err, s.Close())
}

func offline(s *store.Store) (*Offline, error) {
	st := state.New()
	if err := s.Load(func(h store.Header, records iter.Seq2[store.Record, error]) error {
		return restoreState(st, h, records)
	}); err != nil {
		return nil, err
	}
	off := &Offline{Checkpoint: s.Header().Index, Log: s.Log().Recovered()}
	var err error
	off.Last, err = ensemble.Replay(s, func(index, term uint64, batch []byte) error {
		n, err := st.Apply(index, term, batch)
		off.Requests += n
		return err
	})
	_, off.Term = st.Applied()
	st.View(func(m *fsm.Machine) { off.Machine = m }) // nobody else has the state
	return off, err
}
