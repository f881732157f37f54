package broker

import (
	"errors"
	"testing"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/kafka"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier"
)

// A fence ends a session between a look at how far a log goes and the read: its slots are
// not described yet, and no consumer is told that their offsets are out of range.
func TestNoOffsetIsOutOfRangeSinceAFenceCameInBetween(t *testing.T) {
	h := newHeir(t)
	h.commit(&catalog.CreateTopic{Name: "t", ID: h.id.Topic, Replicas: 1, Owners: []uint64{0}})
	if err := h.takeOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	var b record.Builder
	b.Add(0, nil, []byte("v"))
	batch, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	head, err := record.ParseHeader(batch)
	if err != nil {
		t.Fatal(err)
	}
	produce := func() error {
		r := &pump.Request{Request: ingest.Request{Acks: ingest.AcksAll, Items: []ingest.Item{{Partition: h.id, Batch: batch, Header: head}}}}
		if err := h.pump.Produce(t.Context(), r); err != nil {
			return err
		}
		<-r.Done()
		return r.Results[0].Err
	}
	if err := produce(); err != nil {
		t.Fatal(err)
	}
	where := locator{h.journal.Journal, h.pump}
	r := reads{tier.NewReader(tier.ReaderOptions{Store: h.store, Locator: where}), where.starts, func(record.TopicID, int64) {}}
	pr, _ := h.pump.Progress(h.id)
	q := kafka.Read{Partition: h.id, End: pr.HighWatermark, MaxBytes: 1 << 20, Whole: true}
	found, err := r.Read(t.Context(), q)
	if err != nil || found.Next != pr.HighWatermark {
		t.Fatalf("read up to %d of %d: %v", found.Next, pr.HighWatermark, err)
	}
	found.Release()

	mine, _ := h.pump.Session()
	if _, err := pump.Fence(t.Context(), pump.FenceOptions{Store: h.bucket, Session: mine, Nonce: [16]byte{9}}); err != nil {
		t.Fatal(err)
	}
	if err := produce(); err == nil {
		t.Fatal("a session that was fenced has committed")
	}
	if _, led := h.pump.Progress(h.id); led {
		t.Fatal("the pump has not met the fence")
	}
	if _, err := r.Read(t.Context(), q); !errors.Is(err, kafka.ErrNotLeader) || errors.Is(err, kafka.ErrOutOfRange) {
		t.Errorf("behind a fence: %v", err)
	}

	r.starts = func(record.Partition) (int64, bool) { return 1, true }
	if _, err := r.Read(t.Context(), q); !errors.Is(err, kafka.ErrOutOfRange) {
		t.Errorf("what retention has taken: %v", err)
	}
}
