package sim

import (
	"context"
	"fmt"
	"testing"

	"github.com/firnlog/firn/broker/sim/fiber"
	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/record"
)

// newRestore is the small world of P2: A acknowledges a record with acks=1, B fences A
// and takes nothing, A takes over again, and clients write to A all the time.
func newRestore() *small {
	w := &small{bucket: map[string]stored{}, beyond: func(name string) bool {
		ref, err := catalog.ParseRef(name)
		return err == nil && ref.Kind == catalog.KindWAL && ref.B > 2
	}}
	h := &handover{w: w, state: catalog.NewState(), acked: map[record.Partition]map[int64]string{}, hot: &disk{}}
	ctx := context.Background()
	h.must(&catalog.CreateCluster{ID: "c"})
	topic := record.TopicID{1}
	id := record.Partition{Topic: topic}
	h.acked[id] = map[int64]string{}
	a, b := h.sit("A", 1, nil), h.sit("B", 2, nil)
	as, _ := a.pump.Session()
	h.must(&catalog.CreateTopic{Name: "t", ID: topic, Replicas: 1, Owners: []uint64{as.ID}})
	a.view, b.view = h.state, h.state
	if a.tenure.Follow(ctx) != nil {
		panic("sim: nobody follows")
	}
	loose := map[int64]string{}
	a.p.spawn(func() {
		if o, ok := a.send(ctx, id, "loose", ingest.AcksLeader); ok {
			loose[o] = "loose"
		}
	})
	a.p.spawn(func() {
		for {
			if o, ok := a.send(ctx, id, "a", ingest.AcksAll); ok {
				h.acked[id][o] = "a"
				return
			}
			_ = a.p.Sleep(ctx, 0)
		}
	})
	a.p.spawn(func() {
		_ = a.p.Wait(ctx, func() bool { return len(a.pump.Over()) > 0 })
		<-a.pump.Over()
		if err := a.tenure.TakeOver(ctx); err != nil {
			w.fail("A does not take over: %w", err)
		}
	})
	b.p.spawn(func() {
		f, err := pump.Fence(ctx, pump.FenceOptions{Store: port{p: b.p}, Session: as, Nonce: [16]byte{2}, Stage: b.p})
		if err == nil {
			_, err = b.Commit(ctx, &catalog.SealSession{Session: as.ID, Fence: f.Slot, Extents: f.Extents(as.ID)})
		}
		if err != nil {
			w.fail("B does not fence: %w", err)
		}
	})
	w.judge = func() error {
		if err := h.judge(); err != nil || len(w.Events()) > 0 {
			return err
		}
		there, err := h.contents(id)
		for o, v := range loose {
			if err == nil && there[o] != v {
				err = fmt.Errorf("P2: %s was acknowledged with acks=1 at offset %d, where there is %q", v, o, there[o])
			}
		}
		return err
	}
	w.extra = func() string { return fmt.Sprint(h.mark(h.state), h.acked, loose) }
	return w
}

// Each order of an acknowledgement with acks=1, a fence, and a takeover by the broker
// that was fenced, with clients that were never away (P2).
func TestNoOrderOfEventsLosesWhatAcksOneHasAcknowledged(t *testing.T) {
	visit(t, "acks=1", func() fiber.World { return newRestore() })
}
