package oracle

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
)

// recorded is a request that a client, a broker or a script once sent to Apache Kafka (testdata/wire/oracle).
type recorded struct {
	File    string `json:"file"`
	N       int    `json:"n"`
	What    string `json:"what"`
	Key     int16  `json:"key"`
	Version int16  `json:"version"`
	Frame   string `json:"frame"` // hex: header and body
}

func readRecorded(file string) ([]recorded, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	var all []recorded
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var r recorded
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, lines.Err()
}

// body is the frame without its header.
func (r recorded) body() ([]byte, error) {
	b, err := hex.DecodeString(r.Frame)
	if err != nil {
		return nil, err
	}
	errShort := errors.New("recorded frame is too short")
	if len(b) < 8 {
		return nil, errShort
	}
	b = b[8:]
	if r.Key == 7 && r.Version == 0 {
		return b, nil
	}
	if len(b) < 2 {
		return nil, errShort
	}
	n := max(0, int(int16(binary.BigEndian.Uint16(b)))) // of the client id, which may be null
	if b = b[2:]; len(b) < n {
		return nil, errShort
	}
	b = b[n:]
	if isFlexible(r.Key, r.Version) {
		if len(b) == 0 || b[0] != 0 {
			return nil, errors.New("recorded header has tags")
		}
		b = b[1:]
	}
	return b, nil
}
