package tier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/hot"
	"github.com/firnlog/firn/tier/object"
)

// ReaderOptions are what a Reader reads from. Store and Locator are needed.
type ReaderOptions struct {
	Store   cold.Store
	Locator Locator
	Tail    *Tail     // nil: no tail cache
	Hot     *hot.Tier // nil: no hot tier
	// Epoch says under which leader epoch the record at an offset was written, and up to
	// which offset that holds; false when it is not known. What the hot tier holds of
	// another epoch is passed over: a fence has cut it off, of which the hot tier need not
	// have heard yet (P3). nil: it is never known. It does not block.
	Epoch  func(p record.Partition, offset int64) (epoch int32, until int64, ok bool)
	Logger *slog.Logger
	// BlockBytes is the size of the block cache. Default DefaultBlocks.
	BlockBytes int64
	// Parallel bounds the GETs under way that somebody waits for, and as many
	// again that read ahead. Default 8: with 4 MiB each that is 64 MiB in flight.
	Parallel int
}

// Reader finds the cheapest way to bytes: tail cache, hot tier, block cache,
// bucket. Its methods may be called from many goroutines. Reading ahead needs Run.
type Reader struct {
	store   cold.Store
	locator Locator
	tail    *Tail
	hot     *hot.Tier
	epoch   func(p record.Partition, offset int64) (epoch int32, until int64, ok bool)
	log     *slog.Logger

	stats    *readStats
	blocks   *blocks
	cache    int64
	footers  *shelf[*object.Footer]
	indexes  *shelf[[]catalog.Extent]
	streams  *streams
	wanted   chan want
	parallel int
	// unpacking bounds how many batches are decompressed at once, to be searched.
	unpacking chan struct{}
}

// want is bytes to be read ahead.
type want struct {
	object catalog.ObjectRef
	pos, n int64
}

type readStats struct {
	from                   [sources]atomic.Int64
	gets, fetched, shared  atomic.Int64
	ahead, skipped         atomic.Int64
	damaged, again, wasted atomic.Int64

	tailHits, tailMisses, blockHits, blockMisses atomic.Int64
}

// ReadStats are totals since the Reader was made.
type ReadStats struct {
	Tail, Hot, Bucket int64 // bytes served, by source
	Gets              int64 // GETs sent
	Fetched           int64 // bytes that they brought
	Shared            int64 // reads that waited for a GET of somebody else
	Ahead             int64 // bytes asked for ahead of a reader
	Skipped           int64 // bytes not read ahead, since too much was
	Wasted            int64 // bytes read ahead and evicted before anybody came
	Damaged           int64 // bytes from the bucket that failed a check
	Again             int64 // reads that asked the locator again since an object was gone

	// TailHits and TailMisses are reads whose first batch was in the tail cache, or
	// not. BlockHits and BlockMisses are looks into the block cache that found all
	// blocks there, or had to wait for a GET.
	TailHits, TailMisses, BlockHits, BlockMisses int64
	// BlockBytes are held by the block cache now.
	BlockBytes int64
}

// NewReader makes a Reader.
func NewReader(o ReaderOptions) *Reader {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.BlockBytes <= 0 {
		o.BlockBytes = DefaultBlocks
	}
	if o.Parallel <= 0 {
		o.Parallel = 8
	}
	r := &Reader{
		store: o.Store, locator: o.Locator, tail: o.Tail, hot: o.Hot, epoch: o.Epoch, log: o.Logger,
		stats: new(readStats), cache: o.BlockBytes, streams: newStreams(),
		wanted: make(chan want, 4*o.Parallel), parallel: o.Parallel,
		unpacking: make(chan struct{}, min(runtime.GOMAXPROCS(0), 8)),
	}
	r.blocks = newBlocks(o.Store, o.BlockBytes, o.Parallel, r.stats)
	r.footers = newShelf(footerCache, r.readFooter)
	r.indexes = newShelf(footerCache, r.readIndex)
	return r
}

// Run reads ahead until ctx ends. Without it nothing is read ahead.
func (r *Reader) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for range r.parallel {
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case w := <-r.wanted:
					r.readAhead(ctx, w)
				}
			}
		})
	}
	wg.Wait()
	return nil
}

// aheadWait is how long reading ahead may take. A store that stops in the middle of an
// answer, on a connection that lives, ends no GET: whoever needs the bytes would wait for
// it as long as the broker runs. It sends a GET of its own when this one is given up.
const aheadWait = 30 * time.Second

// readAhead performs one want. Whoever needs the bytes later meets the error, and says so.
func (r *Reader) readAhead(ctx context.Context, w want) {
	ctx, cancel := context.WithTimeout(ctx, aheadWait)
	defer cancel()
	_, _ = r.blocks.get(ctx, w.object, w.pos, w.n, true)
}

// Stats returns the counters.
func (r *Reader) Stats() ReadStats {
	s := r.stats
	return ReadStats{
		Tail: s.from[FromTail].Load(), Hot: s.from[FromHot].Load(), Bucket: s.from[FromBucket].Load(),
		Gets: s.gets.Load(), Fetched: s.fetched.Load(), Shared: s.shared.Load(), Ahead: s.ahead.Load(),
		Skipped: s.skipped.Load(), Wasted: s.wasted.Load(), Damaged: s.damaged.Load(), Again: s.again.Load(),
		TailHits: s.tailHits.Load(), TailMisses: s.tailMisses.Load(), BlockHits: s.blockHits.Load(), BlockMisses: s.blockMisses.Load(),
		BlockBytes: r.blocks.held(),
	}
}

// Read returns batches of a partition from the one that holds the offset on: as
// many as end at or below upto and add up to maxBytes, but always one when there
// is one (KIP-74). An offset at or above upto gives an empty result. The caller
// passes offsets at or above the log's start, and releases the result. It blocks
// for the bucket when neither tail cache nor hot tier have the first batch.
//
// Every byte that comes from disk or bucket was checked; bytes that fail are
// fetched once more, and are then an error.
func (r *Reader) Read(ctx context.Context, p record.Partition, offset, upto int64, maxBytes int) (Batches, error) {
	out := Batches{Base: offset, Next: offset}
	for out.Next < upto && out.fits(1, maxBytes) {
		at := out.Next
		if r.tail != nil {
			r.tail.read(&out, p, at, upto, maxBytes)
			if at == offset {
				count(out.Next > at, &r.stats.tailHits, &r.stats.tailMisses)
			}
		}
		if r.hot != nil && out.Next == at {
			r.readHot(&out, p, at, r.beforeTail(p, at, upto), maxBytes)
		}
		if out.Next == at {
			break
		}
	}
	var err error
	if len(out.Views) == 0 && offset < upto {
		until := r.beforeTail(p, offset, upto)
		if r.hot != nil {
			if next, ok := r.hot.Next(p, offset); ok && next > offset {
				until = min(until, next)
			}
		}
		err = r.readBucket(ctx, &out, p, offset, until, maxBytes)
		if err == nil && len(out.Views) == 0 && until < upto {
			// A compacted batch may reach over where the others begin.
			err = r.readBucket(ctx, &out, p, offset, upto, maxBytes)
		}
	}
	for s, n := range out.from {
		if n > 0 {
			r.stats.from[s].Add(n)
		}
	}
	if err != nil {
		out.Release()
		return Batches{Base: offset, Next: offset}, fmt.Errorf("read %s from offset %d: %w", p, offset, err)
	}
	return out, nil
}

func count(hit bool, hits, misses *atomic.Int64) {
	if hit {
		hits.Add(1)
	} else {
		misses.Add(1)
	}
}

// beforeTail bounds what is read elsewhere: from there on the tail cache has it.
func (r *Reader) beforeTail(p record.Partition, offset, upto int64) int64 {
	if r.tail != nil {
		if from, to := r.tail.Span(p); offset < from && from < to {
			return min(from, upto)
		}
	}
	return upto
}

// readHot adds what the hot tier holds without a gap. Its entries passed their
// checksum.
func (r *Reader) readHot(out *Batches, p record.Partition, offset, upto int64, maxBytes int) {
	first := len(out.Views) == 0
	v := r.hot.Read(p, offset, upto, maxBytes-out.Bytes)
	v.Entries = v.Entries[:r.sound(p, v.Entries)]
	if len(v.Entries) == 0 || !first && (v.Entries[0].Base != offset || !out.fits(len(v.Entries[0].Value), maxBytes)) {
		v.Release()
		return
	}
	for _, e := range v.Entries {
		out.add(e.Base, e.Last+1, e.Value, FromHot)
	}
	out.held = append(out.held, &v)
}

// sound is how many entries, from the first on, are of the leader epochs that the log has.
func (r *Reader) sound(p record.Partition, entries []hot.Entry) int {
	if r.epoch == nil {
		return len(entries)
	}
	var epoch int32
	var known bool
	until := int64(math.MinInt64)
	for i, e := range entries {
		if e.Base >= until {
			epoch, until, known = r.epoch(p, e.Base)
		}
		if known && e.Epoch != epoch {
			return i
		}
	}
	return len(entries)
}

// readBucket adds what is in the bucket, by way of the block cache. An object that
// is gone may have been compacted away: the locator is asked where its records
// are now. Damage is fetched once more.
func (r *Reader) readBucket(ctx context.Context, out *Batches, p record.Partition, offset, upto int64, maxBytes int) error {
	var last Place
	for damaged, gone := false, 0; ; {
		place, ok := r.locator.Extents(p, offset)
		if !ok {
			return ErrNowhere
		}
		extents, err := r.resolve(ctx, place, offset)
		if err == nil {
			err = r.readExtents(ctx, out, p, extents, offset, upto, maxBytes)
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(err, cold.ErrNotFound):
			r.stats.again.Add(1)
			if gone++; gone > 3 || gone > 1 && same(place, last) {
				return fmt.Errorf("%w: %w", ErrGone, err)
			}
			last = place
		case errors.Is(err, ErrDamaged) && !damaged:
			r.stats.damaged.Add(1)
			damaged = true
			r.log.Warn("bytes from the bucket failed a check; they are fetched once more", "partition", p.String(), "offset", offset, "error", err)
		default:
			return err
		}
		out.Release()
		*out = Batches{Base: offset, Next: offset}
	}
}

// same reports whether the locator has sent us to the same object again.
func same(a, b Place) bool {
	if len(a.Extents) == 0 || len(b.Extents) == 0 {
		return len(a.Extents) == len(b.Extents) && a.Index.Object == b.Index.Object
	}
	return a.Extents[0].Object == b.Extents[0].Object
}

// resolve returns the extents from the one that holds the offset on.
func (r *Reader) resolve(ctx context.Context, place Place, offset int64) ([]catalog.Extent, error) {
	extents := place.Extents
	if len(extents) == 0 {
		var err error
		if extents, err = r.indexes.get(ctx, place.Index.Object); err != nil {
			return nil, err
		}
	}
	for i := range extents {
		if offset < extents[i].Next {
			if offset < extents[i].Base {
				break
			}
			return extents[i:], nil
		}
	}
	return nil, ErrNowhere
}
