package broker

import (
	"context"
	"errors"
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

	fetch := func() error {
		_, err := g.FetchOffsets(ctx, &group.FetchRequest{Group: "g"})
		return err
	}
	for began := time.Now(); errors.Is(fetch(), group.ErrLoading) && time.Since(began) < 10*time.Second; {
	}
	if err := fetch(); err != nil {
		t.Fatal(err)
	}
	b.lease.contact = func() time.Duration { return 2 * time.Hour } // it slept, and lead was not called yet
	if err := fetch(); !errors.Is(err, group.ErrNotCoordinator) {
		t.Errorf("offsets are told after the lease: %v", err)
	}
	list := func() error {
		_, err := g.List(ctx, nil)
		return err
	}
	if err := list(); !errors.Is(err, group.ErrNotAvailable) {
		t.Errorf("groups are listed after the lease: %v", err)
	}
	g.lead() // gives all up
	if err := list(); !errors.Is(err, group.ErrNotAvailable) {
		t.Errorf("who has given all groups up with his lease says that there are none: %v", err)
	}
	b.lease.contact = func() time.Duration { return 0 } // and lead was not called yet
	if err := list(); err != nil && !errors.Is(err, group.ErrLoading) {
		t.Error(err)
	}
	loaded("when they are asked for with the lease again")
}

// A partition of groups that somebody gives to a session between its registration and the
// moment at which it is served, when whoever follows the catalog finds no session, is
// coordinated as soon as it is served: nothing else may happen for long.
func TestGroupsThatComeBeforeTheirSessionIsServedAreCoordinated(t *testing.T) {
	h := newHeir(t)
	ctx := t.Context()
	if err := h.takeOver(ctx); err != nil {
		t.Fatal(err)
	}
	read := make(loads, 1)
	b := &Broker{
		journal: h.journal.Journal, pump: h.pump, session: h.session, log: h.log, follower: follower{turn: make(chan struct{}, 1)},
		lease: lease{time.Hour, func() time.Duration { return 0 }},
	}
	b.groups = &groups{b: b, coordinator: coord.New(read, slog.New(slog.DiscardHandler), func() group.Config { return group.Config{} }, time.Now, b.topicNamed)}
	rctx, stop := context.WithCancel(ctx)
	ended := make(chan error)
	go func() { ended <- b.groups.Run(rctx) }()
	defer func() { stop(); <-ended }()

	mine, _ := h.pump.Session()
	f, err := pump.Fence(ctx, pump.FenceOptions{Store: h.bucket, Session: mine, Nonce: [16]byte{9}})
	if err != nil {
		t.Fatal(err)
	}
	h.commit(&catalog.SealSession{Session: mine.ID, Fence: f.Slot})
	if err := h.pump.Sealed(ctx, mine.ID, f.Slot); err != nil {
		t.Fatal(err)
	}
	h.registers = func(id uint64) {
		h.commit(&catalog.CreateTopic{Name: offsetsTopic, ID: h.id.Topic, Replicas: 1, Owners: []uint64{id}, Internal: true})
		if err := b.follow(ctx); err != nil {
			t.Error(err)
		}
	}
	if err := b.regain(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case <-read:
	case <-time.After(10 * time.Second):
		t.Fatal("the groups are not loaded")
	}
}
