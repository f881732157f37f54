package replay

import (
	"context"

	"github.com/firnlog/firn/catalog"
)

// stretchBytes is the unit in which objects are fetched (package tier).
const stretchBytes = 1 << 20

// Plan is what a replay will ask of the bucket. Gets and Bytes are the most that it
// needs: several units are often fetched by one GET, but what the cache could not
// keep is fetched again.
type Plan struct {
	Spans   []Span `json:"spans"`
	Objects int64  `json:"objects"` // with data; index objects come on top
	Indexes int64  `json:"index_objects"`
	Gets    int64  `json:"gets"`
	Bytes   int64  `json:"bytes"`
	// Records is how many lie in the runs that will be read: a few more than will be
	// delivered.
	Records int64 `json:"records"`
}

// Prices are what the owner of the bucket pays, in whatever currency.
type Prices struct {
	Get float64 // of one GET
	GiB float64 // of one GiB that leaves the bucket
}

// Cost is what the plan costs at these prices.
func (p Plan) Cost(x Prices) float64 {
	return float64(p.Gets)*x.Get + float64(p.Bytes)/(1<<30)*x.GiB
}

// Plan works out what replaying the spans takes. It reads index objects, and no
// data.
func (h *History) Plan(ctx context.Context, spans []Span) (Plan, error) {
	v := h.seen.Load()
	out := Plan{Spans: spans}
	// Only what partitions share is remembered: the catalog has all of it in memory.
	shared := map[catalog.ObjectRef]map[int64]bool{}
	for _, s := range spans {
		p, err := v.partition(s.Partition)
		if err != nil {
			return out, err
		}
		var last catalog.ObjectRef
		done := int64(-1) // the last unit of it that was counted
		index := func(catalog.IndexRef) { out.Indexes++; out.Gets++ }
		err = h.each(ctx, v, p, max(s.From, p.LogStart), s.To, index, func(e catalog.Extent) error {
			out.Records += e.Records
			first, end := e.Pos/stretchBytes, (e.Pos+e.Len-1)/stretchBytes
			if e.Object.Kind == catalog.KindWAL || v.state.Refs(e.Object) > 1 {
				units := shared[e.Object]
				if units == nil {
					units = map[int64]bool{}
					shared[e.Object] = units
					out.Objects++
				}
				for u := first; u <= end; u++ {
					if !units[u] {
						units[u] = true
						out.Gets++
					}
				}
			} else {
				if e.Object != last {
					last, done = e.Object, -1
					out.Objects++
				}
				out.Gets += max(0, end-max(first-1, done))
				done = max(done, end)
			}
			out.Bytes += e.Len
			return nil
		})
		if err != nil {
			return out, err
		}
	}
	return out, nil
}
