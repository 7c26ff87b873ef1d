package compact

import (
	"math"

	"ottla/broker/commitlog"
)

// part is the part of a log that may be cleaned: [dirty, until). Clean bytes lie before it.
type part struct {
	dirty, until          int64
	cleanBytes, dirtBytes int64
	due                   bool   // something in it is older than max.compaction.lag.ms
	generation            uint64 // of the log that this is said of
}

// ratio is the share of dirty bytes.
func (p *part) ratio() float64 {
	if p.cleanBytes+p.dirtBytes == 0 {
		return 0
	}
	return float64(p.dirtBytes) / float64(p.cleanBytes+p.dirtBytes)
}

// wanted says whether the log is to be cleaned.
func (p *part) wanted(st *commitlog.Settings) bool {
	return p.dirtBytes > 0 && (p.due || p.ratio() > st.MinDirtyRatio)
}

// judge finds the part of a log that may be cleaned now (ms). firstTime is the time of a section's first batch in ms, -1 without one;
// it is asked for only if there is a greatest lag.
func judge(v *commitlog.Sections, st *commitlog.Settings, firstTime func(commitlog.Section) (int64, error), now int64) (part, error) {
	p := part{dirty: max(v.CleanedTo, v.LogStart), generation: v.Generation}
	until := min(v.LastStable, v.Active)
	if st.MinCompactionLagMs > 0 {
		for _, s := range v.Sealed {
			if s.Next > p.dirty && largestTime(s) > now-st.MinCompactionLagMs {
				until = min(until, s.Base)
				break
			}
		}
	}
	until = max(until, p.dirty)
	// Segments are cleaned whole.
	p.until = v.Active
	for _, s := range v.Sealed {
		if s.Next > until {
			p.until = s.Base
			break
		}
	}
	for _, s := range v.Sealed {
		if s.Base < p.dirty {
			p.cleanBytes += s.Size
		}
		if s.Next > p.dirty && s.Base < p.until {
			p.dirtBytes += s.Size
		}
	}
	if st.MaxCompactionLagMs <= 0 || st.MaxCompactionLagMs == math.MaxInt64 {
		return p, nil
	}
	for _, s := range v.Sealed {
		if s.Next <= p.dirty {
			continue
		}
		t, err := firstTime(s)
		if err != nil {
			return p, err
		}
		if t > 0 && t < now-st.MaxCompactionLagMs {
			p.due = true
			break
		}
	}
	return p, nil
}

// largestTime is when a section's youngest record was written.
func largestTime(s commitlog.Section) int64 {
	if s.MaxTimestamp >= 0 {
		return s.MaxTimestamp
	}
	return s.Modified
}

// groups are the sections that are rewritten into one segment each: no more than segment.bytes and segment.index.bytes allow, and
// within the offsets that one segment can hold.
func groups(list []commitlog.Section, st *commitlog.Settings) (all [][]commitlog.Section) {
	for len(list) > 0 {
		size, offsets, times := list[0].Size, list[0].OffsetIndex, list[0].TimeIndex
		n := 1
		for ; n < len(list); n++ {
			s := list[n]
			size, offsets, times = size+s.Size, offsets+s.OffsetIndex, times+s.TimeIndex
			if size > st.SegmentBytes || offsets > st.SegmentIndexBytes || times > st.SegmentIndexBytes ||
				s.Size > 0 && s.Next-1-list[0].Base > math.MaxInt32 {
				break
			}
		}
		all = append(all, list[:n])
		list = list[n:]
	}
	return all
}
