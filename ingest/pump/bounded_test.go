package pump

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold/trace"
)

// TestTakeoverAsksTheBucketABoundedNumberOfTimes lets a session die with 2,000 slots
// that the catalog does not describe, each with runs of 16 partitions whose
// producers take turns. Its heir reads each slot's footer once, and then no more
// than it takes to find a run of each partition that names all producers: not
// partition by partition, not slot by slot again (protocol.md 6).
func TestTakeoverAsksTheBucketABoundedNumberOfTimes(t *testing.T) {
	const slots, partitions, producers = 2000, 16, 3
	r := newRig(t, partitions, Options{Behind: 1 << 30})
	var next [partitions][producers]int32 // sequences
	for n := range slots {
		req := &Request{Request: ingest.Request{Acks: ingest.AcksAll}}
		for p := range int32(partitions) {
			turn := (n + int(p)) % producers
			b := record.Builder{HasProducer: true, Template: record.Header{ProducerID: int64(turn), BaseSequence: next[p][turn]}}
			next[p][turn]++
			b.Add(0, nil, []byte("x"))
			bytes, err := b.Build()
			require.NoError(t, err)
			h, err := record.ParseHeader(bytes)
			require.NoError(t, err)
			req.Items = append(req.Items, ingest.Item{Partition: part(p), Batch: bytes, Header: h})
		}
		require.NoError(t, r.Produce(t.Context(), req))
		<-req.Done()
		for _, res := range req.Results {
			require.NoError(t, res.Err)
		}
	}
	_, at := r.Committed()
	require.EqualValues(t, slots, at)
	var want [partitions][]ingest.Producer
	for p := range want {
		var err error
		want[p], err = r.Producers(t.Context(), part(int32(p)))
		require.NoError(t, err)
	}
	r.kill()

	var counts trace.Counts
	r.watch = &counts
	began := time.Now()
	r.boot()
	took := time.Since(began)
	gets, stats, lists := counts.Total(trace.Get), counts.Total(trace.Stat), counts.Total(trace.List)
	t.Logf("takeover: %d gets, %d stats, %d lists in %v", gets, stats, lists, took)
	assert.LessOrEqual(t, gets+stats, int64(slots+300), "a footer of each slot, once, and a few")
	assert.LessOrEqual(t, lists, int64(3))
	for p := range want {
		got, err := r.Producers(t.Context(), part(int32(p)))
		require.NoError(t, err)
		assert.Equal(t, want[p], got)
	}
	r.kill()
}
