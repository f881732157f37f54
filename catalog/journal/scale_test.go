package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/mem"
)

// far is a store that is some way off, and counts what it is asked.
type far struct {
	cold.Store
	trip      func(op, name string) time.Duration
	gets, ask atomic.Int64 // of gets, of all
}

func (f *far) wait(op, name string) {
	f.ask.Add(1)
	if f.trip != nil {
		time.Sleep(f.trip(op, name))
	}
}

func (f *far) PutIfAbsent(ctx context.Context, name string, body cold.Body) error {
	f.wait("put", name)
	return f.Store.PutIfAbsent(ctx, name, body)
}

func (f *far) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	f.wait("get", name)
	f.gets.Add(1)
	return f.Store.Get(ctx, name, r, buf)
}

func (f *far) List(ctx context.Context, prefix, after string) iter.Seq2[cold.Info, error] {
	f.wait("list", prefix)
	return f.Store.List(ctx, prefix, after)
}

// TestCommitsGoOnWhileASnapshotIsPut: a snapshot of very many partitions takes long to
// write down and to put; who takes over meanwhile does not wait for it.
func TestCommitsGoOnWhileASnapshotIsPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &far{Store: mem.New(), trip: func(op, name string) time.Duration {
			if op == "put" && strings.HasPrefix(name, PrefixSnapshots) {
				return time.Minute
			}
			return time.Millisecond
		}}
		j, stop := open(t, s, Options{SnapshotEvery: 10})
		defer stop()
		began := time.Now()
		for i := range 25 {
			register(t, j, int32(i))
		}
		if d := time.Since(began); d > time.Second {
			t.Fatalf("25 commits took %v", d)
		}
		time.Sleep(3 * time.Minute) // the second one was owed meanwhile
		if n := count(t, s, PrefixSnapshots); n != 2 {
			t.Fatalf("%d snapshots", n)
		}
	})
}

// TestCommitsGoOnWhileOldEntriesAreGivenUp: nor does he wait for a boundary, or share
// anything with who puts one (the race detector looks).
func TestCommitsGoOnWhileOldEntriesAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := errors.New("away")
		s := &flaky{Store: mem.New(), put: func(name string) (before, after error) {
			if strings.HasPrefix(name, PrefixBoundaries) {
				return away, nil
			}
			return nil, nil
		}}
		j, stop := open(t, s, Options{SnapshotEvery: 10, Keep: time.Nanosecond, Retry: time.Millisecond})
		defer stop()
		began := time.Now()
		for i := range 100 {
			register(t, j, int32(i))
			time.Sleep(time.Millisecond)
		}
		if d := time.Since(began); d > time.Second {
			t.Fatalf("100 commits took %v", d)
		}
		s.mu.Lock()
		s.put = nil
		s.mu.Unlock()
		time.Sleep(time.Minute)
		if n := count(t, s, PrefixBoundaries); n == 0 {
			t.Fatal("nothing was given up")
		}
	})
}

func count(t *testing.T, s cold.Store, prefix string) (n int) {
	for _, err := range s.List(t.Context(), prefix, "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// TestOneSnapshotForTheWholeCluster: however many brokers there are.
func TestOneSnapshotForTheWholeCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New()
		var js []*Journal
		for range 4 {
			j, stop := open(t, s, Options{SnapshotEvery: 10})
			defer stop()
			js = append(js, j)
		}
		for i := range 99 { // entries 2 to 100
			register(t, js[i%4], int32(i))
			time.Sleep(10 * time.Millisecond)
		}
		if n := count(t, s, PrefixSnapshots); n != 10 {
			t.Fatalf("%d snapshots of 100 entries", n)
		}
	})
}

// TestSnapshotsAreInProportion: of a small catalog there is one after 512 entries; of a
// large one when the entries are as much to read as the snapshot, by number or by size.
func TestSnapshotsAreInProportion(t *testing.T) {
	s := catalog.NewState()
	s.Apply(1, []catalog.Command{&catalog.CreateCluster{ID: "c"}})
	for _, c := range []struct {
		partitions, size, entries int
		want                      int
	}{
		{0, 100, 5120, 10},
		{0, 1 << 20, 512, 64}, // large entries
		{100_000, 100, 5120, 10},
		{400_000, 100, 5120, 8}, // of 10 MB
		{400_000, 6 << 20, 100, 50},
	} {
		for n := s.PartitionCount(); n < c.partitions; n = s.PartitionCount() {
			id := record.TopicID{15: byte(s.Number()), 14: byte(s.Number() >> 8)}
			s.Apply(s.Number()+1, []catalog.Command{&catalog.CreateTopic{Name: fmt.Sprint("t", s.Number()), ID: id, Owners: make([]uint64, min(100_000, c.partitions-n))}})
		}
		tl := newToll(defaultEvery)
		tl.reset(s)
		got := 0
		for range c.entries {
			if tl.pay(c.size, s) {
				got++
			}
		}
		if got < c.want-1 || got > c.want+1 {
			t.Errorf("%d snapshots of %d partitions behind %d entries of %d bytes, want about %d", got, c.partitions, c.entries, c.size, c.want)
		}
	}
}

// TestASnapshotWeighsAboutWhatItsBytesAre: of which toll is a function.
func TestASnapshotWeighsAboutWhatItsBytesAre(t *testing.T) {
	s := catalog.NewState()
	s.Apply(1, []catalog.Command{&catalog.CreateCluster{ID: "c"}})
	id := s.Apply(2, []catalog.Command{&catalog.RegisterSession{Node: 1}})[0].ID
	owners := make([]uint64, 1000)
	for i := range owners {
		owners[i] = id
	}
	topic := record.TopicID{1}
	c := &catalog.Cover{Session: id, To: 1}
	for p := range owners {
		for k := range int64(20) {
			c.Extents = append(c.Extents, catalog.Located{Partition: record.Partition{Topic: topic, Index: int32(p)}, Extent: catalog.Extent{
				Base: k * 1000, Next: k*1000 + 1000, Object: catalog.Seg(uint64(k)<<10, 0), Pos: int64(p) << 16, Len: 1 << 16, MaxTimestamp: 1_700_000_000_000, CRC: uint32(p) * 7919, Records: 1000,
			}})
		}
	}
	for _, r := range s.Apply(3, []catalog.Command{&catalog.CreateTopic{Name: "t", ID: topic, Owners: owners}, c}) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	if w, n := weight(s), int64(len(s.Encode())); w < n*2/3 || w > n*3/2 {
		t.Errorf("weighs %d, is %d bytes", w, n)
	}
}

// TestAStartReadsAhead: what lies behind the snapshot takes a round trip for many entries.
func TestAStartReadsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &far{Store: mem.New()}
		a, stop := open(t, s, Options{SnapshotEvery: 1 << 30})
		for i := range 500 {
			register(t, a, int32(i))
		}
		stop()
		s.trip = func(string, string) time.Duration { return 20 * time.Millisecond }
		s.gets.Store(0)
		began := time.Now()
		b, err := Open(t.Context(), s, Options{})
		if err != nil {
			t.Fatal(err)
		}
		same(t, a, b)
		if d, n := time.Since(began), s.gets.Load(); d > time.Second || n > 550 {
			t.Fatalf("500 entries, 20 ms away: %v, %d gets", d, n)
		}
		c := NewScribe(s, [16]byte{1}, Options{})
		s.gets.Store(0)
		if err := c.Open(t.Context(), "c"); err != nil || s.gets.Load() > 510 {
			t.Fatalf("a scribe reads one by one: %d gets, %v", s.gets.Load(), err)
		}
	})
}

// TestTheEndOfALongChainIsFoundQuickly: boundaries stay for ever, and a start does not look
// at them all.
func TestTheEndOfALongChainIsFoundQuickly(t *testing.T) {
	for _, k := range []uint64{0, 1, 2, 3, 7, 8, 100, 4095, 4096, 10_000} {
		s := &far{Store: mem.New()}
		for i := range k {
			b := binary.AppendUvarint(binary.AppendUvarint(nil, i+1), i+1)
			f := frame{kindBoundary, i + 1, writer{}, b}
			if err := s.Store.PutIfAbsent(t.Context(), numbered(PrefixBoundaries, i+1), cold.Bytes(f.encode())); err != nil {
				t.Fatal(err)
			}
		}
		r := NewReader(s)
		if err := r.leap(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.followBoundary(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r.boundary != k || r.floor != k {
			t.Errorf("a chain of %d ends at %d, floor %d", k, r.boundary, r.floor)
		}
		if n := s.ask.Load(); n > 32 {
			t.Errorf("a chain of %d: %d requests", k, n)
		}
	}
}
