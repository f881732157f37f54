package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/mem"
)

// flaky is a store whose puts may lose their answer, or land late.
type flaky struct {
	cold.Store
	mu   sync.Mutex
	put  func(name string) (before, after error) // errors without, and with the put applied
	slow time.Duration
}

func (f *flaky) PutIfAbsent(ctx context.Context, name string, body cold.Body) error {
	time.Sleep(f.slow)
	var before, after error
	f.mu.Lock()
	if f.put != nil {
		before, after = f.put(name)
	}
	f.mu.Unlock()
	if before != nil {
		return before
	}
	err := f.Store.PutIfAbsent(ctx, name, body)
	if after != nil {
		return after
	}
	return err
}

func open(t *testing.T, s cold.Store, opts Options) (*Journal, func()) {
	t.Helper()
	j, err := Open(t.Context(), s, opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- j.Run(ctx) }()
	var once sync.Once
	return j, func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func register(t *testing.T, j *Journal, node int32) uint64 {
	t.Helper()
	r, err := j.Commit(t.Context(), &catalog.RegisterSession{Node: node})
	if err != nil || r[0].Err != nil {
		t.Fatal(err, r)
	}
	return r[0].ID
}

func same(t *testing.T, journals ...*Journal) {
	t.Helper()
	for _, j := range journals {
		for _, err := range j.State().Check() {
			t.Error(err)
		}
		if j.State().Number() != journals[0].State().Number() || !bytes.Equal(j.State().Encode(), journals[0].State().Encode()) {
			t.Fatalf("states differ: entries %d and %d", j.State().Number(), journals[0].State().Number())
		}
	}
}

func TestWritersAgreeWhateverTheStoreAnswers(t *testing.T) { // J1, J2
	synctest.Test(t, func(t *testing.T) {
		n := 0
		lost := errors.New("connection reset")
		s := &flaky{Store: mem.New(), put: func(string) (error, error) {
			n++
			switch n % 5 {
			case 1:
				return nil, lost // applied, the answer is lost
			case 2:
				return lost, nil
			case 3:
				return cold.ErrConflict, nil
			}
			return nil, nil
		}}
		a, stopA := open(t, s, Options{})
		b, stopB := open(t, s, Options{})
		defer stopA()
		defer stopB()
		var wg sync.WaitGroup
		var mu sync.Mutex
		ids := map[uint64]bool{}
		for i := range 40 {
			j := []*Journal{a, b}[i%2]
			wg.Go(func() {
				id := register(t, j, int32(i))
				mu.Lock()
				defer mu.Unlock()
				if ids[id] {
					t.Errorf("session id %d was given twice", id)
				}
				ids[id] = true
			})
		}
		wg.Wait()
		time.Sleep(5 * time.Second) // virtual: both have polled
		same(t, a, b)
		if got := len(a.State().Sessions()); got != 40 {
			t.Fatalf("%d sessions, want 40", got)
		}
	})
}

func TestOneEntryForManyWaitingCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &flaky{Store: mem.New(), slow: 50 * time.Millisecond}
		j, stop := open(t, s, Options{})
		defer stop()
		before := j.State().Number()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if _, err := j.Commit(t.Context(), &catalog.ProducerIDs{Count: 10}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := j.State().Number() - before; n > 5 {
			t.Fatalf("100 commits at once took %d entries", n)
		}
	})
}

func TestStartFromASnapshotAfterOldEntriesAreGone(t *testing.T) { // J4, J5
	synctest.Test(t, func(t *testing.T) {
		s := mem.New()
		opts := Options{SnapshotEvery: 10, Keep: time.Hour}
		a, stopA := open(t, s, opts)
		sleeper, stopS := open(t, s, Options{Poll: 1000 * time.Hour})
		defer stopA()
		defer stopS()
		for i := range 60 {
			register(t, a, int32(i))
			time.Sleep(10 * time.Minute)
		}
		if _, err := ReadEntry(t.Context(), s, 5); !errors.Is(err, cold.ErrNotFound) {
			t.Fatalf("entry 5 should be deleted: %v", err)
		}
		b, stopB := open(t, s, opts)
		defer stopB()
		same(t, a, b)
		sleeper.Nudge() // away for ten hours
		time.Sleep(time.Second)
		same(t, a, sleeper)
	})
}

// Boundaries are never deleted (S11). They are as many as the cluster has hours, however
// much is committed, and old entries and snapshots go all the same.
func TestBoundariesComeByTheHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New()
		j, stop := open(t, s, Options{SnapshotEvery: 1})
		defer stop()
		const hours, perHour = 72, 12
		for i := range hours * perHour {
			register(t, j, int32(i%100))
			time.Sleep(time.Hour / perHour)
		}
		if n := count(t, s, PrefixBoundaries); n < (hours-24)/2 || n > hours-24 {
			t.Errorf("%d boundaries after %d hours", n, hours)
		}
		for _, prefix := range []string{PrefixEntries, PrefixSnapshots} {
			if n := count(t, s, prefix); n < 24*perHour || n > 26*perHour+1 {
				t.Errorf("%d objects below %s, %d an hour", n, prefix, perHour)
			}
		}
	})
}

// TestASleeperDoesNotCommitUnderADeletedNumber is the schedule that lost
// acknowledged writes elsewhere: a writer that slept puts the number that it
// believes is next, and the put succeeds because collection deleted the entry.
func TestASleeperDoesNotCommitUnderADeletedNumber(t *testing.T) { // S11, J3
	synctest.Test(t, func(t *testing.T) {
		s := mem.New()
		opts := Options{SnapshotEvery: 10, Keep: time.Hour, Poll: 1000 * time.Hour}
		sleeper, stopS := open(t, s, opts)
		reader, stopR := open(t, s, opts)
		a, stopA := open(t, s, opts)
		defer stopA()
		defer stopS()
		defer stopR()
		for i := range 60 {
			register(t, a, int32(i))
			time.Sleep(10 * time.Minute)
		}
		id := register(t, sleeper, 99)
		if id <= 61 {
			t.Fatalf("the sleeper registered session %d, a number that others gave up", id)
		}
		// The dead entry is in the bucket now; a reader that slept as well must
		// not believe it.
		if _, err := ReadEntry(t.Context(), s, 2); err != nil {
			t.Fatal("the schedule did not happen: ", err)
		}
		reader.Nudge()
		a.Nudge()
		time.Sleep(time.Second)
		same(t, a, sleeper, reader)
	})
}

func TestLargeEntriesGoToASideObject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New()
		a, stopA := open(t, s, Options{})
		b, stopB := open(t, s, Options{})
		defer stopA()
		defer stopB()
		set := map[string]*string{}
		for i := range 20000 {
			v := fmt.Sprint("value-", i)
			set[fmt.Sprint("name-", i)] = &v
		}
		if _, err := a.Commit(t.Context(), &catalog.AlterBrokers{Node: -1, Set: set}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		same(t, a, b)
		n := count(t, s, PrefixSide)
		if n != 1 {
			t.Fatalf("%d side objects", n)
		}
	})
}

func TestALostSideObjectIsNoEndOfTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New()
		a, stop := open(t, s, Options{})
		v := strings.Repeat("x", 1<<20)
		if _, err := a.Commit(t.Context(), &catalog.AlterBrokers{Node: -1, Set: map[string]*string{"name": &v}}); err != nil {
			t.Fatal(err)
		}
		stop()
		for info := range s.List(t.Context(), PrefixSide, "") {
			if err := s.Delete(t.Context(), info.Name); err != nil {
				t.Fatal(err)
			}
		}
		if err := NewReader(s).Catchup(t.Context(), nil); !errors.Is(err, ErrLost) {
			t.Errorf("who reads believes that he has read all: %v", err)
		}
		if _, err := Open(t.Context(), s, Options{}); !errors.Is(err, ErrLost) {
			t.Errorf("who begins: %v", err)
		}
	})
}

// distant is a store that takes its time to delete.
type distant struct{ cold.Store }

func (d distant) Delete(ctx context.Context, name string) error {
	time.Sleep(100 * time.Millisecond)
	return d.Store.Delete(ctx, name)
}

// One delete after the other would be slower than a busy cluster commits, and the next
// snapshot waits for the deletes.
func TestOldEntriesGoFasterThanNewOnesCome(t *testing.T) { // J5
	synctest.Test(t, func(t *testing.T) {
		s := mem.New()
		a, stop := open(t, distant{s}, Options{SnapshotEvery: 100, Keep: time.Minute})
		defer stop()
		for range 8000 {
			if _, err := a.Commit(t.Context(), &catalog.ProducerIDs{Count: 1}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
		}
		n := count(t, s, PrefixEntries)
		if n > 2000 {
			t.Errorf("%d entries are left of 20 a second, which stay for a minute", n)
		}
	})
}

// unordered is a store that lists the newest first, as directory buckets may.
type unordered struct{ cold.Store }

func (u unordered) List(ctx context.Context, prefix, after string) iter.Seq2[cold.Info, error] {
	return func(yield func(cold.Info, error) bool) {
		var all []cold.Info
		for info := range u.Store.List(ctx, prefix, after) {
			all = append(all, info)
		}
		for _, info := range slices.Backward(all) {
			if !yield(info, nil) {
				return
			}
		}
	}
}

func TestOldEntriesGoWhateverTheOrderOfListings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New()
		a, stop := open(t, unordered{s}, Options{SnapshotEvery: 10, Keep: time.Hour})
		defer stop()
		for range 100 {
			if _, err := a.Commit(t.Context(), &catalog.ProducerIDs{Count: 1}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Minute)
		}
		n := count(t, s, PrefixEntries)
		if n > 50 {
			t.Errorf("%d entries of 101 are left, most of which are hours too old", n)
		}
	})
}

// One request for topics may name thousands.
func TestAnEntryOfManyCommandsIsReadByEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New()
		a, stopA := open(t, s, Options{})
		b, stopB := open(t, s, Options{})
		defer stopA()
		defer stopB()
		cmds := make([]catalog.Command, 3000)
		for i := range cmds {
			v := fmt.Sprint("value-", i)
			cmds[i] = &catalog.AlterBrokers{Node: -1, Set: map[string]*string{fmt.Sprint("name-", i): &v}}
		}
		if r, err := a.Commit(t.Context(), cmds...); err != nil || len(r) != len(cmds) {
			t.Fatal(err, len(r))
		}
		time.Sleep(3 * time.Second)
		same(t, a, b)
	})
}

// narrow is a store behind a link of so many bytes per second.
type narrow struct {
	cold.Store
	perSecond int64
}

func (n narrow) PutIfAbsent(ctx context.Context, name string, body cold.Body) error {
	wait := time.NewTimer(time.Duration(float64(body.Size()) / float64(n.perSecond) * float64(time.Second)))
	defer wait.Stop()
	select {
	case <-wait.C:
		return n.Store.PutIfAbsent(ctx, name, body)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestALargeEntryOnASlowLinkHasTheTimeThatItNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, stop := open(t, narrow{mem.New(), 20 << 10}, Options{})
		defer stop()
		v := strings.Repeat("x", 1<<20)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if _, err := a.Commit(ctx, &catalog.AlterBrokers{Node: -1, Set: map[string]*string{"name": &v}}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAStoreThatIsAwayDelaysCommitsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := false
		s := &flaky{Store: mem.New(), put: func(string) (error, error) {
			if away {
				return errors.New("connection refused"), nil
			}
			return nil, nil
		}}
		j, stop := open(t, s, Options{})
		defer stop()
		s.mu.Lock()
		away = true
		s.mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := j.Commit(ctx, &catalog.ProducerIDs{Count: 1}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		s.mu.Lock()
		away = false
		s.mu.Unlock()
		if r, err := j.Commit(t.Context(), &catalog.ProducerIDs{Count: 1}); err != nil || r[0].ID != 1 {
			t.Fatal(r, err) // the first one was committed after all: nobody was told that it failed
		}
	})
}

// An outage of the bucket is told of when it begins, now and then, and when it is over: not
// each time that somebody asks.
func TestAnOutageIsToldOfNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		store := fault.Wrap(mem.New(), fault.Healthy)
		j, stop := open(t, store, Options{Logger: slog.New(slog.NewTextHandler(&said, nil))})
		store.Use(fault.Always(fault.Fault{Kind: fault.Unavailable}))
		for range 300 { // a minute
			j.Nudge()
			time.Sleep(200 * time.Millisecond)
		}
		store.Use(fault.Healthy)
		time.Sleep(10 * time.Second)
		stop()
		if n, back := strings.Count(said.String(), "out of reach"), strings.Count(said.String(), "within reach again"); n < 4 || n > 8 || back != 1 {
			t.Errorf("told %d times of a minute's outage, and %d times of its end:\n%s", n, back, said.String())
		}
	})
}

// The same holds for an entry that waits to be put.
func TestAnOutageIsToldOfNowAndThenWhileAnEntryWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		store := fault.Wrap(mem.New(), fault.Healthy)
		j, stop := open(t, store, Options{Logger: slog.New(slog.NewTextHandler(&said, nil))})
		store.Use(fault.Always(fault.Fault{Kind: fault.Unavailable}))
		go func() {
			time.Sleep(time.Minute)
			store.Use(fault.Healthy)
		}()
		if _, err := j.Commit(t.Context(), &catalog.ProducerIDs{Count: 1}); err != nil {
			t.Fatal(err)
		}
		stop()
		if n, back := strings.Count(said.String(), "trying again"), strings.Count(said.String(), "answers again"); n < 4 || n > 8 || back != 1 {
			t.Errorf("told %d times of a minute's outage, and %d times of its end:\n%s", n, back, said.String())
		}
	})
}

func FuzzFrame(f *testing.F) {
	f.Add(frame{kindEntry, 3, writer{}, []byte("x")}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if f, err := decodeFrame(b, kindEntry, 3); err == nil && !bytes.Equal(f.encode()[:4], b[:4]) {
			t.Fatal("accepted what it would not write")
		}
	})
}

// Bytes that were damaged on the way are read again; only an object that is so ends
// whoever reads it.
func TestDamageOnTheWayEndsNobody(t *testing.T) {
	bucket := mem.New()
	j, end := open(t, bucket, Options{})
	if _, err := j.Commit(t.Context(), &catalog.RegisterSession{Node: 1}); err != nil {
		t.Fatal(err)
	}
	end()
	want := j.State().Number()
	store := fault.Wrap(bucket, func(c fault.Call) fault.Fault {
		return fault.Fault{Kind: []fault.Kind{fault.Corrupt, fault.Truncated, fault.Corrupt, fault.None}[c.Nth%4], Seed: uint64(c.Nth)}
	})
	r := NewReader(store)
	if err := r.Catchup(t.Context(), nil); err != nil || r.State().Number() != want {
		t.Fatalf("entry %d of %d: %v", r.State().Number(), want, err)
	}
	bucket.Corrupt(numbered(PrefixEntries, want), 50)
	if err := NewReader(bucket).Catchup(t.Context(), nil); !errors.Is(err, catalog.ErrCorrupt) {
		t.Fatalf("an object that is damaged: %v", err)
	}
}

// garbage is a store whose gets never answer twice the same.
type garbage struct {
	cold.Store
	gets int
}

func (g *garbage) Get(context.Context, string, cold.Range, []byte) ([]byte, error) {
	g.gets++
	return fmt.Appendf(nil, "<html>try again, request %d</html>", g.gets), nil
}

// Answers that do not agree say nothing about the object. Who reads is not kept by them,
// for ever and without a pause, nor is the object said to be damaged.
func TestAnswersThatDoNotAgreeAreNoDamage(t *testing.T) {
	g := &garbage{Store: mem.New()}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := NewReader(g).Catchup(ctx, nil)
	if err == nil || errors.Is(err, catalog.ErrCorrupt) || errors.Is(err, cold.ErrNotFound) || ctx.Err() != nil || g.gets > 20 {
		t.Fatalf("after %d gets: %v", g.gets, err)
	}
}

// A journal is read to its end though each reading of it fails somewhere, as long as
// single requests get through.
func TestALongJournalIsReadFromAStoreThatOftenFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := mem.New()
		j, end := open(t, bucket, Options{})
		for i := range 200 {
			if _, err := j.Commit(t.Context(), &catalog.ProducerIDs{Count: int32(i + 1)}); err != nil {
				t.Fatal(err)
			}
		}
		end()
		began := time.Now()
		again, end := open(t, fault.Wrap(bucket, fault.Seeded(1, fault.Odds{Kinds: map[fault.Kind]float64{fault.Unavailable: 0.5}})), Options{})
		defer end()
		if got, want := again.State().Number(), j.State().Number(); got != want {
			t.Errorf("read to entry %d of %d", got, want)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("it took %s", took)
		}
	})
}

func TestNamesOfOneLengthAreNotMistaken(t *testing.T) { // found by broker/sim, seed 63736
	if n, ok := parseNumber(PrefixBoundaries, numbered(PrefixSnapshots, 3)); ok {
		t.Fatalf("a snapshot is taken for boundary %d", n)
	}
}

// tardy is a store whose answers to puts take long.
type tardy struct {
	cold.Store
	wait func()
}

func (s tardy) PutIfAbsent(ctx context.Context, name string, body cold.Body) error {
	err := s.Store.PutIfAbsent(ctx, name, body)
	s.wait()
	return err
}

// An entry says that the journal was current when it landed, not when that was heard of:
// others may have written since.
func TestALateAnswerRenewsNoLease(t *testing.T) { // S13
	now := time.Unix(0, 0)
	var current time.Time
	s := NewScribe(tardy{mem.New(), func() { now = now.Add(time.Minute) }}, [16]byte{1}, Options{
		Now: func() time.Time { return now }, Current: func(at time.Time) { current = at },
	})
	if err := s.Open(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), &catalog.RegisterSession{Node: 1}); err != nil {
		t.Fatal(err)
	}
	if age := now.Sub(current); age < time.Minute {
		t.Errorf("known to be current %v ago", age)
	}
}
