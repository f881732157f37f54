package press

import (
	"context"
	"fmt"
	"slices"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/planted"
)

// retain moves log starts forward by retention.ms and retention.bytes.
func (p *Press) retain(ctx context.Context) error {
	s, ok := p.session()
	if !ok {
		return nil
	}
	items := Expired(p.Journal.State(), s.ID, p.wallMs(), p.Setting)
	if len(items) == 0 {
		return nil
	}
	if _, err := p.one(ctx, &catalog.Trim{Items: items}); err != nil {
		return err
	}
	for _, it := range items {
		if err := p.Writer.Trim(ctx, it.Partition, it.LogStart); err != nil {
			return err
		}
	}
	p.Logger.Info("retention moved log starts", "partitions", len(items))
	return nil
}

// cool lets go what local retention does not keep in the hot tier.
func (p *Press) cool(context.Context) error {
	if p.Hot == nil {
		return nil
	}
	var gens []Warm
	for _, g := range p.Hot.Generations() {
		shares, err := p.Hot.Shares(g.ID)
		if err != nil {
			continue // it went meanwhile
		}
		gens = append(gens, Warm{g.ID, g.Sealed && !g.Kept, shares})
	}
	gone := PlanCool(p.Journal.State(), gens, p.wallMs(), p.Setting)
	for _, id := range gone {
		if err := ignoreGone(p.Hot.Drop(id)); err != nil {
			return fmt.Errorf("drop generation %d: %w", id, err)
		}
	}
	if len(gone) > 0 {
		p.Logger.Info("local retention dropped generations of the hot tier", "generations", len(gone))
	}
	return nil
}

// Expired decides what retention gives up, of the partitions of one session: whole
// extents from the front, those whose newest record is older than retention.ms
// and those without which retention.bytes still holds; what was pressed out of the
// catalog goes by whole lines. Topics that are only compacted keep everything.
func Expired(s *catalog.State, session uint64, nowMs int64, setting Setting) []catalog.TrimItem {
	var items []catalog.TrimItem
	for _, id := range s.Owned(session) {
		c, _ := s.Partition(id)
		t, _ := s.Topic(id.Topic)
		if !t.Has("cleanup.policy", "delete", setting) {
			continue
		}
		if start := expired(c, nowMs, t.Int("retention.ms", setting), t.Int("retention.bytes", setting)); start > c.LogStart {
			items = append(items, catalog.TrimItem{Partition: c.ID, LogStart: start})
		}
	}
	slices.SortFunc(items, func(a, b catalog.TrimItem) int { return a.Partition.Compare(b.Partition) })
	return items
}

// expired is the first offset that retention keeps. Like Kafka it goes by the
// largest timestamp of what it would drop. Without timestamps, records are as old as
// those behind them.
func expired(c *catalog.Partition, nowMs, age, size int64) int64 {
	start, left := c.LogStart, c.Bytes
	maybe := start // what has no timestamps reaches up to here
	drop := func(next, bytes, newest, records int64) bool {
		much := size >= 0 && (left-bytes >= size || planted.Is(planted.RetainEarly) && left > size)
		old := age >= 0 && (records == 0 || newest >= 0 && newest < sub(nowMs, age))
		unknown := age >= 0 && newest < 0
		if !much && !old && !unknown {
			return false
		}
		left -= bytes
		if maybe = max(maybe, next); much || old {
			start = maybe
		}
		return true
	}
	for _, l := range c.Index {
		if !drop(l.Next, l.Bytes, l.MaxTimestamp, 1) {
			return start
		}
	}
	for _, x := range c.Extents {
		if !drop(x.Next, x.Len, x.MaxTimestamp, x.Records) {
			break
		}
	}
	return start
}
