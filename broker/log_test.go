package broker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/kafka"
	"github.com/firnlog/firn/record"
)

// Whoever asks whether it is still the leader, because much is out of order, asks for as
// long as for one batch: the connection waits behind the answer.
func TestManyBatchesOutOfOrderWaitAsLongAsOne(t *testing.T) {
	h := newHeir(t)
	h.commit(&catalog.CreateTopic{Name: "t", ID: h.id.Topic, Replicas: 1, Owners: []uint64{0}})
	if err := h.takeOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	item := func(sequence int32) ingest.Item {
		b := record.Builder{HasProducer: true, Template: record.Header{ProducerID: 7, BaseSequence: sequence}}
		b.Add(0, nil, []byte("v"))
		batch, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		head, err := record.ParseHeader(batch)
		if err != nil {
			t.Fatal(err)
		}
		return ingest.Item{Partition: h.id, Batch: batch, Header: head}
	}
	r := &pump.Request{Request: ingest.Request{Acks: ingest.AcksAll, Items: []ingest.Item{item(0), item(20), item(30), item(40)}}}
	if err := h.pump.Produce(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	var until []time.Time
	out, err := (&appending{r, func(ctx context.Context, _ record.Partition, _ int32) bool {
		at, ok := ctx.Deadline()
		if !ok {
			t.Error("it may ask for ever")
		}
		until = append(until, at)
		return false
	}}).Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(until) != 3 {
		t.Fatalf("%d of %+v are out of order, want 3", len(until), out)
	}
	for i, at := range until {
		if at != until[0] {
			t.Errorf("batch %d waits %s longer", i, at.Sub(until[0]))
		}
		if err := out[1+i].Err; !errors.Is(err, kafka.ErrNotLeader) {
			t.Errorf("batch %d: %v", i, err)
		}
	}
}
