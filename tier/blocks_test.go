package tier

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/tier/cold"
)

// What waits for its turn to be read ahead, behind GETs that hang, is fetched at once
// when somebody needs it.
func TestAReaderDoesNotWaitForTheTurnOfReadingAhead(t *testing.T) { // R5
	synctest.Test(t, func(t *testing.T) {
		w, p, q := newWorld(t), part(1), part(2)
		slow, other := catalog.Seg(2, 0), catalog.Seg(2, 1)
		w.put(slow, 10, 1000, p)
		w.put(other, 10, 1000, q)
		hang := make(chan struct{})
		w.store.before = func(name string, _ cold.Range) error {
			if name == slow.Name() {
				<-hang
			}
			return nil
		}
		r := w.reader(ReaderOptions{Parallel: 1})
		done := make(chan error)
		for _, ref := range []catalog.ObjectRef{slow, other} {
			go func() {
				_, err := r.blocks.get(ctx, ref, 0, 1000, true)
				done <- err
			}()
			synctest.Wait()
		}
		w.all(r, q, 0, 1<<20)
		require.Equal(t, int64(2), w.store.gets.Load(), "one GET each")
		close(hang)
		require.NoError(t, <-done)
		require.NoError(t, <-done)
	})
}

// stuck is a store whose first answer never comes to its end.
type stuck struct {
	cold.Store
	asked atomic.Bool
}

func (s *stuck) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	if !s.asked.Swap(true) {
		<-ctx.Done()
		return buf, ctx.Err()
	}
	return s.Store.Get(ctx, name, r, buf)
}

// A GET that reads ahead and never ends keeps nobody from what it was to bring, for ever.
func TestReadingAheadEnds(t *testing.T) { // R5
	synctest.Test(t, func(t *testing.T) {
		w, p := newWorld(t), part(1)
		ref := catalog.Seg(2, 0)
		w.put(ref, 10, 1000, p)
		r := NewReader(ReaderOptions{Store: &stuck{Store: w.store}, Locator: w})
		c, cancel := context.WithCancel(ctx)
		done := make(chan error)
		go func() { done <- r.Run(c) }()
		r.wanted <- want{ref, 0, 1000}
		synctest.Wait()
		w.all(r, p, 0, 1<<20)
		cancel()
		require.NoError(t, <-done)
	})
}

// Answers that nobody takes keep about their own bytes in memory, not the chunks that
// these came in: a batch is a hundred bytes, a chunk four million.
func TestWhatIsLentOfTheCacheIsBounded(t *testing.T) {
	w, p := newWorld(t), part(1)
	w.put(catalog.Seg(2, 0), 400, 40_000, p) // 16 MB
	r := w.reader(ReaderOptions{BlockBytes: 2 << 20})
	var answers []Batches
	var bytes int64
	for at := int64(0); at < 4000; at += 100 { // another chunk after every few
		b, err := r.Read(ctx, p, at, 4000, 40_000)
		require.NoError(t, err)
		w.check(p, at, &b)
		answers, bytes = append(answers, b), bytes+int64(b.Bytes)
	}
	kept := map[*chunk]bool{}
	sum := func() (n int64) {
		clear(kept)
		for i := range answers {
			for _, h := range answers[i].held {
				if c, ok := h.(*loan); ok && !kept[(*chunk)(c)] {
					kept[(*chunk)(c)] = true
					n += int64(cap(c.data))
				}
			}
		}
		return n
	}
	n := sum()
	require.Equal(t, n, r.blocks.lent.Load())
	require.LessOrEqual(t, n, int64(2*2<<20), "%d answers of %d bytes", len(answers), bytes)
	require.NotZero(t, n, "what the cache has room for is not copied")
	for i := range answers {
		at := answers[i].Base
		w.check(p, at, &answers[i]) // R3
		answers[i].Release()
	}
	require.Zero(t, r.blocks.lent.Load())

	// Many who read the same keep it once: nothing is copied.
	first, err := r.Read(context.Background(), p, 0, 4000, 40_000)
	require.NoError(t, err)
	for range 40 {
		b, err := r.Read(ctx, p, 0, 4000, 40_000)
		require.NoError(t, err)
		require.Same(t, &first.Views[0][0], &b.Views[0][0])
		b.Release()
	}
	first.Release()
}
