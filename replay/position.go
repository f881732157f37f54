package replay

import (
	"context"
	"fmt"
	"slices"

	"github.com/firnlog/firn/catalog"
)

// Position is a place in a log. The zero value is its start.
type Position struct {
	kind positionKind
	n    int64
}

type positionKind uint8

const (
	atStart positionKind = iota
	atEnd
	atOffset
	atTime
)

// Start is the first offset that retention has left.
func Start() Position { return Position{} }

// End is the offset behind the last committed record.
func End() Position { return Position{kind: atEnd} }

// Offset is an offset, of every partition.
func Offset(n int64) Position { return Position{kind: atOffset, n: n} }

// Time is the first record whose timestamp is at or after ms, in Unix milliseconds,
// and the end where there is none.
func Time(ms int64) Position { return Position{kind: atTime, n: ms} }

// Span is a part of a partition: offsets [From, To).
type Span struct {
	Partition int32 `json:"partition"`
	From      int64 `json:"from"`
	To        int64 `json:"to"`
}

// Choice says which part of a topic is meant.
type Choice struct {
	Partitions []int32 // none: all
	From, To   Position
	// Committed ends before the first transaction that is open, as consumers with
	// read_committed do.
	Committed bool
}

// Resolve finds what a choice means in each partition, as of the last Refresh. An
// offset outside of the log means its nearest end; To is exclusive. Empty spans are
// among the result. It reads from the bucket for times, and for Committed. Where a slot is
// damaged that the catalog does not describe, the end is not known: what means it is
// ErrDamaged, and all before the slot can be had by offset or time.
func (h *History) Resolve(ctx context.Context, c Choice) ([]Span, error) {
	v := h.seen.Load()
	which := slices.Clone(c.Partitions)
	if len(which) == 0 {
		for _, p := range v.topic.Partitions {
			which = append(which, p.ID.Index)
		}
	}
	slices.Sort(which)
	which = slices.Compact(which)
	spans := make([]Span, 0, len(which))
	r := h.reader(leastMemory)
	for _, i := range which {
		p, err := v.partition(i)
		if err != nil {
			return nil, err
		}
		start, end := p.LogStart, v.end(p)
		if c.Committed {
			if end, err = h.stable(ctx, v, p); err != nil {
				return nil, err
			}
		}
		find := func(x Position) (int64, error) {
			switch {
			case x.kind == atStart:
				return start, nil
			case x.kind == atOffset && x.n <= end:
				return max(x.n, start), nil
			case x.kind == atTime:
				if found, ok, err := r.FirstAt(ctx, p.ID, start, end, x.n); ok || err != nil {
					return found.Offset, err
				}
			}
			return end, v.torn[p.Owner]
		}
		s := Span{Partition: i}
		if s.From, err = find(c.From); err == nil {
			s.To, err = find(c.To)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", h.name, err)
		}
		s.To = max(s.To, s.From)
		spans = append(spans, s)
	}
	return spans, nil
}

// stable is the offset of the first transaction that is open at the end of a
// partition; its end when there is none. Footers say so: those of WAL objects of the
// producers that appended, at least every 64th of all, as others do (docs/FORMAT.md).
func (h *History) stable(ctx context.Context, v *view, p *catalog.Partition) (int64, error) {
	end := v.end(p)
	known := map[int64]bool{}
	for at, stable := end, end; ; {
		if at <= p.LogStart {
			return stable, nil
		}
		e, err := h.extent(ctx, v, p, at-1)
		if err != nil {
			return 0, err
		}
		run, err := h.run(ctx, p.ID, e)
		if err != nil {
			return 0, err
		}
		for _, q := range run.Producers {
			if !known[q.ID] && q.TxnStart >= 0 {
				stable = min(stable, q.TxnStart)
			}
			known[q.ID] = true
		}
		if run.Complete || e.Object.Kind != catalog.KindWAL {
			return stable, nil
		}
		at = e.Base
	}
}
