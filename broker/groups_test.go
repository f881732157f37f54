package broker

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/coord"
	"github.com/firnlog/firn/coord/group"
	"github.com/firnlog/firn/ingest/pump"
)

// loads is coord.Log: it tells of each load.
type loads chan int32

func (l loads) Append(context.Context, int32, []byte) error { return nil }

func (l loads) Read(_ context.Context, p int32, _ func([]byte) error) error {
	l <- p
	return nil
}

// A broker that was deposed and leads a partition of groups again, before it has looked
// what it leads, knows what the one in between has written.
func TestGroupsAreLoadedAgainWhenSomebodyElseLedThem(t *testing.T) {
	h := newHeir(t)
	ctx := t.Context()
	h.commit(&catalog.CreateTopic{Name: offsetsTopic, ID: h.id.Topic, Replicas: 1, Owners: []uint64{0}, Internal: true})
	if err := h.takeOver(ctx); err != nil {
		t.Fatal(err)
	}
	read := make(loads, 1)
	b := &Broker{journal: h.journal.Journal, pump: h.pump, lease: lease{time.Hour, func() time.Duration { return 0 }}}
	g := &groups{b: b, coordinator: coord.New(read, slog.New(slog.DiscardHandler), func() group.Config { return group.Config{} }, time.Now, b.topicNamed)}
	rctx, stop := context.WithCancel(ctx)
	ended := make(chan error)
	go func() { ended <- g.Run(rctx) }()
	defer func() { stop(); <-ended }()
	loaded := func(why string) {
		t.Helper()
		select {
		case <-read:
		case <-time.After(10 * time.Second):
			t.Fatal("groups are not loaded " + why)
		}
	}
	g.lead()
	loaded("at first")

	mine, _ := h.pump.Session()
	f, err := pump.Fence(ctx, pump.FenceOptions{Store: h.bucket, Session: mine, Nonce: [16]byte{9}})
	if err != nil {
		t.Fatal(err)
	}
	h.commit(&catalog.SealSession{Session: mine.ID, Fence: f.Slot, Extents: f.Extents(mine.ID)})
	if err := h.pump.Sealed(ctx, mine.ID, f.Slot); err != nil {
		t.Fatal(err)
	}
	other := h.commit(&catalog.RegisterSession{Nonce: [16]byte{9}, Node: 2, Advertised: "b:1"}).ID
	h.commit(&catalog.Take{Session: other, Items: []catalog.TakeItem{{Partition: h.id, Epoch: 2}}})
	h.commit(&catalog.SealSession{Session: other})
	if err := h.takeOver(ctx); err != nil {
		t.Fatal(err)
	}
	g.lead()
	loaded("after somebody else has led them")
}
