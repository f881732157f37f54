package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

func TestASoundBucketHasNoFindings(t *testing.T) {
	w := build(t, lies{})
	done, total := 0, 0
	r, err := Run(t.Context(), w.store, Options{Progress: func(d, n int) { done, total = d, n }})
	if err != nil || len(r.Findings) > 0 || len(r.Orphans) > 0 || r.Objects != 6 || r.Runs != 9 || r.Records != 42 || r.Partitions != 3 || r.Entry != 16 {
		t.Fatalf("%v %+v", err, r)
	}
	if done == 0 || done != total {
		t.Errorf("progress ended at %d of %d", done, total)
	}
}

// one is what a damage must be reported as: a line at that object, and no other.
type one struct{ where, what string }

func (w *world) reports(want ...one) {
	w.t.Helper()
	r, err := Run(w.t.Context(), w.store, Options{Retry: time.Nanosecond})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, x := range want {
		if !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Where == x.where && strings.Contains(f.What, x.what) }) {
			w.t.Errorf("no finding at %s with %q", x.where, x.what)
		}
	}
	if len(r.Findings) != len(want) {
		w.t.Errorf("%d findings, want %d", len(r.Findings), len(want))
	}
	for _, f := range r.Findings {
		w.t.Logf("%s: %s", f.Where, f.What)
	}
}

// names of the objects that build puts.
func (w *world) names() map[string]string {
	out := map[string]string{
		"slot below the mark": catalog.WAL(w.a, 2).Name(), "fence": catalog.WAL(w.a, 3).Name(),
		"live slot": catalog.WAL(w.b, 0).Name(), "sealed object": catalog.Seg(w.job, 0).Name(), "listed segment": catalog.Seg(w.job, 1).Name(),
		"index object": catalog.Index(w.press, 0).Name(), "entry": fmt.Sprintf("%s%020d", journal.PrefixEntries, 12),
		"last entry": fmt.Sprintf("%s%020d", journal.PrefixEntries, 16), "snapshot": fmt.Sprintf("%s%020d", journal.PrefixSnapshots, 13),
		"named snapshot": fmt.Sprintf("%s%020d", journal.PrefixSnapshots, 10), "boundary": fmt.Sprintf("%s%020d", journal.PrefixBoundaries, 1),
		"approval": "catalog/approved/1", "waiting slot": catalog.WAL(w.a, 0).Name(),
	}
	for i := range w.store.List(w.t.Context(), journal.PrefixSide, "") {
		out["side object"] = i.Name
	}
	return out
}

// TestEveryObjectDamagedInEveryWayIsOneFinding: every kind of object, each missing, cut
// short, replaced by nothing, and with a byte changed in each of its parts.
func TestEveryObjectDamagedInEveryWayIsOneFinding(t *testing.T) {
	// In the frames of the catalog all parts are under one checksum.
	frame := map[string]string{"header": "", "body": "CRC-32C", "end": "CRC-32C", "cut": "", "emptied": "not a journal object", "missing": ""}
	kinds := []struct {
		name    string
		missing string            // what a missing one is reported as; "none": nothing is lost
		parts   map[string]string // what a change of a part is reported as
		where   string            // where a missing one is reported, if not at the object
	}{
		{"slot below the mark", "A2: missing; it holds offsets [5, 10) of t-1", nil, ""},
		{"sealed object", "A2: missing; it holds offsets [0, 5) of t-1, offsets [0, 2) of __consumer_offsets-0", nil, ""},
		{"listed segment", "A2: missing; it holds offsets [0, 5) of t-0", nil, ""},
		{"index object", "A2: missing; it describes offsets [0, 10) of t-0", nil, ""},
		{"fence", "A4: the fence of session 2 is missing", nil, ""},
		// A live session's slot that is gone cannot be told from one that was not put
		// yet: those behind it are listed as what is not committed.
		{"live slot", "none", nil, ""},
		{"entry", "entry 12 is missing, and entry 13 behind it is there", frame, "catalog"},
		// The newest entry leaves no trace in this bucket: a broker's data folder knows.
		{"last entry", "none", frame, ""},
		{"side object", "missing: it holds the commands of entry 14", frame, ""},
		{"snapshot", "none", frame, ""}, // older ones and the entries make it
		{"named snapshot", "snapshot 10 is missing", frame, "catalog"},
		{"boundary", "entries 1 to 5 are missing, and entry 6 behind them is there", frame, "catalog"},
	}
	for _, k := range kinds {
		run := func(damage string, want string, do func(w *world, name string)) {
			t.Run(k.name+" "+damage, func(t *testing.T) {
				w := build(t, lies{})
				w.t = t
				name := w.names()[k.name]
				do(w, name)
				switch where := name; {
				case want == "none":
					w.reports()
				default:
					if damage == "missing" && k.where != "" {
						where = k.where
					}
					w.reports(one{where, want})
				}
			})
		}
		run("missing", k.missing, (*world).remove)
		run("emptied", k.parts["emptied"], func(w *world, name string) { w.replace(name, nil) })
		run("cut", k.parts["cut"], func(w *world, name string) { w.cut(name, -7) })
		run("cut to its half", k.parts["cut"], func(w *world, name string) { w.cut(name, len(w.get(name))/2) })
		run("with another header", k.parts["header"], func(w *world, name string) { w.flip(name, 9) })
		run("with a byte changed", k.parts["body"], func(w *world, name string) { w.flip(name, len(w.get(name))/2-4) })
		run("with its end changed", k.parts["end"], func(w *world, name string) { w.flip(name, -1) })
		run("with a byte changed before its end", k.parts["end"], func(w *world, name string) { w.flip(name, -40) })
	}
}

func TestDamageOfEveryOtherSort(t *testing.T) {
	wal := func(session, slot uint64) string { return catalog.WAL(session, slot).Name() }
	for _, c := range []struct {
		name   string
		lie    lies
		damage func(*world)
		want   []one
	}{
		{"two slots swapped", lies{}, func(w *world) { w.swap(wal(2, 1), wal(2, 2)) }, // slot 1 waits to be swept
			[]one{{wal(2, 2), "A2: it says that it is wal 1 of 2; it should hold offsets [5, 10) of t-1"}}},
		{"two segments swapped", lies{}, func(w *world) { w.swap(catalog.Seg(5<<10, 1).Name(), catalog.Seg(11<<10, 2).Name()) },
			[]one{{catalog.Seg(5<<10, 1).Name(), "A2: it says that it is segment 2 of 11264; it should hold offsets [0, 5) of t-0"}, {catalog.Seg(11<<10, 2).Name(), "segment 1 of 5120"}}},
		{"a slot in the place of the fence", lies{}, func(w *world) { w.replace(wal(2, 3), w.get(wal(2, 2))) },
			[]one{{wal(2, 3), "A4: it should be the fence of session 2, and says that it is wal 2 of 2"}}},
		{"the fence of another slot", lies{}, func(w *world) {
			w.replace(wal(2, 3), object.EncodeFence(2, 9, nonce, nonce, 1))
		}, []one{{wal(2, 3), "says that it is fence 9 of 2"}}},
		{"a slot of another process", lies{}, func(w *world) {
			w.store.Delete(w.t.Context(), wal(2, 2))
			w.put(catalog.WAL(2, 2), object.Header{Kind: object.WAL, Session: 2, Slot: 2, Nonce: [16]byte{9}}, []run{{w.t1, 5, 0}})
		}, []one{{wal(2, 2), "written by another process"}}},
		{"a segment in the place of a sealed object", lies{}, func(w *world) { w.replace(w.names()["sealed object"], w.get(w.names()["listed segment"])) },
			[]one{{catalog.Seg(5<<10, 0).Name(), "it says that it is segment 1 of 5120"}}},
		{"a live slot of another session", lies{}, func(w *world) { w.replace(wal(w.b, 1), w.get(wal(2, 1))) },
			[]one{{wal(7, 1), "A4: it says that it is wal 1 of 2"}}},
		{"a live slot repeats offsets", lies{live: 13}, nil,
			[]one{{wal(7, 1), "A4: t-0: offsets [13, 15) were given away before: the log ended at 15"}}},
		{"records of a live slot rot, and what is behind it counts", lies{live: 13}, func(w *world) {
			b := bytes.Clone(w.get(wal(7, 0)))
			b[object.HeaderLen+65] ^= 1
			w.replace(wal(7, 0), b)
		}, []one{{wal(7, 0), "A4: run 0"}, {wal(7, 1), "A4: t-0: offsets [13, 15) were given away before"}}},
		{"the footer of a live slot rots", lies{}, func(w *world) {
			b := bytes.Clone(w.get(wal(7, 0)))
			b[len(b)-object.TrailerLen-1] ^= 1
			w.replace(wal(7, 0), b)
		}, []one{{wal(7, 0), "nobody can lead what it had: firn object give-up " + wal(7, 0)}}},
		{"a live slot leaves a gap", lies{live: 17}, nil,
			[]one{{wal(7, 1), "A4: t-0: offsets [15, 17) are missing: it continues at 17"}}},
		{"live slots of an epoch that was not given", lies{epoch: 2}, nil,
			[]one{{wal(7, 0), "of epoch 2, which the catalog has not given: its is 1; and so for 1 more runs"}, {wal(7, 1), "epoch 2"}}},
		{"live slots of an epoch that is over", lies{epoch: -1}, func(w *world) {
			w.store.Delete(w.t.Context(), wal(7, 0))
			w.store.Delete(w.t.Context(), wal(7, 1))
			w.wal(7, 0, 0, run{w.t0, 10, 0})
		}, []one{{wal(7, 0), "A5: t-0: offsets [10, 15) were committed here and are out of reach"}}},
		{"a committed run that the catalog was not told of", lies{seal: func(xs []catalog.Located) []catalog.Located { return xs[:1] }}, func(w *world) {
			w.store.Delete(w.t.Context(), wal(7, 0))
			w.store.Delete(w.t.Context(), wal(7, 1))
		}, []one{{wal(2, 2), "A5: t-1: offsets [5, 10) were committed here and are out of reach: the catalog's log ends at 5"}}},
		{"offsets that were given away twice", lies{}, func(w *world) {
			// Slot 0 waits to be swept; the catalog has others in the place of what it holds.
			w.remove(wal(2, 0))
			w.wal(2, 0, 0, run{w.t0, 0, 0}, run{w.t1, 0, -1})
		}, []one{{wal(2, 0), "A5: t-1: offsets [0, 5) were committed here in epoch -1, and the catalog has others of epoch 0"}}},
		{"an extent at the wrong place", lies{extent: func(x *catalog.Extent) { x.Pos += 4 }}, nil,
			[]one{{wal(2, 2), "A2: offsets [5, 10) of t-1, bytes [68, 179): its footer says bytes [64, 175)"}}},
		{"an extent of the wrong length", lies{extent: func(x *catalog.Extent) { x.Len-- }}, nil, []one{{wal(2, 2), "its footer says bytes"}}},
		{"an extent with the wrong checksum", lies{extent: func(x *catalog.Extent) { x.CRC++ }}, nil, []one{{wal(2, 2), "the catalog says CRC-32C"}}},
		{"an extent with the wrong number of records", lies{extent: func(x *catalog.Extent) { x.Records-- }}, nil, []one{{wal(2, 2), "the catalog says 4 records, its footer 5"}}},
		{"an extent with the wrong timestamp", lies{extent: func(x *catalog.Extent) { x.MaxTimestamp++ }}, nil, []one{{wal(2, 2), "newest timestamp"}}},
		{"an extent in the wrong object", lies{extent: func(x *catalog.Extent) { x.Object = catalog.WAL(2, 1) }}, nil,
			[]one{{wal(2, 1), "its footer knows no run there"}}},
		{"an extent in an object that never was", lies{extent: func(x *catalog.Extent) { x.Object = catalog.WAL(2, 8) }}, nil,
			[]one{{wal(2, 8), "A2: missing; it holds offsets [5, 10) of t-1"}}},
		{"an index object without one of its extents", lies{list: func(xs []catalog.Extent) []catalog.Extent { return xs[:1] }}, nil,
			[]one{{catalog.Index(13<<10, 0).Name(), "A3: its extents end at 5; it describes offsets [0, 10) of t-0"}}},
		{"an index object with a gap", lies{list: func(xs []catalog.Extent) []catalog.Extent { xs[0].Next = 4; return xs }}, nil,
			[]one{{catalog.Index(13<<10, 0).Name(), "A3: no extent for offsets [4, 5)"}, {catalog.Seg(5<<10, 1).Name(), "its footer says offsets [0, 5)"}}},
		{"an index object with an overlap", lies{list: func(xs []catalog.Extent) []catalog.Extent { return append(xs[:1:1], xs...) }}, nil,
			[]one{{catalog.Index(13<<10, 0).Name(), "A3: two extents for offsets [0, 5)"}}},
		{"an index line with the wrong number of bytes", lies{line: func(l *catalog.IndexRef) { l.Bytes++ }}, nil,
			[]one{{catalog.Index(13<<10, 0).Name(), "A3: it lists 2 extents of 222 bytes, the catalog says 2 of 223"}, {"catalog", "A1: t-0: bytes"}}},
		{"a record of a group that cannot be read", lies{group: []byte{0, 99, 1}}, nil,
			[]one{{catalog.Seg(5<<10, 0).Name(), "A6: the record at offset 1 cannot be loaded"}}},
		{"a producer whose batches end before they begin", lies{producer: func(p *object.Producer) { p.Batches[0].Last = p.Batches[0].Base - 1 }}, nil,
			[]one{
				{catalog.Seg(5<<10, 0).Name(), "t-1, bytes [64, 175): A6: its footer says that producer 1 wrote offsets [0, -1] behind -1"},
				{catalog.Seg(5<<10, 0).Name(), "__consumer_offsets-0"}, {catalog.Seg(5<<10, 1).Name(), "A6"}, {catalog.Seg(11<<10, 2).Name(), "A6"},
			}},
		{"a producer of an epoch below 0", lies{producer: func(p *object.Producer) { p.Epoch = -2; p.Batches = nil }}, nil,
			[]one{{catalog.Seg(5<<10, 0).Name(), "A6"}, {catalog.Seg(5<<10, 0).Name(), "in epoch -2"}, {catalog.Seg(5<<10, 1).Name(), "A6"}, {catalog.Seg(11<<10, 2).Name(), "A6"}}},
		{"a snapshot of another number", lies{}, func(w *world) { w.replace(w.names()["snapshot"], w.get(w.names()["named snapshot"])) },
			[]one{{journal.PrefixSnapshots + fmt.Sprintf("%020d", 13), "it says that it is S 10"}}},
		{"a snapshot that the entries do not make", lies{}, func(w *world) {
			other := build(w.t, lies{extent: func(x *catalog.Extent) { x.CRC++ }})
			w.replace(w.names()["snapshot"], other.get(other.names()["snapshot"]))
		}, []one{{journal.PrefixSnapshots + fmt.Sprintf("%020d", 13), "it is not the state that the entries up to 13 make"}, {wal(2, 2), "CRC-32C"}}},
		{"two entries swapped", lies{}, func(w *world) { w.swap(w.names()["last entry"], journal.PrefixEntries+fmt.Sprintf("%020d", 15)) },
			[]one{{journal.PrefixEntries + fmt.Sprintf("%020d", 15), "it says that it is E 16"}, {journal.PrefixEntries + fmt.Sprintf("%020d", 16), "it says that it is E 15"}}},
		{"a boundary missing below another", lies{}, func(w *world) {
			b := w.get(w.names()["boundary"])
			w.remove(w.names()["boundary"])
			w.replace(journal.PrefixBoundaries+fmt.Sprintf("%020d", 2), renumbered(b, 2))
		}, []one{{"catalog", "boundary 1 is missing, and boundary 2 behind it is there"}}},
		{"the newest entries lost under slots that need them", lies{}, func(w *world) {
			for i := range w.store.List(w.t.Context(), "catalog/", "") {
				if i.Name != w.names()["approval"] {
					w.remove(i.Name)
				}
			}
		}, []one{{"catalog", "A1: entries of the journal are lost: it can be read up to entry 0, but there is"}}},
		{"everything lost", lies{}, func(w *world) {
			for i := range w.store.List(w.t.Context(), "", "") {
				w.remove(i.Name)
			}
		}, []one{{"catalog", "A1: there is no journal"}}},
		// What is not read by anybody loses nothing.
		{"the approval is gone", lies{}, func(w *world) { w.remove(w.names()["approval"]) }, nil},
		{"the approval is changed", lies{}, func(w *world) { w.flip(w.names()["approval"], 0) }, nil},
		{"a slot that waits to be swept is gone", lies{}, func(w *world) { w.remove(wal(2, 0)) }, nil},
		{"an entry below the boundary is changed", lies{}, func(w *world) {
			w.replace(journal.PrefixEntries+fmt.Sprintf("%020d", 2), []byte("rubbish"))
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := build(t, c.lie)
			if c.damage != nil {
				c.damage(w)
			}
			w.reports(c.want...)
		})
	}
}

func TestOrphansAreListedWithTheirAgeAndWhy(t *testing.T) {
	w := build(t, lies{})
	put := func(name string) {
		if err := w.store.PutIfAbsent(t.Context(), name, cold.Bytes([]byte("x"))); err != nil {
			t.Fatal(err)
		}
	}
	put(catalog.Seg(w.job, 7).Name())
	put(catalog.Seg(1, 0).Name())
	put("somebody/elses.txt")
	put("wal/x")
	w.wal(w.a, 5, 0, run{w.t0, 50, 0}) // above the fence
	w.wal(w.b, 3, 1, run{w.t0, 50, 1}) // slot 2 is empty
	w.wal(1, 0, 0, run{w.t0, 50, 0})   // entry 1 registered no session
	r, err := Run(t.Context(), w.store, Options{})
	if err != nil || len(r.Findings) > 0 {
		t.Fatal(err, r.Findings)
	}
	want := []Orphan{
		{Name: catalog.Seg(1, 0).Name(), Why: "job 1 is over"}, {Name: catalog.Seg(w.job, 7).Name(), Why: "job 5120 is over"},
		{Name: "somebody/elses.txt", Why: "none of Firn's"}, {Name: catalog.WAL(1, 0).Name(), Why: "the catalog knows no session 1"},
		{Name: catalog.WAL(w.a, 5).Name(), Why: "above the fence of session 2, in slot 3"}, {Name: catalog.WAL(w.b, 3).Name(), Why: "slot 2 of session 7 before it is empty"},
		{Name: "wal/x", Why: "none of Firn's"},
	}
	if len(r.Orphans) != len(want) {
		t.Fatalf("%+v", r.Orphans)
	}
	for i, x := range want {
		if got := r.Orphans[i]; got.Name != x.Name || !strings.Contains(got.Why, x.Why) || got.Size == 0 || got.Age < 0 {
			t.Errorf("%+v, want %+v", got, x)
		}
	}
}

// meddler is a store that does something at the first request for a name.
type meddler struct {
	cold.Store
	name string
	do   func()
}

func (m *meddler) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	if name == m.name && m.do != nil {
		do := m.do
		m.do = nil
		do()
	}
	return m.Store.Get(ctx, name, r, buf)
}

// TestWhatIsReplacedWhileItIsReadIsNoFinding: an object that was merged into another and
// deleted after the catalog was read; a partition that went to another session.
func TestWhatIsReplacedWhileItIsReadIsNoFinding(t *testing.T) {
	for _, damage := range []bool{false, true} {
		w := build(t, lies{})
		old := catalog.WAL(w.a, 2).Name()
		m := &meddler{Store: w.store, name: old}
		var fresh catalog.ObjectRef
		m.do = func() {
			w.with(journal.Options{}, func(j *journal.Journal) {
				id := w.commit(j, &catalog.BeginJob{Session: w.b}).ID
				xs := w.segOf(id, object.Segment, 0, run{w.t1, 5, 0})
				fresh = xs[0].Object
				w.commit(j, &catalog.CommitJob{Job: id, Extents: xs, Objects: []catalog.ObjectRef{fresh}})
				// and the live session hands on
				c := w.commit(j, &catalog.RegisterSession{Nonce: nonce}).ID
				var runs []catalog.Located
				for _, p := range []record.Partition{w.t0, w.t1} {
					for slot := range uint64(2) {
						_, f, err := object.Open(w.get(catalog.WAL(w.b, slot).Name()))
						if err != nil {
							t.Fatal(err)
						}
						r, err := f.Run(int(p.Index))
						if err != nil {
							t.Fatal(err)
						}
						runs = append(runs, catalog.Located{Partition: p, Extent: catalog.Extent{Base: r.Base, Next: r.Next, Epoch: r.Epoch, Object: catalog.WAL(w.b, slot), Pos: r.Pos, Len: r.Len, CRC: r.CRC, Records: r.Records, MaxTimestamp: r.MaxTimestamp}})
					}
				}
				if err := w.store.PutIfAbsent(t.Context(), catalog.WAL(w.b, 2).Name(), cold.Bytes(object.EncodeFence(w.b, 2, nonce, nonce, 1))); err != nil {
					t.Fatal(err)
				}
				w.commit(j, &catalog.Move{Old: w.b, New: c, Fence: 2, Extents: runs})
				w.wal(c, 0, 2, run{w.t0, 20, 2}, run{w.t1, 20, 2})
			})
			w.remove(old)
			if damage {
				w.flip(fresh.Name(), 100)
			}
		}
		r, err := Run(t.Context(), m, Options{})
		switch {
		case err != nil:
			t.Fatal(err)
		case !damage && len(r.Findings)+len(r.Orphans) > 0:
			t.Errorf("%+v", r)
		case damage && (len(r.Findings) != 1 || r.Findings[0].Where != fresh.Name()):
			t.Errorf("what was replaced is not held to the newer catalog: %+v", r.Findings)
		}
	}
}

// refusing is a store that fails so many times.
type refusing struct {
	cold.Store
	left atomic.Int64
}

func refuse(s cold.Store, times int64) *refusing {
	r := &refusing{Store: s}
	r.left.Store(times)
	return r
}

func (s *refusing) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	if strings.HasPrefix(name, "seg/") && s.left.Add(-1) >= 0 {
		return buf, errors.New("503 SlowDown")
	}
	return s.Store.Get(ctx, name, r, buf)
}

func TestAStoreThatRefusesNowAndThenIsAskedAgain(t *testing.T) {
	w := build(t, lies{})
	r, err := Run(t.Context(), refuse(w.store, 3), Options{Retry: time.Nanosecond})
	if err != nil || len(r.Findings) > 0 {
		t.Fatal(err, r.Findings)
	}
	if _, err := Run(t.Context(), refuse(w.store, 1000), Options{Retry: time.Nanosecond}); err == nil {
		t.Fatal("a bucket that cannot be read is said to be sound")
	}
}

// vanishing is a store from which an object goes while it is read: when somebody asks for
// what lies behind its first megabytes.
type vanishing struct {
	cold.Store
	name string
	do   func()
}

func (v *vanishing) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	if name == v.name && r.Offset >= 1<<20 && v.do != nil {
		do := v.do
		v.do = nil
		do()
	}
	return v.Store.Get(ctx, name, r, buf)
}

// An audit of hours meets objects that were merged since it began, and whose time comes
// just then.
func TestAnObjectThatIsDeletedWhileItIsReadIsNoFinding(t *testing.T) {
	w := build(t, lies{})
	rewrite := func(size int) catalog.ObjectRef {
		var ref catalog.ObjectRef
		w.with(journal.Options{}, func(j *journal.Journal) {
			id := w.commit(j, &catalog.BeginJob{Session: w.b}).ID
			w.size = size
			xs := w.segOf(id, object.Segment, 0, run{w.t1, 5, 0})
			ref = xs[0].Object
			w.commit(j, &catalog.CommitJob{Job: id, Extents: xs, Objects: []catalog.ObjectRef{ref}})
		})
		return ref
	}
	large := rewrite(6 << 20)
	v := &vanishing{Store: w.store, name: large.Name(), do: func() {
		rewrite(0)
		w.remove(large.Name())
	}}
	r, err := Run(t.Context(), v, Options{})
	if err != nil || v.do != nil || len(r.Findings) > 0 {
		t.Errorf("%v %+v; it went: %v", err, r.Findings, v.do == nil)
	}
}
