package logdir

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/commitlog"
	"ottla/broker/topic"
	"ottla/internal/fs"
)

// TestDeleteOnAFullDisk: a deletion for which there is no room says so until it is done, and no new log of the name shows the old
// records meanwhile.
func TestDeleteOnAFullDisk(t *testing.T) {
	dir, faulty := t.TempDir(), fs.NewFaulty(fs.OS)
	m := startManager(t, Config{FS: faulty, Dirs: []string{dir}, FlushEvery: time.Hour, Now: time.Now, Logger: zerolog.Nop()}, defaults)
	p := topic.Partition{Topic: "t"}
	l, _, err := m.Create(p, topic.ID{1}, commitlog.DefaultSettings())
	if err != nil {
		t.Fatal(err)
	}
	set, _ := newWorld().set(nil, 3, false)
	if err := l.Append(0, []*commitlog.AppendSet{set}); err != nil {
		t.Fatal(err)
	}
	full := faulty.Inject(fs.Rule{Op: fs.OpRename, Name: "*-delete", Err: syscall.ENOSPC})
	for range 2 {
		if err := m.Delete(p); !errors.Is(err, kerr.KafkaStorageError) {
			t.Errorf("deleted on a full disk: %v", err)
		}
	}
	if _, _, err := m.Create(p, topic.ID{2}, commitlog.DefaultSettings()); !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("made beside what is to be deleted: %v", err)
	}
	full.Remove()
	l, isNew, err := m.Create(p, topic.ID{2}, commitlog.DefaultSettings())
	if err != nil || !isNew || l.LogEnd() != 0 || l.TopicID() != (topic.ID{2}) {
		t.Fatalf("made again with room: %v, new %t", err, isNew)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	deleted := 0
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), deleteSuffix) {
			deleted++
		}
	}
	if deleted != 1 {
		t.Errorf("%d directories wait for their removal", deleted)
	}
	if err := m.Delete(p); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, p.String())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// TestCleanerCheckpoint: how far the cleaner got lasts beyond the broker's life, in Kafka's file, and not beyond the log's.
func TestCleanerCheckpoint(t *testing.T) {
	dir := t.TempDir()
	c := Config{FS: fs.OS, Dirs: []string{dir}, FlushEvery: time.Hour, Now: time.Now, Logger: zerolog.Nop()}
	m := startManager(t, c, defaults)
	p := topic.Partition{Topic: "t", Partition: 2}
	l, _, err := m.Create(p, topic.ID{1}, commitlog.DefaultSettings())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, cleanerFile)
	if err := m.CheckpointCleaned(l); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a log that was never cleaned: %v", err)
	}
	for range 17 {
		put(t, m, p, "v")
	}
	round, err := l.BeginCleaning(l.Sections().Generation)
	if err != nil {
		t.Fatal(err)
	}
	if err := round.Done(17); err != nil {
		t.Fatal(err)
	}
	round.End()
	if err := m.CheckpointCleaned(l); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "0\n1\nt 2 17\n" {
		t.Errorf("%q, %v", b, err)
	}
	if err := m.Close(true); err != nil {
		t.Fatal(err)
	}
	m = startManager(t, c, defaults)
	l, _ = m.Log(p)
	if to, ok := l.CleanedTo(); !ok || to != 17 {
		t.Errorf("after a restart: %d, %t", to, ok)
	}
	if err := m.Delete(p); err != nil {
		t.Fatal(err)
	}
	l, _, err = m.Create(p, topic.ID{2}, commitlog.DefaultSettings())
	if err != nil {
		t.Fatal(err)
	}
	if to, ok := l.CleanedTo(); ok {
		t.Errorf("a new log of the name is clean up to %d", to)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "0\n0\n" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestPlacement: partitions that are made side by side are spread over the directories as if one came after the other.
func TestPlacement(t *testing.T) {
	var dirs []string
	for range 3 {
		dirs = append(dirs, t.TempDir())
	}
	m := startManager(t, Config{FS: fs.OS, Dirs: dirs, FlushEvery: time.Hour, Now: time.Now, Logger: zerolog.Nop()}, defaults)
	var work sync.WaitGroup
	for n := range int32(30) {
		work.Go(func() {
			if _, _, err := m.Create(topic.Partition{Topic: "t", Partition: n}, topic.ID{1}, commitlog.DefaultSettings()); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	for _, d := range dirs {
		if logs, _ := filepath.Glob(filepath.Join(d, "t-*")); len(logs) != 10 {
			t.Errorf("%d of 30 partitions lie in one of three directories", len(logs))
		}
	}
}
