package tier

import (
	"context"
	"errors"
	"fmt"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/tier/hot"
)

// trimBatch bounds the log starts of one command.
const trimBatch = 4096

// retain moves log starts forward by retention.ms and retention.bytes, of the
// partitions that this broker leads. The objects become garbage by it (W3).
func (p *Press) retain(ctx context.Context) error {
	s, err := p.session()
	if err != nil {
		return err
	}
	items := PlanTrim(p.Journal.State(), s.ID, p.nowMs(), p.Setting)
	total := len(items)
	for len(items) > 0 {
		n := min(trimBatch, len(items))
		res, err := p.one(ctx, &catalog.Trim{Items: items[:n]})
		if err != nil {
			return fmt.Errorf("trim %d partitions: %w", n, err)
		}
		for i, it := range items[:n] {
			if res.Item(i) != nil {
				continue // the topic was deleted
			}
			if err := p.Owner.Trim(ctx, it.Partition, it.LogStart); err != nil {
				return fmt.Errorf("trim %s: %w", it.Partition, err)
			}
		}
		items = items[n:]
	}
	if total > 0 {
		p.Logger.Info("retention moved log starts", "partitions", total)
	}
	return nil
}

// cool drops generations of the hot tier of which local retention keeps nothing.
func (p *Press) cool(context.Context) error {
	if p.Hot == nil {
		return nil
	}
	var gens []Warm
	for _, g := range p.Hot.Generations() {
		w := Warm{ID: g.ID, Sealed: g.Sealed && !g.Filling}
		var err error
		if w.Shares, err = p.Hot.Shares(g.ID); errors.Is(err, hot.ErrNotHeld) {
			continue
		} else if err != nil {
			return err
		}
		gens = append(gens, w)
	}
	for _, id := range PlanCool(p.Journal.State(), gens, p.nowMs(), p.Setting) {
		if err := ignoreGone(p.Hot.Drop(id)); err != nil {
			return err
		}
	}
	return nil
}
