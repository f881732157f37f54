package replay

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/file"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/object"
)

func want(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got\n%v\nwant\n%v", got, want)
	}
}

func TestCatalogAndUncoveredSlotsAreReplayedOnEveryStore(t *testing.T) {
	stores := map[string]cold.Store{"mem": mem.New()}
	f, err := file.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	stores["file"] = f
	for name, s := range stores {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, s, 2)
			w.write(5, 0, 0, 1)
			w.write(5, 0, 0)
			w.succeed() // sealed: the catalog alone tells
			for range 40 {
				w.write(3, 0, 0, 1)
			}
			w.cover() // described, in WAL objects
			for range 40 {
				w.write(2, 0, 0, 1) // in slots alone; more than are asked for at once
			}
			want(t, w.all(w.open(), Choice{To: End()}), map[int32][]int64{0: offsets(0, 210), 1: offsets(0, 205)})
		})
	}
}

func TestRecordsComeWhole(t *testing.T) {
	w := newWorld(t, mem.New(), 1)
	w.write(1, 0, 0)
	h := w.open()
	_, err := h.Replay(t.Context(), w.spans(h, Choice{To: End()}), How{}, func(r *Record) error {
		want(t, *r, Record{Partition: 0, Offset: 0, Timestamp: 0, Key: []byte("k"), Value: []byte("0-0 "), Headers: []record.KeyValue{{Key: "h", Value: []byte("x")}}})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNothingBehindAGapOrAFenceIsReplayed(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(*world)
		end    int64
	}{
		{"a gap", func(w *world) { w.write(5, 0, 0); w.slot++; w.write(5, 0, 0) }, 10},
		{"the first slot is the gap", func(w *world) { w.delete(catalog.WAL(w.session, 0)) }, 0},
		{"a fence, before the journal knows of it", func(w *world) { w.fence(); w.slot++; w.write(5, 0, 0) }, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, mem.New(), 1)
			w.write(5, 0, 0)
			c.damage(w)
			want(t, w.spans(w.open(), Choice{To: End()}), []Span{{0, 0, c.end}})
		})
	}
}

func TestASlotOfSomebodyElseIsRefused(t *testing.T) {
	w := newWorld(t, mem.New(), 1)
	w.object(catalog.WAL(w.session, 1), object.WAL, []int64{0}, []int32{0}, [][][]byte{{w.batch(0, 0, 1, 0)}}, nil)
	b, err := w.store.Get(t.Context(), catalog.WAL(w.session, 1).Name(), cold.Whole, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.PutIfAbsent(t.Context(), catalog.WAL(w.session, 0).Name(), cold.Bytes(b)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.open().Resolve(t.Context(), Choice{To: End()}); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
}

// One damaged slot, of which the catalog does not know yet, hides what lies behind it, and
// nothing else.
func TestHistoryBeforeADamagedSlotIsRead(t *testing.T) {
	w := newWorld(t, mem.New(), 2)
	w.write(5, 0, 0, 1)
	w.cover()
	w.write(5, 0, 0)
	b, err := w.store.Get(t.Context(), w.write(5, 0, 0).Name(), cold.Whole, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.delete(catalog.WAL(w.session, 2))
	b[len(b)-1] ^= 1
	if err := w.store.PutIfAbsent(t.Context(), catalog.WAL(w.session, 2).Name(), cold.Bytes(b)); err != nil {
		t.Fatal(err)
	}
	w.write(5, 0, 0)
	h := w.open()
	for name, c := range map[string]Choice{
		"to the end": {To: End()}, "from the end": {From: End(), To: Offset(1)}, "behind it": {To: Offset(11)}, "at a time behind it": {To: Time(10_000)},
	} {
		if _, err := h.Resolve(t.Context(), c); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), catalog.WAL(w.session, 2).Name()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := h.Locate(t.Context(), 0, 10); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
	if _, err := h.Storage(t.Context(), nil); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
	want(t, w.all(h, Choice{Partitions: []int32{0}, To: Offset(10)}), map[int32][]int64{0: offsets(0, 10)})
	want(t, w.all(h, Choice{Partitions: []int32{0}, From: Time(2_000), To: Time(9_000)}), map[int32][]int64{0: offsets(2, 9)})
}

func TestWhatIsNotThereIsSaid(t *testing.T) {
	if _, err := Open(t.Context(), mem.New(), "t", Options{}); !errors.Is(err, ErrNoCluster) {
		t.Fatal(err)
	}
	w := newWorld(t, mem.New(), 1)
	if _, err := Open(t.Context(), w.store, "u", Options{}); !errors.Is(err, ErrNoTopic) {
		t.Fatal(err)
	}
	if _, err := w.open().Resolve(t.Context(), Choice{Partitions: []int32{1}}); !errors.Is(err, ErrNoPartition) {
		t.Fatal(err)
	}
}

func TestPositions(t *testing.T) {
	w := newWorld(t, mem.New(), 2)
	w.write(5, 0, 0, 1)
	w.cover()
	w.write(5, 0, 0, 1)
	w.commit(&catalog.Trim{Items: []catalog.TrimItem{{Partition: w.part(1), LogStart: 2}}})
	h := w.open()
	for _, c := range []struct {
		choice Choice
		want   []Span
	}{
		{Choice{To: End()}, []Span{{0, 0, 10}, {1, 2, 10}}},
		{Choice{From: Offset(1), To: Offset(7)}, []Span{{0, 1, 7}, {1, 2, 7}}},
		{Choice{From: Offset(20), To: End()}, []Span{{0, 10, 10}, {1, 10, 10}}},
		{Choice{From: Offset(7), To: Offset(3)}, []Span{{0, 7, 7}, {1, 7, 7}}},
		{Choice{From: Time(3000), To: Time(8001)}, []Span{{0, 3, 9}, {1, 3, 8}}},
		{Choice{From: Time(1 << 40), To: End()}, []Span{{0, 10, 10}, {1, 10, 10}}},
		{Choice{Partitions: []int32{1, 1}, To: End()}, []Span{{1, 2, 10}}},
	} {
		want(t, w.spans(h, c.choice), c.want)
	}
	// Batches reach over both ends of a span; records do not.
	want(t, w.all(h, Choice{From: Offset(3), To: Offset(6), Partitions: []int32{0}}), map[int32][]int64{0: {3, 4, 5}})
}

func TestPartitionsAreMergedByTime(t *testing.T) {
	w := newWorld(t, mem.New(), 3)
	for range 4 {
		w.write(5, 0, 0, 1, 2)
	}
	h := w.open()
	last, n := int64(-1), 0
	_, err := h.Replay(t.Context(), w.spans(h, Choice{To: End()}), How{}, func(r *Record) error {
		if r.Timestamp < last {
			t.Errorf("partition %d offset %d of time %d comes behind %d", r.Partition, r.Offset, r.Timestamp, last)
		}
		last = r.Timestamp
		n++
		return nil
	})
	if err != nil || n != 60 {
		t.Fatal(n, err)
	}
}

// TestObjectsReplacedMeanwhile has a job rewrite what is being read, and its
// predecessors deleted, at each of some moments (H4).
func TestObjectsReplacedMeanwhile(t *testing.T) {
	for _, when := range []int64{0, 1, 39, 200} {
		t.Run(fmt.Sprint(when), func(t *testing.T) {
			w := newWorld(t, mem.New(), 1)
			var old []catalog.ObjectRef
			for range 40 {
				old = append(old, w.write(10, 40_000, 0)) // 16 MB: more than is read ahead
			}
			w.cover()
			h := w.open()
			at := int64(0)
			_, err := h.Replay(t.Context(), w.spans(h, Choice{To: End()}), How{}, func(r *Record) error {
				if r.Offset == when {
					w.press(0, 0, 400, 10, 40_000)
					for _, ref := range old {
						w.delete(ref)
					}
				}
				if r.Offset != at {
					t.Fatalf("offset %d comes after %d", r.Offset, at-1)
				}
				at++
				return nil
			})
			if err != nil || at != 400 {
				t.Fatal(at, err)
			}
			if h.Entry() == 0 {
				t.Fatal("no entry")
			}
		})
	}
}

func TestWhatRetentionTookIsTold(t *testing.T) {
	w := newWorld(t, mem.New(), 1)
	var old []catalog.ObjectRef
	for range 100 {
		old = append(old, w.write(10, 40_000, 0))
	}
	w.cover()
	h := w.open()
	next, gap := int64(0), Span{}
	res, err := h.Replay(t.Context(), w.spans(h, Choice{To: End()}), How{}, func(r *Record) error {
		if r.Offset == 0 {
			w.commit(&catalog.Trim{Items: []catalog.TrimItem{{Partition: w.part(0), LogStart: 905}}})
			for _, ref := range old[:90] {
				w.delete(ref)
			}
		}
		if r.Offset != next {
			gap = Span{0, next, r.Offset}
		}
		next = r.Offset + 1
		return nil
	})
	if err != nil || next != 1000 {
		t.Fatal(next, err)
	}
	want(t, res.Lost, []Span{gap})
	if gap.To != 905 {
		t.Fatal(gap)
	}
}

func TestMissingAndDamagedObjectsAreErrors(t *testing.T) {
	s := mem.New()
	w := newWorld(t, s, 1)
	ref := w.write(5, 100, 0)
	w.cover()
	h := w.open()
	spans := w.spans(h, Choice{To: End()})
	never := func(*Record) error { t.Error("a record was delivered"); return nil }
	s.Corrupt(ref.Name(), object.HeaderLen+100)
	if _, err := h.Replay(t.Context(), spans, How{}, never); !errors.Is(err, tier.ErrDamaged) || !strings.Contains(err.Error(), ref.Name()) {
		t.Fatal(err)
	}
	w.delete(ref)
	if _, err := w.open().Replay(t.Context(), spans, How{}, never); !errors.Is(err, ErrMissing) {
		t.Fatal(err)
	}
}

func TestHistoryPressedIntoIndexObjects(t *testing.T) {
	w := newWorld(t, mem.New(), 1)
	w.write(10, 0, 0)
	w.write(10, 0, 0)
	w.cover()
	a, b := w.press(0, 0, 10, 5, 0), w.press(0, 10, 20, 5, 0)
	job := w.commit(&catalog.BeginJob{Session: w.session}).ID
	payload := catalog.EncodeExtents([]catalog.Extent{a[0].Extent, b[0].Extent})
	ref := catalog.Index(job, 0)
	if err := w.store.PutIfAbsent(t.Context(), ref.Name(), cold.Bytes(object.EncodeIndex(job, 0, nonce, 1, payload))); err != nil {
		t.Fatal(err)
	}
	w.commit(&catalog.CommitJob{Job: job, Presses: []catalog.Press{{Partition: w.part(0), Line: catalog.IndexRef{Base: 0, Next: 20, Object: ref, Extents: 2, Bytes: a[0].Len + b[0].Len, MaxTimestamp: 19000}}}})
	w.write(10, 0, 0)
	h := w.open()
	want(t, w.all(h, Choice{From: Offset(3), To: End()}), map[int32][]int64{0: offsets(3, 30)})
	p, err := h.Plan(t.Context(), w.spans(h, Choice{To: End()}))
	if err != nil || p.Indexes != 1 || p.Objects != 3 || p.Records != 30 {
		t.Fatalf("%+v %v", p, err)
	}
}

func TestReadCommitted(t *testing.T) {
	w := newWorld(t, mem.New(), 1)
	txn := func(base int64, producer int64) []byte {
		b := record.Builder{HasProducer: true, Template: record.Header{ProducerID: producer, Attributes: 1 << 4}}
		b.Add(base*1000, nil, []byte("x"))
		b.Add(base*1000+1, nil, []byte("y"))
		x, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		record.Rebase(x, base, 0)
		return x
	}
	put := func(batch []byte, details func(*object.Encoder)) {
		h, err := record.ParseHeader(batch)
		if err != nil {
			t.Fatal(err)
		}
		ref := catalog.WAL(w.session, w.slot)
		w.slot++
		w.runs = append(w.runs, w.object(ref, object.WAL, []int64{h.BaseOffset}, []int32{0}, [][][]byte{{batch}}, details)...)
		w.next[0] = h.NextOffset()
	}
	end := func(base, producer int64, kind record.Marker) []byte {
		b := record.NewEndTxn(record.EndTxn{Marker: kind}, producer, 0, base*1000)
		record.Rebase(b, base, 0)
		return b
	}
	put(txn(0, 1), nil) // aborted at 4, in another object
	put(txn(2, 2), nil) // committed at 5
	put(end(4, 1, record.Abort), func(e *object.Encoder) { e.Aborted([]object.Aborted{{Producer: 1, First: 0, Last: 4}}) })
	put(end(5, 2, record.Commit), nil)
	put(txn(6, 1), nil) // committed later: the same producer
	put(end(8, 1, record.Commit), nil)
	put(w.batch(0, 9, 1, 0), nil)
	put(txn(10, 3), func(e *object.Encoder) {
		e.Producers([]object.Producer{{ID: 3, TxnStart: 10, Batches: []object.Produced{{FirstSequence: 0, LastSequence: 1, Base: 10, Last: 11}}}})
	}) // open
	put(w.batch(0, 12, 1, 0), nil)
	for _, covered := range []bool{false, true} {
		if covered {
			w.cover()
		}
		h := w.open()
		want(t, w.all(h, Choice{To: End(), Committed: true}), map[int32][]int64{0: {2, 3, 6, 7, 9}})
		want(t, w.all(h, Choice{From: Offset(1), To: End()}), map[int32][]int64{0: {1, 2, 3, 6, 7, 9, 10, 11, 12}})
	}
}

func TestSpeed(t *testing.T) {
	for _, c := range []struct {
		speed float64
		took  time.Duration
	}{{0, 0}, {1, 9 * time.Second}, {3, 3 * time.Second}, {0.5, 18 * time.Second}} {
		w := newWorld(t, mem.New(), 1)
		w.write(10, 0, 0) // a second apart
		h := w.open()
		spans := w.spans(h, Choice{To: End()})
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			if _, err := h.Replay(t.Context(), spans, How{Speed: c.speed}, func(*Record) error { return nil }); err != nil {
				t.Fatal(err)
			}
			want(t, time.Since(began), c.took)
		})
	}
}

func TestAPlanIsWhatIsAskedFor(t *testing.T) {
	w := newWorld(t, mem.New(), 3)
	for range 10 {
		w.write(10, 1000, 0, 1, 2)
	}
	w.cover()
	w.press(0, 0, 100, 10, 1000)
	h := w.open()
	spans := w.spans(h, Choice{To: End()})
	p, err := h.Plan(t.Context(), spans)
	if err != nil {
		t.Fatal(err)
	}
	res, err := h.Replay(t.Context(), spans, How{}, func(*Record) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if p.Objects != 11 || p.Records != 300 || res.Gets != p.Gets || p.Gets != 11 {
		t.Fatalf("%+v %+v", p, res)
	}
	if c := p.Cost(Prices{Get: 2, GiB: float64(1<<30) / float64(p.Bytes)}); c < 22.99 || c > 23.01 {
		t.Fatal(c)
	}
}

// TestMemoryStaysFlat replays many times more than it may hold (H5).
func TestMemoryStaysFlat(t *testing.T) {
	const budget = leastMemory + 16<<20 // and what a collector has not come to
	f, err := file.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, f, 4)
	for range 30 {
		w.write(10, 100_000, 0, 1, 2, 3) // 4 MB each
	}
	w.cover()
	h := w.open()
	spans := w.spans(h, Choice{To: End()})
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, most, n := m.HeapAlloc, uint64(0), 0
	_, err = h.Replay(t.Context(), spans, How{}, func(*Record) error {
		if n++; n%200 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
		return nil
	})
	if err != nil || n != 1200 {
		t.Fatal(n, err)
	}
	if most > before+budget {
		t.Fatalf("%d MB of 120 MB were held, want at most %d", (most-before)>>20, budget>>20)
	}
	t.Logf("%d MB were held at most", (int64(most)-int64(before))>>20)
}

func TestAnErrorOfTheVisitorEndsIt(t *testing.T) {
	w := newWorld(t, mem.New(), 2)
	for range 100 {
		w.write(10, 40_000, 0, 1)
	}
	h := w.open()
	enough := errors.New("enough")
	n := 0
	_, err := h.Replay(t.Context(), w.spans(h, Choice{To: End()}), How{}, func(*Record) error {
		if n++; n == 7 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || n != 7 {
		t.Fatal(n, err)
	}
}

func TestRefreshSeesWhatCameSince(t *testing.T) {
	w := newWorld(t, mem.New(), 1)
	w.write(5, 0, 0)
	h := w.open()
	w.write(5, 0, 0)
	want(t, w.spans(h, Choice{To: End()}), []Span{{0, 0, 5}})
	w.cover()
	w.write(5, 0, 0)
	if err := h.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, w.spans(h, Choice{To: End()}), []Span{{0, 0, 15}})
}

// meddled is a store that is read through a function.
type meddled struct {
	readOnly
	get func(name string, b []byte, err error) ([]byte, error)
}

func (m *meddled) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	b, err := m.Store.Get(ctx, name, r, buf)
	return m.get(name, b, err)
}

// A replay of hours does not end with a store that fails now and then, or one read that was
// damaged on the way.
func TestAStoreThatFailsNowAndThenEndsNoReplay(t *testing.T) {
	w := newWorld(t, mem.New(), 1)
	for range 40 {
		w.write(5, 0, 0)
	}
	w.cover()
	w.write(5, 0, 0)
	synctest.Test(t, func(t *testing.T) {
		w.t = t
		var gets atomic.Int64
		var damaged sync.Map
		s := &meddled{readOnly{Store: w.store, t: t}, func(name string, b []byte, err error) ([]byte, error) {
			if gets.Add(1)%3 == 0 {
				return nil, errors.New("503")
			}
			if _, again := damaged.LoadOrStore(name, true); !again && strings.HasPrefix(name, catalog.PrefixWAL) && len(b) > 40 {
				b[len(b)-40] ^= 1
			}
			return b, err
		}}
		h, err := Open(t.Context(), s, "t", Options{})
		if err != nil {
			t.Fatal(err)
		}
		want(t, w.all(h, Choice{To: End()}), map[int32][]int64{0: offsets(0, 205)})
	})
}

// A partition may be given up and taken back by one broker while its slots are read: they
// fit the catalog as it is by then.
func TestAPartitionThatIsTakenBackMeanwhileIsNoDamage(t *testing.T) {
	w := newWorld(t, mem.New(), 1)
	first := w.write(5, 0, 0).Name()
	var once sync.Once
	s := &meddled{readOnly{Store: w.store, t: t}, func(name string, b []byte, err error) ([]byte, error) {
		if name == first {
			once.Do(func() {
				w.commit(&catalog.Release{Session: w.session, Partitions: []record.Partition{w.part(0)}, Extents: w.located()})
				w.epoch++
				w.commit(&catalog.Take{Session: w.session, Items: []catalog.TakeItem{{Partition: w.part(0), Epoch: w.epoch, Start: 5}}})
				w.write(5, 0, 0)
			})
		}
		return b, err
	}}
	h, err := Open(t.Context(), s, "t", Options{})
	if err != nil {
		t.Fatal(err)
	}
	want(t, w.all(h, Choice{To: End()}), map[int32][]int64{0: offsets(0, 10)})
}
