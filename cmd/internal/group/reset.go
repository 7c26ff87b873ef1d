package group

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"ottla/cmd/internal/output"
	"ottla/cmd/internal/tool"
)

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// lacks explains that a broker does not have an API.
func lacks(what string, err error) error {
	if errors.Is(err, kerr.UnsupportedVersion) || errors.Is(err, kgo.ErrClientClosed) || strings.Contains(err.Error(), "does not support") || strings.Contains(err.Error(), "broker is too old") {
		return fmt.Errorf("this broker cannot %s", what)
	}
	return err
}

// targets are the options that say where a reset goes, of which there must be one.
var targets = []string{"to-earliest", "to-latest", "to-current", "to-offset", "shift-by", "to-datetime", "by-duration"}

// reset sets the offsets of groups. They are committed as a client without a group would, so every broker can do it.
func (c *call) reset(ctx context.Context, adm *kadm.Client) error {
	count := 0
	for _, t := range targets {
		if c.on(t) {
			count++
		}
	}
	if count != 1 {
		return tool.Wrong(c.Command, "Option 'reset-offsets' requires one and only one of these: --%s", strings.Join(targets, ", --"))
	}
	if !c.on("topic") && !c.on("all-topics") {
		return tool.Wrong(c.Command, "Option 'reset-offsets' requires one of these: --topic, --all-topics")
	}
	groups, err := describe(ctx, adm, c.groups...)
	if err != nil {
		return err
	}
	w := c.OutOrStdout()
	fmt.Fprintf(w, "\n%-30s %-30s %-10s %-15s\n", "GROUP", "TOPIC", "PARTITION", "NEW-OFFSET")
	for _, g := range groups {
		if g.State != "Empty" && g.State != "Dead" {
			fmt.Fprintf(w, "\nError: Assignments can only be reset if the group '%s' is inactive, but the current state is %s.\n", g.Group, g.State)
			continue
		}
		offsets, err := c.resetTo(ctx, adm, g.Group)
		if err != nil {
			return err
		}
		for _, o := range offsets.Sorted() {
			fmt.Fprintf(w, "%-30s %-30s %-10d %-15d\n", g.Group, o.Topic, o.Partition, o.At)
		}
		if !c.on("execute") {
			continue
		}
		rs, err := adm.CommitOffsets(ctx, g.Group, offsets)
		if err == nil {
			err = rs.Error()
		}
		if err != nil {
			return err
		}
	}
	if !c.on("execute") && !c.on("dry-run") {
		fmt.Fprintln(c.ErrOrStderr(), "WARN: No action will be performed as the --execute option is missing. Add --dry-run if that is what you want.")
	}
	return nil
}

// resetTo computes the new offsets of one group.
func (c *call) resetTo(ctx context.Context, adm *kadm.Client, group string) (kadm.Offsets, error) {
	now, err := adm.FetchOffsets(ctx, group)
	if err != nil {
		return nil, err
	}
	scope, err := c.scope(ctx, adm, now)
	if err != nil || len(scope) == 0 {
		return nil, err
	}
	topics := scope.Topics()
	starts, err := adm.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, err
	}
	ends, err := adm.ListEndOffsets(ctx, topics...)
	if err != nil {
		return nil, err
	}
	at := ends
	if when, asked, err := c.when(); err != nil {
		return nil, err
	} else if asked {
		if at, err = adm.ListOffsetsAfterMilli(ctx, when.UnixMilli(), topics...); err != nil {
			return nil, err
		}
	}
	out := kadm.Offsets{}
	var missing error
	scope.Each(func(t string, p int32) {
		start, ok1 := starts.Lookup(t, p)
		end, ok2 := ends.Lookup(t, p)
		if !ok1 || !ok2 || start.Err != nil || end.Err != nil {
			missing = fmt.Errorf("the ends of %s-%d are not known: %w", t, p, errors.Join(start.Err, end.Err))
			return
		}
		current, has := now.Lookup(t, p)
		target := end.Offset
		switch {
		case c.on("to-earliest"):
			target = start.Offset
		case c.on("to-offset"):
			target = c.toOffset
		case c.on("to-current") && has:
			target = current.At
		case c.on("shift-by") && has:
			target = current.At + c.shiftBy
		case c.on("to-datetime"), c.on("by-duration"):
			if o, ok := at.Lookup(t, p); ok && o.Err == nil && o.Offset >= 0 {
				target = o.Offset
			}
		}
		out.AddOffset(t, p, min(max(target, start.Offset), end.Offset), -1)
	})
	return out, missing
}

// scope is which partitions --topic and --all-topics mean.
func (c *call) scope(ctx context.Context, adm *kadm.Client, now kadm.OffsetResponses) (kadm.TopicsSet, error) {
	set := kadm.TopicsSet{}
	if c.on("all-topics") {
		now.Each(func(o kadm.OffsetResponse) { set.Add(o.Topic, o.Partition) })
		return set, nil
	}
	for _, t := range c.topics {
		name, list, some := strings.Cut(t, ":")
		if some {
			for _, x := range strings.Split(list, ",") {
				p, err := strconv.ParseInt(strings.TrimSpace(x), 10, 32)
				if err != nil {
					return nil, output.Usagef("--topic %s: want topic:partition,partition", t)
				}
				set.Add(name, int32(p))
			}
			continue
		}
		all, err := adm.ListTopics(ctx, name)
		if err != nil {
			return nil, err
		}
		if err := all[name].Err; err != nil {
			return nil, fmt.Errorf("topic %s: %w", name, err)
		}
		set.Add(name, all[name].Partitions.Numbers()...)
	}
	return set, nil
}

// when is the time that --to-datetime or --by-duration means.
func (c *call) when() (at time.Time, asked bool, err error) {
	switch {
	case c.on("to-datetime"):
		for _, layout := range []string{"2006-01-02T15:04:05.000", "2006-01-02T15:04:05.000Z07:00", "2006-01-02T15:04:05", time.RFC3339} {
			if at, err := time.Parse(layout, c.toDatetime); err == nil {
				return at, true, nil
			}
		}
		return at, true, fmt.Errorf("--to-datetime %s: want YYYY-MM-DDTHH:mm:SS.sss", c.toDatetime)
	case c.on("by-duration"):
		d, err := isoDuration(c.byTime)
		return time.Now().Add(-d), true, err
	}
	return at, false, nil
}

var isoPattern = regexp.MustCompile(`^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$`)

// isoDuration reads PnDTnHnMnS.
func isoDuration(text string) (time.Duration, error) {
	m := isoPattern.FindStringSubmatch(text)
	if m == nil || text == "P" || strings.HasSuffix(text, "T") {
		return 0, fmt.Errorf("--by-duration %s: want PnDTnHnMnS", text)
	}
	var sum time.Duration
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		n, _ := strconv.Atoi("0" + m[i+1])
		sum += time.Duration(n) * unit
	}
	return sum, nil
}

// remove deletes groups.
func (c *call) remove(ctx context.Context, adm *kadm.Client) error {
	rs, err := adm.DeleteGroups(ctx, c.groups...)
	if err != nil {
		return lacks("delete groups", err)
	}
	w := c.OutOrStdout()
	var good, bad []string
	for _, g := range slices.Sorted(slices.Values(c.groups)) {
		if err := rs[g].Err; err != nil {
			bad = append(bad, fmt.Sprintf("* Group '%s' could not be deleted due to: %s", g, tool.Message(lacks("delete groups", err), "")))
		} else {
			good = append(good, "'"+g+"'")
		}
	}
	if len(bad) == 0 {
		fmt.Fprintf(w, "Deletion of requested consumer groups (%s) was successful.\n", strings.Join(good, ", "))
		return nil
	}
	fmt.Fprintf(w, "\nError: Deletion of some consumer groups failed:\n%s\n", strings.Join(bad, "\n"))
	if len(good) > 0 {
		fmt.Fprintf(w, "\nThese consumer groups were deleted successfully: %s\n", strings.Join(good, ", "))
	}
	return nil
}

// removeOffsets deletes offsets of a group.
func (c *call) removeOffsets(ctx context.Context, adm *kadm.Client) error {
	now, err := adm.FetchOffsets(ctx, c.groups[0])
	if err != nil {
		return err
	}
	set, err := c.scope(ctx, adm, now)
	if err != nil {
		return err
	}
	rs, err := adm.DeleteOffsets(ctx, c.groups[0], set)
	if err != nil {
		return lacks("delete offsets of a group", err)
	}
	w := c.OutOrStdout()
	fmt.Fprintf(w, "\n%-30s %-15s %-15s\n", "TOPIC", "PARTITION", "STATUS")
	set.Each(func(t string, p int32) {
		status := "Successful"
		if err, _ := rs.Lookup(t, p); err != nil {
			status = "Error: " + tool.Message(err, "")
		}
		fmt.Fprintf(w, "%-30s %-15d %-15s\n", t, p, status)
	})
	return nil
}
