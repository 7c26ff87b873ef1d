package broker

import (
	"errors"
	"io"
	"math"
	"time"

	"ottla/broker/commitlog"
	"ottla/broker/record"
)

// forever is longer than any timeout that a caller's context carries.
const forever = time.Duration(math.MaxInt64)

// scanOnce reads one piece of a log from offset at on and hands its whole entries to each. It returns the offset to go on
// from and the buffer, which it may have replaced by a larger one.
func scanOnce(log *commitlog.Log, at, end int64, maxBytes int, buf []byte, each func([]byte) error) (next int64, _ []byte, _ error) {
	s, err := log.Read(at, end, maxBytes, true)
	if err != nil {
		return at, buf, err
	}
	defer s.Release()
	if s.Len == 0 {
		return end, buf, nil
	}
	if cap(buf) < s.Len {
		buf = make([]byte, s.Len)
	}
	buf = buf[:s.Len]
	if _, err := s.ReadAt(buf, 0); err != nil && !errors.Is(err, io.EOF) {
		return at, buf, err
	}
	next, whole := at, 0
	for whole < len(buf) {
		e, err := record.NextEntry(buf[whole:])
		if errors.Is(err, record.ErrShort) || err == nil && e.Size > len(buf)-whole {
			break // cut off by the limit
		}
		if err != nil {
			return at, buf, err
		}
		whole += e.Size
		next = max(next, e.NextOffset())
	}
	if whole == 0 {
		return at, buf, io.ErrUnexpectedEOF
	}
	return next, buf, each(buf[:whole])
}
