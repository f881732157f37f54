package tier

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/hot"
	"github.com/firnlog/firn/tier/object"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

func part(i int) record.Partition {
	return record.Partition{Topic: record.TopicID{15: byte(i)}, Index: int32(i)}
}

// batch makes a batch of n records from base on, of at least size bytes. The
// timestamp of the record at an offset is stamp(offset).
func batch(t testing.TB, p record.Partition, base int64, n, size int) []byte {
	t.Helper()
	var b record.Builder
	b.Start(base)
	r := rand.New(rand.NewPCG(uint64(p.Index), uint64(base)))
	for i := range n {
		v := make([]byte, max(8, size/n))
		for j := 0; j+8 <= len(v); j += 8 {
			binary.BigEndian.PutUint64(v[j:], r.Uint64())
		}
		b.Add(stamp(base+int64(i)), nil, v)
	}
	out, err := b.Build()
	require.NoError(t, err)
	record.Rebase(out, base, 5)
	return out
}

// stamp is a clock that does not go straight: the last of ten records is the newest.
func stamp(offset int64) int64 { return 1_000_000 + offset*10 + offset%10*7 }

// world is a bucket, a catalog of one partition per number, and what was written.
type world struct {
	t     testing.TB
	store *shaky
	parts map[record.Partition]*catalog.Partition
	bytes map[record.Partition]map[int64][]byte // batch by base offset
	slot  uint64
	mu    sync.Mutex
}

func newWorld(t testing.TB) *world {
	return &world{
		t: t, store: &shaky{Store: mem.New()},
		parts: map[record.Partition]*catalog.Partition{}, bytes: map[record.Partition]map[int64][]byte{},
	}
}

// write puts an object with one run of batches for each partition: n batches of
// ten records.
func (w *world) write(n, size int, parts ...record.Partition) catalog.ObjectRef {
	w.t.Helper()
	ref := catalog.WAL(1, w.slot)
	w.slot++
	w.put(ref, n, size, parts...)
	return ref
}

func (w *world) put(ref catalog.ObjectRef, n, size int, parts ...record.Partition) {
	w.t.Helper()
	var buf bytes.Buffer
	e := object.NewEncoder(object.Header{Kind: object.WAL, Session: ref.A, Slot: ref.B}, 0, &buf)
	slices.SortFunc(parts, record.Partition.Compare)
	for _, p := range parts {
		c := w.parts[p]
		if c == nil {
			c = &catalog.Partition{ID: p, Epoch: 5}
			w.parts[p], w.bytes[p] = c, map[int64][]byte{}
		}
		next := c.Next
		e.Begin(p, 5, next)
		for range n {
			b := batch(w.t, p, next, 10, size)
			h, err := record.ParseHeader(b)
			require.NoError(w.t, err)
			e.Append(h, b)
			w.bytes[p][next] = b
			next = h.NextOffset()
		}
	}
	runs, err := e.Finish()
	require.NoError(w.t, err)
	require.NoError(w.t, w.store.PutIfAbsent(ctx, ref.Name(), cold.Bytes(buf.Bytes())))
	for _, r := range runs {
		c := w.parts[r.Partition]
		x := catalog.Extent{Base: r.Base, Next: r.Next, Epoch: r.Epoch, Object: ref, Pos: r.Pos, Len: r.Len, MaxTimestamp: r.MaxTimestamp, CRC: r.CRC, Records: r.Records}
		c.Extents = append(slices.Clip(c.Extents), x)
		c.Next = r.Next
	}
}

// Extents implements Locator.
func (w *world) Extents(p record.Partition, offset int64) (Place, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.parts[p]
	if c == nil {
		return Place{}, false
	}
	return In(c, offset)
}

func (w *world) reader(o ReaderOptions) *Reader {
	o.Store = w.store
	if o.Locator == nil {
		o.Locator = w
	}
	return NewReader(o)
}

// check holds a result against what was written.
func (w *world) check(p record.Partition, offset int64, b *Batches) {
	w.t.Helper()
	at := b.Base
	require.LessOrEqual(w.t, at, offset)
	for _, v := range b.Views {
		for len(v) > 0 {
			want := w.bytes[p][at]
			require.NotNil(w.t, want, "offset %d", at)
			require.GreaterOrEqual(w.t, len(v), len(want))
			require.True(w.t, bytes.Equal(want, v[:len(want)]), "offset %d", at)
			v, at = v[len(want):], at+10
		}
	}
	require.Equal(w.t, b.Next, at)
	require.Greater(w.t, b.Next, offset)
}

// all reads a partition from an offset to its end.
func (w *world) all(r *Reader, p record.Partition, from int64, maxBytes int) (reads int) {
	w.t.Helper()
	for at := from; at < w.parts[p].Next; reads++ {
		b, err := r.Read(ctx, p, at, w.parts[p].Next, maxBytes)
		require.NoError(w.t, err)
		w.check(p, at, &b)
		at = b.Next
		b.Release()
	}
	return reads
}

// shaky is a store that misbehaves when told to.
type shaky struct {
	*mem.Store
	gets   atomic.Int64
	before func(name string, r cold.Range) error
	after  func(name string, r cold.Range, b []byte) []byte
}

func (s *shaky) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	s.gets.Add(1)
	if s.before != nil {
		if err := s.before(name, r); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b, err := s.Store.Get(ctx, name, r, buf)
	if err == nil && s.after != nil {
		b = s.after(name, r, b)
	}
	return b, err
}

func TestReadFromBucket(t *testing.T) {
	w, p := newWorld(t), part(1)
	for _, size := range []int{300, 90_000, 700, 4_000} {
		for range 4 {
			w.write(30, size, p, part(2), part(3))
		}
	}
	for _, maxBytes := range []int{1, 50_000, 3 << 20, 100 << 20} {
		r := w.reader(ReaderOptions{})
		w.all(r, p, 0, maxBytes)
		w.all(r, part(2), 605, maxBytes)
	}
	r := w.reader(ReaderOptions{})
	b, err := r.Read(ctx, p, 0, w.parts[p].Next, 1)
	require.NoError(t, err)
	require.Equal(t, int64(10), b.Next, "one batch, although it is larger than asked for (KIP-74)")
	b.Release()
	b.Release()
	b, err = r.Read(ctx, p, 0, 25, 1<<20)
	require.NoError(t, err)
	require.Equal(t, int64(20), b.Next, "R1: the batch [20, 29] ends behind upto")
	b.Release()
	b, err = r.Read(ctx, p, 20, 25, 1<<20)
	require.NoError(t, err)
	require.Empty(t, b.Views)
	b, err = r.Read(ctx, p, 25, 25, 1<<20)
	require.NoError(t, err)
	require.Empty(t, b.Views)
	_, err = r.Read(ctx, part(9), 0, 1, 1)
	require.ErrorIs(t, err, ErrNowhere)
}

func TestNeighbouringRunsShareBlocks(t *testing.T) {
	w := newWorld(t)
	var parts []record.Partition
	for i := range 100 {
		parts = append(parts, part(i))
	}
	w.write(3, 1000, parts...)
	r := w.reader(ReaderOptions{})
	for _, p := range parts {
		w.all(r, p, 0, 1<<20)
	}
	require.Equal(t, int64(1), w.store.gets.Load(), "100 partitions, one GET")
}

func TestOneGetForManyWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newWorld(t), part(1)
		w.write(50, 1000, p)
		w.store.before = func(string, cold.Range) error { time.Sleep(time.Second); return nil }
		r := w.reader(ReaderOptions{})
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { w.all(r, p, 0, 1<<20) })
		}
		wg.Wait()
		require.Equal(t, int64(1), w.store.gets.Load())
		require.Equal(t, int64(19), r.Stats().Shared)
	})
}

func TestStatsTellWhichTierAnswered(t *testing.T) {
	const size = 1000
	w, p := newWorld(t), part(1)
	w.write(50, size, p)
	tail := NewTail(0)
	w.fill(tail, p, 400, 500)
	r := w.reader(ReaderOptions{Tail: tail})
	read := func(from, to int64) int64 {
		b, err := r.Read(ctx, p, from, to, 1<<20)
		require.NoError(t, err)
		defer b.Release()
		return b.FromBucket()
	}
	require.Positive(t, read(0, 100), "from the bucket")
	require.Positive(t, read(100, 200), "from the blocks that the first read brought")
	require.Zero(t, read(450, 500), "from the tail")
	s := r.Stats()
	require.Equal(t, []int64{1, 2, 1, 1}, []int64{s.TailHits, s.TailMisses, s.BlockHits, s.BlockMisses})
	require.Positive(t, s.BlockBytes)
}

func TestWaiterOutlivesTheOneWhoAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newWorld(t), part(1)
		w.write(50, 1000, p)
		w.store.before = func(string, cold.Range) error { time.Sleep(time.Second); return nil }
		r := w.reader(ReaderOptions{})
		short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := r.Read(short, p, 0, 500, 1)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
		synctest.Wait()
		wg.Go(func() { w.all(r, p, 0, 1<<20) })
		wg.Wait()
	})
}

func TestReadEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newWorld(t), part(1)
		w.write(50, 1000, p)
		w.store.before = func(string, cold.Range) error { time.Sleep(time.Second); return nil }
		r := w.reader(ReaderOptions{Parallel: 1})
		go func() { w.all(r, p, 0, 1<<20) }()
		synctest.Wait()
		short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := r.Read(short, p, 100, 500, 1)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 500*time.Millisecond, time.Since(began))
		time.Sleep(2 * time.Second)
	})
}

// TestDamageIsFetchedOnceMoreAndNeverServed is row 19 of the fault matrix (R2).
func TestDamageIsFetchedOnceMoreAndNeverServed(t *testing.T) {
	w, p := newWorld(t), part(1)
	w.write(20, 3000, p)
	ref := w.write(20, 3000, p)
	other := w.write(20, 3000, p)
	stale, err := w.store.Store.Get(ctx, other.Name(), cold.Whole, nil)
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(1, 2))
	faults := map[string]func(b []byte) []byte{
		"flipped":   func(b []byte) []byte { b[64+r.IntN(20*3000)] ^= 1 << r.IntN(8); return b },
		"truncated": func(b []byte) []byte { return b[:r.IntN(20*3000)] },
		"stale":     func(b []byte) []byte { return append(b[:0], stale...) },
		"empty":     func(b []byte) []byte { return b[:0] },
		"zeros":     func(b []byte) []byte { clear(b); return b },
		"too long":  func(b []byte) []byte { return append(b, make([]byte, 5<<20)...) },
	}
	for name, fault := range faults {
		for range 30 {
			times := 1
			w.store.after = func(n string, _ cold.Range, b []byte) []byte {
				if n == ref.Name() && times > 0 {
					times--
					return fault(b)
				}
				return b
			}
			reader := w.reader(ReaderOptions{})
			w.all(reader, p, 200, 1<<20)
			require.Equal(t, int64(1), reader.Stats().Damaged, name)

			times = 1000
			reader = w.reader(ReaderOptions{})
			// What lies before the damage may be served, what is damaged not.
			for at := int64(200); ; {
				b, err := reader.Read(ctx, p, at, 600, 1<<20)
				if err != nil {
					require.ErrorIs(t, err, ErrDamaged, name)
					require.ErrorContains(t, err, ref.Name(), name)
					break
				}
				w.check(p, at, &b)
				at = b.Next
				b.Release()
				if at >= 400 {
					break // the fault hit the footer, or was somebody else's luck
				}
			}
		}
	}
}

// TestDamageEndsTheRead is for damage that leaves no batch to be looked at: the read
// fails, and does not ask for the same bytes for ever.
func TestDamageEndsTheRead(t *testing.T) {
	w, p := newWorld(t), part(1)
	ref := w.write(3, 64, p)
	size := w.parts[p].Extents[0].Len / 3
	for left := range int64(record.Overhead) { // of the run, behind the batch whose length is wrong
		w.store.after = func(_ string, _ cold.Range, b []byte) []byte {
			binary.BigEndian.PutUint32(b[64+8:], uint32(3*size-left-record.Overhead))
			return b
		}
		_, err := w.reader(ReaderOptions{}).Read(ctx, p, 20, 30, 1)
		require.ErrorIs(t, err, ErrDamaged, "%d bytes are left of the run in %s", left, ref)
	}

	w, p = newWorld(t), part(1)
	ref = w.write(60, 100_000, p)
	w.store.after = func(_ string, r cold.Range, b []byte) []byte {
		if r.Offset == 0 {
			return b[:2_500_000] // of 4 MiB, and another GET brings what is behind them
		}
		return b
	}
	reader := w.reader(ReaderOptions{})
	for at := int64(0); at < 600; {
		b, err := reader.Read(ctx, p, at, 600, 6<<20)
		if err != nil {
			require.ErrorIs(t, err, ErrDamaged, ref.Name())
			return
		}
		w.check(p, at, &b)
		at = b.Next
		b.Release()
	}
	t.Fatal("all of it was served")
}

func TestADamagedLengthTakesNoMemory(t *testing.T) {
	w, p := newWorld(t), part(1)
	ref := w.write(200, 100_000, p) // 20 MB
	w.write(1, 9<<20, p)
	w.store.after = func(name string, r cold.Range, b []byte) []byte {
		if name == ref.Name() && r.Offset == 0 {
			binary.BigEndian.PutUint32(b[64+8:], 19_000_000)
		}
		return b
	}
	r := w.reader(ReaderOptions{})
	_, err := r.Read(ctx, p, 0, 2000, 1)
	require.ErrorIs(t, err, ErrDamaged)
	require.Less(t, r.Stats().Fetched, int64(4<<20))
	w.all(r, p, 2000, 1) // a batch that large
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	w, p := newWorld(t), part(1)
	ref := w.write(3, 64, p)
	size := w.parts[p].Extents[0].Len / 3
	r := w.reader(ReaderOptions{})
	for bit := range size * 8 { // of the batch in the middle
		w.store.after = func(_ string, _ cold.Range, b []byte) []byte { b[64+size+bit/8] ^= 1 << (bit % 8); return b }
		_, err := r.Read(ctx, p, 10, 20, 1)
		require.ErrorIs(t, err, ErrDamaged, "bit %d of %s", bit, ref)
		r.blocks.forget(ref, 0, 1)
	}
}

func TestObjectThatIsGoneIsLookedUpAgain(t *testing.T) { // R4
	w, p := newWorld(t), part(1)
	old := w.write(20, 1000, p)
	moved := false
	r := w.reader(ReaderOptions{Locator: locator(func(q record.Partition, offset int64) (Place, bool) {
		if moved {
			return w.Extents(q, offset)
		}
		// The catalog as it was before compaction.
		place, ok := w.Extents(q, offset)
		x := place.Extents[0]
		x.Object = catalog.Seg(3, 1)
		moved = true
		return Place{Extents: []catalog.Extent{x}}, ok
	})})
	w.all(r, p, 0, 1<<20)
	require.Equal(t, int64(1), r.Stats().Again)

	require.NoError(t, w.store.Delete(ctx, old.Name()))
	_, err := w.reader(ReaderOptions{}).Read(ctx, p, 0, 10, 1)
	require.ErrorIs(t, err, ErrGone)
	require.ErrorIs(t, err, cold.ErrNotFound)
}

type locator func(p record.Partition, offset int64) (Place, bool)

func (f locator) Extents(p record.Partition, offset int64) (Place, bool) { return f(p, offset) }

func TestLargeRunIsEnteredByItsIndex(t *testing.T) {
	w, p := newWorld(t), part(1)
	w.put(catalog.Seg(2, 0), 900, 20_000, p) // 18 MB
	r := w.reader(ReaderOptions{})
	for _, at := range []int64{8995, 4503, 17, 8995} {
		b, err := r.Read(ctx, p, at, 9000, 1)
		require.NoError(t, err)
		w.check(p, at, &b)
		b.Release()
	}
	require.Equal(t, int64(4), w.store.gets.Load(), "the footer, and one GET for each place")
	require.LessOrEqual(t, r.Stats().Fetched, int64(7<<20))
}

func TestPressedExtentsAreReadThroughTheIndexObject(t *testing.T) {
	w, p := newWorld(t), part(1)
	for range 6 {
		w.write(10, 500, p)
	}
	c := w.parts[p]
	old := c.Extents[:4]
	ref := catalog.Index(9, 0)
	require.NoError(t, w.store.PutIfAbsent(ctx, ref.Name(), cold.Bytes(object.EncodeIndex(9, 0, [16]byte{}, 0, catalog.EncodeExtents(old)))))
	c.Index = []catalog.IndexRef{{Base: 0, Next: 400, Object: ref, Extents: 4, MaxTimestamp: old[3].MaxTimestamp}}
	c.Extents = c.Extents[4:]
	r := w.reader(ReaderOptions{})
	w.all(r, p, 0, 1<<20)
	w.all(r, p, 0, 1)
	require.Equal(t, int64(7), w.store.gets.Load())

	times := 1
	w.store.after = func(n string, _ cold.Range, b []byte) []byte {
		if n == ref.Name() && times > 0 {
			times--
			b[100] ^= 1
		}
		return b
	}
	w.all(w.reader(ReaderOptions{}), p, 0, 1<<20)
	times = 1000
	_, err := w.reader(ReaderOptions{}).Read(ctx, p, 0, 10, 1)
	require.Error(t, err, "an index that is damaged twice")
}

// An index object in another one's place lists records of another partition, each of which
// is whole.
func TestAnIndexObjectInAnothersPlaceIsDamage(t *testing.T) {
	w, p, q := newWorld(t), part(1), part(2)
	w.write(10, 500, p)
	w.write(10, 500, q)
	ref := catalog.Index(9, 0)
	others := object.EncodeIndex(9, 1, [16]byte{}, 0, catalog.EncodeExtents(w.parts[q].Extents))
	require.NoError(t, w.store.PutIfAbsent(ctx, ref.Name(), cold.Bytes(others)))
	w.parts[p].Index = []catalog.IndexRef{{Base: 0, Next: 100, Object: ref, Extents: 1}}
	w.parts[p].Extents = nil
	_, err := w.reader(ReaderOptions{}).Read(ctx, p, 0, 10, 1)
	require.ErrorIs(t, err, ErrDamaged)
}

func TestReadAheadHidesTheBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newWorld(t), part(1)
		for range 4 {
			w.put(catalog.Seg(2, w.slot), 400, 20_000, p) // 8 MB each
			w.slot++
		}
		w.store.before = func(string, cold.Range) error { time.Sleep(50 * time.Millisecond); return nil }
		read := func(run bool) time.Duration {
			r := w.reader(ReaderOptions{})
			c, cancel := context.WithCancel(ctx)
			done := make(chan error)
			go func() {
				if !run {
					<-c.Done()
					done <- nil
					return
				}
				done <- r.Run(c)
			}()
			began := time.Now()
			for at := int64(0); at < w.parts[p].Next; {
				b, err := r.Read(ctx, p, at, w.parts[p].Next, 1<<20)
				require.NoError(t, err)
				w.check(p, at, &b)
				at = b.Next
				b.Release()
				time.Sleep(10 * time.Millisecond) // 100 MB/s
			}
			took := time.Since(began)
			cancel()
			require.NoError(t, <-done)
			if run {
				require.Zero(t, r.Stats().Wasted)
			}
			require.LessOrEqual(t, r.Stats().Fetched, int64(34<<20), "nothing is fetched twice")
			return took
		}
		slow, fast := read(false), read(true)
		t.Logf("32 MB at 100 MB/s and 50 ms a GET: %v bare, %v with read-ahead", slow, fast)
		require.Less(t, fast, slow/2)
		require.Less(t, fast, 600*time.Millisecond)
	})
}

func TestReadAheadHasItsOwnLimit(t *testing.T) { // R5
	synctest.Test(t, func(t *testing.T) {
		w, p, q := newWorld(t), part(1), part(2)
		w.put(catalog.Seg(2, 0), 1000, 20_000, p)
		w.put(catalog.Seg(2, 1), 10, 1000, q)
		hang := make(chan struct{})
		r := w.reader(ReaderOptions{Parallel: 1})
		c, cancel := context.WithCancel(ctx)
		done := make(chan error)
		go func() { done <- r.Run(c) }()
		b, err := r.Read(ctx, p, 0, 10_000, 1<<20)
		require.NoError(t, err)
		next := b.Next
		b.Release()
		w.store.before = func(name string, _ cold.Range) error {
			if name == catalog.Seg(2, 0).Name() {
				<-hang
			}
			return nil
		}
		b, err = r.Read(ctx, p, next, next+10, 1)
		if err == nil {
			b.Release()
		}
		synctest.Wait() // reading ahead hangs
		w.all(r, q, 0, 1<<20)
		close(hang)
		cancel()
		require.NoError(t, <-done)
	})
}

type frame struct {
	refs atomic.Int32
	data []byte
}

func (f *frame) Retain() { f.refs.Add(1) }
func (f *frame) Release() {
	if f.refs.Add(-1) == 0 {
		clear(f.data) // whoever still reads it sees it
	}
}

func (w *world) fill(tail *Tail, p record.Partition, from, to int64) {
	for at := from; at < to; at += 10 {
		data := bytes.Clone(w.bytes[p][at])
		f := &frame{data: data}
		f.Retain()
		tail.Add(p, []Batch{{Base: at, Next: at + 10, Epoch: 5, Bytes: data, Frame: f}})
		f.Release()
	}
}

func TestTailServesWhatItHolds(t *testing.T) {
	w, p, q := newWorld(t), part(1), part(2)
	w.write(100, 1000, p, q)
	size := int64(len(w.bytes[p][0]))
	tail := NewTail(20 * size)
	w.fill(tail, p, 0, 1000)
	from, to := tail.Span(p)
	require.Equal(t, int64(1000), to)
	require.Greater(t, from, int64(700), "the oldest went")
	require.LessOrEqual(t, tail.Bytes(), 20*size+1)
	r := w.reader(ReaderOptions{Tail: tail})
	w.all(r, p, from, 1<<20)
	w.all(r, p, from+3, 1)
	require.Zero(t, w.store.gets.Load())
	w.all(r, p, 0, 1<<20)
	require.Positive(t, w.store.gets.Load())

	held, err := r.Read(ctx, p, from, 1000, 1<<20)
	require.NoError(t, err)
	w.fill(tail, q, 0, 1000) // evicts all of p
	_, to = tail.Span(p)
	require.Zero(t, to)
	w.check(p, from, &held) // R3
	held.Release()

	w.fill(tail, q, 500, 520) // a gap: the tail begins anew
	from, to = tail.Span(q)
	require.Equal(t, []int64{500, 520}, []int64{from, to})
	tail.Forget(q)
	require.Zero(t, tail.Bytes())
	w.fill(tail, p, 0, 1000)
	w.fill(tail, q, 0, 1000)
	require.LessOrEqual(t, tail.Bytes(), 20*size+1, "the places of what was forgotten are skipped")
}

func TestTailReadsDuringEviction(t *testing.T) {
	w, p := newWorld(t), part(1)
	w.write(300, 500, p)
	tail := NewTail(20 << 10)
	r := w.reader(ReaderOptions{Tail: tail})
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				from, to := tail.Span(p)
				if to == 0 {
					continue
				}
				var b Batches
				tail.read(&b, p, from, to, 1<<20)
				if len(b.Views) > 0 {
					w.check(p, from, &b)
				}
				b.Release()
			}
		})
	}
	for range 5 {
		w.fill(tail, p, 0, 3000)
	}
	close(stop)
	wg.Wait()
	_ = r
}

func TestReadGoesOnAcrossSources(t *testing.T) {
	w, p := newWorld(t), part(1)
	for range 6 {
		w.write(10, 1000, p)
	}
	h, err := hot.Open(ctx, t.TempDir(), hot.Options{GenerationBytes: 1 << 20})
	require.NoError(t, err)
	defer h.Close(ctx)
	require.NoError(t, h.StartSession(hot.Session{ID: 1}, 2))
	for slot := uint64(2); slot < 6; slot++ {
		var entries []hot.Entry
		for at := int64(slot) * 100; at < int64(slot+1)*100; at += 10 {
			entries = append(entries, hot.Entry{Partition: p, Base: at, Last: at + 9, Epoch: 5, Value: w.bytes[p][at]})
		}
		require.NoError(t, h.Append(hot.Slot{Session: 1, Seq: slot}, entries))
	}
	tail := NewTail(0)
	w.fill(tail, p, 400, 600)
	r := w.reader(ReaderOptions{Tail: tail, Hot: h})
	b, err := r.Read(ctx, p, 250, 600, 1<<20)
	require.NoError(t, err)
	w.check(p, 250, &b)
	require.Equal(t, int64(600), b.Next, "hot tier, then tail")
	require.Positive(t, b.From(FromHot))
	require.Positive(t, b.From(FromTail))
	b.Release()
	require.Zero(t, w.store.gets.Load())
	w.all(r, p, 0, 1<<20)
	require.Equal(t, int64(2), w.store.gets.Load())
	s := r.Stats()
	require.Positive(t, min(s.Tail, s.Hot, s.Bucket))
}

// What a fence cut off lies in the hot tier at offsets that others have written since. It
// is not served, though nobody has told the hot tier of the fence yet.
func TestNothingOfAnotherEpochIsServed(t *testing.T) { // P3
	w, p := newWorld(t), part(1)
	for range 6 {
		w.write(10, 1000, p)
	}
	h, err := hot.Open(ctx, t.TempDir(), hot.Options{GenerationBytes: 1 << 20})
	require.NoError(t, err)
	defer h.Close(ctx)
	require.NoError(t, h.StartSession(hot.Session{ID: 1}, 0))
	for slot := range uint64(6) {
		var entries []hot.Entry
		for at := int64(slot) * 100; at < int64(slot+1)*100; at += 10 {
			e := hot.Entry{Partition: p, Base: at, Last: at + 9, Epoch: 5, Value: w.bytes[p][at]}
			if slot >= 3 {
				e.Value = []byte("acknowledged with acks=1 at most")
			}
			entries = append(entries, e)
		}
		require.NoError(t, h.Append(hot.Slot{Session: 1, Seq: slot}, entries))
	}
	r := w.reader(ReaderOptions{Hot: h, Epoch: func(_ record.Partition, offset int64) (int32, int64, bool) {
		switch {
		case offset < 100:
			return 0, 100, false
		case offset < 300:
			return 5, 300, true
		}
		return 6, math.MaxInt64, true
	}})
	w.all(r, p, 0, 1<<20)
	require.Positive(t, r.Stats().Hot)
	require.Positive(t, r.Stats().Bucket)
	b, err := r.Read(ctx, p, 350, 600, 1<<20)
	require.NoError(t, err)
	w.check(p, 350, &b)
	require.Zero(t, b.From(FromHot))
	b.Release()
}

func TestBatchThatReachesIntoTheTailIsServed(t *testing.T) {
	w, p := newWorld(t), part(1)
	w.write(10, 1000, p)
	tail := NewTail(0)
	tail.Add(p, []Batch{{Base: 15, Next: 20, Bytes: []byte("part of a batch that compaction has joined")}})
	b, err := w.reader(ReaderOptions{Tail: tail}).Read(ctx, p, 10, 100, 1)
	require.NoError(t, err)
	w.check(p, 10, &b)
	b.Release()
}

func TestFirstRecordAtATime(t *testing.T) {
	w, p := newWorld(t), part(1)
	w.put(catalog.Seg(2, 0), 300, 20_000, p) // large: by index
	for range 5 {
		w.write(10, 300, p)
	}
	end := w.parts[p].Next
	r := w.reader(ReaderOptions{})
	want := func(from, upto, t int64) (int64, bool) {
		for o := from; o < upto; o++ {
			if stamp(o) >= t {
				return o, true
			}
		}
		return 0, false
	}
	for _, at := range []int64{0, stamp(0), stamp(3), stamp(9), stamp(9) + 1, stamp(1500), stamp(2999), stamp(3000), stamp(3499), stamp(3499) + 1} {
		for _, from := range []int64{0, 4, 2000, 3010} {
			for _, upto := range []int64{end, end - 20, 1000} {
				got, ok, err := r.FirstAt(ctx, p, from, upto, at)
				require.NoError(t, err)
				o, found := want(from, upto, at)
				require.Equal(t, found, ok, "time %d in [%d, %d)", at, from, upto)
				if ok {
					require.Equal(t, Found{o, stamp(o)}, got, "time %d in [%d, %d)", at, from, upto)
				}
			}
		}
	}
	_, _, err := r.FirstAt(ctx, part(7), 0, 1, 0)
	require.ErrorIs(t, err, ErrNowhere)
}

func TestRecordWithTheLargestTime(t *testing.T) {
	w, p := newWorld(t), part(1)
	w.put(catalog.Seg(2, 0), 200, 20_000, p)
	for range 3 {
		w.write(10, 300, p)
	}
	end := w.parts[p].Next
	r := w.reader(ReaderOptions{})
	for _, span := range [][2]int64{{0, end}, {0, 2000}, {0, 1010}, {5, 1000}, {2000, 2100}, {2010, end - 10}} {
		got, ok, err := r.MaxAt(ctx, p, span[0], span[1])
		require.NoError(t, err)
		require.True(t, ok)
		best := span[0]
		for o := span[0]; o < span[1]; o++ {
			if stamp(o) > stamp(best) {
				best = o
			}
		}
		require.Equal(t, Found{best, stamp(best)}, got, "%v", span)
	}
	_, ok, err := r.MaxAt(ctx, p, end, end)
	require.NoError(t, err)
	require.False(t, ok)

	before := w.store.gets.Load()
	_, _, err = r.MaxAt(ctx, p, 0, end)
	require.NoError(t, err)
	require.Equal(t, before, w.store.gets.Load(), "by what is cached")
}

func TestTheFirstRecordWithTheLargestTimeIsFoundBehindAnIndexLine(t *testing.T) {
	w, p := newWorld(t), part(1)
	for range 3 {
		w.write(1, 100, p)
	}
	c := w.parts[p]
	for i := range c.Extents { // equal, as of a producer that sets them
		x := &c.Extents[i]
		data, err := w.store.Store.Get(ctx, x.Object.Name(), cold.Range{Offset: x.Pos, Length: x.Len}, nil)
		require.NoError(t, err)
		record.StampLogAppendTime(data, 42)
		require.NoError(t, w.store.Delete(ctx, x.Object.Name()))
		require.NoError(t, w.store.PutIfAbsent(ctx, x.Object.Name(), cold.Bytes(make([]byte, x.Pos), data)))
		x.MaxTimestamp = 42
	}
	ref := catalog.Index(9, 0)
	require.NoError(t, w.store.PutIfAbsent(ctx, ref.Name(), cold.Bytes(object.EncodeIndex(9, 0, [16]byte{}, 0, catalog.EncodeExtents(c.Extents[:2])))))
	c.Index = []catalog.IndexRef{{Base: 0, Next: 20, Object: ref, Extents: 2, MaxTimestamp: 42}}
	c.Extents = c.Extents[2:]
	got, ok, err := w.reader(ReaderOptions{}).MaxAt(ctx, p, 0, 30)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, Found{0, 42}, got)
}

func TestPlan(t *testing.T) {
	x := []catalog.Extent{{Base: 0, Next: 10, Len: 100}, {Base: 10, Next: 20, Len: 50}, {Base: 20, Next: 30, Len: 1000}, {Base: 40, Next: 50, Len: 10}}
	show := func(ps []piece) (s string) {
		for _, p := range ps {
			s += fmt.Sprintf("[%d: %d+%d]", p.base, p.pos, p.n)
		}
		return s
	}
	require.Equal(t, "[5: 60+40][10: 0+50][20: 0+110]", show(plan(x, 5, 60, 200, 10)))
	require.Equal(t, "[0: 0+1]", show(plan(x, 0, 0, 1, 10)))
	require.Equal(t, "[0: 0+100][10: 0+50]", show(plan(x, 0, 0, 5000, 2)))
	require.Equal(t, "[0: 0+100][10: 0+50][20: 0+1000]", show(plan(x, 0, 0, 5000, 9)), "not across a gap")
	require.Equal(t, "", show(plan(nil, 0, 0, 5000, 9)))
}

func BenchmarkRead(b *testing.B) {
	w, p := newWorld(b), part(1)
	for range 4 {
		w.put(catalog.Seg(2, w.slot), 500, 16<<10, p)
		w.slot++
	}
	end := w.parts[p].Next
	run := func(name string, r *Reader, from int64) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var n int64
			at := from
			for b.Loop() {
				got, err := r.Read(ctx, p, at, end, 1<<20)
				if err != nil {
					b.Fatal(err)
				}
				n += int64(got.Bytes)
				if at = got.Next; at >= end {
					at = from
				}
				got.Release()
			}
			b.SetBytes(n / int64(b.N))
		})
	}
	tail := NewTail(256 << 20)
	w.fill(tail, p, 0, end)
	run("tail", w.reader(ReaderOptions{Tail: tail}), 0)
	run("blocks", w.reader(ReaderOptions{BlockBytes: 256 << 20}), 0)
	run("bucket", w.reader(ReaderOptions{BlockBytes: 8 << 20}), 0)
}
