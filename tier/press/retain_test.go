package press

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/hot"
)

// Local retention is about copies. What a fence has cut off is nowhere else until it was
// appended again.
func TestLocalRetentionLeavesLeftovers(t *testing.T) { // P2
	ctx, dir := t.Context(), t.TempDir()
	id := record.Partition{Topic: record.TopicID{1}}
	s := catalog.NewState()
	for _, r := range s.Apply(1, []catalog.Command{
		&catalog.CreateCluster{ID: "c"},
		&catalog.CreateTopic{Name: "t", ID: id.Topic, Replicas: 1, Owners: []uint64{0}, Configs: map[string]string{"local.retention.ms": "1"}},
	}) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	life := func() *hot.Tier {
		tier, err := hot.Open(ctx, dir, hot.Options{GenerationBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		return tier
	}
	before, session := life(), hot.Session{ID: 7}
	if err := before.StartSession(session, 0); err != nil {
		t.Fatal(err)
	}
	if err := before.Append(hot.Slot{Session: 7}, []hot.Entry{{Partition: id, MaxTimestamp: 1, Value: []byte("acks=1")}}); err != nil {
		t.Fatal(err)
	}
	if err := before.Close(ctx); err != nil {
		t.Fatal(err)
	}
	after := life()
	defer after.Close(ctx)
	after.Settle(session, 0) // its fence is in slot 0
	for _, g := range after.Generations() {
		if err := after.MarkSealed(g.ID); err != nil {
			t.Fatal(err)
		}
	}
	p := New(Options{Journal: still{s}, Hot: OnHot(after), Logger: slog.New(slog.DiscardHandler), Setting: func(string) (string, bool) { return "", false }, Wall: time.Now})
	held := func() (slots int) {
		t.Helper()
		if err := p.cool(ctx); err != nil {
			t.Fatal(err)
		}
		if err := after.Leftover(7, 0, func(uint64, []hot.Entry) error { slots++; return nil }); err != nil {
			t.Fatal(err)
		}
		return slots
	}
	if held() != 1 {
		t.Error("what nobody has appended again is gone")
	}
	after.Forget(7)
	if held(); len(after.Generations()) != 0 {
		t.Error("a cache outlives local retention")
	}
}

// still is a journal in which nothing happens.
type still struct{ state *catalog.State }

func (s still) State() *catalog.State { return s.state }

func (still) Commit(context.Context, ...catalog.Command) ([]catalog.Result, error) {
	return nil, catalog.ErrStale
}
