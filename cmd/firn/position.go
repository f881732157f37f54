package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// position is a place in a log, as somebody types it.
type position struct {
	kind  positionKind
	n     int64 // offset, or how many before the end
	from  int64 // ms, for atTime
	until int64 // ms; 0 for none
}

type positionKind uint8

const (
	atStart positionKind = iota
	atEnd
	atOffset
	beforeEnd
	atTime
)

// parsePosition reads start, end, N, -N, @TIME or @TIME:TIME.
func parsePosition(s string, now time.Time) (position, error) {
	bad := fmt.Errorf("%q: want start, end, N, -N, @TIME or @TIME:TIME, where TIME is 2026-11-23, 2026-11-23T10:00:00Z, -2h or milliseconds", s)
	switch {
	case s == "start" || s == "beginning" || s == "earliest" || s == "oldest":
		return position{kind: atStart}, nil
	case s == "end" || s == "latest" || s == "newest":
		return position{kind: atEnd}, nil
	case strings.HasPrefix(s, "@"):
		a, b := cutTimes(s[1:], now)
		from, err := parseTime(a, now)
		if err != nil {
			return position{}, bad
		}
		p := position{kind: atTime, from: from}
		if b != "" {
			if p.until, err = parseTime(b, now); err != nil {
				return position{}, bad
			}
			if p.until < p.from {
				return position{}, fmt.Errorf("%q: the second time lies before the first", s)
			}
		}
		return p, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil:
		return position{}, bad
	case n < 0 || s == "-0":
		return position{kind: beforeEnd, n: -n}, nil
	}
	return position{kind: atOffset, n: n}, nil
}

// cutTimes splits TIME:TIME; a TIME may have colons itself.
func cutTimes(s string, now time.Time) (a, b string) {
	for i := range len(s) {
		if s[i] != ':' {
			continue
		}
		if _, err := parseTime(s[:i], now); err != nil {
			continue
		}
		if _, err := parseTime(s[i+1:], now); err == nil {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// parseTime reads a time as Unix milliseconds. One without a zone is local.
func parseTime(s string, now time.Time) (int64, error) {
	if s == "now" {
		return now.UnixMilli(), nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 {
		return n, nil
	}
	if d, err := time.ParseDuration(s); err == nil && strings.HasPrefix(s, "-") {
		return now.Add(d).UnixMilli(), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t.UnixMilli(), nil
		}
	}
	return 0, fmt.Errorf("%q is not a time", s)
}

// span is the part of a partition that is meant: [from, to).
type span struct {
	topic     string
	partition int32
	from, to  int64
}

// resolve finds what a position means in each partition now. An offset outside of
// the log means its nearest end. Only the given partitions count, unless there
// are none. committed ends at the last stable offset.
func resolve(ctx context.Context, adm *kadm.Client, topics []string, only []int32, at position, committed bool) ([]span, error) {
	listEnds := adm.ListEndOffsets
	if committed {
		listEnds = adm.ListCommittedOffsets
	}
	ends, err := listed(listEnds(ctx, topics...))
	if err != nil {
		return nil, err
	}
	starts, err := listed(adm.ListStartOffsets(ctx, topics...))
	if err != nil {
		return nil, err
	}
	after := func(ms int64) (kadm.ListedOffsets, error) {
		if ms == 0 {
			return nil, nil
		}
		return listed(adm.ListOffsetsAfterMilli(ctx, ms, topics...))
	}
	var times, untils kadm.ListedOffsets
	if at.kind == atTime {
		if times, err = after(at.from); err != nil {
			return nil, err
		}
		if untils, err = after(at.until); err != nil {
			return nil, err
		}
	}
	var spans []span
	ends.Each(func(e kadm.ListedOffset) {
		if len(only) > 0 && !slices.Contains(only, e.Partition) {
			return
		}
		start, _ := starts.Lookup(e.Topic, e.Partition)
		s := span{e.Topic, e.Partition, start.Offset, e.Offset}
		switch at.kind {
		case atStart:
		case atEnd:
			s.from = e.Offset
		case atOffset:
			s.from = at.n
		case beforeEnd:
			s.from = e.Offset - at.n
		case atTime:
			if t, ok := times.Lookup(e.Topic, e.Partition); ok {
				s.from = t.Offset
			}
			if u, ok := untils.Lookup(e.Topic, e.Partition); ok {
				s.to = min(s.to, u.Offset)
			}
		}
		s.from = min(max(s.from, start.Offset), e.Offset)
		spans = append(spans, s)
	})
	if len(spans) == 0 {
		return nil, usage("no partition of %s is among those asked for", strings.Join(topics, ", "))
	}
	slices.SortFunc(spans, func(a, b span) int {
		if c := strings.Compare(a.topic, b.topic); c != 0 {
			return c
		}
		return int(a.partition - b.partition)
	})
	return spans, nil
}

// listed is an answer about offsets, or the first error in it with its partition.
func listed(os kadm.ListedOffsets, err error) (kadm.ListedOffsets, error) {
	if err != nil {
		return nil, err
	}
	os.Each(func(o kadm.ListedOffset) {
		if o.Err != nil && err == nil {
			err = fmt.Errorf("%s: %w", o.Topic, o.Err)
		}
	})
	if err == nil && len(os) == 0 {
		err = errors.New("the broker knows no such topic")
	}
	return os, err
}
