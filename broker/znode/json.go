package znode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// encode is JSON as Kafka writes it: compact, with no character escaped for HTML. v always encodes: it is one of this
// package's structs of strings, numbers, slices and maps.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("znode: %T does not encode: %v", v, err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// timestamp is a time as Kafka's znodes have it: milliseconds, as a string.
func timestamp(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

func isNoNode(err error) bool { return errors.Is(err, ErrNoNode) }
