package znode

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"ottla/internal/fs"
)

// markName is the file in each log directory. Apache Kafka ignores files it does not know there.
const markName = ".ottla-session"

// MarkFiles keeps SessionMarks in log directories: one file each, with the session's id in hexadecimal and a newline. The
// caller holds the directories' locks.
type MarkFiles struct {
	FS   fs.FS
	Dirs []string
}

// Sessions lists the sessions marked. Files that are missing or damaged mark nothing.
func (m MarkFiles) Sessions() []int64 {
	var sessions []int64
	for _, dir := range m.Dirs {
		data, err := fs.ReadFile(m.FS, filepath.Join(dir, markName), 64)
		if err != nil {
			continue
		}
		id, err := strconv.ParseUint(strings.TrimSpace(string(data)), 0, 64)
		if err == nil && id != 0 {
			sessions = append(sessions, int64(id))
		}
	}
	return sessions
}

// Remember writes the session's id into each directory. One directory that takes it is enough: the marks of the others are
// then only less sure to be found.
func (m MarkFiles) Remember(session int64) error {
	var errs []error
	for _, dir := range m.Dirs {
		err := fs.WriteFileAtomic(m.FS, dir, filepath.Join(dir, markName), fmt.Appendf(nil, "%#x\n", uint64(session)))
		if err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == len(m.Dirs) {
		return errors.Join(errs...)
	}
	return nil
}
