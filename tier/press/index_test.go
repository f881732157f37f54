package press

import (
	"log/slog"
	"testing"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/mem"
)

// An index object that is damaged holds up its own partition, and no other work.
func TestADamagedIndexObjectStopsNobodyElse(t *testing.T) {
	const per = 30 // extents that each partition gets at a time
	state, session, topic := started(t, 2, map[string]string{"retention.ms": "-1"})
	bucket, book, now := mem.New(), &alone{state: state}, time.UnixMilli(1_000_000)
	limits := DefaultLimits()
	limits.Lines = 1 // new extents are joined with the lines before them
	p := New(Options{
		Limits: limits,
		Store:  bucket, Settler: cold.NewSettler(bucket, cold.SettlerOptions{}), Journal: book, Writer: idle{session: session},
		Logger: slog.New(slog.DiscardHandler), Grace: time.Minute, Now: func() time.Time { return now },
		Setting: func(string) (string, bool) { return "", false },
	})
	do := func(c catalog.Command) catalog.Result {
		t.Helper()
		res, _ := book.Commit(t.Context(), c)
		if res[0].Err != nil {
			t.Fatal(res[0].Err)
		}
		return res[0]
	}
	part := func(i int32) *catalog.Partition {
		c, _ := book.State().Partition(record.Partition{Topic: topic, Index: i})
		return c
	}
	slot := uint64(0)
	grow := func() {
		t.Helper()
		c := &catalog.Cover{Session: session, From: slot, To: slot + 1}
		for i := range int32(2) {
			for k := range int64(per) {
				ref := catalog.Seg(slot<<20|1<<60, uint64(i)<<20|uint64(k))
				if err := bucket.PutIfAbsent(t.Context(), ref.Name(), cold.Bytes([]byte{1})); err != nil {
					t.Fatal(err)
				}
				at := part(i).Next + k
				c.Extents = append(c.Extents, catalog.Located{Partition: part(i).ID, Extent: catalog.Extent{
					Base: at, Next: at + 1, Object: ref, Pos: 64, Len: 100, MaxTimestamp: 1, Records: 1,
				}})
			}
		}
		do(c)
		slot++
	}
	grow()
	if err := p.index(t.Context()); err != nil {
		t.Fatal(err)
	}
	damaged := part(0).Index[0].Object
	whole, _ := bucket.Get(t.Context(), damaged.Name(), cold.Whole, nil)
	_ = bucket.Delete(t.Context(), damaged.Name())
	if err := bucket.PutIfAbsent(t.Context(), damaged.Name(), cold.Bytes(whole[:len(whole)-1])); err != nil {
		t.Fatal(err)
	}

	for range 4 {
		grow()
		_ = p.index(t.Context())
		_ = p.index(t.Context())
	}
	for i := range int32(2) {
		if n := len(part(i).Extents); n >= per {
			t.Errorf("%d extents of partition %d are in the catalog, want some to be pressed out of it", n, i)
		}
	}

	do(&catalog.Trim{Items: []catalog.TrimItem{{Partition: part(0).ID, LogStart: part(0).Next}, {Partition: part(1).ID, LogStart: part(1).Next}}})
	_ = p.collect(t.Context())
	now = now.Add(time.Hour)
	if err := p.collect(t.Context()); err == nil {
		t.Error("nobody is told of the damage")
	}
	for ref := range book.State().Garbage() {
		if ref != damaged {
			t.Errorf("%s is not collected", ref)
		}
	}
	_ = bucket.Delete(t.Context(), damaged.Name())
	if err := bucket.PutIfAbsent(t.Context(), damaged.Name(), cold.Bytes(whole)); err != nil {
		t.Fatal(err)
	}
	if err := p.collect(t.Context()); err != nil {
		t.Error(err)
	}
	for info := range bucket.List(t.Context(), "", "") {
		t.Errorf("%s is left", info.Name)
	}
}
