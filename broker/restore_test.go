package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/cold/trace"
	"github.com/firnlog/firn/tier/hot"
)

// watched is a journal; look is called by who takes over, between its steps.
type watched struct {
	*journal.Journal
	look func()
}

func (w *watched) State() *catalog.State {
	if w.look != nil {
		w.look()
	}
	return w.Journal.State()
}

// heir is a broker that takes over by itself what it had, with a hot tier, on a bucket that
// the test may let fail.
type heir struct {
	*session
	t       *testing.T
	bucket  *mem.Store
	store   *fault.Store
	journal *watched
	hot     *hot.Tier
	dir     string           // of the hot tier
	id      record.Partition // of the one topic that commit makes
	stop    func()           // the machinery
}

func newHeir(t *testing.T) *heir {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	bucket := mem.New()
	store := fault.Wrap(bucket, fault.Healthy)
	j, err := journal.Open(ctx, store, journal.Options{Poll: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	tier, err := hot.Open(ctx, dir, hot.Options{GenerationBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{Journal: j}
	p := pump.New(pump.Options{Store: store, Catalog: w, Hot: tier})
	ended := make(chan error, 2)
	go func() { ended <- j.Run(ctx) }()
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		for range cap(ended) {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		_ = tier.Close(context.Background())
	})
	return &heir{t: t, bucket: bucket, store: store, journal: w, hot: tier, dir: dir, id: record.Partition{Topic: record.TopicID{1}}, stop: cancel, session: &session{
		store: store, settler: cold.NewSettler(store, cold.SettlerOptions{}), journal: w, pump: p, hot: tier, log: slog.New(slog.DiscardHandler), clock: &clock{wall: time.Now, log: slog.New(slog.DiscardHandler)},
		me: catalog.RegisterSession{Node: 1, Advertised: "a:1"}, producers: pump.LoadProducers,
		heirs: func(state *catalog.State, own uint64) []uint64 { return heirs(state, own, 1, nil, false) }, // none, once it is sealed
		reach: func(context.Context, string) bool { return true },
	}}
}

func (h *heir) commit(cmd catalog.Command) catalog.Result {
	h.t.Helper()
	res, err := h.journal.Commit(h.t.Context(), cmd)
	if err == nil {
		err = res[0].Err
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return res[0]
}

// batch has one record for each value.
func (h *heir) batch(values ...string) ([]byte, record.Header) {
	h.t.Helper()
	var build record.Builder
	for _, v := range values {
		build.Add(0, nil, []byte(v))
	}
	b, err := build.Build()
	if err != nil {
		h.t.Fatal(err)
	}
	head, err := record.ParseHeader(b)
	if err != nil {
		h.t.Fatal(err)
	}
	return b, head
}

// send produces a record, which must get that offset.
func (h *heir) send(acks ingest.Acks, offset int64) {
	h.t.Helper()
	b, head := h.batch(fmt.Sprint(offset))
	r := &pump.Request{Request: ingest.Request{Acks: acks, Items: []ingest.Item{{Partition: h.id, Batch: b, Header: head}}}}
	if err := h.pump.Produce(h.t.Context(), r); err != nil {
		h.t.Fatal(err)
	}
	<-r.Done()
	if r.Results[0].Err != nil || r.Results[0].Base != offset {
		h.t.Fatalf("%+v, want offset %d", r.Results[0], offset)
	}
}

// A broker that was fenced and goes on knows what its hot tier may serve before it has a
// session again, with which it serves anything (H2).
func TestTheHotTierIsSettledBeforeItServes(t *testing.T) {
	h := newHeir(t)
	ctx, store, id, p := t.Context(), h.store, h.id, h.pump
	h.commit(&catalog.CreateTopic{Name: "t", ID: id.Topic, Replicas: 1, Owners: []uint64{0}})
	if err := h.takeOver(ctx); err != nil {
		t.Fatal(err)
	}
	h.send(ingest.AcksAll, 0)
	away := fault.Always(fault.Fault{Kind: fault.Unavailable}, trace.Put)
	store.Use(func(c fault.Call) fault.Fault {
		if strings.HasPrefix(c.Name, "wal/") {
			return away(c)
		}
		return fault.Fault{}
	})
	h.send(ingest.AcksLeader, 1) // in the hot tier alone

	mine, _ := p.Session()
	f, err := pump.Fence(ctx, pump.FenceOptions{Store: h.bucket, Session: mine, Nonce: [16]byte{9}})
	if err != nil {
		t.Fatal(err)
	}
	h.commit(&catalog.SealSession{Session: mine.ID, Fence: f.Slot, Extents: f.Extents(mine.ID)})
	if err := p.Sealed(ctx, mine.ID, f.Slot); err != nil {
		t.Fatal(err)
	}
	looks := 0
	h.journal.look = func() {
		if now, ok := p.Session(); !ok || now.ID == mine.ID {
			return
		}
		if _, led := p.Progress(id); led {
			store.Use(fault.Healthy) // what was cut off is appended again
			return
		}
		looks++
		if v := h.hot.Read(id, 1, 2, 1<<20); len(v.Entries) > 0 {
			t.Error("what the fence cut off can be read while the next session serves")
			v.Release()
		}
	}
	err = h.takeOver(ctx)
	h.journal.look = nil
	if err != nil {
		t.Fatal(err)
	}
	if looks == 0 {
		t.Fatal("nobody looked")
	}
	h.send(ingest.AcksAll, 2) // behind what was restored
}

// What an earlier session had left, and the next one found to be somebody else's, stays
// lost: at its offsets lies by now what the next one has acknowledged (P2).
func TestWhatWasLostOnceIsNotRestoredOverWhatCameLater(t *testing.T) {
	h := newHeir(t)
	// A life begins a session, takes the partition, and leaves a slot that the bucket never gets.
	life := func(node int32, advertised string, values ...string) {
		t.Helper()
		nonce := [16]byte{byte(node), byte(len(values))}
		s := h.commit(&catalog.RegisterSession{Nonce: nonce, Node: node, Advertised: advertised}).ID
		c, ok := h.journal.State().Partition(h.id)
		if !ok {
			h.commit(&catalog.CreateTopic{Name: "t", ID: h.id.Topic, Replicas: 1, Owners: []uint64{s}})
		} else {
			h.commit(&catalog.Take{Session: s, Items: []catalog.TakeItem{{Partition: h.id, Epoch: c.Epoch + 1, Start: c.Next}}})
		}
		c, _ = h.journal.State().Partition(h.id)
		if len(values) > 0 {
			b, head := h.batch(values...)
			record.Rebase(b, 0, c.Epoch)
			entry := hot.Entry{Partition: h.id, Last: int64(head.LastOffsetDelta), Epoch: c.Epoch, Batch: true, Value: b}
			if err := errors.Join(h.hot.StartSession(hot.Session{ID: s, Nonce: nonce}, 0), h.hot.Append(hot.Slot{Session: s}, []hot.Entry{entry}), h.hot.Sync(hot.Slot{Session: s})); err != nil {
				t.Fatal(err)
			}
		}
		h.commit(&catalog.SealSession{Session: s})
	}
	life(1, "a:1", "old", "old", "old")
	life(2, "b:1") // the partition is somebody else's
	life(1, "a:1", "new", "new")
	if err := h.takeOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.send(ingest.AcksAll, 2)
}

// startTwice starts while somebody else seals the first session before it takes anything.
func (h *heir) startTwice() {
	h.t.Helper()
	sealed := uint64(0)
	h.journal.look = func() {
		if now, ok := h.pump.Session(); ok && sealed == 0 {
			sealed = now.ID
			h.commit(&catalog.SealSession{Session: now.ID})
		}
	}
	if err := h.start(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	if now, ok := h.pump.Session(); sealed == 0 || !ok || now.ID <= sealed {
		h.t.Fatalf("session %d was sealed, session %d serves", sealed, now.ID)
	}
}

// A session that is sealed between its registration and its take is followed by another
// one: brokers that do not see each other do so to whoever starts.
func TestASessionThatIsSealedBeforeItServesIsFollowedByAnother(t *testing.T) {
	h := newHeir(t)
	h.commit(&catalog.CreateTopic{Name: "t", ID: h.id.Topic, Replicas: 1, Owners: []uint64{0}})
	h.startTwice()
	h.send(ingest.AcksAll, 0)
	select {
	case <-h.pump.Over():
		t.Error("the session that serves is said to be over")
	default:
	}
}

// Two brokers had one node id: when the one dies that came last, the other one succeeds it.
func TestADeadBrokerOfTheSameNodeIDIsSucceeded(t *testing.T) {
	h := newHeir(t)
	if err := h.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.reach = func(_ context.Context, advertised string) bool { return advertised == h.me.Advertised }
	other := h.commit(&catalog.RegisterSession{Node: h.me.Node, Advertised: "b:1", Nonce: [16]byte{7}}).ID
	h.commit(&catalog.CreateTopic{Name: "t", ID: h.id.Topic, Replicas: 1, Owners: []uint64{other}})
	own, _ := h.pump.Session()
	silent := map[uint64]int{}
	for range misses {
		if err := h.adopt(t.Context(), own.ID, silent); err != nil {
			t.Fatal(err)
		}
	}
	if c, _ := h.journal.State().Partition(h.id); c.Owner != own.ID {
		t.Errorf("session %d owns it, want %d", c.Owner, own.ID)
	}
	if v, _ := h.journal.State().Session(own.ID); v.Sealed {
		t.Error("the broker has sealed its own session")
	}
}

// What a dead broker left in a damaged object cannot be sealed. Nobody leads what it had;
// all others are succeeded, by who lives and by who starts.
func TestABrokerThatCannotBeSealedKeepsNobodyFromTheOthers(t *testing.T) {
	for _, starts := range []bool{false, true} {
		h := newHeir(t)
		ctx := t.Context()
		if !starts {
			if err := h.start(ctx); err != nil {
				t.Fatal(err)
			}
		}
		h.reach = func(_ context.Context, advertised string) bool { return advertised == h.me.Advertised }
		hurt := h.commit(&catalog.RegisterSession{Node: 2, Advertised: "b:1", Nonce: [16]byte{2}}).ID
		if err := h.bucket.PutIfAbsent(ctx, catalog.WAL(hurt, 0).Name(), cold.Bytes(make([]byte, 100))); err != nil {
			t.Fatal(err)
		}
		dead := h.commit(&catalog.RegisterSession{Node: 3, Advertised: "c:1", Nonce: [16]byte{3}}).ID
		h.commit(&catalog.CreateTopic{Name: "t", ID: h.id.Topic, Replicas: 1, Owners: []uint64{dead, hurt}})
		if starts {
			if err := h.start(ctx); err != nil {
				t.Fatal(err)
			}
		} else {
			own, _ := h.pump.Session()
			silent := map[uint64]int{}
			for range misses {
				if err := h.adopt(ctx, own.ID, silent); err != nil && !errors.Is(err, ingest.ErrForeign) {
					t.Fatal(err)
				}
			}
		}
		own, _ := h.pump.Session()
		for i, want := range []uint64{own.ID, hurt} {
			if c, _ := h.journal.State().Partition(record.Partition{Topic: h.id.Topic, Index: int32(i)}); c.Owner != want {
				t.Errorf("starts %v: session %d owns partition %d, want %d", starts, c.Owner, i, want)
			}
		}
	}
}

// A damaged object takes one partition out of service, and not the broker: it leads all
// others, and that one, too, when the object is whole again.
func TestADamagedObjectStopsOnePartition(t *testing.T) {
	h := newHeir(t)
	ctx := t.Context()
	hurt, sound := h.id, record.Partition{Topic: h.id.Topic, Index: 1}
	h.commit(&catalog.CreateTopic{Name: "t", ID: h.id.Topic, Replicas: 1, Owners: make([]uint64, 2)})
	if err := h.start(ctx); err != nil {
		t.Fatal(err)
	}
	h.send(ingest.AcksAll, 0)
	h.id = sound
	h.send(ingest.AcksAll, 0)
	mine, _ := h.pump.Session()
	f, err := pump.Fence(ctx, pump.FenceOptions{Store: h.bucket, Session: mine, Nonce: [16]byte{9}})
	if err != nil {
		t.Fatal(err)
	}
	h.commit(&catalog.SealSession{Session: mine.ID, Fence: f.Slot, Extents: f.Extents(mine.ID)})
	if err := h.pump.Sealed(ctx, mine.ID, f.Slot); err != nil {
		t.Fatal(err)
	}
	c, _ := h.journal.State().Partition(hurt)
	name := c.Extents[0].Object.Name()
	whole, err := h.bucket.Get(ctx, name, cold.Whole, nil)
	if err != nil {
		t.Fatal(err)
	}
	replace := func(b []byte) {
		t.Helper()
		if err := errors.Join(h.bucket.Delete(ctx, name), h.bucket.PutIfAbsent(ctx, name, cold.Bytes(b))); err != nil {
			t.Fatal(err)
		}
	}
	hole := slices.Clone(whole)
	clear(hole[len(hole)/2:])
	replace(hole)
	if err := h.takeOver(ctx); err != nil {
		t.Fatal(err)
	}
	h.send(ingest.AcksAll, 1)
	if _, led := h.pump.Progress(hurt); led {
		t.Error("a partition is led whose producers are not known")
	}
	replace(whole)
	now, _ := h.pump.Session()
	c, _ = h.journal.State().Partition(hurt)
	if err := h.own(ctx, now.ID, h.journal.State(), []*catalog.Partition{c}); err != nil {
		t.Fatal(err)
	}
	h.id = hurt
	h.send(ingest.AcksAll, 1)
}

// A session of this process that is older than the one it serves is served by nobody: the
// entry that registered it was committed again, since its answer came too late (J3).
func TestASessionThatWasRegisteredTwiceIsServedOnce(t *testing.T) {
	s := &session{me: catalog.RegisterSession{Node: 2, Advertised: "a:1"}, reach: func(_ context.Context, advertised string) bool { return advertised == "a:1" }}
	for _, c := range []struct {
		what string
		v    catalog.Session
		want bool
	}{
		{"the one that is served", catalog.Session{ID: 44, Node: 2, Advertised: "a:1"}, true},
		{"the next one of a rotation", catalog.Session{ID: 50, Node: 2, Advertised: "a:1"}, true},
		{"the first of two registrations", catalog.Session{ID: 27, Node: 2, Advertised: "a:1"}, false},
		{"a dead broker's with the same node id", catalog.Session{ID: 45, Node: 2, Advertised: "b:1"}, false},
		{"a dead broker's", catalog.Session{ID: 45, Node: 3, Advertised: "c:1"}, false},
	} {
		if got, _ := s.served(t.Context(), &c.v, 44); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}

// What a session left in the queue before the hot tier when it ended comes too late, also
// when it is the first that the hot tier would get of it: a generation that is made after
// all others were settled would be served for ever.
func TestWhatReachesTheHotTierTooLateIsNotTaken(t *testing.T) {
	j, err := journal.Open(t.Context(), mem.New(), journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tier, err := hot.Open(t.Context(), t.TempDir(), hot.Options{GenerationBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer tier.Close(context.Background())
	if err := tier.StartSession(hot.Session{ID: 4}, 0); err != nil {
		t.Fatal(err)
	}
	s := &session{journal: j, hot: tier, log: slog.New(slog.DiscardHandler)}
	s.settleHot(5)
	var build record.Builder
	build.Add(0, nil, nil)
	b, err := build.Build()
	if err != nil {
		t.Fatal(err)
	}
	id := record.Partition{Topic: record.TopicID{1}}
	if err := tier.Append(hot.Slot{Session: 4}, []hot.Entry{{Partition: id, Batch: true, Value: b}}); !errors.Is(err, hot.ErrOrder) {
		t.Errorf("%v, want %v", err, hot.ErrOrder)
	}
	if v := tier.Read(id, 0, 1, 1<<20); len(v.Entries) > 0 {
		t.Error("it can be read")
		v.Release()
	}
}

// cut leaves records in the hot tier alone, one slot each from offset 1 on: the broker that
// has acknowledged them is fenced before any of them is in the bucket, which takes puts of
// slots again when the caller says so.
func (h *heir) cut(slots int) (heal func()) {
	h.t.Helper()
	ctx := h.t.Context()
	h.commit(&catalog.CreateTopic{Name: "t", ID: h.id.Topic, Replicas: 1, Owners: []uint64{0}})
	if err := h.takeOver(ctx); err != nil {
		h.t.Fatal(err)
	}
	h.send(ingest.AcksAll, 0)
	away := fault.Always(fault.Fault{Kind: fault.Unavailable}, trace.Put)
	h.store.Use(func(c fault.Call) fault.Fault {
		if strings.HasPrefix(c.Name, "wal/") {
			return away(c)
		}
		return fault.Fault{}
	})
	for i := range slots {
		h.send(ingest.AcksLeader, int64(1+i))
	}
	h.fence()
	return func() { h.store.Use(fault.Healthy) }
}

// fence ends the session that is served, as a stranger does.
func (h *heir) fence() {
	h.t.Helper()
	mine, _ := h.pump.Session()
	f, err := pump.Fence(h.t.Context(), pump.FenceOptions{Store: h.bucket, Session: mine, Nonce: [16]byte{9}})
	if err != nil {
		h.t.Fatal(err)
	}
	h.commit(&catalog.SealSession{Session: mine.ID, Fence: f.Slot, Extents: f.Extents(mine.ID)})
	if err := h.pump.Sealed(h.t.Context(), mine.ID, f.Slot); err != nil {
		h.t.Fatal(err)
	}
}

// What was lost because somebody else had the partition is not restored by a later life,
// though it would fit behind what was written since: it would come after what its producer
// has sent later.
func TestWhatIsLostStaysLostInLaterLives(t *testing.T) {
	h := newHeir(t)
	heal := h.cut(2) // offsets 1 and 2
	heal()
	other := h.commit(&catalog.RegisterSession{Nonce: [16]byte{7}, Node: 2, Advertised: "b:1"}).ID
	c, _ := h.journal.State().Partition(h.id)
	h.commit(&catalog.Take{Session: other, Items: []catalog.TakeItem{{Partition: h.id, Epoch: c.Epoch + 1, Start: c.Next}}})
	h.commit(&catalog.SealSession{Session: other})
	if err := h.takeOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.send(ingest.AcksAll, 1)
	h.fence()
	if err := h.hot.Close(t.Context()); err != nil { // it dies
		t.Fatal(err)
	}
	next, err := hot.Open(t.Context(), h.dir, hot.Options{GenerationBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close(context.Background())
	h.session.hot = next
	if err := h.takeOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.send(ingest.AcksAll, 2)
}

// A broker that is stopped while it restores leaves the rest to its next life, if nobody
// else takes the partition meanwhile (P2).
func TestABrokerThatIsStoppedWhileItRestoresGoesOnInItsNextLife(t *testing.T) {
	h := newHeir(t)
	heal := h.cut(2)
	ctx, stop := context.WithCancel(t.Context())
	h.journal.look = func() {
		if _, led := h.pump.Progress(h.id); led {
			stop()
		}
	}
	if err := h.takeOver(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	h.journal.look = nil
	if ctx.Err() == nil {
		t.Fatal("it restored all before it was stopped")
	}
	heal()
	if err := h.pump.Leave(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := h.takeOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.send(ingest.AcksAll, 3)
}

// The end of the write path while a broker restores takes nothing from the hot tier: its
// next life goes on.
func TestTheEndOfTheWritePathForgetsNoLeftovers(t *testing.T) {
	h := newHeir(t)
	h.cut(2)
	h.journal.look = func() {
		if _, led := h.pump.Progress(h.id); led {
			h.stop()
		}
	}
	_ = h.takeOver(t.Context())
	v := h.journal.Journal.State().Sessions()[0]
	if left := h.hot.Left(v.ID, v.Fence); len(left) != 1 {
		t.Errorf("session %d: %v is left beyond its fence", v.ID, left)
	}
}

// A session that is sealed before it has taken anything leaves what the hot tier holds to
// the next one: nobody else has the partition (P2).
func TestASessionThatTookNothingForgetsNoLeftovers(t *testing.T) {
	h := newHeir(t)
	heal := h.cut(2)
	heal()
	h.startTwice()
	h.send(ingest.AcksAll, 3)
}

// What former lives owned last is known before the next session begins: from then on this
// broker itself may be quicker, as it looks for partitions without an owner all the time.
func TestWhatIsTakenMeanwhileIsRestoredAllTheSame(t *testing.T) {
	h := newHeir(t)
	heal := h.cut(2)
	take := func(session uint64) {
		c, _ := h.journal.Journal.State().Partition(h.id)
		h.commit(&catalog.Take{Session: session, Items: []catalog.TakeItem{{Partition: h.id, Epoch: c.Epoch + 1, Start: c.Next}}})
	}
	died := h.commit(&catalog.RegisterSession{Nonce: [16]byte{7}, Node: 1, Advertised: "a:1"}).ID // before it restored anything
	take(died)
	h.commit(&catalog.SealSession{Session: died})
	heal()
	var once sync.Once
	h.journal.look = func() {
		if s, ok := h.pump.Session(); ok && s.ID > died {
			once.Do(func() { take(s.ID) })
		}
	}
	err := h.takeOver(t.Context())
	h.journal.look = nil
	if err != nil {
		t.Fatal(err)
	}
	h.send(ingest.AcksAll, 3)
}

// A link that was down makes others look dead: who is answered late looks again before the
// fence is put, and whoever answers then is left alone. The dead are fenced all the same.
func TestWhoAnswersAgainIsNotFenced(t *testing.T) {
	for _, lives := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			h := newHeir(t)
			defer h.stop()
			ctx := t.Context()
			if err := h.start(ctx); err != nil {
				t.Fatal(err)
			}
			other := h.commit(&catalog.RegisterSession{Node: 2, Advertised: "b:1", Nonce: [16]byte{2}}).ID
			v, _ := h.journal.State().Session(other)
			up := time.Now().Add(2 * time.Second)
			h.reach = func(_ context.Context, advertised string) bool {
				return advertised == h.me.Advertised || lives && !time.Now().Before(up)
			}
			h.store.Use(func(fault.Call) fault.Fault { return fault.Fault{Before: time.Until(up)} })
			own, _ := h.pump.Session()
			if err := h.seal(ctx, v, own.ID); lives && !errors.Is(err, errLives) || !lives && err != nil {
				t.Errorf("lives: %v: %v", lives, err)
			}
			if v, _ := h.journal.State().Session(other); v.Sealed == lives {
				t.Errorf("lives: %v, sealed: %v", lives, v.Sealed)
			}
			if _, err := h.bucket.Stat(ctx, catalog.WAL(other, 0).Name()); lives != errors.Is(err, cold.ErrNotFound) {
				t.Errorf("lives: %v, and of its first slot: %v", lives, err)
			}
		})
	}
}
