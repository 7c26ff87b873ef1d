package coord

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"ottla/coord/ensemble"
	"ottla/coord/fsm"
	"ottla/coord/state"
	"ottla/coord/store"
	"ottla/coord/tree"
	"ottla/coord/wire"
)

// epochsAhead is how far a repaired coordinator skips ahead in the upper half of its zxids, since starts may have been logged in what cannot be read.
const epochsAhead = 1000

// Repair is what can be saved of a damaged data directory, and what would be given up. Close it.
type Repair struct {
	Damage  []string
	Source  string // where the nodes come from
	Machine *fsm.Machine
	// Index is the last entry of the log that is in Machine. Of Lost later ones, from LostFrom to LostTo, something can still be read; others may have been
	// there that cannot. They are given up, since each would be judged by what the missing ones did.
	Index            uint64
	LostFrom, LostTo uint64
	Lost, Requests   int      // entries, and the requests in them
	Paths            []string // that those requests name, sorted
	GivenUp          []string // of the checkpoint: nodes and sessions that are gone, or come back without what they held

	log   *store.Scanned
	files *store.Salvage
}

// ErrNoDamage says that there is nothing to repair.
var ErrNoDamage = errors.New("no damage")

// PlanRepair reads what can be read of the directories, whose coordinator must be stopped, and changes nothing in them. It prefers what loses nothing: the
// checkpoint as it is, an older one if the log reaches back to it, the log alone if it is whole; only then single records of the checkpoint.
func PlanRepair(dir, logDir string) (_ *Repair, err error) {
	_, err = OpenOffline(dir, logDir)
	if err == nil {
		return nil, ErrNoDamage
	}
	if otherVersion(err) {
		return nil, err
	}
	r := &Repair{Damage: []string{err.Error()}}
	if r.files, err = store.OpenSalvage(dir, logDir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	if r.files.MetaLost != "" {
		r.Damage = append(r.Damage, "meta: "+r.files.MetaLost)
	}
	first := uint64(0)
	if r.log, err = r.files.Scan(func(_ string, _ int64, e store.Entry) error {
		if first == 0 {
			first = e.Index
		}
		return nil
	}); err != nil {
		return nil, err
	}
	for _, d := range r.log.Damage {
		r.note(d.Error())
	}
	st, err := r.checkpoint(first)
	if err != nil {
		return nil, err
	}
	if err := r.replay(st); err != nil {
		return nil, err
	}
	return r, r.finish(st)
}

// otherVersion says that what cannot be read is whole: to give it up would lose what the program that wrote it can read.
func otherVersion(err error) bool {
	return errors.Is(err, store.ErrVersion) || errors.Is(err, tree.ErrVersion)
}

// Close gives the directories free.
func (r *Repair) Close() error { return r.files.Close() }

func (r *Repair) note(damage string) {
	if !slices.ContainsFunc(r.Damage, func(d string) bool { return strings.HasPrefix(d, damage) }) {
		r.Damage = append(r.Damage, damage)
	}
}

// checkpoint finds the best state to begin with. first is the first entry that can be read in the log, 0 if there is none.
func (r *Repair) checkpoint(first uint64) (*state.State, error) {
	for _, delta := range []bool{true, false} {
		st, found := state.New(), false
		err := r.files.Checkpoint(delta, func(h store.Header, records iter.Seq2[store.Record, error]) error {
			found = true
			return restoreState(st, h, records)
		})
		index, _ := st.Applied()
		switch {
		case otherVersion(err):
			return nil, err
		case err != nil && delta:
			r.note(err.Error())
		case err != nil:
		case found && delta:
			r.Source = fmt.Sprintf("the checkpoint at entry %d", index)
			return st, nil
		case found && first != 0 && first <= index+1 && !mixed(st):
			r.Source = fmt.Sprintf("the checkpoint at entry %d, without delta, whose changes the log still has", index)
			return st, nil
		}
	}
	if first == 1 {
		r.Source = "the log, which is there from the first entry on"
		return state.New(), nil
	}
	return r.pieces()
}

// mixed says whether nodes of a later checkpoint were merged into this one.
func mixed(st *state.State) (later bool) {
	st.View(func(m *fsm.Machine) {
		m.Tree().Walk(func(_ string, n *tree.Node) error {
			v := m.Tree().Image(n)
			later = later || max(v.Czxid, v.Mzxid, v.Pzxid) > m.Zxid()
			return nil
		})
	})
	return later
}

// replay applies the log up to the first entry that is missing, and notes what lies behind it.
func (r *Repair) replay(st *state.State) error {
	last, _ := st.Applied()
	lost, paths := false, map[string]struct{}{}
	_, err := r.files.Scan(func(path string, off int64, e store.Entry) error {
		if e.Index <= last && !lost {
			return nil
		}
		_, term := st.Applied()
		if lost = lost || e.Index != last+1 || e.Term < term; lost {
			return r.lose(&e, paths)
		}
		last = e.Index
		if len(e.Data) == 0 {
			_, err := st.Apply(e.Index, e.Term, nil)
			return err
		}
		err := ensemble.Batches(e.Data, func(batch []byte) error {
			_, err := st.Apply(e.Index, e.Term, batch)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s at offset %d: %w: its checksum is right, so another version of the program wrote it; repair with that one", path, off, err)
		}
		return nil
	})
	r.Index, r.Paths = last, slices.Sorted(maps.Keys(paths))
	return err
}

func (r *Repair) lose(e *store.Entry, paths map[string]struct{}) error {
	if r.Lost++; r.LostFrom == 0 {
		r.LostFrom = e.Index
	}
	r.LostTo = max(r.LostTo, e.Index)
	ensemble.Batches(e.Data, func(batch []byte) error {
		head, err := fsm.DecodeEntry(batch)
		if err != nil {
			return err
		}
		var q fsm.Request
		for head.Next(&q) {
			r.Requests++
			for _, p := range fsm.Describe(&q) {
				if p.Path != "" {
					paths[p.Path] = struct{}{}
				}
			}
		}
		return nil
	})
	return nil
}

// finish makes the machine that will be written, above every zxid that may have been given.
func (r *Repair) finish(st *state.State) error {
	_, term := st.Applied()
	imp := fsm.NewImporter()
	var (
		zxid int64
		err  error
	)
	st.View(func(m *fsm.Machine) {
		zxid = m.Zxid()
		err = m.Tree().Walk(func(path string, n *tree.Node) error {
			v := m.Tree().Image(n)
			zxid = max(zxid, v.Czxid, v.Mzxid, v.Pzxid)
			return imp.Node(path, &v)
		})
		m.EachSession(imp.Session)
		imp.LastSessions(m)
	})
	if err != nil {
		return err
	}
	r.log.Term = max(r.log.Term, term)
	epoch := max(zxid>>32+int64(r.log.Term-term), int64(r.log.Term)) + epochsAhead
	if epoch >= 1<<31 {
		return fmt.Errorf("the zxids are used up: the next epoch would be %d", epoch)
	}
	r.Machine, err = imp.Done(epoch << 32)
	return err
}

// Run writes what was saved and puts the files that were there aside, whose new names it returns.
func (r *Repair) Run() (kept []string, err error) {
	c, err := state.Of(r.Machine).Checkpoint()
	if err != nil {
		return nil, err
	}
	return r.files.Replace(store.Header{Index: max(r.Index, r.log.Last), Term: r.log.Term, Meta: c.Meta}, storeRecords(c))
}

// nobody is the list of a node whose own cannot be read: only the super user passes it.
var nobody = []wire.ACL{{Perms: 31, ID: wire.ID{Scheme: "super"}}}

// pieces builds a state from the single records of the checkpoint that can be read.
func (r *Repair) pieces() (*state.State, error) {
	h, records, err := r.files.Pieces(func(damage string) {
		r.note(damage)
		r.giveUp("what is unreadable there: %s", damage)
	})
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, errors.New("no record of the checkpoint can be read, and the log does not reach back to the first entry: nothing can be saved here. Restore state.db and delta from a backup, or set dataDir to an empty directory")
	}
	p := pieces{r: r, imp: fsm.NewImporter(), acls: map[uint32][]wire.ACL{0: wire.OpenACL}, sessions: map[int64]bool{}}
	for _, rec := range records { // sessions first: their ephemeral nodes go with them
		if rec.Bucket == state.BucketSession {
			s, err := fsm.DecodeSession(rec.Key, rec.Value)
			if otherVersion(err) {
				return nil, err
			}
			if err != nil {
				r.giveUp("session 0x%x: %v", rec.Key, err)
				continue
			}
			p.sessions[s.ID] = true
			p.imp.Session(s)
		}
	}
	for _, rec := range records {
		switch rec.Bucket {
		case state.BucketACL:
			id, acls, err := tree.DecodeACL(rec.Key, rec.Value)
			if otherVersion(err) {
				return nil, err
			}
			if err != nil {
				r.note(err.Error())
				continue
			}
			p.acls[id] = acls
		case state.BucketNode:
			if err := p.node(string(rec.Key), rec.Value); err != nil {
				return nil, err
			}
		}
	}
	if !p.imp.Has("/") {
		return nil, errors.New("no node of the checkpoint can be read: nothing can be saved here. Restore state.db and delta from a backup, or set dataDir to an empty directory")
	}
	zxid := p.zxid
	if m, err := fsm.DecodeMeta(h.Meta); err != nil {
		r.giveUp("the highest ids of sessions: %v", err)
	} else {
		p.imp.LastSessions(m)
		zxid = max(zxid, m.Zxid())
	}
	m, err := p.imp.Done(zxid)
	if err != nil {
		return nil, err
	}
	r.Source = fmt.Sprintf("the %d records that can be read of the checkpoint at entry %d", len(records), h.Index)
	st := state.Of(m)
	_, err = st.Apply(h.Index, h.Term, nil)
	return st, err
}

func (r *Repair) giveUp(format string, args ...any) {
	r.GivenUp = append(r.GivenUp, fmt.Sprintf(format, args...))
}

type pieces struct {
	r        *Repair
	imp      *fsm.Importer
	acls     map[uint32][]wire.ACL
	sessions map[int64]bool
	zxid     int64
}

// node takes a node in. Those above it come before it; where one could not be read, an empty one takes its place.
func (p *pieces) node(path string, record []byte) error {
	v, acl, err := tree.DecodeRecord(path, record)
	if otherVersion(err) {
		return err
	}
	if err != nil {
		p.r.giveUp("node %s: %v", path, err)
		return nil
	}
	p.zxid = max(p.zxid, v.Czxid, v.Mzxid, v.Pzxid)
	if owner := v.EphemeralOwner(); owner != 0 && !p.sessions[owner] {
		p.r.giveUp("node %s, an ephemeral one of session 0x%x, which cannot be read", path, owner)
		return nil
	}
	var known bool
	if v.ACL, known = p.acls[acl]; !known {
		v.ACL = nobody
		p.r.giveUp("the access control of node %s: only the super user may use it until setAcl", path)
	}
	for at := range above(path) {
		if p.imp.Has(at) {
			continue
		}
		acls := wire.OpenACL
		if at != "/" {
			acls = p.imp.ACL(parent(at))
		}
		p.r.giveUp("the data and access control of node %s: it comes back empty, with the access control of the node above it", at)
		if err := p.imp.Node(at, &tree.Image{ACL: acls, Czxid: v.Czxid, Mzxid: v.Czxid, Pzxid: v.Czxid, Ctime: v.Ctime, Mtime: v.Ctime}); err != nil {
			return err
		}
	}
	return p.imp.Node(path, &v)
}

// above yields the nodes above path, the root first.
func above(path string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if path == "/" || !yield("/") {
			return
		}
		for i := 1; i < len(path); i++ {
			if path[i] == '/' && !yield(path[:i]) {
				return
			}
		}
	}
}

func parent(path string) string {
	return path[:max(strings.LastIndexByte(path, '/'), 1)]
}
