package pump

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
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
