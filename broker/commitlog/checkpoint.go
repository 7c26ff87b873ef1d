package commitlog

import (
	"fmt"
	"strconv"
	"strings"
)

// checkpointVersion is the first line of every checkpoint file.
const checkpointVersion = "0"

// EncodeCheckpoint is the content of a checkpoint file: version, number of entries, an entry a line with blanks between fields.
func EncodeCheckpoint(entries []string) []byte {
	var b strings.Builder
	b.WriteString(checkpointVersion + "\n" + strconv.Itoa(len(entries)) + "\n")
	for _, e := range entries {
		b.WriteString(e)
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

// DecodeCheckpoint reads a checkpoint file and returns the fields of its entries. Another version, a wrong count, or an entry
// without exactly fields fields is an error. A file of 0 bytes has no entries: brokers of old leave such files behind.
func DecodeCheckpoint(b []byte, fields int) ([][]string, error) {
	if len(b) == 0 {
		return nil, nil
	}
	lines := strings.Split(strings.TrimRight(string(b), "\r\n"), "\n")
	if v := strings.TrimSpace(lines[0]); v != checkpointVersion {
		return nil, fmt.Errorf("checkpoint has version %q, want %s", v, checkpointVersion)
	}
	if len(lines) < 2 {
		return nil, fmt.Errorf("checkpoint has no count of its entries")
	}
	n, err := strconv.Atoi(strings.TrimSpace(lines[1]))
	if err != nil || n != len(lines)-2 {
		return nil, fmt.Errorf("checkpoint claims %q entries and has %d", strings.TrimSpace(lines[1]), len(lines)-2)
	}
	entries := make([][]string, n)
	for i, line := range lines[2:] {
		entries[i] = strings.Fields(line)
		if len(entries[i]) != fields {
			return nil, fmt.Errorf("checkpoint entry %q has %d fields, want %d", line, len(entries[i]), fields)
		}
	}
	return entries, nil
}
