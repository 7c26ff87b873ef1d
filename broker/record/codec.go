package record

import "fmt"

// Codec is a compression as batches and messages name it.
type Codec int8

// The codecs, with the values of the attribute bits.
const (
	None   Codec = 0
	Gzip   Codec = 1
	Snappy Codec = 2
	LZ4    Codec = 3
	Zstd   Codec = 4
)

// codecNames are the values of compression.type.
var codecNames = [...]string{"none", "gzip", "snappy", "lz4", "zstd"}

// Valid says whether the codec exists.
func (c Codec) Valid() bool { return c >= None && c <= Zstd }

// String is the codec's name in compression.type of a producer.
func (c Codec) String() string {
	if !c.Valid() {
		return fmt.Sprintf("codec %d", int8(c))
	}
	return codecNames[c]
}
