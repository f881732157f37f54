package pump

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/object"
)

// idempotent sends one record of a producer.
func (r *rig) idempotent(p record.Partition, id int64, seq int32) ingest.Result {
	b := record.Builder{HasProducer: true, Template: record.Header{ProducerID: id, BaseSequence: seq}}
	b.Add(0, nil, []byte("x"))
	bytes, err := b.Build()
	require.NoError(r.t, err)
	h, err := record.ParseHeader(bytes)
	require.NoError(r.t, err)
	req := &Request{Request: ingest.Request{Acks: ingest.AcksAll, Items: []ingest.Item{{Partition: p, Batch: bytes, Header: h}}}}
	require.NoError(r.t, r.Produce(r.t.Context(), req))
	<-req.Done()
	return req.Results[0]
}

func TestProducersAreLoadedFromTheNewestSealedRunOn(t *testing.T) { // S2, kafka.md 25
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, Options{})
		for seq := range int32(3) {
			require.NoError(t, r.idempotent(part(0), 1, seq).Err)
			require.NoError(t, r.idempotent(part(0), 2, seq).Err)
		}
		require.NoError(t, r.idempotent(part(0), 3, 0).Err)
		// The sealer presses them into one object, with what is known of all producers.
		s, _ := r.Session()
		_, to := r.Committed()
		known, err := r.Producers(t.Context(), part(0))
		require.NoError(t, err)
		job := r.catalog.must(t, &catalog.BeginJob{Session: s.ID})[0].ID
		e := object.NewEncoder(object.Header{Kind: object.Sealed, Session: job, Nonce: s.Nonce}, 0, nil)
		recent := r.Recent(part(0), 0)
		e.Begin(part(0), recent[0].Epoch, 0)
		for _, x := range recent {
			b, err := r.bucket.Get(t.Context(), x.Object.Name(), cold.Range{Offset: x.Pos, Length: x.Len}, nil)
			require.NoError(t, err)
			h, err := record.ParseHeader(b)
			require.NoError(t, err)
			e.Append(h, b)
		}
		e.Producers(ProducersOut(known))
		runs, err := e.Finish()
		require.NoError(t, err)
		require.NoError(t, r.bucket.PutIfAbsent(t.Context(), catalog.Seg(job, 0).Name(), cold.Bytes(e.Segments()...)))
		r.catalog.must(t, &catalog.CommitJob{
			Job: job, From: 0, To: to, Objects: []catalog.ObjectRef{catalog.Seg(job, 0)},
			Extents: []catalog.Located{{Partition: part(0), Extent: Extent(&runs[0], catalog.Seg(job, 0))}},
		})
		require.NoError(t, r.Covered(t.Context()))
		assert.Empty(t, r.Recent(part(0), 0))
		for _, x := range recent { // what was sealed is not read again
			require.NoError(t, r.bucket.Delete(t.Context(), x.Object.Name()))
		}
		require.NoError(t, r.idempotent(part(0), 2, 3).Err)
		want, err := r.Producers(t.Context(), part(0))
		require.NoError(t, err)
		require.Len(t, want, 3)
		require.Len(t, want[1].Sent(), 4)
		r.kill()
		r.boot()
		got, err := r.Producers(t.Context(), part(0))
		require.NoError(t, err)
		assert.Equal(t, want, got)
		assert.EqualValues(t, 4, r.idempotent(part(0), 1, 2).Base, "an old duplicate is known")
		require.NoError(t, r.idempotent(part(0), 1, 3).Err)

		// The segment is pressed out of the catalog, and what is left names some alone.
		s, _ = r.Session()
		press := r.catalog.must(t, &catalog.BeginJob{Session: s.ID})[0].ID
		line := catalog.IndexRef{Base: 0, Next: runs[0].Next, Object: catalog.Index(press, 0), Extents: 1, Bytes: runs[0].Len}
		payload := catalog.EncodeExtents([]catalog.Extent{Extent(&runs[0], catalog.Seg(job, 0))})
		require.NoError(t, r.bucket.PutIfAbsent(t.Context(), line.Object.Name(), cold.Bytes(object.EncodeIndex(press, 0, s.Nonce, 0, payload))))
		r.catalog.must(t, &catalog.CommitJob{Job: press, Presses: []catalog.Press{{Partition: part(0), Line: line}}})
		r.kill()
		r.boot()
		p, _ := r.catalog.State().Partition(part(0))
		require.Len(t, p.Index, 1)
		assert.EqualValues(t, 6, r.idempotent(part(0), 3, 0).Base, "a duplicate in a segment that the catalog does not list is known")

		_, err = LoadProducers(t.Context(), r.store, r.catalog.State(), record.Partition{Topic: record.TopicID{9}})
		require.NoError(t, err, "nobody knows it: nothing to load")
		r.kill()
	})
}

// misleading answers the first gets of a name with the bytes of another one.
type misleading struct {
	cold.Store
	name, other string
	times       int
}

func (m *misleading) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	if name == m.name && m.times > 0 {
		m.times--
		name = m.other
	}
	return m.Store.Get(ctx, name, r, buf)
}

func TestProducersComeFromTheObjectOfThatNameAlone(t *testing.T) { // S2
	synctest.Test(t, func(t *testing.T) {
		store := mem.New()
		segment := func(job uint64, seq int32) []byte {
			e := object.NewEncoder(object.Header{Kind: object.Sealed, Session: job}, 0, nil)
			e.Begin(part(0), 0, 0)
			var b record.Builder
			b.Add(0, nil, []byte("x"))
			batch, err := b.Build()
			require.NoError(t, err)
			h, _ := record.ParseHeader(batch)
			e.Append(h, batch)
			e.Producers([]object.Producer{{ID: 1, Epoch: 0, TxnStart: -1, Batches: []object.Produced{{FirstSequence: seq, LastSequence: seq}}}})
			_, err = e.Finish()
			require.NoError(t, err)
			return bytes.Join(e.Segments(), nil)
		}
		put := func(ref catalog.ObjectRef, b []byte) catalog.ObjectRef {
			require.NoError(t, store.PutIfAbsent(t.Context(), ref.Name(), cold.Bytes(b)))
			return ref
		}
		old, recent := segment(1, 4), segment(2, 9)
		first := put(catalog.Seg(1, 0), old)
		last := put(catalog.Seg(2, 0), recent)
		misplaced := put(catalog.Seg(3, 0), old)
		mixed := put(catalog.Seg(2, 1), append(bytes.Clone(recent[:object.HeaderLen]), old[object.HeaderLen:]...))

		read := func(s cold.Store, ref catalog.ObjectRef) found {
			footers := map[catalog.ObjectRef]found{ref: {}}
			require.NoError(t, readFooters(t.Context(), s, footers))
			return footers[ref]
		}
		assert.NoError(t, read(store, last).err)
		assert.ErrorIs(t, read(store, misplaced).err, object.ErrCorrupt, "another object lies there")
		assert.ErrorIs(t, read(store, mixed).err, object.ErrCorrupt, "its footer is another one's")
		f := read(&misleading{store, last.Name(), first.Name(), 1}, last)
		require.NoError(t, f.err, "an answer that was another one's")
		run, err := f.footer.Whole(0)
		require.NoError(t, err)
		assert.EqualValues(t, 9, run.Producers[0].Batches[0].FirstSequence)
	})
}
