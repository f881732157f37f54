package replay

import (
	"context"
	"errors"
	"slices"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// aborted are the transactions of a partition that were aborted, by producer, as
// the footers of its runs tell. 24 bytes for each.
type aborted map[int64][]object.Aborted

// covers reports whether a batch of a producer was aborted.
func (a aborted) covers(producer, offset int64) bool {
	for _, x := range a[producer] {
		if x.First <= offset && offset <= x.Last {
			return true
		}
	}
	return false
}

// abortedIn reads the footers of everything from an offset to the end of the log: a
// transaction is known to be aborted only where its marker lies. Objects that were
// replaced meanwhile are looked for again.
func (h *History) abortedIn(ctx context.Context, s Span) (aborted, error) {
	a := aborted{}
	at := s.From
	for try := 0; ; {
		v := h.seen.Load()
		p, err := v.partition(s.Partition)
		if err != nil {
			return nil, err
		}
		before := at
		at = max(at, p.LogStart)
		err = h.each(ctx, v, p, at, v.end(p), nil, func(e catalog.Extent) error {
			run, err := h.run(ctx, p.ID, e)
			if err != nil {
				return err
			}
			for _, x := range run.Aborted {
				if !slices.Contains(a[x.Producer], x) {
					a[x.Producer] = append(a[x.Producer], x)
				}
			}
			at = e.Next
			return nil
		})
		if !errors.Is(err, cold.ErrNotFound) {
			return a, err
		}
		if at > before {
			try = 0
		}
		if try++; try > 3 {
			return nil, err
		}
		if err := h.refresh(ctx, v); err != nil {
			return nil, err
		}
	}
}
