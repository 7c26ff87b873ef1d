package coord

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/rs/zerolog"

	"ottla/coord/fsm"
	"ottla/coord/state"
	"ottla/coord/store"
	"ottla/coord/tree"
	"ottla/coord/zkdata"
	seam "ottla/internal/fs"
)

// Import makes db, the data of a ZooKeeper, the data of a coordinator that has none yet. The coordinator goes on with its sessions, whose
// clients notice nothing, and above its zxid. It returns when all is durable; a start refuses a directory whose import did not end.
func Import(db *zkdata.Database, dir, logDir string) error {
	m, err := machineOf(db)
	if err != nil {
		return err
	}
	s, err := store.Open(store.Options{Dir: dir, LogDir: logDir, Logger: zerolog.Nop(), Import: true})
	if err != nil {
		return err
	}
	if err := importInto(s, m); err != nil {
		return errors.Join(err, s.Close())
	}
	return s.Close()
}

func importInto(s *store.Store, m *fsm.Machine) error {
	c, err := state.Of(m).Checkpoint()
	if err != nil {
		return err
	}
	return s.Import(c.Meta, storeRecords(c))
}

// machineOf turns the data of a ZooKeeper into ours.
func machineOf(db *zkdata.Database) (*fsm.Machine, error) {
	imp := fsm.NewImporter()
	for _, path := range db.Paths() {
		n := db.Nodes[path]
		if err := imp.Node(path, &tree.Image{
			Data: n.Data, ACL: n.ACL, Czxid: n.Czxid, Mzxid: n.Mzxid, Pzxid: n.Pzxid, Ctime: n.Ctime, Mtime: n.Mtime,
			Version: n.Version, Created: n.Created, Aversion: n.Aversion, Owner: n.Owner,
		}); err != nil {
			return nil, err
		}
	}
	for id, timeout := range db.Sessions {
		imp.Session(fsm.Session{ID: id, Password: zkdata.Password(id), TimeoutMs: timeout, Attach: 1})
	}
	return imp.Done(db.Zxid)
}

// source is a machine as a snapshot of ZooKeeper. The caller holds whatever keeps it from changing.
func source(m *fsm.Machine) zkdata.Source {
	src := zkdata.Source{Zxid: m.Zxid(), Sessions: map[int64]int32{}}
	m.EachSession(func(s fsm.Session) { src.Sessions[s.ID] = s.TimeoutMs })
	t := m.Tree()
	src.Nodes = func(yield func(string, *zkdata.Node) error) error {
		return t.Walk(func(path string, n *tree.Node) error {
			return yield(path, zkNode(t.Image(n)))
		})
	}
	return src
}

// Export writes the data as DIR/version-2/snapshot.ZXID, on which a ZooKeeper starts, and returns its name. The directory must hold no data of a
// ZooKeeper.
func (off *Offline) Export(dir string) (path string, err error) {
	src := source(off.Machine)
	if filepath.Base(dir) != "version-2" {
		dir = filepath.Join(dir, "version-2")
	}
	if list, err := os.ReadDir(dir); err == nil && len(list) > 0 {
		return "", fmt.Errorf("%s holds files already, which a ZooKeeper would read together with the export. Give it an empty directory", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path = filepath.Join(dir, fmt.Sprintf("snapshot.%x", src.Zxid))
	if err := writeFile(path, func(w io.Writer) error { return zkdata.WriteSnapshot(w, src) }); err != nil {
		return "", err
	}
	return path, seam.OS.SyncDir(dir)
}

// writeFile makes a whole file appear under its name, durable.
func writeFile(path string, fill func(io.Writer) error) (err error) {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if err = fill(f); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return os.Rename(tmp, path)
}
