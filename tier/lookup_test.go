package tier

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// putRun puts a segment of one run, of batches that were changed on the way.
func (w *world) putRun(ref catalog.ObjectRef, p record.Partition, batches [][]byte) {
	w.t.Helper()
	var buf bytes.Buffer
	e := object.NewEncoder(object.Header{Kind: object.Segment, Session: ref.A, Slot: ref.B}, 0, &buf)
	e.Begin(p, 5, 0)
	for _, b := range batches {
		h, err := record.ParseHeader(b)
		require.NoError(w.t, err)
		e.Append(h, b)
	}
	runs, err := e.Finish()
	require.NoError(w.t, err)
	require.NoError(w.t, w.store.PutIfAbsent(ctx, ref.Name(), cold.Bytes(buf.Bytes())))
	c := &catalog.Partition{ID: p, Epoch: 5, Next: runs[0].Next}
	for _, r := range runs {
		c.Extents = append(c.Extents, catalog.Extent{Base: r.Base, Next: r.Next, Epoch: r.Epoch, Object: ref, Pos: r.Pos, Len: r.Len, MaxTimestamp: r.MaxTimestamp, CRC: r.CRC, Records: r.Records})
	}
	w.parts[p] = c
}

// A header may promise a time that no record of the batch has: clients write it. The
// record with the largest time is before it, where the index says that a smaller one is.
func TestTheLargestTimeIsFoundBeforeAHeaderThatPromisesALargerOne(t *testing.T) {
	w, p := newWorld(t), part(1)
	var batches [][]byte
	for i := range int64(200) {
		b := batch(t, p, i*10, 10, 20_000)
		switch i {
		case 50: // the newest of all
			var x record.Builder
			x.Start(i * 10)
			for j := range 10 {
				x.Add(5_000_000+int64(j), nil, make([]byte, 2000))
			}
			var err error
			b, err = x.Build()
			require.NoError(t, err)
			record.Rebase(b, i*10, 5)
		case 150:
			record.StampMaxTimestamp(b, 9_000_000)
		}
		batches = append(batches, b)
	}
	w.putRun(catalog.Seg(2, 0), p, batches)
	got, ok, err := w.reader(ReaderOptions{}).MaxAt(ctx, p, 0, 2000)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, Found{509, 5_000_009}, got)
}

// Of records with equal times the first counts, also when a later run promised more than
// it had and was looked at first.
func TestTheFirstOfEqualTimesIsFoundBehindABrokenPromise(t *testing.T) {
	w, p := newWorld(t), part(1)
	for range 3 {
		w.write(1, 100, p)
	}
	for i := range w.parts[p].Extents {
		x := &w.parts[p].Extents[i]
		data, err := w.store.Store.Get(ctx, x.Object.Name(), cold.Range{Offset: x.Pos, Length: x.Len}, nil)
		require.NoError(t, err)
		record.StampLogAppendTime(data, 42)
		require.NoError(t, w.store.Delete(ctx, x.Object.Name()))
		require.NoError(t, w.store.PutIfAbsent(ctx, x.Object.Name(), cold.Bytes(make([]byte, x.Pos), data)))
		x.MaxTimestamp = 42
	}
	w.parts[p].Extents[2].MaxTimestamp = 50
	got, ok, err := w.reader(ReaderOptions{}).MaxAt(ctx, p, 0, 30)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, Found{0, 42}, got)
}

// Many lookups at once do not decompress as many batches at once: that is memory.
func TestFewBatchesAreUnpackedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p, q := newWorld(t), part(1), part(2)
		packed := func(base int64, c record.Codec) []byte {
			x := record.Builder{Codec: c}
			x.Start(base)
			for i := range int64(10) {
				x.Add(stamp(base+i), nil, make([]byte, 1000))
			}
			b, err := x.Build()
			require.NoError(t, err)
			record.Rebase(b, base, 5)
			return b
		}
		w.putRun(catalog.Seg(2, 0), p, [][]byte{packed(0, record.Zstd), packed(10, record.Zstd)})
		w.putRun(catalog.Seg(2, 1), q, [][]byte{packed(0, record.None)})
		r := w.reader(ReaderOptions{})
		for range cap(r.unpacking) {
			r.unpacking <- struct{}{} // others
		}
		_, ok, err := r.FirstAt(ctx, q, 0, 10, stamp(5))
		require.NoError(t, err)
		require.True(t, ok, "what is not compressed waits for nobody")
		done := make(chan Found, 2)
		go func() {
			f, _, err := r.FirstAt(ctx, p, 0, 20, stamp(15))
			require.NoError(t, err)
			done <- f
		}()
		go func() {
			f, _, err := r.MaxAt(ctx, p, 0, 20)
			require.NoError(t, err)
			done <- f
		}()
		synctest.Wait()
		require.Empty(t, done)
		<-r.unpacking
		synctest.Wait()
		require.ElementsMatch(t, []Found{{15, stamp(15)}, {19, stamp(19)}}, []Found{<-done, <-done})
		require.Len(t, r.unpacking, cap(r.unpacking)-1)
	})
}
