package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
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

// A broker that was fenced and goes on knows what its hot tier may serve before it has a
// session again, with which it serves anything (H2).
func TestTheHotTierIsSettledBeforeItServes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	bucket := mem.New()
	store := fault.Wrap(bucket, fault.Healthy)
	j, err := journal.Open(ctx, store, journal.Options{Poll: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	tier, err := hot.Open(ctx, t.TempDir(), hot.Options{GenerationBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{Journal: j}
	p := pump.New(pump.Options{Store: store, Catalog: w, Hot: tier})
	ended := make(chan error, 2)
	go func() { ended <- j.Run(ctx) }()
	go func() { ended <- p.Run(ctx) }()
	defer func() {
		cancel()
		for range cap(ended) {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		_ = tier.Close(context.Background())
	}()
	commit := func(cmds ...catalog.Command) []catalog.Result {
		t.Helper()
		res, err := j.Commit(ctx, cmds...)
		for _, r := range res {
			if err == nil {
				err = r.Err
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	s := &session{
		store: store, settler: cold.NewSettler(store, cold.SettlerOptions{}), journal: w, pump: p, hot: tier, log: slog.New(slog.DiscardHandler), clock: &clock{wall: time.Now, log: slog.New(slog.DiscardHandler)},
		me: catalog.RegisterSession{Node: 1, Advertised: "a:1"}, producers: pump.LoadProducers,
		heirs: func(_ *catalog.State, own uint64) []uint64 { return []uint64{own} },
		reach: func(context.Context, string) bool { return true },
	}
	id := record.Partition{Topic: record.TopicID{1}}
	commit(&catalog.CreateTopic{Name: "t", ID: id.Topic, Replicas: 1, Owners: []uint64{0}})
	if err := s.takeOver(ctx); err != nil {
		t.Fatal(err)
	}
	send := func(acks ingest.Acks, offset int64) {
		t.Helper()
		var build record.Builder
		build.Add(0, nil, fmt.Append(nil, offset))
		b, err := build.Build()
		if err != nil {
			t.Fatal(err)
		}
		h, err := record.ParseHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		r := &pump.Request{Request: ingest.Request{Acks: acks, Items: []ingest.Item{{Partition: id, Batch: b, Header: h}}}}
		if err := p.Produce(ctx, r); err != nil {
			t.Fatal(err)
		}
		<-r.Done()
		if r.Results[0].Err != nil || r.Results[0].Base != offset {
			t.Fatalf("%+v, want offset %d", r.Results[0], offset)
		}
	}
	send(ingest.AcksAll, 0)
	away := fault.Always(fault.Fault{Kind: fault.Unavailable}, trace.Put)
	store.Use(func(c fault.Call) fault.Fault {
		if strings.HasPrefix(c.Name, "wal/") {
			return away(c)
		}
		return fault.Fault{}
	})
	send(ingest.AcksLeader, 1) // in the hot tier alone

	mine, _ := p.Session()
	f, err := pump.Fence(ctx, pump.FenceOptions{Store: bucket, Session: mine, Nonce: [16]byte{9}})
	if err != nil {
		t.Fatal(err)
	}
	commit(&catalog.SealSession{Session: mine.ID, Fence: f.Slot, Extents: f.Extents(mine.ID)})
	if err := p.Sealed(ctx, mine.ID, f.Slot); err != nil {
		t.Fatal(err)
	}
	looks := 0
	w.look = func() {
		if now, ok := p.Session(); !ok || now.ID == mine.ID {
			return
		}
		if _, led := p.Progress(id); led {
			store.Use(fault.Healthy) // what was cut off is appended again
			return
		}
		looks++
		if v := tier.Read(id, 1, 2, 1<<20); len(v.Entries) > 0 {
			t.Error("what the fence cut off can be read while the next session serves")
			v.Release()
		}
	}
	err = s.takeOver(ctx)
	w.look = nil
	if err != nil {
		t.Fatal(err)
	}
	if looks == 0 {
		t.Fatal("nobody looked")
	}
	send(ingest.AcksAll, 2) // behind what was restored
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
