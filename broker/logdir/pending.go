// Package logdir owns the broker's log directories.
package logdir

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"ottla/broker/commitlog"
	"ottla/broker/topic"
	"ottla/internal/fs"
)

// Config is what the Manager needs of the broker's configuration.
type Config struct {
	FS                  fs.FS
	Dirs                []string      // log.dirs; made if missing
	RecoveryThreads     int           // num.recovery.threads.per.data.dir
	IOThreads           int           // num.io.threads; x 8, at least 64, file calls at a time in each directory
	FlushEvery          time.Duration // background flush; 0 means 5 s
	RetentionCheckEvery time.Duration // log.retention.check.interval.ms; 0 means 5 min
	CheckpointEvery     time.Duration // replica.high.watermark.checkpoint.interval.ms; 0 means 5 s
	Files               int           // descriptors for sealed segments; 0 means 512
	Now                 func() time.Time
	Logger              zerolog.Logger
	// OnDirFailure is called once per directory that went offline for good, without a lock held.
	OnDirFailure func(dir string, err error)
}

// Meta is what meta.properties says.
type Meta struct {
	ClusterID string // "" when not known
	BrokerID  int32  // -1 when not known
}

// Manager owns the log directories. Safe for concurrent use.
type Manager struct{}

// Open makes missing directories, locks them and reads meta.properties: the start of the broker, before it knows its cluster. A directory
// that is locked, or that contradicts another, is an error that says what to do.
func Open(c Config) (*Manager, error) { panic("pending") }

// Meta is what the directories agree on.
func (m *Manager) Meta() Meta { panic("pending") }

// SetMeta checks want against what is stored and writes it where it is missing.
func (m *Manager) SetMeta(want Meta) error { panic("pending") }

// Load opens every partition, in parallel; settings gives a topic's values. Afterwards Create works and the background work runs.
func (m *Manager) Load(ctx context.Context, settings func(topicName string) commitlog.Settings) error {
	panic("pending")
}

// Log is the partition's log, or nil when this broker has none. Offline says that it had one in a directory that failed.
func (m *Manager) Log(p topic.Partition) (l *commitlog.Log, offline bool) { panic("pending") }

// Logs lists all online logs in no order.
func (m *Manager) Logs() []*commitlog.Log { panic("pending") }

// Create returns the partition's log, made in the live directory with the fewest partitions if there is none. id may be zero.
func (m *Manager) Create(p topic.Partition, id topic.ID, s commitlog.Settings) (l *commitlog.Log, isNew bool, err error) {
	panic("pending")
}

// Delete removes a partition: its directory is renamed at once and removed after file.delete.delay.ms. Unknown partitions are no error.
func (m *Manager) Delete(p topic.Partition) error { panic("pending") }

// CheckpointedHighWatermark is the partition's entry of replication-offset-checkpoint as it was loaded, else 0.
func (m *Manager) CheckpointedHighWatermark(p topic.Partition) int64 { panic("pending") }

// DirStatus describes one log directory.
type DirStatus struct {
	Path  string
	Error error // why it is offline; nil while it serves
}

// Dirs lists the directories in the configuration's order.
func (m *Manager) Dirs() []DirStatus { panic("pending") }

// SaveNote keeps a small file of the broker's own in every live directory, durable on return (name: "session"); LoadNotes reads
// it back from each directory that has it.
func (m *Manager) SaveNote(name string, data []byte) error  { panic("pending") }
func (m *Manager) LoadNotes(name string) ([][]byte, error) { panic("pending") }

// Close stops the background work, closes the logs (clean: flushed, with checkpoints and .kafka_cleanshutdown) and unlocks.
func (m *Manager) Close(clean bool) error { panic("pending") }
