package zk

import (
	"fmt"
	"strings"
	"unicode/utf16"
)

// pathFault is what ZooKeeper's client says of a path that cannot be; "": it can.
func pathFault(path string) string {
	switch {
	case path == "":
		return "Path length must be > 0"
	case path[0] != '/':
		return "Path must start with / character"
	case path == "/":
		return ""
	case strings.HasSuffix(path, "/"):
		return "Path must not end with / character"
	}
	units := utf16.Encode([]rune(path)) // Java's characters, which it counts
	for i, c := range units[1:] {
		i++
		why := ""
		switch {
		case c == 0:
			why = "null character not allowed"
		case c == '/' && units[i-1] == '/':
			why = "empty node name specified"
		case c == '.' && endsName(units, i) && (units[i-1] == '/' || units[i-1] == '.' && units[i-2] == '/'):
			why = "relative paths not allowed"
		case c < 0x20 || c >= 0x7f && c <= 0x9f || c >= 0xd800 && c <= 0xf8ff || c >= 0xfff0:
			why = "invalid character"
		}
		if why != "" {
			return fmt.Sprintf("Invalid path string %q caused by %s @%d", path, why, i)
		}
	}
	return ""
}

// endsName says whether a character is the last of a name in a path.
func endsName(path []uint16, i int) bool { return i+1 == len(path) || path[i+1] == '/' }
