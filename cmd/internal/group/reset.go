package group

import (
	"errors"
	"fmt"
	"ottla/cmd/internal/client"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// target is where a reset goes.
type target int

const (
	toEarliest target = iota
	toLatest
	toCurrent
	toOffset
	shiftBy
	toTime
	toPlan
)

// reset says what the offsets of groups are set to.
type reset struct {
	target target
	number int64     // the offset, or how far to shift
	time   time.Time // of the first record that is to be read
	plan   plan
}

// moved is a partition of a group and its new offset.
type moved struct {
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"` // committed now; -1: none
	New       int64  `json:"newOffset"`
	Note      string `json:"note,omitempty"` // why it is not what was asked for
}

// errNoOffset says that there is nothing to shift.
type errNoOffset struct{ kadm.Partition }

func (e errNoOffset) Error() string {
	return fmt.Sprintf("Cannot shift offset for partition %s-%d since there is no current committed offset", e.Topic, e.Partition.Partition)
}

// errNoPlan says that a plan is silent about a group.
var errNoPlan = errors.New("No reset plan for group")

// compute finds the new offsets of one group in the scope, sorted. What is asked for beyond the ends of a log becomes its end.
func (r *reset) compute(s client.Session, group string, c scope) ([]moved, error) {
	now, err := s.FetchOffsets(s, group)
	if err != nil {
		return nil, err
	}
	var set kadm.TopicsSet
	if r.target == toPlan {
		if set = r.plan.of(group); set == nil {
			return nil, errNoPlan
		}
	} else if set, err = c.partitions(s, now); err != nil {
		return nil, err
	}
	if len(set) == 0 {
		return nil, nil
	}
	l, err := limitsOf(s, set, r)
	if err != nil {
		return nil, err
	}
	var out []moved
	for _, t := range set.Sorted() {
		for _, p := range t.Partitions {
			m, err := r.move(l, now, moved{Group: group, Topic: t.Topic, Partition: p, Offset: -1})
			if err != nil {
				return nil, err
			}
			out = append(out, m)
		}
	}
	return out, nil
}

// limits are the ends of partitions, and with a time the offsets of it.
type limits struct{ start, end, at kadm.ListedOffsets }

func limitsOf(s client.Session, set kadm.TopicsSet, r *reset) (l limits, err error) {
	topics := set.Topics()
	if l.start, err = s.ListStartOffsets(s, topics...); err != nil {
		return l, err
	}
	if l.end, err = s.ListEndOffsets(s, topics...); err != nil {
		return l, err
	}
	if r.target == toTime {
		l.at, err = s.ListOffsetsAfterMilli(s, r.time.UnixMilli(), topics...)
	}
	return l, err
}

func (r *reset) move(l limits, now kadm.OffsetResponses, m moved) (moved, error) {
	start, ok1 := l.start.Lookup(m.Topic, m.Partition)
	end, ok2 := l.end.Lookup(m.Topic, m.Partition)
	switch {
	case !ok1 || !ok2:
		return m, fmt.Errorf("there is no partition %d of topic %s", m.Partition, m.Topic)
	case start.Err != nil || end.Err != nil:
		return m, errors.Join(start.Err, end.Err)
	}
	current, has := now.Lookup(m.Topic, m.Partition)
	if has = has && current.At >= 0; has {
		m.Offset = current.At
	}
	m.New = end.Offset
	switch r.target {
	case toEarliest:
		m.New = start.Offset
		return m, nil
	case toCurrent:
		if has {
			m.New = current.At
		}
		return m, nil
	case toTime:
		if o, ok := l.at.Lookup(m.Topic, m.Partition); ok && o.Err == nil && o.Timestamp >= 0 {
			m.New = o.Offset
			return m, nil
		}
		m.Note = "no record is as new"
		return m, nil
	case toOffset:
		m.New = r.number
	case shiftBy:
		if !has {
			return m, errNoOffset{kadm.Partition{Topic: m.Topic, Partition: m.Partition}}
		}
		m.New = current.At + r.number
	case toPlan:
		m.New = r.plan[m.Group][kadm.Partition{Topic: m.Topic, Partition: m.Partition}]
	}
	if asked := m.New; asked > end.Offset {
		m.New, m.Note = end.Offset, fmt.Sprintf("%d is behind the end", asked)
	} else if asked < start.Offset {
		m.New, m.Note = start.Offset, fmt.Sprintf("%d is before the start", asked)
	}
	return m, nil
}

// commit sets the offsets of a group without members, as a client without a group would, so every broker can do it.
func commit(s client.Session, group string, rows []moved) error {
	if len(rows) == 0 {
		return nil
	}
	offsets := kadm.Offsets{}
	for _, m := range rows {
		offsets.AddOffset(m.Topic, m.Partition, m.New, -1)
	}
	rs, err := s.CommitOffsets(s, group, offsets)
	if err == nil {
		err = rs.Error()
	}
	return err
}

// scope is which partitions of a group are meant.
type scope struct {
	topics []string // each topic or topic:partition,partition
	all    bool     // those that the group has offsets of
}

func (c scope) partitions(s client.Session, now kadm.OffsetResponses) (kadm.TopicsSet, error) {
	set := kadm.TopicsSet{}
	if c.all {
		now.Each(func(o kadm.OffsetResponse) {
			if o.At >= 0 {
				set.Add(o.Topic, o.Partition)
			}
		})
		return set, nil
	}
	var whole []string
	for _, arg := range c.topics {
		name, list, some := strings.Cut(arg, ":")
		if !some {
			whole = append(whole, name)
			continue
		}
		for _, x := range strings.Split(list, ",") {
			p, err := strconv.ParseInt(strings.TrimSpace(x), 10, 32)
			if err != nil || p < 0 {
				return nil, badTopic(fmt.Sprintf("Invalid partition '%s' specified in topic arg '%s''", x, arg))
			}
			set.Add(name, int32(p))
		}
	}
	if len(whole) == 0 {
		return set, nil
	}
	all, err := s.ListTopicsWithInternal(s, whole...)
	if err != nil {
		return nil, err
	}
	for _, name := range whole {
		if err := all[name].Err; err != nil {
			return nil, fmt.Errorf("topic %s: %w", name, err)
		}
		set.Add(name, all[name].Partitions.Numbers()...)
	}
	return set, nil
}

// badTopic is a --topic that makes no sense.
type badTopic string

func (b badTopic) Error() string { return string(b) }

var dateLayouts = []string{"2006-01-02T15:04:05.000", "2006-01-02T15:04:05.000Z07:00", "2006-01-02T15:04:05.000Z0700", "2006-01-02T15:04:05", time.RFC3339}

// parseDate reads YYYY-MM-DDTHH:mm:SS.sss, with or without a zone.
func parseDate(text string) (time.Time, error) {
	for _, layout := range dateLayouts {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q: want a time as YYYY-MM-DDTHH:mm:SS.sss", text)
}

var isoPattern = regexp.MustCompile(`(?i)^([-+]?)P(?:([-+]?\d+)D)?(T(?:([-+]?\d+)H)?(?:([-+]?\d+)M)?(?:([-+]?\d+(?:[.,]\d{0,9})?)S)?)?$`)

// parseDuration reads PnDTnHnMnS as Java does, signs and fractions of seconds included.
func parseDuration(text string) (time.Duration, error) {
	m := isoPattern.FindStringSubmatch(text)
	if m == nil || m[2] == "" && m[3] == "" || len(m[3]) == 1 {
		return 0, errors.New("Text cannot be parsed to a Duration")
	}
	var sum float64
	for i, unit := range map[int]time.Duration{2: 24 * time.Hour, 4: time.Hour, 5: time.Minute, 6: time.Second} {
		if m[i] == "" {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimPrefix(strings.ReplaceAll(m[i], ",", "."), "+"), 64)
		if err != nil {
			return 0, err
		}
		sum += n * float64(unit)
	}
	if m[1] == "-" {
		sum = -sum
	}
	if sum > 1<<62 || sum < -1<<62 {
		return 0, errors.New("Text cannot be parsed to a Duration")
	}
	return time.Duration(sum), nil
}
