package group

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
	"ottla/cmd/internal/tool"
)

// targets are the options that say where a reset goes, of which there must be one.
var targets = []string{"to-offset", "to-earliest", "to-latest", "shift-by", "to-datetime", "by-duration", "from-file", "to-current"}

// target is what the options ask for. A wrong call is told by the Status that it returns.
func (c *call) target() (r *reset, err error) {
	chosen := slices.IndexFunc(targets, c.on)
	if chosen < 0 {
		return nil, tool.Wrong(c.Command, "Option '[reset-offsets]' requires one of the following scenarios: [--%s]", strings.Join(targets, ", --"))
	}
	r = &reset{}
	switch targets[chosen] {
	case "to-offset":
		r.target, r.number = toOffset, c.toOffset
	case "to-earliest":
		r.target = toEarliest
	case "to-latest":
		r.target = toLatest
	case "shift-by":
		r.target, r.number = shiftBy, c.shiftBy
	case "to-datetime":
		r.target = toTime
		r.time, err = parseDate(c.toDatetime)
	case "by-duration":
		var d time.Duration
		d, err = parseDuration(c.byTime)
		r.target, r.time = toTime, time.Now().Add(-d)
	case "from-file":
		r.target = toPlan
		r.plan, err = readPlan(c.fromFile, c.groups)
	case "to-current":
		r.target = toCurrent
	}
	return r, err
}

func (c *call) reset(s client.Session) error {
	r, err := c.target()
	if err != nil {
		return err
	}
	if r.target != toPlan && !c.on("topic") && !c.on("all-topics") {
		return tool.Wrong(c.Command, "One of the reset scopes should be defined: --all-topics, --topic.")
	}
	groups, err := s.DescribeGroups(s, c.groups...)
	if err != nil {
		return err
	}
	w := c.OutOrStdout()
	var rows []moved
	for _, name := range slices.Sorted(slices.Values(c.groups)) {
		switch g := groups[name]; {
		case g.Err != nil && !errors.Is(g.Err, kerr.GroupIDNotFound):
			return g.Err
		case g.Err == nil && g.State != "Empty" && g.State != "Dead":
			fmt.Fprintf(w, "\nError: Assignments can only be reset if the group '%s' is inactive, but the current state is %s.\n", name, g.State)
			continue
		}
		new, err := r.compute(s, name, scope{c.topics, c.on("all-topics")})
		var bad badTopic
		var none errNoOffset
		switch {
		case errors.Is(err, errNoPlan):
			fmt.Fprintf(w, "\nError: No reset plan for group %s found\n", name)
			continue
		case errors.As(err, &bad), errors.As(err, &none):
			return tool.Wrong(c.Command, "%v", err)
		case err != nil:
			return err
		}
		c.notes(r, new)
		if c.on("execute") {
			if err := commit(s, name, new); err != nil {
				return err
			}
		}
		rows = append(rows, new...)
	}
	if c.on("export") {
		fmt.Fprintln(w, writePlan(rows, len(c.groups) != 1))
		return nil
	}
	fmt.Fprintf(w, "\n%-30s %-30s %-10s %-15s\n", "GROUP", "TOPIC", "PARTITION", "NEW-OFFSET")
	for _, m := range rows {
		fmt.Fprintf(w, "%-30s %-30s %-10d %-15d\n", m.Group, m.Topic, m.Partition, m.New)
	}
	return nil
}

// notes says where a reset does not go where it was told to.
func (c *call) notes(r *reset, rows []moved) {
	for _, m := range rows {
		switch {
		case m.Note == "":
		case r.target == toTime:
			fmt.Fprintf(c.OutOrStdout(), "\nWarn: Partition %d from topic %s is empty. Falling back to latest known offset.\n", m.Partition, m.Topic)
		default:
			fmt.Fprintf(c.ErrOrStderr(), "WARN: partition %s-%d: offset %s; it becomes %d\n", m.Topic, m.Partition, m.Note, m.New)
		}
	}
}

// remove deletes groups.
func (c *call) remove(s client.Session) error {
	rs, err := s.DeleteGroups(s, c.groups...)
	if err != nil {
		return lacks("delete groups", err)
	}
	w := c.OutOrStdout()
	var good, bad []string
	for _, g := range slices.Sorted(slices.Values(c.groups)) {
		if err := rs[g].Err; err != nil {
			bad = append(bad, fmt.Sprintf("* Group '%s' could not be deleted due to: %s", g, tool.Executed(err, rs[g].ErrMessage)))
		} else {
			good = append(good, g)
		}
	}
	if len(bad) == 0 {
		fmt.Fprintf(w, "Deletion of requested consumer groups ('%s') was successful.\n", strings.Join(good, ", "))
		return nil
	}
	fmt.Fprintf(w, "\nError: Deletion of some consumer groups failed:\n%s\n", strings.Join(bad, "\n"))
	if len(good) > 0 {
		fmt.Fprintf(w, "\nThese consumer groups were deleted successfully: '%s'\n", strings.Join(good, "', '"))
	}
	return nil
}

// offsetErrors are what the tool says of errors that concern all offsets to delete.
var offsetErrors = map[error]string{
	kerr.InvalidGroupID: "'%s' is not valid.", kerr.GroupIDNotFound: "'%s' does not exist.", kerr.GroupAuthorizationFailed: "Access to '%s' is not authorized.",
	kerr.NonEmptyGroup:          "Deleting offsets of a consumer group '%s' is forbidden if the group is not empty.",
	kerr.GroupSubscribedToTopic: "", kerr.TopicAuthorizationFailed: "", kerr.UnknownTopicOrPartition: "",
}

// removeOffsets deletes offsets of a group.
func (c *call) removeOffsets(s client.Session) error {
	group := c.groups[0]
	set, unknown := kadm.TopicsSet{}, map[string]error{}
	for _, arg := range c.topics {
		part, err := scope{topics: []string{arg}}.partitions(s, nil)
		var bad badTopic
		switch {
		case errors.As(err, &bad):
			return tool.Wrong(c.Command, "%v", err)
		case err != nil:
			unknown[arg] = err
		default:
			set.Merge(part)
		}
	}
	rs, first := kadm.DeleteOffsetsResponses{}, error(nil)
	if len(set) > 0 {
		var err error
		if rs, err = s.DeleteOffsets(s, group, set); err != nil {
			var ke *kerr.Error
			if !errors.As(err, &ke) {
				return lacks("delete offsets of a group", err)
			}
			first = ke
		}
	}
	result := func(t string, p int32) error {
		if first != nil {
			return first
		}
		err, _ := rs.Lookup(t, p)
		return err
	}
	top := first
	set.Each(func(t string, p int32) {
		if err := result(t, p); top == nil && err != nil {
			top = err
		}
	})
	w := c.OutOrStdout()
	switch message, known := offsetErrors[top]; {
	case top == nil:
		fmt.Fprintf(w, "Request succeed for deleting offsets with topic %s group %s\n", strings.Join(c.topics, ", "), group)
	case message != "":
		fmt.Fprintf(w, "\nError: "+message+"\n", group)
	case known:
		fmt.Fprintf(w, "\nError: Encounter some partition level error, see the follow-up details:\n")
	default:
		fmt.Fprintf(w, "\nError: Encounter some unknown error: %v\n", top)
	}
	fmt.Fprintf(w, "\n%-30s %-15s %-15s\n", "TOPIC", "PARTITION", "STATUS")
	for _, arg := range slices.Sorted(maps.Keys(unknown)) {
		fmt.Fprintf(w, "%-30s %-15s %-15s\n", arg, "Not Provided", "Error: :"+tool.Java(unknown[arg], ""))
	}
	for _, t := range set.Sorted() {
		for _, p := range t.Partitions {
			status := "Successful"
			if err := result(t.Topic, p); err != nil {
				status = "Error: :" + tool.Java(err, "")
			}
			fmt.Fprintf(w, "%-30s %-15d %-15s\n", t.Topic, p, status)
		}
	}
	return nil
}

// lacks explains that a broker does not have an API.
func lacks(what string, err error) error {
	if tool.Lacks(err) {
		return fmt.Errorf("this broker cannot %s", what)
	}
	return err
}

// failed tells why a command could not be carried out. It ends well all the same, as Apache's does.
func (c *call) failed(err error) error {
	var status output.Status
	if err == nil || errors.As(err, &status) {
		return err
	}
	var ke *kerr.Error
	message := err.Error()
	if errors.As(err, &ke) {
		message = tool.Executed(ke, "")
	}
	fmt.Fprintf(c.OutOrStdout(), "\nError: Executing consumer group command failed due to %s\n", message)
	return nil
}
