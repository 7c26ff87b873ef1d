package fs

import "strings"

// Op is a kind of file operation, or a set of kinds: what Crash counts and what a Faulty rule matches.
type Op uint32

const (
	OpOpen        Op = 1 << iota // OpenFile of something that exists
	OpCreate                     // OpenFile with O_CREATE; in a Crash trace: one that made the file
	OpMkdir                      // MkdirAll
	OpReadDir                    // ReadDir
	OpStat                       // FS.Stat
	OpRename                     // Rename, under its new name
	OpRemove                     // Remove and RemoveAll
	OpSyncDir                    // SyncDir
	OpLock                       // Lock
	OpRead                       // File.ReadAt
	OpWrite                      // File.WriteAt and WriteVAt
	OpTruncate                   // File.Truncate, and O_TRUNC of a file that was not empty
	OpSync                       // File.Sync
	OpDatasync                   // File.Datasync
	OpPreallocate                // File.Preallocate

	// AnySync is every call that makes something durable.
	AnySync = OpSync | OpDatasync | OpSyncDir
	// AnyChange is every call that changes a file or a name, or makes a change durable: what a Crash counts.
	AnyChange = OpCreate | OpMkdir | OpRename | OpRemove | OpWrite | OpTruncate | OpPreallocate | AnySync
)

var opNames = []string{"open", "create", "mkdir", "readdir", "stat", "rename", "remove", "syncdir", "lock", "read", "write",
	"truncate", "sync", "datasync", "preallocate"}

// String names the kinds, joined by "|".
func (o Op) String() string {
	var parts []string
	for i, n := range opNames {
		if o&(1<<i) != 0 {
			parts = append(parts, n)
		}
	}
	return strings.Join(parts, "|")
}
