package audit

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/object"
)

// world builds a small bucket that has an object of every kind:
//
//	journal   entries 1 to 5 collected under boundary 1, snapshots 10 and 13, entries to 16
//	side      the commands of entry 14
//	wal/2     sealed, fence in slot 3; slot 0 is replaced and waits to be swept
//	seg/…/0   sealed object: t-1 [0, 5) and __consumer_offsets-0 [0, 2)
//	seg/…/1,2 segments of t-0, pressed into the index object idx/…/0
//	wal/…     of the live session: two slots that the catalog does not describe
type world struct {
	t      *testing.T
	store  *mem.Store
	lie    lies
	a, b   uint64 // sessions
	job    uint64
	press  uint64 // job of the index object
	size   int    // of what values are padded by, together
	t0, t1 record.Partition
	groups record.Partition
}

// lies are what is not as it should be.
type lies struct {
	extent   func(*catalog.Extent)                     // of t-1 [5, 10), as the catalog is told
	seal     func([]catalog.Located) []catalog.Located // extents of the sealed session
	list     func([]catalog.Extent) []catalog.Extent   // in the index object
	line     func(*catalog.IndexRef)                   // of the catalog
	group    []byte                                    // value of a record of __consumer_offsets
	producer func(*object.Producer)                    // in the sealed object
	live     int64                                     // where the second live slot begins, if not 15
	epoch    int32                                     // of the live slots, if not 1
}

var nonce = [16]byte{7}

func (w *world) commit(j *journal.Journal, c catalog.Command) catalog.Result {
	w.t.Helper()
	r, err := j.Commit(w.t.Context(), c)
	if err != nil || r[0].Err != nil {
		w.t.Fatalf("%T: %v %v", c, err, r)
	}
	return r[0]
}

// with runs a journal.
func (w *world) with(o journal.Options, do func(*journal.Journal)) {
	w.t.Helper()
	j, err := journal.Open(w.t.Context(), w.store, o)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- j.Run(ctx) }()
	do(j)
	cancel()
	if err := <-ended; err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) there(prefix string, n uint64) bool {
	_, err := w.store.Stat(w.t.Context(), fmt.Sprintf("%s%020d", prefix, n))
	return err == nil
}

func (w *world) until(so func() bool) {
	w.t.Helper()
	for began := time.Now(); !so(); runtime.Gosched() {
		if time.Since(began) > 10*time.Second {
			w.t.Fatal("it does not happen")
		}
	}
}

func build(t *testing.T, lie lies) *world {
	t.Helper()
	w := &world{t: t, store: mem.New(), lie: lie}
	topic, groups := record.TopicID{1}, record.TopicID{2}
	w.t0, w.t1, w.groups = record.Partition{Topic: topic}, record.Partition{Topic: topic, Index: 1}, record.Partition{Topic: groups}
	w.with(journal.Options{SnapshotEvery: 5, Keep: 1}, func(j *journal.Journal) {
		w.a = w.commit(j, &catalog.RegisterSession{Nonce: nonce}).ID // 2
		w.commit(j, &catalog.CreateTopic{Name: "t", ID: topic, Owners: []uint64{w.a, w.a}})
		w.commit(j, &catalog.CreateTopic{Name: "__consumer_offsets", ID: groups, Owners: []uint64{w.a}, Internal: true})
		w.job = w.commit(j, &catalog.BeginJob{Session: w.a}).ID // 5
		w.until(func() bool { return w.there(journal.PrefixSnapshots, 5) })
		w.wal(w.a, 0, 0, run{w.t0, 0, 0}, run{w.t1, 0, 0}, run{w.groups, 0, 0})
		one := w.wal(w.a, 1, 0, run{w.t0, 5, 0})
		two := w.wal(w.a, 2, 0, run{w.t1, 5, 0})
		sealed := w.seg(object.Sealed, 0, run{w.t1, 0, 0}, run{w.groups, 0, 0})
		first := w.seg(object.Segment, 1, run{w.t0, 0, 0})
		_ = one
		w.commit(j, &catalog.CommitJob{Job: w.job, From: 0, To: 1, Extents: []catalog.Located{first[0], sealed[0], sealed[1]}, Objects: []catalog.ObjectRef{catalog.Seg(w.job, 0), catalog.Seg(w.job, 1)}}) // 6
		if err := w.store.PutIfAbsent(t.Context(), catalog.WAL(w.a, 3).Name(), cold.Bytes(object.EncodeFence(w.a, 3, nonce, nonce, 1))); err != nil {
			t.Fatal(err)
		}
		if lie.extent != nil {
			lie.extent(&two[0].Extent)
		}
		extents := []catalog.Located{one[0], two[0]}
		if lie.seal != nil {
			extents = lie.seal(extents)
		}
		w.b = w.commit(j, &catalog.RegisterSession{Nonce: nonce}).ID                            // 7
		w.commit(j, &catalog.SealSession{Session: w.a, Covered: 1, Fence: 3, Extents: extents}) // 8
		s := j.State()
		var items []catalog.TakeItem
		for _, p := range []record.Partition{w.t0, w.t1, w.groups} {
			x, _ := s.Partition(p)
			items = append(items, catalog.TakeItem{Partition: p, Epoch: 1, Start: x.Next})
		}
		w.commit(j, &catalog.Take{Session: w.b, Items: items}) // 9
		w.commit(j, &catalog.ProducerIDs{Count: 1})            // 10
		w.until(func() bool {                                  // housekeeping comes behind the answer
			for n := range uint64(6) { // they are deleted side by side
				if w.there(journal.PrefixEntries, n) {
					return false
				}
			}
			return w.there(journal.PrefixSnapshots, 10) && !w.there(journal.PrefixSnapshots, 5)
		})
	})
	w.with(journal.Options{SnapshotEvery: 3, Keep: 1 << 60}, func(j *journal.Journal) {
		w.press = w.commit(j, &catalog.BeginJob{Session: w.b}).ID // 11
		second := w.segOf(w.press, object.Segment, 2, run{w.t0, 5, 0})
		w.commit(j, &catalog.CommitJob{Job: w.press, Extents: second, Objects: []catalog.ObjectRef{catalog.Seg(w.press, 2)}}) // 12
		w.press = w.commit(j, &catalog.BeginJob{Session: w.b}).ID                                                             // 13
		w.until(func() bool { return w.there(journal.PrefixSnapshots, 13) })
	})
	w.with(journal.Options{}, func(j *journal.Journal) {
		v := strings.Repeat("x", 1<<18)
		w.commit(j, &catalog.AlterBrokers{Node: -1, Set: map[string]*string{"large": &v}}) // 14
		p, _ := j.State().Partition(w.t0)
		xs := p.Extents
		line := catalog.IndexRef{Base: 0, Next: 10, Object: catalog.Index(w.press, 0), Extents: int32(len(xs)), MaxTimestamp: 4}
		for _, x := range xs {
			line.Bytes += x.Len
		}
		if lie.list != nil {
			xs = lie.list(append([]catalog.Extent(nil), xs...))
		}
		b := object.EncodeIndex(w.press, 0, nonce, 1, catalog.EncodeExtents(xs))
		if err := w.store.PutIfAbsent(t.Context(), line.Object.Name(), cold.Bytes(b)); err != nil {
			t.Fatal(err)
		}
		if lie.line != nil {
			lie.line(&line)
		}
		w.commit(j, &catalog.CommitJob{Job: w.press, Presses: []catalog.Press{{Partition: w.t0, Line: line}}}) // 15
		w.commit(j, &catalog.ProducerIDs{Count: 1})                                                            // 16
	})
	epoch, next := int32(1), int64(15)
	if lie.epoch != 0 {
		epoch = lie.epoch
	}
	if lie.live != 0 {
		next = lie.live
	}
	w.wal(w.b, 0, epoch, run{w.t0, 10, epoch}, run{w.t1, 10, epoch})
	w.wal(w.b, 1, epoch, run{w.t0, next, epoch}, run{w.t1, 15, epoch})
	if err := w.store.PutIfAbsent(t.Context(), "catalog/approved/1", cold.Bytes([]byte("fit"))); err != nil {
		t.Fatal(err)
	}
	return w
}

// run is five records of a partition from an offset on; of __consumer_offsets two.
type run struct {
	partition record.Partition
	base      int64
	epoch     int32
}

func (w *world) batch(r run) []byte {
	b := record.Builder{}
	if r.partition == w.groups {
		k := kmsg.NewOffsetCommitKey()
		k.Version, k.Group, k.Topic = 1, "g", "t"
		v := kmsg.NewOffsetCommitValue()
		v.Version, v.Offset = 1, 3
		value := v.AppendTo(nil)
		b.Add(1, k.AppendTo(nil), value)
		if w.lie.group != nil {
			value = w.lie.group
		}
		b.Add(1, k.AppendTo(nil), value)
	} else {
		for i := range 5 {
			b.Add(int64(i), []byte("k"), append(fmt.Appendf(nil, "v%d", i), make([]byte, w.size/5)...))
		}
	}
	out, err := b.Build()
	if err != nil {
		w.t.Fatal(err)
	}
	record.Rebase(out, r.base, r.epoch)
	return out
}

func (w *world) wal(session, slot uint64, epoch int32, runs ...run) []catalog.Located {
	return w.put(catalog.WAL(session, slot), object.Header{Kind: object.WAL, Session: session, Slot: slot, Nonce: nonce}, runs)
}

func (w *world) seg(k object.Kind, n uint64, runs ...run) []catalog.Located {
	return w.segOf(w.job, k, n, runs...)
}

func (w *world) segOf(job uint64, k object.Kind, n uint64, runs ...run) []catalog.Located {
	return w.put(catalog.Seg(job, n), object.Header{Kind: k, Session: job, Slot: n, Nonce: nonce}, runs)
}

func (w *world) put(ref catalog.ObjectRef, h object.Header, runs []run) []catalog.Located {
	w.t.Helper()
	e := object.NewEncoder(h, 1, nil)
	for _, r := range runs {
		b := w.batch(r)
		h, err := record.ParseHeader(b)
		if err != nil {
			w.t.Fatal(err)
		}
		e.Begin(r.partition, r.epoch, r.base)
		e.Append(h, b)
		p := object.Producer{ID: 1, TxnStart: -1, Batches: []object.Produced{{FirstSequence: 0, LastSequence: 4, Base: r.base, Last: h.LastOffset()}}}
		if ref.Kind == catalog.KindSeg && w.lie.producer != nil {
			w.lie.producer(&p)
		}
		e.Producers([]object.Producer{p})
	}
	done, err := e.Finish()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.PutIfAbsent(w.t.Context(), ref.Name(), cold.Bytes(e.Segments()...)); err != nil {
		w.t.Fatal(err)
	}
	var out []catalog.Located
	for _, r := range done {
		out = append(out, catalog.Located{Partition: r.Partition, Extent: catalog.Extent{Base: r.Base, Next: r.Next, Epoch: r.Epoch, Object: ref, Pos: r.Pos, Len: r.Len, CRC: r.CRC, Records: r.Records, MaxTimestamp: r.MaxTimestamp}})
	}
	return out
}

func (w *world) get(name string) []byte {
	w.t.Helper()
	b, err := w.store.Get(w.t.Context(), name, cold.Whole, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w *world) remove(name string) {
	w.t.Helper()
	w.get(name)
	if err := w.store.Delete(w.t.Context(), name); err != nil {
		w.t.Fatal(err)
	}
}

// replace puts other bytes in the place of an object, or a new object.
func (w *world) replace(name string, b []byte) {
	w.t.Helper()
	if err := w.store.Delete(w.t.Context(), name); err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.PutIfAbsent(w.t.Context(), name, cold.Bytes(b)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) swap(x, y string) {
	w.t.Helper()
	b, c := w.get(x), w.get(y)
	w.replace(x, c)
	w.replace(y, b)
}

// flip changes a byte, counted from the end when at is negative.
func (w *world) flip(name string, at int) {
	w.t.Helper()
	if at < 0 {
		at += len(w.get(name))
	}
	if !w.store.Corrupt(name, at) {
		w.t.Fatalf("%s has no byte %d", name, at)
	}
}

func (w *world) cut(name string, to int) {
	w.t.Helper()
	b := w.get(name)
	if to < 0 {
		to += len(b)
	}
	w.replace(name, b[:to])
}

// renumbered is a frame of the catalog under another number.
func renumbered(b []byte, n uint64) []byte {
	b = append([]byte(nil), b...)
	binary.LittleEndian.PutUint64(b[8:], n)
	crc := crc32.Checksum(b[:len(b)-4], crc32.MakeTable(crc32.Castagnoli))
	binary.LittleEndian.PutUint32(b[len(b)-4:], crc)
	return b
}
