package logdir

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	ofs "ottla/internal/fs"
)

const metaFile = "meta.properties"

// Meta is what meta.properties says.
type Meta struct {
	ClusterID string // "" when not known
	BrokerID  int32  // -1 when not known
}

// encodeMeta is the content of meta.properties, as a Java program would store it.
func encodeMeta(m Meta, now time.Time) []byte {
	return fmt.Appendf(nil, "#\n#%s\nbroker.id=%d\nversion=0\ncluster.id=%s\n", now.UTC().Format("Mon Jan 02 15:04:05 MST 2006"), m.BrokerID, m.ClusterID)
}

// decodeMeta reads meta.properties of version 0.
func decodeMeta(b []byte) (Meta, error) {
	m := Meta{BrokerID: -1}
	fields := parseProperties(string(b))
	switch v := fields["version"]; v {
	case "0", "":
	case "1":
		return m, errors.New("it was formatted for KRaft (version 1), which needs no ZooKeeper; use another directory, or a KRaft broker")
	default:
		return m, fmt.Errorf("version %q is not known", v)
	}
	if id, ok := fields["broker.id"]; ok {
		n, err := strconv.ParseInt(id, 10, 32)
		if err != nil || n < 0 {
			return m, fmt.Errorf("broker.id=%s is not a broker id", id)
		}
		m.BrokerID = int32(n)
	}
	m.ClusterID = fields["cluster.id"]
	return m, nil
}

// parseProperties reads the simple part of Java's properties format: comments, key and value around '=' or ':', and escapes by a
// backslash. Continued lines do not occur in these files.
func parseProperties(text string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		if i := strings.IndexAny(line, "=:"); i > 0 {
			fields[strings.TrimSpace(line[:i])] = strings.ReplaceAll(strings.TrimSpace(line[i+1:]), `\`, "")
		}
	}
	return fields
}

// readMeta reads the directory's meta.properties; without one all is unknown.
func (d *dir) readMeta() (Meta, error) {
	b, err := ofs.ReadFile(d.fs, filepath.Join(d.path, metaFile), 1<<16)
	if errors.Is(err, fs.ErrNotExist) {
		return Meta{BrokerID: -1}, nil
	}
	if err != nil {
		return Meta{}, err
	}
	m, err := decodeMeta(b)
	if err != nil {
		err = &identityError{fmt.Sprintf("%s: %v", filepath.Join(d.path, metaFile), err)}
	}
	return m, err
}

// identityError says that a directory belongs to somebody else: the broker must not start, however many other directories it has.
type identityError struct{ text string }

func (e *identityError) Error() string { return e.text }

// agree adds what a directory says to what the others said.
func (m *Meta) agree(other Meta, path string) error {
	if m.BrokerID >= 0 && other.BrokerID >= 0 && m.BrokerID != other.BrokerID {
		return &identityError{fmt.Sprintf("log directory %s belongs to broker %d, another one to broker %d (broker.id in %s): every directory of log.dirs must be of the same broker", path, other.BrokerID, m.BrokerID, metaFile)}
	}
	if m.ClusterID != "" && other.ClusterID != "" && m.ClusterID != other.ClusterID {
		return &identityError{fmt.Sprintf("log directory %s belongs to cluster %s, another one to cluster %s (cluster.id in %s): every directory of log.dirs must be of the same cluster", path, other.ClusterID, m.ClusterID, metaFile)}
	}
	if m.BrokerID < 0 {
		m.BrokerID = other.BrokerID
	}
	if m.ClusterID == "" {
		m.ClusterID = other.ClusterID
	}
	return nil
}

// fits compares what is stored with what the broker is.
func (m Meta) fits(want Meta) error {
	if m.ClusterID != "" && m.ClusterID != want.ClusterID {
		return &identityError{fmt.Sprintf("the log directories belong to cluster %s (cluster.id in %s), but the coordinator has cluster %s: check zookeeper.connect, or give this broker empty log.dirs to join as a new one", m.ClusterID, metaFile, want.ClusterID)}
	}
	if m.BrokerID >= 0 && m.BrokerID != want.BrokerID {
		return &identityError{fmt.Sprintf("the log directories belong to broker %d (broker.id in %s), but the configured broker.id is %d: set broker.id=%d, or give this broker empty log.dirs to create a new one", m.BrokerID, metaFile, want.BrokerID, m.BrokerID)}
	}
	return nil
}
