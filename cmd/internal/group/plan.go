package group

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
)

// plan is offsets by group and partition: what --export writes and --from-file reads, as lines topic,partition,offset with one
// group and group,topic,partition,offset with several.
type plan map[string]map[kadm.Partition]int64

// of is the partitions that the plan names for a group, nil for none.
func (p plan) of(group string) kadm.TopicsSet {
	if p[group] == nil {
		return nil
	}
	set := kadm.TopicsSet{}
	for tp := range p[group] {
		set.Add(tp.Topic, tp.Partition)
	}
	return set
}

// readPlan reads a file. Lines without a group count for the only one that was asked for.
func readPlan(path string, groups []string) (plan, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := parsePlan(f, groups)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

func parsePlan(r io.Reader, groups []string) (plan, error) {
	c := csv.NewReader(r)
	c.TrimLeadingSpace = true
	all, err := c.ReadAll()
	if err != nil {
		return nil, err
	}
	p := plan{}
	for i, row := range all {
		group := ""
		switch {
		case len(row) == 4:
			group, row = row[0], row[1:]
		case len(row) == 3 && len(groups) == 1:
			group = groups[0]
		default:
			return nil, fmt.Errorf("line %d: want topic,partition,offset for one group, or group,topic,partition,offset", i+1)
		}
		partition, err1 := strconv.ParseInt(row[1], 10, 32)
		offset, err2 := strconv.ParseInt(row[2], 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		if p[group] == nil {
			p[group] = map[kadm.Partition]int64{}
		}
		p[group][kadm.Partition{Topic: row[0], Partition: int32(partition)}] = offset
	}
	return p, nil
}

// writePlan is what readPlan reads.
func writePlan(rows []moved, withGroup bool) string {
	var b strings.Builder
	for _, m := range rows {
		if withGroup {
			b.WriteString(quoted(m.Group) + ",")
		}
		fmt.Fprintf(&b, "%s,%d,%d\n", quoted(m.Topic), m.Partition, m.New)
	}
	return b.String()
}

// quoted puts a name into quotes where Apache's tool does: if it is long, or has a character up to the comma.
func quoted(s string) string {
	if len(s) <= 24 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ',' }) {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}
