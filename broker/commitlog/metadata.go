package commitlog

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/topic"
	"ottla/internal/fs"
)

// partition.metadata has two lines without a newline at the end:
//
//	version: 0
//	topic_id: 2FCB1yL1RDSrUNna7ZPLaw
const metadataFile = "partition.metadata"

func encodeMetadata(id topic.ID) []byte {
	return []byte("version: 0\ntopic_id: " + id.String())
}

func decodeMetadata(b []byte) (topic.ID, error) {
	fields := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			fields[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	if v := fields["version"]; v != "0" {
		return topic.ID{}, fmt.Errorf("%s has version %q, want 0", metadataFile, v)
	}
	return topic.ParseID(fields["topic_id"])
}

// loadMetadata reads partition.metadata. A bad file counts as none: the controller's next LeaderAndIsr brings the id again.
func (l *Log) loadMetadata(files []string) {
	if !slices.Contains(files, metadataFile) {
		return
	}
	var id topic.ID
	b, err := fs.ReadFile(l.o.FS, filepath.Join(l.dir, metadataFile), 4096)
	if err == nil {
		id, err = decodeMetadata(b)
	}
	if err == nil {
		l.topicID.Store(&id)
	} else {
		l.o.Logger.Warn().Err(err).Str("log", l.o.Partition.String()).Msg("topic id cannot be read and is dropped")
	}
}

// TopicID is the id of the topic whose records these are; zero when it is not known. Every fetch asks for it: it takes no lock.
func (l *Log) TopicID() topic.ID {
	if id := l.topicID.Load(); id != nil {
		return *id
	}
	return topic.ID{}
}

// AssignTopicID writes the topic's id, durably, if there is none yet. When there is another one, the log belongs to a topic of the
// same name that was deleted, and the error is INCONSISTENT_TOPIC_ID.
func (l *Log) AssignTopicID(id topic.ID) error {
	defer l.report()
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.TopicID()
	switch {
	case l.Err() != nil:
		return l.Err()
	case known == id || id.IsZero():
		return nil
	case !known.IsZero():
		return fmt.Errorf("%w: %s has the records of topic id %s, not of %s", kerr.InconsistentTopicID, l.o.Partition, known, id)
	}
	if err := l.writeAtomic(metadataFile, encodeMetadata(id)); err != nil {
		return l.fileError(fmt.Errorf("%s: %w", metadataFile, err))
	}
	l.topicID.Store(&id)
	return nil
}
