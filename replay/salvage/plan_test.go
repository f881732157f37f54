package salvage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/object"
)

var ours = [16]byte{1}

// bucket is one whose broker has sealed and pressed, and died; slots were swept.
type bucket struct {
	t       *testing.T
	store   *mem.Store
	scribe  *journal.Scribe
	session uint64
	slot    uint64
	id      record.Partition
	epoch   int32
}

func newBucket(t *testing.T) *bucket {
	t.Helper()
	b := &bucket{t: t, store: mem.New(), id: record.Partition{Topic: record.TopicID{1}}}
	b.scribe = journal.NewScribe(b.store, ours, journal.Options{})
	if err := b.scribe.Open(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	b.session = b.do(&catalog.RegisterSession{Nonce: ours})
	b.do(&catalog.CreateTopic{Name: "t", ID: b.id.Topic, Owners: []uint64{b.session}})
	return b
}

// do commits a command, and returns the id that it gave.
func (b *bucket) do(c catalog.Command) uint64 {
	b.t.Helper()
	res, err := b.scribe.Commit(b.t.Context(), c)
	if err != nil || res[0].Err != nil {
		b.t.Fatalf("%T: %v %v", c, err, res)
	}
	return res[0].ID
}

func (b *bucket) part() *catalog.Partition {
	p, _ := b.scribe.State().Partition(b.id)
	return p
}

// segment puts the n-th object of a job, with a record at each of the offsets.
func (b *bucket) segment(job, n uint64, from, to int64) catalog.Located {
	b.t.Helper()
	e := object.NewEncoder(object.Header{Kind: object.Segment, Session: job, Slot: n, Nonce: ours}, 0, nil)
	b.run(e, b.id, from, to)
	return b.put(e, catalog.Seg(job, n))[0]
}

// run adds a run of records.
func (b *bucket) run(e *object.Encoder, id record.Partition, from, to int64) {
	b.t.Helper()
	e.Begin(id, b.epoch, from)
	for ; from < to; from++ {
		var build record.Builder
		build.Add(from, []byte("k"), fmt.Append(nil, from))
		x, err := build.Build()
		if err != nil {
			b.t.Fatal(err)
		}
		record.Rebase(x, from, b.epoch)
		h, _ := record.ParseHeader(x)
		e.Append(h, x)
	}
	e.Producers([]object.Producer{{ID: 7, TxnStart: -1}})
}

func (b *bucket) put(e *object.Encoder, ref catalog.ObjectRef) (out []catalog.Located) {
	b.t.Helper()
	runs, err := e.Finish()
	if err == nil {
		err = b.store.PutIfAbsent(b.t.Context(), ref.Name(), cold.Bytes(e.Segments()...))
	}
	if err != nil {
		b.t.Fatal(err)
	}
	for _, r := range runs {
		out = append(out, catalog.Located{Partition: r.Partition, Extent: located(r, ref)})
	}
	return out
}

// seal adds ten records, of one slot, in a segment of their own.
func (b *bucket) seal() catalog.ObjectRef {
	b.t.Helper()
	job := b.do(&catalog.BeginJob{Session: b.session})
	x := b.segment(job, 0, b.part().Next, b.part().Next+10)
	b.do(&catalog.CommitJob{Job: job, From: b.slot, To: b.slot + 1, Extents: []catalog.Located{x}, Objects: []catalog.ObjectRef{x.Object}})
	b.slot++
	return x.Object
}

// press makes an index line of the first n extents.
func (b *bucket) press(n int) catalog.ObjectRef {
	b.t.Helper()
	job := b.do(&catalog.BeginJob{Session: b.session})
	xs := b.part().Extents[:n]
	line := catalog.IndexRef{Base: xs[0].Base, Next: xs[n-1].Next, Object: catalog.Index(job, 0), Extents: int32(n)}
	for _, x := range xs {
		line.Bytes += x.Len
		line.MaxTimestamp = max(line.MaxTimestamp, x.MaxTimestamp)
	}
	body := object.EncodeIndex(job, 0, ours, 0, catalog.EncodeExtents(xs))
	if err := b.store.PutIfAbsent(b.t.Context(), line.Object.Name(), cold.Bytes(body)); err != nil {
		b.t.Fatal(err)
	}
	b.do(&catalog.CommitJob{Job: job, Presses: []catalog.Press{{Partition: b.id, Line: line}}})
	return line.Object
}

func (b *bucket) remove(name string) {
	b.t.Helper()
	if _, err := b.store.Stat(b.t.Context(), name); err != nil {
		b.t.Fatal(err)
	}
	if err := b.store.Delete(b.t.Context(), name); err != nil {
		b.t.Fatal(err)
	}
}

// lose takes the newest entry away, behind which another one tells that it was there.
func (b *bucket) lose() {
	b.t.Helper()
	n := b.scribe.State().Number()
	b.do(&catalog.ProducerIDs{Count: 1})
	b.remove(entry(n))
}

func entry(n uint64) string { return fmt.Sprintf("%s%020d", journal.PrefixEntries, n) }

// recover does what firn catalog recover --yes does, and returns what it made.
func (b *bucket) recover(w Wishes) (Plan, *catalog.State) {
	b.t.Helper()
	var p Plan
	for range 2 { // the sessions end in between
		inv, err := Take(b.t.Context(), b.store, Options{ClusterID: "c"})
		if err == nil && inv.Whole {
			b.t.Fatal("it says that nothing is lost")
		}
		if err == nil {
			p, err = Make(inv, w)
		}
		if err == nil {
			err = End(b.t.Context(), b.store, p.Fences)
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
	if err := Write(b.t.Context(), b.store, p); err != nil {
		b.t.Fatal(err)
	}
	return p, state(b.t, b.store)
}

// What brokers put while its job was open, as far as can be read, is in the log again; and
// no broker deletes it as what a cancelled job has left.
func TestWhatIsRecoveredIsNoGarbage(t *testing.T) { // V2
	for name, cancelled := range map[string]bool{"its commit is lost": false, "it was cancelled": true} {
		t.Run(name, func(t *testing.T) {
			b := newBucket(t)
			b.seal()
			job := b.do(&catalog.BeginJob{Session: b.session})
			b.segment(job, 0, 10, 20)
			if cancelled {
				b.do(&catalog.CancelJob{Job: job})
			}
			b.do(&catalog.ProducerIDs{Count: 1})
			b.lose()
			p, s := b.recover(Wishes{})
			c, _ := s.Partition(b.id)
			if c.Next != 20 || len(p.Lost)+len(p.Raised) > 0 {
				t.Fatalf("the log ends at %d; lost %v %v", c.Next, p.Lost, p.Raised)
			}
			for ref := range s.Referenced() {
				if s.IsGarbage(ref) || s.IsGarbage(catalog.Cancelled(ref.A)) {
					t.Errorf("%s is referred to, and will be deleted", ref)
				}
			}
		})
	}
}

// An index object that is lost takes no other one with it: what those behind it list is
// described again.
func TestWhatLiesBehindALostIndexObjectIsRecovered(t *testing.T) { // V2
	for name, segments := range map[string]int{"alone": 0, "with a segment that it lists": 1} {
		t.Run(name, func(t *testing.T) {
			b := newBucket(t)
			var segs []catalog.ObjectRef
			for range 6 {
				segs = append(segs, b.seal())
			}
			first, second := b.press(2), b.press(2)
			b.do(&catalog.ProducerIDs{Count: 1})
			b.lose()
			b.remove(first.Name())
			for _, s := range segs[:segments] {
				b.remove(s.Name())
			}
			p, s := b.recover(Wishes{})
			c, _ := s.Partition(b.id)
			if len(p.Lost) > 0 || len(p.Raised) != segments || c.LogStart != int64(10*segments) || c.Next != 60 || len(c.Extents) != 6-segments || len(c.Index) != 0 {
				t.Errorf("lost %v, raised %v; [%d, %d) in %d extents and %d lines, of which %s was whole", p.Lost, p.Raised, c.LogStart, c.Next, len(c.Extents), len(c.Index), second)
			}
		})
	}
}

// Of a slot above its session's mark the catalog describes what was given up since, and
// what the session still owns lies there too. One that is lost with the journal is no end of
// the session: the catalog knows that it had been committed.
func TestASlotThatIsDescribedInPartIsRecovered(t *testing.T) { // V2, S9
	for name, gone := range map[string]bool{"whole": false, "lost": true} {
		t.Run(name, func(t *testing.T) {
			b := newBucket(t)
			other := record.Partition{Topic: record.TopicID{2}}
			b.do(&catalog.CreateTopic{Name: "other", ID: other.Topic, Owners: []uint64{b.session}})
			var first []catalog.Located
			for slot := range uint64(3) {
				e := object.NewEncoder(object.Header{Kind: object.WAL, Session: b.session, Slot: slot, Nonce: ours}, 0, nil)
				if slot == 0 {
					b.run(e, b.id, 0, 5)
				}
				b.run(e, other, int64(slot)*5, int64(slot)*5+5)
				if xs := b.put(e, catalog.WAL(b.session, slot)); slot == 0 {
					first = xs[:1]
				}
			}
			b.do(&catalog.Release{Session: b.session, Partitions: []record.Partition{b.id}, Extents: first})
			b.do(&catalog.ProducerIDs{Count: 1})
			b.lose()
			lost := 0
			if gone {
				b.remove(catalog.WAL(b.session, 0).Name())
				lost = 2 // of each the front
			}
			p, s := b.recover(Wishes{})
			c, _ := s.Partition(b.id)
			d, _ := s.Partition(other)
			if c.Next != 5 || d.Next != 15 || len(p.Lost) > 0 || len(p.Raised) != lost {
				t.Errorf("the logs end at %d and %d; lost %v, raised %v", c.Next, d.Next, p.Lost, p.Raised)
			}
		})
	}
}

// What was compacted drops old tombstones with what they deleted. Behind older objects it
// would bring that back, where all of the compacted ones are there.
func TestADeletedKeyStaysDeleted(t *testing.T) {
	x := func(job, n uint64, base, next int64) catalog.Extent {
		return catalog.Extent{Base: base, Next: next, Object: catalog.Seg(job, n)}
	}
	first, second := x(9, catalog.CompactedFrom, 0, 10), x(9, catalog.CompactedFrom+1, 10, 20)
	known := []catalog.Extent{x(1, 0, 0, 10), x(3, 0, 20, 30)} // of [10, 20) the old one is deleted already
	got := walk(0, 30, known, []catalog.Extent{first, second})
	if len(got) != 3 || got[0] != first || got[1] != second {
		t.Errorf("%v", got)
	}
	// Nothing is left out for it.
	if got = walk(0, 30, known, []catalog.Extent{second}); len(got) != 3 || got[0] != known[0] || got[1] != second {
		t.Errorf("%v", got)
	}
}

// A rewrite that was cancelled may join what lies on both sides of the end of the index.
func TestARewriteAcrossTheEndOfTheIndexKeepsNothingFromBeingRecovered(t *testing.T) {
	b := newBucket(t)
	for range 4 {
		b.seal()
	}
	slow := b.do(&catalog.BeginJob{Session: b.session})
	b.press(2)
	b.segment(slow, 0, 10, 30)
	b.do(&catalog.CancelJob{Job: slow})
	b.do(&catalog.ProducerIDs{Count: 1})
	b.lose()
	p, s := b.recover(Wishes{})
	c, _ := s.Partition(b.id)
	if len(p.Lost)+len(p.Raised) > 0 || c.LogStart != 0 || c.Next != 40 || len(c.Index) != 1 {
		t.Errorf("lost %v, raised %v; [%d, %d), %d lines", p.Lost, p.Raised, c.LogStart, c.Next, len(c.Index))
	}
}

// A filler has the leader epoch that its offsets were written under, or consumers would take
// the log for one that was cut off.
func TestAFillerHasTheEpochOfItsOffsets(t *testing.T) {
	b := newBucket(t)
	b.do(&catalog.Release{Session: b.session, Partitions: []record.Partition{b.id}})
	b.do(&catalog.Take{Session: b.session, Items: []catalog.TakeItem{{Partition: b.id, Epoch: 1, Start: 0}}})
	b.epoch = 1
	for range 2 {
		b.seal()
	}
	b.press(2)
	gone := b.seal()
	b.do(&catalog.ProducerIDs{Count: 1})
	b.lose()
	b.remove(gone.Name())
	p, s := b.recover(Wishes{})
	c, _ := s.Partition(b.id)
	if len(p.Lost) != 1 || c.Next != 30 || len(c.Extents) != 1 || c.Extents[0].Epoch != 1 {
		t.Errorf("lost %v; the log ends at %d, %+v", p.Lost, c.Next, c.Extents)
	}
}

// Retention by a broker's defaults would delete, minutes after it started, what is older
// than a week of a topic that was to be kept for ever.
func TestNothingIsDeletedOfATopicWhoseConfigsAreLost(t *testing.T) {
	b := newBucket(t)
	b.seal()
	for n := range b.scribe.State().Number() {
		b.remove(entry(n + 1))
	}
	_, s := b.recover(Wishes{})
	t0, ok := s.Topic(b.id.Topic)
	if !ok || t0.Int("retention.ms", nil) != -1 || t0.Int("retention.bytes", nil) != -1 || t0.Has("cleanup.policy", "compact", nil) {
		t.Errorf("%+v", t0)
	}

	b = newBucket(t)
	b.seal()
	for n := range b.scribe.State().Number() {
		b.remove(entry(n + 1))
	}
	_, s = b.recover(Wishes{Names: map[record.TopicID]Name{b.id.Topic: {Topic: "__consumer_offsets"}}})
	if t0, ok = s.Topic(b.id.Topic); !ok || !t0.Has("cleanup.policy", "compact", nil) || t0.Has("cleanup.policy", "delete", nil) {
		t.Errorf("%+v", t0)
	}
}

// faulty is a store that answers some reads otherwise.
type faulty struct {
	cold.Store
	get func(name string, b []byte, err error) ([]byte, error)
}

func (f faulty) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	b, err := f.Store.Get(ctx, name, r, buf)
	return f.get(name, b, err)
}

// A store that does not answer has lost nothing: what it did not give this time must not be
// given up for ever.
func TestAStoreThatDoesNotAnswerHasLostNothing(t *testing.T) { // V2
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(t)
		b.seal()
		b.do(&catalog.ProducerIDs{Count: 1})
		b.lose()
		newest := b.scribe.State().Number()
		away := errors.New("503")
		var reads atomic.Int64
		short := faulty{b.store, func(_ string, x []byte, err error) ([]byte, error) {
			if reads.Add(1)%3 == 0 {
				return nil, away
			}
			return x, err
		}}
		inv, err := Take(t.Context(), short, Options{})
		if err != nil || inv.Base.Number() != newest || len(inv.Holes) != 1 || len(inv.Objects) != 0 {
			t.Fatalf("with a store that fails now and then: %v %+v", err, inv)
		}
		reads.Store(0)
		long := faulty{b.store, func(name string, x []byte, err error) ([]byte, error) {
			if name == entry(newest) && reads.Add(1) > 2 { // it is surveyed by two reads, and read for its commands then
				return nil, away
			}
			return x, err
		}}
		if inv, err := Take(t.Context(), long, Options{}); !errors.Is(err, away) {
			t.Errorf("with a store that goes away: %v, holes %v", err, inv.Holes)
		}
	})
}

// Bytes that were damaged on the way are read again.
func TestDamageOnTheWayIsNoLoss(t *testing.T) {
	b := newBucket(t)
	b.seal()
	job := b.do(&catalog.BeginJob{Session: b.session})
	x := b.segment(job, 0, 10, 20)
	b.do(&catalog.ProducerIDs{Count: 1})
	b.lose()
	reads := 0
	bad := faulty{b.store, func(name string, y []byte, err error) ([]byte, error) {
		if name == x.Object.Name() {
			if reads++; reads == 1 {
				y[len(y)-40] ^= 1
			}
		}
		return y, err
	}}
	inv, err := Take(t.Context(), bad, Options{})
	if err != nil || len(inv.Objects) != 1 || inv.Objects[0].Err != nil || inv.Objects[0].Producer != 8 {
		t.Errorf("%v %+v", err, inv.Objects)
	}
}

// held is a store in which snapshots are on their way for a while.
type held struct {
	*mem.Store
	snapshots map[string]cold.Body
}

func (h held) PutIfAbsent(ctx context.Context, name string, body cold.Body) error {
	if strings.HasPrefix(name, journal.PrefixSnapshots) {
		h.snapshots[name] = body
		return nil
	}
	return h.Store.PutIfAbsent(ctx, name, body)
}

// A topic that was made, and written to, while the newest snapshot was put is no topic that
// had been deleted before.
func TestATopicThatIsYoungerThanTheSnapshotsEntryIsRecovered(t *testing.T) { // V2
	for name, lost := range map[string]int{"the entries behind it are lost": 1, "its own entry too": 0} {
		t.Run(name, func(t *testing.T) {
			b := newBucket(t)
			way := held{b.store, map[string]cold.Body{}}
			b.scribe = journal.NewScribe(way, ours, journal.Options{SnapshotEvery: 1})
			if err := b.scribe.Open(t.Context(), "c"); err != nil {
				t.Fatal(err)
			}
			b.do(&catalog.ProducerIDs{Count: 1})
			n := b.scribe.State().Number()
			b.scribe.Housekeep(t.Context())
			b.id = record.Partition{Topic: record.TopicID{2}}
			b.do(&catalog.CreateTopic{Name: "young", ID: b.id.Topic, Owners: []uint64{b.session}})
			b.seal()
			time.Sleep(2 * time.Millisecond)
			if len(way.snapshots) != 1 {
				t.Fatalf("%d snapshots", len(way.snapshots))
			}
			for name, body := range way.snapshots {
				if err := b.store.PutIfAbsent(t.Context(), name, body); err != nil {
					t.Fatal(err)
				}
			}
			for k := n + uint64(lost); k <= b.scribe.State().Number(); k++ {
				b.remove(entry(k))
			}
			_, s := b.recover(Wishes{})
			if p, ok := s.Partition(b.id); !ok || p.Next != 10 {
				t.Errorf("it is gone: %v", ok)
			}
		})
	}
}
