package pump

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
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
// at its end, and now and then of all; a run in a sealed object or segment says so
// of all (Pump.Producers). So footers are read from the newest run back to one that
// says all, in parallel, each once: rarely more than one for a partition, however
// much of its log lies in WAL objects (protocol.md 6). It asks again until ctx ends.
//
// Partitions whose producers cannot be known, since an object is damaged, or gone for good,
// are in an error that is Unknown; those of the others are returned with it.
func LoadProducers(ctx context.Context, store cold.Store, state *catalog.State, partitions ...record.Partition) (map[record.Partition][]ingest.Producer, error) {
	var chains []*chain
	for _, id := range partitions {
		if p, ok := state.Partition(id); ok && len(p.Extents)+len(p.Index) > 0 {
			chains = append(chains, &chain{partition: id, left: p.Extents, lines: p.Index})
		}
	}
	return loadProducers(ctx, store, chains)
}

// LoadProducersBelow is LoadProducers of partitions as they stood when their logs ended at
// the offsets given, where runs begin or end that the catalog itself describes: as footers
// say it, and with those apart whose producers cannot be known.
func LoadProducersBelow(ctx context.Context, store cold.Store, state *catalog.State, ends map[record.Partition]int64) (known map[record.Partition][]object.Producer, unknown map[record.Partition]error, err error) {
	var chains []*chain
	for id, end := range ends {
		if p, ok := state.Partition(id); ok {
			if below := p.Extents[:p.Find(end)]; len(below)+len(p.Index) > 0 {
				chains = append(chains, &chain{partition: id, left: below, lines: p.Index})
			}
		}
	}
	loaded, err := loadProducers(ctx, store, chains)
	if lost := (Unknown)(nil); errors.As(err, &lost) {
		unknown, err = lost, nil
	}
	known = make(map[record.Partition][]object.Producer, len(loaded))
	for id, ps := range loaded {
		known[id] = ProducersOut(ps)
	}
	return known, unknown, err
}

// loadProducers goes back along chains, each of which has something to look at.
func loadProducers(ctx context.Context, store cold.Store, chains []*chain) (map[record.Partition][]ingest.Producer, error) {
	footers := make(map[catalog.ObjectRef]found)
	out := make(map[record.Partition][]ingest.Producer, len(chains))
	lost := Unknown{}
	for ahead := 1; len(chains) > 0; ahead = min(2*ahead, 64) {
		if err := readLines(ctx, store, chains); err != nil {
			return nil, fmt.Errorf("load producers: %w", err)
		}
		want := make(map[catalog.ObjectRef]found)
		for _, c := range chains {
			for _, x := range c.left[max(0, len(c.left)-ahead):] {
				if _, known := footers[x.Object]; !known {
					want[x.Object] = found{}
				}
			}
		}
		if err := readFooters(ctx, store, want); err != nil {
			return nil, fmt.Errorf("load producers: %w", err)
		}
		maps.Copy(footers, want)
		open := chains[:0]
		for _, c := range chains {
			done, err := c.back(footers, ahead)
			if err != nil {
				lost[c.partition] = err
				continue
			}
			if !done {
				open = append(open, c)
				continue
			}
			if ps := c.producers(); len(ps) > 0 {
				out[c.partition] = ps
			}
		}
		chains = open
	}
	if len(lost) > 0 {
		return out, lost
	}
	return out, nil
}

// Unknown says why the producers of partitions cannot be known.
type Unknown map[record.Partition]error

func (u Unknown) Error() string {
	for p, err := range u {
		return fmt.Sprintf("producers of %d partitions cannot be known, among them those of %s: %v", len(u), p, err)
	}
	return "no producers are unknown"
}

// found is what was read of an object.
type found struct {
	footer *object.Footer
	err    error // it is damaged, or gone for good
}

// chain is the way back along a partition's runs.
type chain struct {
	partition record.Partition
	left      []catalog.Extent   // not looked at yet
	lines     []catalog.IndexRef // of the catalog, for what comes before
	err       error              // what comes before is damaged, or gone for good
	known     map[int64]ingest.Producer
}

// back looks at so many runs; it reports whether all producers are known.
func (c *chain) back(footers map[catalog.ObjectRef]found, runs int) (bool, error) {
	if c.err != nil {
		return false, c.err
	}
	for ; runs > 0 && len(c.left) > 0; runs-- {
		x := c.left[len(c.left)-1]
		c.left = c.left[:len(c.left)-1]
		f, err := footers[x.Object].footer, footers[x.Object].err
		if err != nil {
			return false, err
		}
		i := f.Find(c.partition, x.Base)
		if i < 0 {
			return false, fmt.Errorf("%w: %s has no run of %s at offset %d", object.ErrCorrupt, x.Object, c.partition, x.Base)
		}
		run, err := f.Whole(i)
		if err != nil {
			return false, fmt.Errorf("%s: %w", x.Object, err)
		}
		for _, p := range ProducersIn(run.Producers) {
			if c.known == nil {
				c.known = make(map[int64]ingest.Producer)
			}
			if _, newer := c.known[p.ID]; !newer { // whole entries: the newest is the truth
				c.known[p.ID] = p
			}
		}
		if run.Complete || x.Object.Kind != catalog.KindWAL {
			return true, nil
		}
	}
	return len(c.left) == 0 && len(c.lines) == 0, nil
}

// producers are in the order of last use, so that the oldest are the first to be
// forgotten.
func (c *chain) producers() []ingest.Producer {
	return slices.SortedFunc(maps.Values(c.known), func(a, b ingest.Producer) int {
		return cmp.Or(cmp.Compare(a.LastMs, b.LastMs), cmp.Compare(a.ID, b.ID))
	})
}

// footersAtOnce is how many footers are read at once: whoever waits for them cannot
// append, and they are small.
const footersAtOnce = 64

// readLines gives chains that have nothing left, and do not know all producers, the
// newest run that was pressed out of the catalog: it lies in a segment, and says all.
func readLines(ctx context.Context, store cold.Store, chains []*chain) error {
	short := slices.DeleteFunc(slices.Clone(chains), func(c *chain) bool { return len(c.left) > 0 || len(c.lines) == 0 })
	return each(ctx, short, func(ctx context.Context, c *chain) error {
		line := c.lines[len(c.lines)-1].Object
		b, err := insist(ctx, func() ([]byte, error) { return store.Get(ctx, line.Name(), cold.Whole, nil) })
		if err == nil {
			b, err = object.DecodeIndex(b, line.A, line.B)
		}
		if err == nil {
			c.left, err = catalog.DecodeExtents(b)
		}
		c.lines = nil
		if err != nil {
			c.err = fmt.Errorf("%s: %w", line, err)
		}
		return ctx.Err()
	})
}

// readFooters fills in the values of the map.
func readFooters(ctx context.Context, store cold.Store, footers map[catalog.ObjectRef]found) error {
	var mu sync.Mutex
	return each(ctx, slices.Collect(maps.Keys(footers)), func(ctx context.Context, r catalog.ObjectRef) error {
		f, err := insist(ctx, func() (*object.Footer, error) {
			_, f, err := readFooter(ctx, store, r.Name(), 0, func(h object.Header) error { return named(h, r) })
			return f, err
		})
		if err != nil {
			err = fmt.Errorf("%s: %w", r, err)
		}
		mu.Lock()
		footers[r] = found{f, err}
		mu.Unlock()
		return ctx.Err()
	})
}

// named says what is wrong when an object with runs is not the one of that name. What
// another one knew of producers is well formed, and may be older.
func named(h object.Header, ref catalog.ObjectRef) error {
	if h.Session != ref.A || h.Slot != ref.B || h.Kind == object.Fence || h.Kind == object.Index || (h.Kind == object.WAL) != (ref.Kind == catalog.KindWAL) {
		return fmt.Errorf("%w: it says that it is %s %d of %d", object.ErrCorrupt, h.Kind, h.Slot, h.Session)
	}
	return nil
}

// each calls do for all, some at a time, and returns the first error, with which the
// others end.
func each[T any](ctx context.Context, all []T, do func(context.Context, T) error) error {
	todo := make(chan T, len(all))
	for _, x := range all {
		todo <- x
	}
	close(todo)
	var once sync.Once
	var fail error
	var tasks sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range min(footersAtOnce, len(all)) {
		tasks.Go(func() {
			for x := range todo {
				if err := do(ctx, x); err != nil {
					once.Do(func() { fail = err; cancel() })
				}
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
// otherwise it was done on the way. So is what check, which may be nil, says of the header.
func readFooter(ctx context.Context, store cold.Store, name string, size int64, check func(object.Header) error) (h object.Header, f *object.Footer, err error) {
	var before []byte
	for range 20 {
		var seen []byte
		if h, f, seen, err = readFooterOnce(ctx, store, name, size); err == nil && check != nil {
			err = check(h)
		}
		if !damaged(err) || before != nil && bytes.Equal(before, seen) {
			break
		}
		before = append(seen, 0)[:len(seen)] // not nil
	}
	return h, f, err
}

// readFooterOnce also returns the bytes that it looked at. A small object is one
// request; most others are three: their last 64 KiB, Stat, and the header.
func readFooterOnce(ctx context.Context, store cold.Store, name string, size int64) (h object.Header, f *object.Footer, seen []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tail, err := store.Get(ctx, name, cold.Tail(object.TailLen), nil)
	if err != nil {
		return h, nil, nil, err
	}
	switch {
	case size > 0:
	case len(tail) < object.TailLen:
		size = int64(len(tail))
	default:
		info, err := store.Stat(ctx, name)
		if err != nil {
			return h, nil, nil, err
		}
		size = info.Size
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
	h, f, need, err := object.OpenEnds(head, tail, size)
	if err == nil && f == nil {
		if tail, err = store.Get(ctx, name, cold.Tail(need), nil); err == nil {
			seen = slices.Concat(head, tail)
			h, f, _, err = object.OpenEnds(head, tail, size)
		}
	}
	return h, f, seen, err
}
