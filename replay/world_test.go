package replay

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

var nonce = [16]byte{7}

// world is a bucket that a broker would leave, made by its journal and encoders.
type world struct {
	t       testing.TB
	store   cold.Store
	j       *journal.Journal
	topic   record.TopicID
	session uint64
	slot    uint64
	covered uint64
	epoch   int32
	next    []int64
	runs    []catalog.Located // of slots that are not covered
}

// newWorld has one session that owns all partitions of a topic named t.
func newWorld(t testing.TB, store cold.Store, partitions int) *world {
	t.Helper()
	w := &world{t: t, store: store, topic: record.TopicID{1}, next: make([]int64, partitions)}
	var err error
	if w.j, err = journal.Open(t.Context(), store, journal.Options{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.j.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	w.session = w.commit(&catalog.RegisterSession{Nonce: nonce}).ID
	owners := make([]uint64, partitions)
	for i := range owners {
		owners[i] = w.session
	}
	w.commit(&catalog.CreateTopic{Name: "t", ID: w.topic, Owners: owners})
	return w
}

func (w *world) commit(c catalog.Command) catalog.Result {
	w.t.Helper()
	r, err := w.j.Commit(w.t.Context(), c)
	if err != nil || r[0].Err != nil {
		w.t.Fatalf("%T: %v %v", c, err, r)
	}
	for i, err := range r[0].Items {
		if err != nil {
			w.t.Fatalf("%T item %d: %v", c, i, err)
		}
	}
	return r[0]
}

func (w *world) part(i int32) record.Partition { return record.Partition{Topic: w.topic, Index: i} }

// batch has n records whose timestamp is 1000 times their offset, plus the partition.
func (w *world) batch(p int32, base int64, n, size int) []byte {
	w.t.Helper()
	var b record.Builder
	b.Start(base)
	for i := range int64(n) {
		v := fmt.Appendf(nil, "%d-%d ", p, base+i)
		for len(v) < size {
			v = append(v, byte(base+int64(len(v)))*31)
		}
		b.Add((base+i)*1000+int64(p), []byte("k"), v, record.KeyValue{Key: "h", Value: []byte("x")})
	}
	x, err := b.Build()
	if err != nil {
		w.t.Fatal(err)
	}
	record.Rebase(x, base, w.epoch)
	return x
}

// object puts an object with one run of some batches for each of the partitions.
func (w *world) object(ref catalog.ObjectRef, kind object.Kind, bases []int64, parts []int32, batches [][][]byte, details func(*object.Encoder)) []catalog.Located {
	w.t.Helper()
	e := object.NewEncoder(object.Header{Kind: kind, Session: ref.A, Slot: ref.B, Nonce: nonce}, 1, nil)
	for i, p := range parts {
		e.Begin(w.part(p), w.epoch, bases[i])
		for _, b := range batches[i] {
			h, err := record.ParseHeader(b)
			if err != nil {
				w.t.Fatal(err)
			}
			e.Append(h, b)
		}
		if details != nil {
			details(e)
		}
	}
	runs, err := e.Finish()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.PutIfAbsent(context.Background(), ref.Name(), cold.Bytes(e.Segments()...)); err != nil {
		w.t.Fatal(err)
	}
	var out []catalog.Located
	for _, r := range runs {
		out = append(out, catalog.Located{Partition: r.Partition, Extent: catalog.Extent{
			Base: r.Base, Next: r.Next, Epoch: r.Epoch, Object: ref, Pos: r.Pos, Len: r.Len,
			MaxTimestamp: r.MaxTimestamp, CRC: r.CRC, Records: r.Records}})
	}
	return out
}

// write fills the next slot with one batch of n records for each partition.
func (w *world) write(n, size int, parts ...int32) catalog.ObjectRef {
	w.t.Helper()
	var bases []int64
	var batches [][][]byte
	for _, p := range parts {
		bases = append(bases, w.next[p])
		batches = append(batches, [][]byte{w.batch(p, w.next[p], n, size)})
		w.next[p] += int64(n)
	}
	ref := catalog.WAL(w.session, w.slot)
	w.slot++
	w.runs = append(w.runs, w.object(ref, object.WAL, bases, parts, batches, nil)...)
	return ref
}

// located is the runs not yet covered, in the order that commands want.
func (w *world) located() []catalog.Located {
	var out []catalog.Located
	for p := range w.next {
		for _, r := range w.runs {
			if r.Partition.Index == int32(p) {
				out = append(out, r)
			}
		}
	}
	w.runs = nil
	return out
}

// cover tells the catalog of all slots.
func (w *world) cover() {
	w.t.Helper()
	w.commit(&catalog.Cover{Session: w.session, From: w.covered, To: w.slot, Extents: w.located()})
	w.covered = w.slot
}

func (w *world) fence() {
	w.t.Helper()
	b := object.EncodeFence(w.session, w.slot, nonce, [16]byte{9}, 1)
	if err := w.store.PutIfAbsent(context.Background(), catalog.WAL(w.session, w.slot).Name(), cold.Bytes(b)); err != nil {
		w.t.Fatal(err)
	}
}

// succeed seals the session and has another one take everything.
func (w *world) succeed() {
	w.t.Helper()
	w.fence()
	w.commit(&catalog.SealSession{Session: w.session, Covered: w.covered, Fence: w.slot, Extents: w.located()})
	w.session, w.slot, w.covered = w.commit(&catalog.RegisterSession{Nonce: nonce}).ID, 0, 0
	w.epoch++
	var items []catalog.TakeItem
	for p, next := range w.next {
		items = append(items, catalog.TakeItem{Partition: w.part(int32(p)), Epoch: w.epoch, Start: next})
	}
	w.commit(&catalog.Take{Session: w.session, Items: items})
}

// press rewrites batches of one record size into a segment that stands for [base,
// next) of a partition.
func (w *world) press(p int32, base, next int64, n, size int) []catalog.Located {
	w.t.Helper()
	job := w.commit(&catalog.BeginJob{Session: w.session}).ID
	var batches [][]byte
	for o := base; o < next; o += int64(n) {
		batches = append(batches, w.batch(p, o, n, size))
	}
	xs := w.object(catalog.Seg(job, 0), object.Segment, []int64{base}, []int32{p}, [][][]byte{batches}, nil)
	w.commit(&catalog.CommitJob{Job: job, Extents: xs, Objects: []catalog.ObjectRef{catalog.Seg(job, 0)}})
	return xs
}

func (w *world) delete(ref catalog.ObjectRef) {
	w.t.Helper()
	if err := w.store.Delete(context.Background(), ref.Name()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) open() *History {
	w.t.Helper()
	h, err := Open(w.t.Context(), &readOnly{Store: w.store, t: w.t}, "t", Options{Memory: leastMemory})
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

func (w *world) spans(h *History, c Choice) []Span {
	w.t.Helper()
	s, err := h.Resolve(w.t.Context(), c)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// all replays a choice and returns the offsets by partition.
func (w *world) all(h *History, c Choice) map[int32][]int64 {
	w.t.Helper()
	got := map[int32][]int64{}
	spans := w.spans(h, c)
	res, err := h.Replay(w.t.Context(), spans, How{Committed: c.Committed}, func(r *Record) error {
		got[r.Partition] = append(got[r.Partition], r.Offset)
		return nil
	})
	if err != nil || len(res.Lost) > 0 {
		w.t.Fatal(err, res)
	}
	return got
}

// offsets is [from, to).
func offsets(from, to int64) []int64 {
	out := []int64{}
	for ; from < to; from++ {
		out = append(out, from)
	}
	return out
}

// readOnly fails the test when something is written, and can be told to misbehave.
type readOnly struct {
	cold.Store
	t    testing.TB
	gets atomic.Int64
}

func (s *readOnly) PutIfAbsent(context.Context, string, cold.Body) error {
	s.t.Error("replay put an object")
	return cold.ErrDenied
}

func (s *readOnly) Delete(context.Context, string) error {
	s.t.Error("replay deleted an object")
	return cold.ErrDenied
}

func (s *readOnly) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	s.gets.Add(1)
	return s.Store.Get(ctx, name, r, buf)
}
