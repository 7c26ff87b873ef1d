package offsetlog

import (
	"errors"
	"fmt"
	"io"

	"ottla/broker/record"
	"ottla/broker/topic"
)

// Loader adds the records of one partition up to what they leave in the end. The zero value is ready. For one goroutine.
type Loader struct {
	groups  map[string]*Group
	offsets map[string]map[topic.Partition]placed
	// open holds the offsets of transactions whose marker has not come yet, by producer id and group.
	open   map[int64]map[string]map[topic.Partition]placed
	intern map[string]string
	reader record.Reader

	records int64
	skipped int64
	cause   error
}

// placed is an offset with the offset of the batch that it came in, which decides between a commit and a transaction that
// was begun before and committed after it.
type placed struct {
	Offset
	at int64
}

// Loaded is one group as a partition's records leave it.
type Loaded struct {
	ID      string
	Group   *Group // nil when only offsets were stored
	Offsets map[topic.Partition]Offset
	// Open are the offsets in transactions that have not ended, by producer id.
	Open map[int64]map[topic.Partition]Offset
}

// Add reads the next entries of the partition, whole ones of any magic. What cannot be understood is skipped: a damaged record
// must not take the group next to it away. Nothing of entries is kept.
func (l *Loader) Add(entries []byte) {
	if l.groups == nil {
		l.groups = map[string]*Group{}
		l.offsets = map[string]map[topic.Partition]placed{}
		l.open = map[int64]map[string]map[topic.Partition]placed{}
		l.intern = map[string]string{}
	}
	defer l.reader.Close()
	for len(entries) > 0 {
		e, err := record.NextEntry(entries)
		if err != nil || e.Size > len(entries) {
			l.skip(fmt.Errorf("%d bytes are no whole entry: %w", len(entries), err))
			return
		}
		entry := entries[:e.Size]
		entries = entries[e.Size:]
		if err := record.CheckEntryCRC(entry); err != nil {
			l.skip(err)
			continue
		}
		l.reader.Reset(entry, record.DecompressMaxHard)
		if e.Header.IsControl() {
			l.marker(e)
			continue
		}
		l.batch(e)
	}
}

// batch takes in the records of one entry.
func (l *Loader) batch(e record.EntryInfo) {
	for {
		rec, err := l.reader.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err == nil {
			l.records++
			err = l.apply(e, rec)
		}
		if err != nil {
			l.skip(fmt.Errorf("entry at offset %d: %w", e.BaseOffset, err))
			if rec == nil {
				return
			}
		}
	}
}

// apply takes one record in.
func (l *Loader) apply(e record.EntryInfo, rec *record.Record) error {
	key, err := ParseKey(rec.Key)
	if err != nil {
		return err
	}
	switch key.Kind {
	case GroupMetadata:
		if rec.Value == nil {
			delete(l.groups, key.Group)
			return nil
		}
		g, err := ParseGroup(rec.Value)
		if err != nil {
			return err
		}
		l.groups[key.Group] = g
	case OffsetCommit:
		key.Partition.Topic = l.interned(key.Partition.Topic)
		into := l.offsets
		if e.Header.IsTransactional() {
			if into = l.open[e.Header.ProducerID]; into == nil {
				into = map[string]map[topic.Partition]placed{}
				l.open[e.Header.ProducerID] = into
			}
		}
		if rec.Value == nil {
			delete(into[key.Group], key.Partition)
			return nil
		}
		o, err := ParseOffset(rec.Value)
		if err != nil {
			return err
		}
		put(into, key.Group, key.Partition, placed{o, e.BaseOffset})
	}
	return nil
}

// marker ends the transaction of a producer.
func (l *Loader) marker(e record.EntryInfo) {
	rec, err := l.reader.Next()
	var m record.Marker
	if err == nil {
		m, err = record.ParseMarker(rec)
	}
	if err != nil {
		l.skip(fmt.Errorf("marker at offset %d: %w", e.BaseOffset, err))
		return
	}
	if m.Type == record.Commit {
		for group, offsets := range l.open[e.Header.ProducerID] {
			for p, o := range offsets {
				if have, ok := l.offsets[group][p]; !ok || have.at < o.at {
					put(l.offsets, group, p, o)
				}
			}
		}
	}
	delete(l.open, e.Header.ProducerID)
}

func put(into map[string]map[topic.Partition]placed, group string, p topic.Partition, o placed) {
	if into[group] == nil {
		into[group] = map[topic.Partition]placed{}
	}
	into[group][p] = o
}

// interned keeps one copy of a topic's name, which thousands of offsets share.
func (l *Loader) interned(name string) string {
	if have, ok := l.intern[name]; ok {
		return have
	}
	l.intern[name] = name
	return name
}

func (l *Loader) skip(err error) {
	l.skipped++
	if l.cause == nil {
		l.cause = err
	}
}

// Stats is the number of records seen and of records or entries skipped, with the reason of the first.
func (l *Loader) Stats() (records, skipped int64, cause error) { return l.records, l.skipped, l.cause }

// Groups is what the records left, in no order. The loader is done with it.
func (l *Loader) Groups() []Loaded {
	byID := map[string]*Loaded{}
	at := func(id string) *Loaded {
		if byID[id] == nil {
			byID[id] = &Loaded{ID: id, Offsets: map[topic.Partition]Offset{}}
		}
		return byID[id]
	}
	for id, g := range l.groups {
		at(id).Group = g
	}
	for id, offsets := range l.offsets {
		if len(offsets) == 0 {
			continue
		}
		into := at(id)
		for p, o := range offsets {
			into.Offsets[p] = o.Offset
		}
	}
	for producer, groups := range l.open {
		for id, offsets := range groups {
			if len(offsets) == 0 {
				continue
			}
			into := at(id)
			if into.Open == nil {
				into.Open = map[int64]map[topic.Partition]Offset{}
			}
			into.Open[producer] = map[topic.Partition]Offset{}
			for p, o := range offsets {
				into.Open[producer][p] = o.Offset
			}
		}
	}
	loaded := make([]Loaded, 0, len(byID))
	for _, g := range byID {
		loaded = append(loaded, *g)
	}
	return loaded
}
