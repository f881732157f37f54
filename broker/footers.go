package broker

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// footers reads footers of objects, each once.
type footers struct {
	store cold.Store
	mu    sync.Mutex
	known map[catalog.ObjectRef]*object.Footer
}

func newFooters(s cold.Store) *footers {
	return &footers{store: s, known: make(map[catalog.ObjectRef]*object.Footer)}
}

func (f *footers) get(ctx context.Context, r catalog.ObjectRef) (*object.Footer, error) {
	f.mu.Lock()
	x := f.known[r]
	f.mu.Unlock()
	if x != nil {
		return x, nil
	}
	x, err := readFooter(ctx, f.store, r)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.known[r] = x
	f.mu.Unlock()
	return x, nil
}

func readFooter(ctx context.Context, store cold.Store, r catalog.ObjectRef) (*object.Footer, error) {
	info, err := store.Stat(ctx, r.Name())
	if err != nil {
		return nil, fmt.Errorf("footer of %s: %w", r, err)
	}
	tail, err := store.Get(ctx, r.Name(), cold.Tail(object.TailLen), nil)
	if err != nil {
		return nil, fmt.Errorf("footer of %s: %w", r, err)
	}
	x, need, err := object.OpenFooter(tail, info.Size)
	if err == nil && x == nil {
		if tail, err = store.Get(ctx, r.Name(), cold.Tail(need), nil); err == nil {
			x, _, err = object.OpenFooter(tail, info.Size)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("footer of %s: %w", r, err)
	}
	return x, nil
}

// producers rebuilds what is known of the idempotent producers of a partition at
// the end of its log from the footers of its newest extents (S2): back to the last
// sealed run, whose footer has all of them; those in WAL objects have the
// producers that appended in them.
func (f *footers) producers(ctx context.Context, p *catalog.Partition) ([]ingest.Producer, error) {
	var newest []object.Run
	for _, x := range slices.Backward(p.Extents) {
		r, err := f.run(ctx, p.ID, x)
		if err != nil {
			return nil, err
		}
		newest = append(newest, r)
		if x.Object.Kind != catalog.KindWAL {
			break
		}
	}
	byID := map[int64]int{}
	var out []ingest.Producer
	for _, r := range slices.Backward(newest) {
		for _, q := range pump.ProducersIn(r.Producers) {
			if i, ok := byID[q.ID]; ok {
				out[i] = q // entries are whole: the newest is the truth
				continue
			}
			byID[q.ID] = len(out)
			out = append(out, q)
		}
	}
	return out, nil
}

func (f *footers) run(ctx context.Context, p record.Partition, x catalog.Extent) (object.Run, error) {
	foot, err := f.get(ctx, x.Object)
	if err != nil {
		return object.Run{}, err
	}
	i := foot.Find(p, x.Base)
	if i < 0 {
		return object.Run{}, fmt.Errorf("%s: %w: no run of %s at offset %d", x.Object, object.ErrCorrupt, p, x.Base)
	}
	return foot.Whole(i)
}

// starts is where the owner of partitions begins with each, read in parallel.
func (f *footers) starts(ctx context.Context, ps []*catalog.Partition) ([]ingest.Start, error) {
	out := make([]ingest.Start, len(ps))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i, p := range ps {
		out[i] = ingest.Start{Epoch: p.Epoch, Next: p.Next, LogStart: p.LogStart}
		if len(p.Extents) == 0 {
			continue
		}
		g.Go(func() error {
			var err error
			out[i].Producers, err = f.producers(ctx, p)
			return err
		})
	}
	return out, g.Wait()
}
