package tier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/tier/cold"
)

const (
	// blockSize is the unit of the block cache: aligned stretches of an object,
	// so that readers of neighbouring runs share what was fetched.
	blockSize = 1 << 20
	// mostBlocks is how many of them one GET fetches: larger ones gain nothing,
	// and several go in parallel.
	mostBlocks = 4
)

// DefaultBlocks is how many bytes the block cache holds.
const DefaultBlocks = 64 << 20

type blockKey struct {
	object catalog.ObjectRef
	block  int64
}

// chunk is what one GET brought: some blocks of one object. It is counted by
// those who refer to it, the cache among them, and its buffer is used again when
// nobody does.
type chunk struct {
	object catalog.ObjectRef
	first  int64 // block
	data   []byte
	refs   atomic.Int32
	loans  atomic.Int32 // results of reads that refer to it
	unread atomic.Bool  // read ahead, and nobody came yet
	blocks *blocks
}

func (c *chunk) start() int64 { return c.first * blockSize }
func (c *chunk) end() int64   { return c.start() + int64(len(c.data)) }
func (c *chunk) count() int64 { return (int64(len(c.data)) + blockSize - 1) / blockSize }

// Release gives up a reference.
func (c *chunk) Release() {
	if c.refs.Add(-1) == 0 {
		data := c.data
		c.data = nil
		c.blocks.recycle(data)
	}
}

// loan is a chunk to which the result of a read refers, which has a reference to it. It
// stays in memory for as long as the reader of the result likes, cached or not.
type loan chunk

// lend makes a caller's reference to a chunk a loan.
func (c *chunk) lend() *loan {
	if c.loans.Add(1) == 1 {
		c.blocks.lent.Add(int64(cap(c.data)))
	}
	return (*loan)(c)
}

// Release ends the loan.
func (l *loan) Release() {
	c := (*chunk)(l)
	if c.loans.Add(-1) == 0 {
		c.blocks.lent.Add(-int64(cap(c.data)))
	}
	c.Release()
}

// flight is a GET under way. Its result is counted once for each who waits.
type flight struct {
	object  catalog.ObjectRef
	first   int64
	n       int64
	done    chan struct{}
	needed  chan struct{} // closed when somebody waits for what is to be read ahead
	ahead   bool          // nobody does; guarded by blocks.mu
	chunk   *chunk
	err     error
	waiters int32 // guarded by blocks.mu; 0 once the result is there
}

// blocks is the block cache: one GET for many waiters.
type blocks struct {
	store cold.Store

	mu      sync.Mutex
	cached  *lru[blockKey, *chunk] // keyed by the chunk's first block
	where   map[blockKey]*chunk    // every block of what is cached
	flights map[blockKey]*flight

	lent atomic.Int64 // bytes of chunks that results of reads refer to

	// Two limits, so that reading ahead never makes a reader wait.
	now, ahead chan struct{}
	pools      [mostBlocks + 1]sync.Pool // of *[]byte with room for so many blocks
	stats      *readStats
}

func newBlocks(store cold.Store, budget int64, parallel int, stats *readStats) *blocks {
	b := &blocks{
		store: store, where: make(map[blockKey]*chunk), flights: make(map[blockKey]*flight),
		now: make(chan struct{}, parallel), ahead: make(chan struct{}, parallel), stats: stats,
	}
	b.cached = newLRU(budget, func(_ blockKey, c *chunk) {
		for i := range c.count() {
			if k := (blockKey{c.object, c.first + i}); b.where[k] == c {
				delete(b.where, k)
			}
		}
		if c.unread.Load() {
			stats.wasted.Add(int64(len(c.data)))
		}
		c.Release()
	})
	return b
}

// stretch is bytes of an object, held in the chunks that cover them.
type stretch struct {
	chunks  []*chunk // in order, without a gap
	fetched bool     // something had to be fetched
}

func (s *stretch) release() {
	for _, c := range s.chunks {
		c.Release()
	}
	s.chunks = nil
}

// upto is where the bytes end that the chunks hold without a gap: an answer that was
// cut short leaves one, also where the next answer goes on behind it.
func (s *stretch) upto() int64 {
	for i, c := range s.chunks[1:] {
		if s.chunks[i].end() != c.start() {
			return s.chunks[i].end()
		}
	}
	return s.chunks[len(s.chunks)-1].end()
}

// bytes returns the bytes [pos, pos+n) of the object: a view, or a copy where they
// cross from one chunk to the next. It is nil when they are not all there.
func (s *stretch) bytes(pos, n int64) (b []byte, shared bool) {
	for i, c := range s.chunks {
		if pos < c.start() || pos >= c.end() {
			continue
		}
		from := pos - c.start()
		if pos+n <= c.end() {
			return c.data[from : from+n : from+n], true
		}
		if s.chunks[len(s.chunks)-1].end() < pos+n {
			return nil, false
		}
		b = append(make([]byte, 0, n), c.data[from:]...)
		for _, c := range s.chunks[i+1:] {
			if c.start() != pos+int64(len(b)) {
				return nil, false
			}
			b = append(b, c.data[:min(int64(len(c.data)), n-int64(len(b)))]...)
			if int64(len(b)) == n {
				return b, false
			}
		}
		return nil, false
	}
	return nil, false
}

// join returns the view of [base+from, base+to) when one chunk holds it.
func (s *stretch) join(base, from, to int64) ([]byte, bool) {
	if from < 0 {
		return nil, false
	}
	for _, c := range s.chunks {
		if lo, hi := base+from-c.start(), base+to-c.start(); lo >= 0 && hi <= int64(len(c.data)) {
			return c.data[lo:hi:hi], true
		}
	}
	return nil, false
}

// get returns the chunks that cover [pos, pos+n) of an object, from the cache or
// the bucket. An object that ends before is ErrDamaged. With ahead it is reading
// ahead: behind everybody else, and what is under way already is not waited for.
func (b *blocks) get(ctx context.Context, object catalog.ObjectRef, pos, n int64, ahead bool) (stretch, error) {
	first, last := pos/blockSize, (pos+n-1)/blockSize
	var s stretch
	for attempt := 0; ; attempt++ {
		mine, theirs := b.claim(&s, object, first, last, ahead)
		if attempt == 0 && !ahead {
			count(len(mine)+len(theirs) == 0, &b.stats.blockHits, &b.stats.blockMisses)
		}
		s.fetched = s.fetched || len(mine) > 0
		err := b.fly(ctx, mine, theirs, ahead)
		if err != nil {
			s.release()
			return s, err
		}
		if ahead {
			s.release()
			return s, nil
		}
		if len(mine)+len(theirs) == 0 {
			break
		}
		s.release() // everything is cached now, and counted anew in one go
		if attempt == 3 {
			// The cache is too small for what is asked for at once.
			return b.alone(ctx, object, first, last, pos+n)
		}
	}
	if at := s.upto(); at < pos+n {
		s.release()
		b.forget(object, pos, n)
		return s, fmt.Errorf("%w: %s ends at byte %d, before byte %d", ErrDamaged, object, at, pos+n)
	}
	return s, nil
}

// claim takes references to what is cached, and divides the rest into flights of
// this caller and those of others.
func (b *blocks) claim(s *stretch, object catalog.ObjectRef, first, last int64, ahead bool) (mine, theirs []*flight) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for at := first; at <= last; at++ {
		k := blockKey{object, at}
		if c := b.where[k]; c != nil {
			b.cached.get(blockKey{object, c.first})
			if !ahead {
				c.unread.Store(false)
			}
			if n := len(s.chunks); n == 0 || s.chunks[n-1] != c {
				c.refs.Add(1)
				s.chunks = append(s.chunks, c)
			}
			continue
		}
		if f := b.flights[k]; f != nil {
			if n := len(theirs); !ahead && (n == 0 || theirs[n-1] != f) && (len(mine) == 0 || mine[len(mine)-1] != f) {
				f.waiters++
				theirs = append(theirs, f)
				if f.ahead {
					f.ahead = false
					close(f.needed)
				}
			}
			continue
		}
		n := len(mine)
		if n > 0 && mine[n-1].first+mine[n-1].n == at && mine[n-1].n < mostBlocks {
			mine[n-1].n++
		} else {
			mine = append(mine, &flight{object: object, first: at, n: 1, done: make(chan struct{}), needed: make(chan struct{}), ahead: ahead, waiters: 1})
		}
		b.flights[k] = mine[len(mine)-1]
	}
	return mine, theirs
}

// fly performs the caller's own flights, and waits for those of others.
func (b *blocks) fly(ctx context.Context, mine, theirs []*flight, ahead bool) error {
	var wg sync.WaitGroup
	for i, f := range mine {
		if i == len(mine)-1 {
			b.fetch(ctx, f, ahead)
			break
		}
		wg.Go(func() { b.fetch(ctx, f, ahead) })
	}
	wg.Wait()
	var err error
	for _, f := range mine {
		err = errors.Join(err, f.err)
		b.leave(f)
	}
	for _, f := range theirs {
		b.stats.shared.Add(1)
		select {
		case <-f.done:
			// What ended the other one is no reason of ours: claim again.
			if f.err != nil && !errors.Is(f.err, context.Canceled) && !errors.Is(f.err, context.DeadlineExceeded) {
				err = errors.Join(err, f.err)
			}
		case <-ctx.Done():
			err = errors.Join(err, ctx.Err())
		}
		b.leave(f)
	}
	return err
}

// leave ends a caller's interest in a flight.
func (b *blocks) leave(f *flight) {
	b.mu.Lock()
	f.waiters--
	var c *chunk
	if f.waiters == 0 {
		c = f.chunk
	}
	b.mu.Unlock()
	if c != nil {
		c.Release()
	}
}

// fetch performs one flight.
func (b *blocks) fetch(ctx context.Context, f *flight, ahead bool) {
	data, err := b.whenItsTurn(ctx, f, ahead)
	var c *chunk
	if err == nil {
		c = &chunk{object: f.object, first: f.first, data: data, blocks: b}
		c.refs.Store(2) // the cache and the flight
		c.unread.Store(ahead)
	}
	b.mu.Lock()
	for i := range f.n {
		if k := (blockKey{f.object, f.first + i}); b.flights[k] == f {
			delete(b.flights, k)
		}
	}
	f.chunk, f.err = c, err
	if c != nil {
		for i := range c.count() {
			b.where[blockKey{c.object, c.first + i}] = c
		}
		b.cached.set(blockKey{c.object, c.first}, c, int64(cap(c.data)))
	}
	b.mu.Unlock()
	close(f.done)
}

// whenItsTurn performs the GET of a flight. One that reads ahead has another turn, until
// somebody needs what it is to bring (R5).
func (b *blocks) whenItsTurn(ctx context.Context, f *flight, ahead bool) ([]byte, error) {
	if ahead {
		select {
		case b.ahead <- struct{}{}:
			defer func() { <-b.ahead }()
			return b.request(ctx, f.object, f.first, f.n)
		case <-f.needed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return b.download(ctx, f.object, f.first, f.n)
}

// download performs one GET that somebody waits for.
func (b *blocks) download(ctx context.Context, object catalog.ObjectRef, first, n int64) ([]byte, error) {
	select {
	case b.now <- struct{}{}:
		defer func() { <-b.now }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return b.request(ctx, object, first, n)
}

// request performs one GET, in the caller's turn.
func (b *blocks) request(ctx context.Context, object catalog.ObjectRef, first, n int64) ([]byte, error) {
	buf := b.buffer(n)
	b.stats.gets.Add(1)
	data, err := b.store.Get(ctx, object.Name(), cold.Range{Offset: first * blockSize, Length: n * blockSize}, buf)
	if err != nil {
		b.recycle(buf)
		if errors.Is(err, cold.ErrRange) {
			return nil, fmt.Errorf("%w: %s ends before byte %d: %w", ErrDamaged, object, first*blockSize, err)
		}
		return nil, err
	}
	b.stats.fetched.Add(int64(len(data)))
	if len(data) == 0 || int64(len(data)) > n*blockSize {
		b.recycle(data)
		return nil, fmt.Errorf("%w: %s gave %d bytes for %d", ErrDamaged, object, len(data), n*blockSize)
	}
	if len(data) < cap(data)/2 {
		// Most WAL objects are small: they shall not fill the cache with air.
		small := bytes.Clone(data)
		b.recycle(data)
		return small, nil
	}
	return data, nil
}

// alone fetches without the cache.
func (b *blocks) alone(ctx context.Context, object catalog.ObjectRef, first, last, end int64) (stretch, error) {
	s := stretch{fetched: true}
	for at := first; at <= last; at += mostBlocks {
		data, err := b.download(ctx, object, at, min(mostBlocks, last-at+1))
		if err != nil {
			s.release()
			return s, err
		}
		c := &chunk{object: object, first: at, data: data, blocks: b}
		c.refs.Store(1)
		s.chunks = append(s.chunks, c)
	}
	if at := s.upto(); at < end {
		s.release()
		return s, fmt.Errorf("%w: %s ends at byte %d, before byte %d", ErrDamaged, object, at, end)
	}
	return s, nil
}

// spread reports whether a result that refers to so many bytes keeps more than these, in
// chunks that it shares with few others, while more is lent than the cache is to hold.
func (b *blocks) spread(held []held, bytes int) bool {
	if b.lent.Load() <= b.cached.budget {
		return false
	}
	var kept int64
	for _, h := range held {
		if l, ok := h.(*loan); ok {
			kept += int64(cap(l.data)) / int64(l.loans.Load()) // it is one of them
		}
	}
	return kept > int64(bytes)
}

// held is how many bytes the cache holds.
func (b *blocks) held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cached.used
}

// forget drops what is cached of [pos, pos+n) of an object.
func (b *blocks) forget(object catalog.ObjectRef, pos, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for at := pos / blockSize; at <= (pos+n-1)/blockSize; at++ {
		if c := b.where[blockKey{object, at}]; c != nil {
			b.cached.del(blockKey{object, c.first})
		}
	}
}

// buffer returns an empty buffer with room for n blocks.
func (b *blocks) buffer(n int64) []byte {
	if p, ok := b.pools[n].Get().(*[]byte); ok {
		return (*p)[:0]
	}
	return make([]byte, 0, n*blockSize)
}

func (b *blocks) recycle(buf []byte) {
	if n := cap(buf) / blockSize; n > 0 && n <= mostBlocks && cap(buf)%blockSize == 0 {
		b.pools[n].Put(&buf)
	}
}
