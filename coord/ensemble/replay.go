package ensemble

import "ottla/coord/store"

// Replay gives every batch in the log behind the checkpoint to apply, as a start of this member, alone in its group, would: all of the log counts as
// committed. It returns the index of the last entry.
func Replay(s *store.Store, apply func(index, term uint64, batch []byte) error) (uint64, error) {
	log, last := s.Log(), s.Header().Index
	for last < log.LastIndex() {
		entries, err := log.Entries(last+1, log.LastIndex()+1, 4<<20)
		if err != nil {
			return last, err
		}
		for i := range entries {
			e := &entries[i]
			each := func(batch []byte) error { return apply(e.Index, e.Term, batch) }
			if len(e.Data) == 0 {
				err = each(nil)
			} else {
				err = unpack(e.Data, each)
			}
			if err != nil {
				return last, err
			}
			last = e.Index
		}
	}
	return last, nil
}

// Batches calls fn with each batch of requests in an entry of the log.
func Batches(entry []byte, fn func(batch []byte) error) error { return unpack(entry, fn) }
