package pump

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// LoadProducers rebuilds the producer state of partitions from the log, for Own
// (S2: not from anybody's memory). state describes all of the partitions: their
// owners' sessions are sealed, or they were released.
//
// A run in a WAL object says of the producers that appended in it how they stood
// at its end; a run in a sealed object or segment says so of all (Pump.Producers).
// So the footers from the newest sealed run on are read, in parallel, each once.
// It asks again until ctx ends; damaged footers are an error.
func LoadProducers(ctx context.Context, store cold.Store, state *catalog.State, partitions ...record.Partition) (map[record.Partition][]ingest.Producer, error) {
	footers := make(map[catalog.ObjectRef]*object.Footer)
	chains := make(map[record.Partition][]catalog.Extent, len(partitions))
	for _, id := range partitions {
		p, ok := state.Partition(id)
		if !ok {
			continue
		}
		from := len(p.Extents)
		for from > 0 {
			from--
			footers[p.Extents[from].Object] = nil
			if p.Extents[from].Object.Kind != catalog.KindWAL {
				break
			}
		}
		chains[id] = p.Extents[from:]
	}
	if err := readFooters(ctx, store, footers); err != nil {
		return nil, fmt.Errorf("load producers: %w", err)
	}
	out := make(map[record.Partition][]ingest.Producer, len(chains))
	for id, chain := range chains {
		var known map[int64]ingest.Producer
		for _, x := range chain {
			f := footers[x.Object]
			i := f.Find(id, x.Base)
			if i < 0 {
				return nil, fmt.Errorf("load producers: %w: %s has no run of %s at offset %d", object.ErrCorrupt, x.Object, id, x.Base)
			}
			run, err := f.Whole(i)
			if err != nil {
				return nil, fmt.Errorf("load producers: %s: %w", x.Object, err)
			}
			for _, p := range ProducersIn(run.Producers) {
				if known == nil {
					known = make(map[int64]ingest.Producer)
				}
				known[p.ID] = p // whole entries: the newest is the truth
			}
		}
		for _, p := range known {
			out[id] = append(out[id], p)
		}
		// In the order of last use, so that the oldest are the first to be forgotten.
		slices.SortFunc(out[id], func(a, b ingest.Producer) int {
			if a.LastMs != b.LastMs {
				return int(min(max(a.LastMs-b.LastMs, -1), 1))
			}
			return int(min(max(a.ID-b.ID, -1), 1))
		})
	}
	return out, nil
}

// readFooters fills in the values of the map.
func readFooters(ctx context.Context, store cold.Store, footers map[catalog.ObjectRef]*object.Footer) error {
	refs := make(chan catalog.ObjectRef, len(footers))
	for r := range footers {
		refs <- r
	}
	close(refs)
	var mu sync.Mutex
	var fail error
	var tasks sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range min(16, len(footers)) {
		tasks.Go(func() {
			for r := range refs {
				f, err := insist(ctx, func() (*object.Footer, error) {
					_, f, err := readFooter(ctx, store, r.Name(), 0)
					return f, err
				})
				mu.Lock()
				footers[r] = f
				if err != nil && fail == nil {
					fail = fmt.Errorf("%s: %w", r, err)
					cancel()
				}
				mu.Unlock()
			}
		})
	}
	tasks.Wait()
	return fail
}

// insist asks again, with pauses, what was not answered definitely. A 404 for what
// the catalog says is there is believed after some seconds: then state is old, and
// the object was replaced and deleted since.
func insist[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	misses := 0
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		v, err := ask()
		if errors.Is(err, cold.ErrNotFound) {
			misses++
		}
		if err == nil || damaged(err) || misses > 8 {
			return v, err
		}
		if sleep(ctx, pause) != nil {
			return v, fmt.Errorf("%w (last answer: %w)", ctx.Err(), err)
		}
	}
}

// readFooter reads header and footer of an object. size is the object's when it is
// known, else 0. Damage is believed when two reads in a row saw the same bytes;
// otherwise it was done on the way.
func readFooter(ctx context.Context, store cold.Store, name string, size int64) (h object.Header, f *object.Footer, err error) {
	var before []byte
	for range 20 {
		var seen []byte
		h, f, seen, err = readFooterOnce(ctx, store, name, size)
		if !damaged(err) || before != nil && bytes.Equal(before, seen) {
			break
		}
		before = append(seen, 0)[:len(seen)] // not nil
	}
	return h, f, err
}

// readFooterOnce also returns the bytes that it looked at. Most objects are two
// requests: Stat, and their last 64 KiB.
func readFooterOnce(ctx context.Context, store cold.Store, name string, size int64) (h object.Header, f *object.Footer, seen []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if size == 0 {
		info, err := store.Stat(ctx, name)
		if err != nil {
			return h, nil, nil, err
		}
		size = info.Size
	}
	tail, err := store.Get(ctx, name, cold.Tail(object.TailLen), nil)
	if err != nil {
		return h, nil, nil, err
	}
	if want := min(size, object.TailLen); int64(len(tail)) < want {
		return h, nil, nil, fmt.Errorf("%w: %d bytes of the last %d", io.ErrUnexpectedEOF, len(tail), want)
	}
	head, seen := tail, tail
	if int64(len(tail)) < size {
		if head, err = store.Get(ctx, name, cold.Range{Length: object.HeaderLen}, nil); err != nil {
			return h, nil, nil, err
		}
		seen = slices.Concat(head, tail)
	}
	if h, err = object.ParseHeader(head); err != nil {
		return h, nil, seen, err
	}
	f, need, err := object.OpenFooter(tail, size)
	if err == nil && f == nil {
		if tail, err = store.Get(ctx, name, cold.Tail(need), nil); err == nil {
			seen = slices.Concat(head, tail)
			f, _, err = object.OpenFooter(tail, size)
		}
	}
	return h, f, seen, err
}
