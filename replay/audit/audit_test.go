package audit

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/object"
)

// bucket builds a small bucket: a sealed session with two slots that the catalog
// describes, and a live one with two slots that it does not.
func bucket(t *testing.T) *mem.Store {
	t.Helper()
	s := mem.New()
	j, err := journal.Open(t.Context(), s, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- j.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	commit := func(c catalog.Command) catalog.Result {
		r, err := j.Commit(ctx, c)
		if err != nil || r[0].Err != nil {
			t.Fatalf("%T: %v %v", c, err, r)
		}
		return r[0]
	}
	nonce := [16]byte{7}
	a := commit(&catalog.RegisterSession{Nonce: nonce}).ID
	id := record.TopicID{1}
	commit(&catalog.CreateTopic{Name: "t", ID: id, Owners: []uint64{a, a}})
	slot := func(session, seq uint64, base int64) []catalog.Located {
		e := object.NewEncoder(object.Header{Kind: object.WAL, Session: session, Slot: seq, Nonce: nonce}, 1, nil)
		for p := range int32(2) {
			var b record.Builder
			for i := range 5 {
				b.Add(int64(i), []byte("k"), fmt.Appendf(nil, "v%d", i))
			}
			x, _ := b.Build()
			record.Rebase(x, base, 0)
			h, _ := record.ParseHeader(x)
			e.Begin(record.Partition{Topic: id, Index: p}, 0, base)
			e.Append(h, x)
		}
		runs, err := e.Finish()
		if err != nil {
			t.Fatal(err)
		}
		ref := catalog.WAL(session, seq)
		if err := s.PutIfAbsent(ctx, ref.Name(), cold.Bytes(e.Segments()...)); err != nil {
			t.Fatal(err)
		}
		var out []catalog.Located
		for _, r := range runs {
			out = append(out, catalog.Located{Partition: r.Partition, Extent: catalog.Extent{Base: r.Base, Next: r.Next, Object: ref, Pos: r.Pos, Len: r.Len, CRC: r.CRC, Records: r.Records, MaxTimestamp: r.MaxTimestamp}})
		}
		return out
	}
	x, y := slot(a, 0, 0), slot(a, 1, 5)
	extents := []catalog.Located{x[0], y[0], x[1], y[1]}
	if err := s.PutIfAbsent(ctx, catalog.WAL(a, 2).Name(), cold.Bytes(object.EncodeFence(a, 2, nonce, nonce, 1))); err != nil {
		t.Fatal(err)
	}
	commit(&catalog.SealSession{Session: a, Fence: 2, Extents: extents})
	b := commit(&catalog.RegisterSession{Nonce: nonce}).ID
	commit(&catalog.Take{Session: b, Items: []catalog.TakeItem{{Partition: record.Partition{Topic: id}, Epoch: 1, Start: 10}, {Partition: record.Partition{Topic: id, Index: 1}, Epoch: 1, Start: 10}}})
	slot(b, 0, 10)
	slot(b, 1, 15)
	return s
}

func TestASoundBucketHasNoFindings(t *testing.T) {
	r, err := Run(t.Context(), bucket(t), Options{})
	if err != nil || len(r.Findings) > 0 || len(r.Orphans) > 0 || r.Records != 40 || r.Objects != 4 {
		t.Fatalf("%v %+v", err, r)
	}
}

func TestEveryDamageIsFound(t *testing.T) {
	wal := func(session, slot uint64) string { return catalog.WAL(session, slot).Name() }
	remove := func(name string) func(*testing.T, *mem.Store) {
		return func(t *testing.T, s *mem.Store) {
			if err := s.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
	}
	flip := func(name string, at int) func(*testing.T, *mem.Store) {
		return func(t *testing.T, s *mem.Store) {
			if !s.Corrupt(name, at) {
				t.Fatalf("%s has no byte %d", name, at)
			}
		}
	}
	replace := func(name string, with func(old []byte) []byte) func(*testing.T, *mem.Store) {
		return func(t *testing.T, s *mem.Store) {
			old, err := s.Get(t.Context(), name, cold.Whole, nil)
			if err != nil {
				t.Fatal(err)
			}
			remove(name)(t, s)
			if err := s.PutIfAbsent(t.Context(), name, cold.Bytes(with(bytes.Clone(old)))); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name   string
		damage func(*testing.T, *mem.Store)
		where  string
		what   string
	}{
		{"a sealed WAL object is gone", remove(wal(2, 1)), wal(2, 1), "missing: it holds offsets [5, 10) of t-0"},
		{"a bit of a run", flip(wal(2, 0), 100), wal(2, 0), "CRC-32C"},
		{"a bit of a live slot", flip(wal(5, 1), 100), wal(5, 1), "CRC-32C"},
		{"a bit of a footer", flip(wal(2, 0), 300), wal(2, 0), "footer"},
		{"an object cut short", replace(wal(2, 0), func(b []byte) []byte { return b[:80] }), wal(2, 0), "offsets [0, 5)"},
		{"the fence is gone", remove(wal(2, 2)), wal(2, 2), "fence of session 2 is missing"},
		{"data in the place of the fence", func(t *testing.T, s *mem.Store) {
			b, _ := s.Get(t.Context(), wal(2, 0), cold.Whole, nil)
			replace(wal(2, 2), func([]byte) []byte { return b })(t, s)
		}, wal(2, 2), "should be the fence"},
		{"objects swapped", func(t *testing.T, s *mem.Store) {
			b, _ := s.Get(t.Context(), wal(2, 1), cold.Whole, nil)
			replace(wal(2, 0), func([]byte) []byte { return b })(t, s)
		}, wal(2, 0), "want"},
		{"a slot of another session", func(t *testing.T, s *mem.Store) {
			b, _ := s.Get(t.Context(), wal(2, 1), cold.Whole, nil)
			replace(wal(5, 0), func([]byte) []byte { return b })(t, s)
		}, wal(5, 0), "slot 1 of session 2"},
		{"the first live slot repeats offsets", func(t *testing.T, s *mem.Store) {
			remove(wal(5, 0))(t, s)
		}, "", ""}, // the live session then has no committed slot: slot 1 lies above a gap
		{"a journal entry is damaged", flip(fmt.Sprintf("%s%020d", journal.PrefixEntries, 4), 50), "catalog", "CRC-32C"},
		{"the journal is gone", func(t *testing.T, s *mem.Store) {
			for i := range s.List(t.Context(), "catalog/", "") {
				remove(i.Name)(t, s)
			}
		}, "catalog", "no journal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := bucket(t)
			c.damage(t, s)
			r, err := Run(t.Context(), s, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if c.what == "" {
				if len(r.Findings) > 0 {
					t.Fatalf("%+v", r.Findings)
				}
				return
			}
			for _, f := range r.Findings {
				if f.Where == c.where && strings.Contains(f.What, c.what) {
					return
				}
			}
			t.Fatalf("want a finding at %s with %q, got %+v", c.where, c.what, r.Findings)
		})
	}
}
