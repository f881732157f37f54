package pump

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/trace"
)

// under runs f while clients produce, and returns what they were answered.
func (r *rig) under(clients int, f func()) (acked int) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range clients {
		wg.Go(func() {
			for k := 0; ; k++ {
				select {
				case <-stop:
					return
				default:
				}
				res := r.produce(ingest.AcksAll, part(int32(i%4)), fmt.Sprintf("%d/%d", i, k))
				if assert.NoError(r.t, res.Err) {
					mu.Lock()
					acked++
					mu.Unlock()
				}
			}
		})
	}
	f()
	close(stop)
	wg.Wait()
	return acked
}

// losing loses the first n answers to each kind of command.
func losing(n int) func(catalog.Command) bool {
	lost := map[string]int{}
	return func(c catalog.Command) bool {
		kind := fmt.Sprintf("%T", c)
		lost[kind]++
		return lost[kind] <= n
	}
}

func TestARotationRefusesNothingAndLosesNothing(t *testing.T) { // S9
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4, Options{})
		r.catalog.took = 30 * time.Millisecond
		r.store.Use(fault.Always(fault.Fault{Before: 10 * time.Millisecond, After: 10 * time.Millisecond}))
		var ids []uint64
		acked := r.under(20, func() {
			for i := range 3 {
				time.Sleep(time.Second)
				s, _ := r.Session()
				ids = append(ids, s.ID)
				r.catalog.mu.Lock()
				r.catalog.lose = losing(i)
				r.catalog.mu.Unlock()
				for r.Rotate(t.Context(), catalog.RegisterSession{Nonce: [16]byte{byte(100 + i)}, Node: 1}) != nil {
					time.Sleep(time.Millisecond)
				}
			}
			time.Sleep(time.Second)
		})
		state := r.catalog.State()
		for _, id := range ids {
			s, _ := state.Session(id)
			assert.True(t, s.Sealed)
			assert.EqualValues(t, s.Fence, r.slots(id), "all slots below the fence are data")
		}
		total := 0
		for p := range int32(4) {
			total += len(r.log(part(p)))
			pr, _ := r.Progress(part(p))
			c, _ := state.Partition(part(p))
			assert.Equal(t, c.Epoch, pr.Epoch)
			for _, x := range r.Recent(part(p), 0) {
				assert.Equal(t, r.session.ID, x.Object.A, "what was moved is in the catalog alone")
			}
		}
		assert.Equal(t, acked, total)
		require.Empty(t, state.Check())
		r.kill()
	})
}

func TestARotationThatTakesLongDoesNotSpin(t *testing.T) { // found by chaos, seed 154
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, Options{})
		r.catalog.took = time.Minute // the fence is put, the journal is slow
		var rotated sync.WaitGroup
		rotated.Go(func() { require.NoError(t, r.Rotate(t.Context(), catalog.RegisterSession{Nonce: [16]byte{77}})) })
		time.Sleep(61 * time.Second)
		req, _ := request(t, ingest.AcksAll, part(0), "waits")
		req.Timeout = 0
		require.NoError(t, r.Produce(t.Context(), req))
		rotated.Wait()
		<-req.Done()
		require.NoError(t, req.Results[0].Err)
		r.kill()
	})
}

func TestABrokerThatFollowsTheCatalogDoesNotDisturbARotation(t *testing.T) { // S9
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4, Options{})
		old, _ := r.Session()
		r.catalog.after = func(c catalog.Command) {
			if m, moved := c.(*catalog.Move); moved { // they are not the old session's any more
				var ended []Ended
				for i := range int32(4) {
					p, _ := r.catalog.State().Partition(part(i))
					ended = append(ended, Ended{Partition: p.ID, Epoch: p.Epoch, Owner: m.New})
				}
				require.NoError(t, r.Disown(t.Context(), old.ID, ended...))
			}
		}
		acked := r.under(8, func() {
			require.NoError(t, r.Rotate(t.Context(), catalog.RegisterSession{Nonce: [16]byte{77}}))
		})
		total := 0
		for p := range int32(4) {
			total += len(r.log(part(p)))
		}
		assert.Equal(t, acked, total)
		r.kill()
	})
}

func TestARotationOfAFencedSessionEnds(t *testing.T) { // S9, S6
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, Options{})
		old, _ := r.Session()
		require.NoError(t, r.produce(ingest.AcksAll, part(0), "x").Err)
		f, err := Fence(t.Context(), FenceOptions{Store: r.store, Session: old})
		require.NoError(t, err)
		r.catalog.must(t, &catalog.SealSession{Session: old.ID, Fence: f.Slot, Extents: f.Extents(old.ID)})
		err = r.Rotate(t.Context(), catalog.RegisterSession{Nonce: [16]byte{7}})
		if err == nil { // it adopted the fence, and found that it owns nothing
			res := r.produce(ingest.AcksAll, part(0), "zombie")
			assert.ErrorIs(t, res.Err, ingest.ErrNotLeader)
		}
		assert.Equal(t, []string{"x"}, r.log(part(0)))
		r.kill()
	})
}

// A rotation that sleeps: the old session is fenced, somebody else has the partition and
// writes, and gives it to the session that was registered for the rotation.
func TestARotationDoesNotGoOnWithWhatOthersHadInBetween(t *testing.T) { // S8, S9, W1
	for _, looks := range []bool{false, true} { // whether the catalog is looked at meanwhile
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 2, Options{})
			old, _ := r.Session()
			for i := range int32(2) {
				require.NoError(t, r.produce(ingest.AcksAll, part(i), "mine").Err)
			}
			r.store.Use(fault.Always(fault.Fault{Before: 10 * time.Millisecond}))
			var rotated sync.WaitGroup
			rotated.Go(func() { require.NoError(t, r.Rotate(t.Context(), catalog.RegisterSession{Nonce: [16]byte{77}})) })
			time.Sleep(5 * time.Millisecond) // its fence is under way
			fresh := r.catalog.State().Number()
			f, err := Fence(t.Context(), FenceOptions{Store: r.bucket, Session: old})
			require.NoError(t, err)
			r.catalog.must(t, &catalog.SealSession{Session: old.ID, Fence: f.Slot, Extents: f.Extents(old.ID)})
			take := func(session uint64, id record.Partition) Ended {
				p, _ := r.catalog.State().Partition(id)
				res := r.catalog.must(t, &catalog.Take{Session: session, Items: []catalog.TakeItem{{Partition: id, Epoch: p.Epoch + 1, Start: p.Next}}})
				require.NoError(t, res[0].Item(0))
				return Ended{Partition: id, Epoch: p.Epoch + 1, Owner: session}
			}
			other := r.register()
			theirs := take(other.ID, part(0))
			x := catalog.Extent{Base: 1, Next: 2, Epoch: theirs.Epoch, Object: catalog.WAL(other.ID, 0), Len: 1}
			r.catalog.must(t, &catalog.Release{Session: other.ID, Partitions: []record.Partition{part(0)}, Extents: []catalog.Located{{Partition: part(0), Extent: x}}})
			ours := []Ended{take(fresh, part(0)), take(fresh, part(1))}
			if looks {
				require.NoError(t, r.Disown(t.Context(), old.ID, ours...))
				assert.ErrorIs(t, r.produce(ingest.AcksAll, part(0), "judged by what was").Err, ingest.ErrNotLeader)
			}
			rotated.Wait()
			assert.ErrorIs(t, r.produce(ingest.AcksAll, part(0), "at an offset that is taken").Err, ingest.ErrNotLeader)
			res := r.produce(ingest.AcksAll, part(1), "goes on")
			assert.NoError(t, res.Err)
			assert.EqualValues(t, 1, res.Base)
			r.kill()
		})
	}
}

func TestReleaseGivesUpPartitionsAlone(t *testing.T) { // S9
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4, Options{})
		r.store.Use(fault.Always(fault.Fault{Before: 10 * time.Millisecond}, trace.Put))
		req, _ := request(t, ingest.AcksAll, part(0), "last")
		require.NoError(t, r.Produce(t.Context(), req))
		require.NoError(t, r.Release(t.Context(), nil, part(0), part(1)))
		<-req.Done()
		require.NoError(t, req.Results[0].Err)
		for _, p := range []record.Partition{part(0), part(1)} {
			c, _ := r.catalog.State().Partition(p)
			assert.Zero(t, c.Owner)
			assert.ErrorIs(t, r.produce(ingest.AcksAll, p, "late").Err, ingest.ErrNotLeader)
		}
		assert.Equal(t, []string{"last"}, r.log(part(0)))
		require.NoError(t, r.produce(ingest.AcksAll, part(2), "stays").Err)

		// It comes back, and what was released before is described once.
		s, _ := r.Session()
		c, _ := r.catalog.State().Partition(part(0))
		r.catalog.must(t, &catalog.Take{Session: s.ID, Items: []catalog.TakeItem{{Partition: part(0), Epoch: c.Epoch + 1, Start: c.Next}}})
		require.NoError(t, r.Own(t.Context(), s.ID, Owned{part(0), ingest.Start{Epoch: c.Epoch + 1, Next: c.Next}}))
		require.NoError(t, r.produce(ingest.AcksAll, part(0), "back").Err)
		require.NoError(t, r.Index(t.Context()))
		assert.Equal(t, []string{"last", "back"}, r.log(part(0)))
		require.Empty(t, r.catalog.State().Check())
		r.kill()
	})
}

// A broker gives up what the catalog has given it before its pump was told: what it is
// told then comes too late, or what is appended is described by nobody.
func TestWhatIsReleasedIsNotTakenUpAfterwards(t *testing.T) { // S9, found by broker/sim, seed 100078
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, Options{})
		s, _ := r.Session()
		r.catalog.must(t, &catalog.AddPartitions{ID: topic, From: 1, Owners: []uint64{s.ID}})
		r.catalog.took = time.Second
		var released sync.WaitGroup
		released.Go(func() { require.NoError(t, r.Release(t.Context(), nil, part(1))) })
		time.Sleep(500 * time.Millisecond)
		require.NoError(t, r.Own(t.Context(), s.ID, Owned{part(1), ingest.Start{}}))
		assert.ErrorIs(t, r.produce(ingest.AcksAll, part(1), "lost").Err, ingest.ErrNotLeader)
		released.Wait()
		p, _ := r.catalog.State().Partition(part(1))
		assert.Zero(t, p.Owner)
		r.kill()
	})
}

func TestTheMarkMovesByCount(t *testing.T) { // protocol.md 6
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4, Options{Behind: 10})
		for range 9 {
			require.NoError(t, r.produce(ingest.AcksAll, part(0), "x").Err)
		}
		assert.Empty(t, r.Uncovered())
		require.NoError(t, r.produce(ingest.AcksAll, part(0), "x").Err)
		<-r.Uncovered()
		require.NoError(t, r.Index(t.Context()))
		s, _ := r.Session()
		c, _ := r.catalog.State().Session(s.ID)
		assert.EqualValues(t, 10, c.Covered)
		assert.Empty(t, r.Recent(part(0), 0))
		require.NoError(t, r.produce(ingest.AcksAll, part(0), "x").Err)
		assert.Empty(t, r.Uncovered())
		assert.Len(t, r.log(part(0)), 11)
		require.NoError(t, r.Index(t.Context()))
		require.NoError(t, r.Index(t.Context()), "nothing to do")

		// A topic that was deleted does not leave a hole.
		require.NoError(t, r.produce(ingest.AcksAll, part(1), "kept").Err)
		require.NoError(t, r.Disown(t.Context(), s.ID, Ended{Partition: part(1), Epoch: Deleted}))
		require.NoError(t, r.Index(t.Context()))
		assert.Equal(t, []string{"kept"}, r.log(part(1)))
		require.NoError(t, r.WaitCommitted(t.Context(), s.ID, 12))
		assert.ErrorIs(t, r.WaitCommitted(t.Context(), s.ID+1, 12), ErrSession)
		r.kill()
	})
}

// TestTheMarkMovesByRuns: with many active partitions few slots hold many runs, and the
// command that describes them must stay small.
func TestTheMarkMovesByRuns(t *testing.T) { // protocol.md 6
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4, Options{BehindRuns: 12})
		slot := func() {
			req := &Request{Request: ingest.Request{Acks: ingest.AcksAll}}
			for p := range int32(4) {
				b, h := batch(t, "x")
				req.Items = append(req.Items, ingest.Item{Partition: part(p), Batch: b, Header: h})
			}
			require.NoError(t, r.Produce(t.Context(), req))
			<-req.Done()
		}
		for range 3 {
			slot()
			slot()
			assert.Empty(t, r.Uncovered())
			slot()
			<-r.Uncovered()
			require.NoError(t, r.Index(t.Context()))
			assert.Empty(t, r.Uncovered())
		}
		r.kill()
	})
}

func TestLeaveSealsWithoutAWalk(t *testing.T) { // protocol.md 5: SIGTERM
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4, Options{})
		r.store.Use(fault.Always(fault.Fault{Before: 10 * time.Millisecond}, trace.Put))
		var reqs []*Request
		for i := range 20 {
			req, _ := request(t, ingest.AcksAll, part(int32(i%4)), fmt.Sprint(i))
			require.NoError(t, r.Produce(t.Context(), req))
			reqs = append(reqs, req)
		}
		s, _ := r.Session()
		require.NoError(t, r.Leave(t.Context(), nil))
		for _, req := range reqs {
			<-req.Done()
			require.NoError(t, req.Results[0].Err)
		}
		state := r.catalog.State()
		c, _ := state.Session(s.ID)
		assert.True(t, c.Sealed)
		assert.True(t, state.Orphaned(), "what it had waits for an owner")
		require.Empty(t, state.Check())
		assert.ErrorIs(t, r.produce(ingest.AcksAll, part(0), "late").Err, ingest.ErrNotLeader)
		require.NoError(t, r.Leave(t.Context(), nil), "twice is once")
		r.kill()
		r.boot()
		for p := range int32(4) {
			assert.Len(t, r.log(part(p)), 5)
		}
		r.kill()
	})
}

// What comes to a pump that leaves is refused when the catalog says who owns the
// partition next, not before; and that is the entry in which the session ends.
func TestWhoComesWhileABrokerLeavesIsSentToTheHeir(t *testing.T) { // protocol.md 5: SIGTERM
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, Options{})
		heir := r.catalog.must(t, &catalog.RegisterSession{Node: 2, Nonce: [16]byte{2}})[0].ID
		r.store.Use(fault.Always(fault.Fault{Before: 10 * time.Millisecond}, trace.Put))
		first, _ := request(t, ingest.AcksAll, part(0), "first")
		require.NoError(t, r.Produce(t.Context(), first))
		s, _ := r.Session()
		left := make(chan error)
		go func() {
			left <- r.Leave(t.Context(), func(after *catalog.State) []catalog.Command {
				take := &catalog.Take{Session: heir}
				for i := range int32(2) {
					c, _ := after.Partition(part(i))
					take.Items = append(take.Items, catalog.TakeItem{Partition: part(i), Epoch: c.Epoch + 1, Start: c.Next})
				}
				return []catalog.Command{take}
			})
		}()
		time.Sleep(time.Millisecond)
		entries := r.catalog.State().Number()
		res := r.produce(ingest.AcksAll, part(0), "late")
		assert.ErrorIs(t, res.Err, ingest.ErrNotLeader)
		state := r.catalog.State()
		c, _ := state.Partition(part(0))
		assert.Equal(t, heir, c.Owner, "the answer came before the heir was named")
		require.NoError(t, <-left)
		<-first.Done()
		require.NoError(t, first.Results[0].Err)
		assert.Equal(t, entries+1, r.catalog.State().Number())
		v, _ := state.Session(s.ID)
		assert.True(t, v.Sealed)
		require.Empty(t, state.Check())
		assert.Equal(t, []string{"first"}, r.log(part(0)))
		r.kill()
	})
}

// A session that puts nothing hears of its end from the catalog.
func TestAnIdleSessionThatIsSealedIsOver(t *testing.T) { // S7
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, Options{})
		s, _ := r.Session()
		r.catalog.must(t, &catalog.SealSession{Session: s.ID, Fence: 0})
		require.NoError(t, r.Sealed(t.Context(), s.ID+1, 0), "another one")
		_, ok := r.Session()
		require.True(t, ok)
		require.NoError(t, r.Sealed(t.Context(), s.ID, 0))
		<-r.Over()
		_, ok = r.Session()
		assert.False(t, ok)
		fresh := r.catalog.must(t, &catalog.RegisterSession{Node: 1, Nonce: [16]byte{3}})[0].ID
		require.NoError(t, r.Begin(t.Context(), Session{ID: fresh, Nonce: [16]byte{3}}))
		r.kill()
	})
}

// One that is to rotate cannot put its own fence while the bucket is away, and may still
// hear that somebody else has sealed it: it serves nothing any more.
func TestASessionThatIsSealedWhileItRotatesIsOver(t *testing.T) { // S7, S13
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, Options{})
		s, _ := r.Session()
		r.store.Use(fault.Always(fault.Fault{Kind: fault.Unavailable}, trace.Put))
		rotated := make(chan error, 1)
		go func() {
			rotated <- r.Rotate(t.Context(), catalog.RegisterSession{Node: 1, Nonce: [16]byte{9}})
		}()
		synctest.Wait()
		r.catalog.must(t, &catalog.SealSession{Session: s.ID, Fence: 0})
		require.NoError(t, r.Sealed(t.Context(), s.ID, 0))
		_, ok := r.Progress(part(0))
		assert.False(t, ok)
		<-r.Over()
		r.store.Use(fault.Healthy)
		assert.ErrorIs(t, <-rotated, ErrSession)
		r.kill()
	})
}

// One whose own fence is there, and whose move is on its way to the journal, serves what it
// has for as long as nobody else owns it, and no longer.
func TestWhatAStrangerTookWhileASessionRotatesIsServedNoMore(t *testing.T) { // S9, S13
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, Options{})
		s, _ := r.Session()
		moved := make(chan struct{})
		r.catalog.before = func(c catalog.Command) {
			if _, ok := c.(*catalog.Move); ok {
				<-moved
			}
		}
		rotated := make(chan error, 1)
		go func() {
			rotated <- r.Rotate(t.Context(), catalog.RegisterSession{Node: 1, Nonce: [16]byte{9}})
		}()
		synctest.Wait()
		led := func(want ...bool) {
			t.Helper()
			require.NoError(t, r.Sealed(t.Context(), s.ID, 0))
			for i, w := range want {
				_, ok := r.Progress(part(int32(i)))
				assert.Equal(t, w, ok, "partition %d", i)
			}
		}
		r.catalog.must(t, &catalog.SealSession{Session: s.ID, Fence: 0})
		led(true, true)
		other := r.catalog.must(t, &catalog.RegisterSession{Node: 2, Nonce: [16]byte{8}})[0].ID
		c, _ := r.catalog.State().Partition(part(1))
		r.catalog.must(t, &catalog.Take{Session: other, Items: []catalog.TakeItem{{Partition: part(1), Epoch: c.Epoch + 1, Start: c.Next}}})
		led(true, false)
		close(moved)
		require.NoError(t, <-rotated)
		_, ok := r.Progress(part(1))
		assert.False(t, ok)
		r.kill()
	})
}

func TestDrainGivesUpWhenTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, Options{})
		r.store.Use(fault.Always(fault.Fault{Kind: fault.Unavailable}, trace.Put))
		req, _ := request(t, ingest.AcksAll, part(0), "x")
		require.NoError(t, r.Produce(t.Context(), req))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		assert.ErrorIs(t, r.Drain(ctx), ctx.Err())
		r.kill()
		<-req.Done()
		assert.ErrorIs(t, req.Results[0].Err, ingest.ErrNotLeader, "retriable: it may be committed yet")
	})
}

func TestARunningWalkBelievesNoList(t *testing.T) { // S6, fault-matrix.md row 18
	for kind := range map[fault.Kind]bool{fault.Missing: true, fault.Duplicate: true, fault.Unordered: true, fault.Unavailable: true} {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 1, Options{})
				for i := range 50 {
					require.NoError(t, r.produce(ingest.AcksAll, part(0), fmt.Sprint(i)).Err)
				}
				old, _ := r.Session()
				r.store.Use(fault.Always(fault.Fault{Kind: kind, Seed: 3}, trace.List))
				f, err := Fence(t.Context(), FenceOptions{Store: r.store, Session: old})
				require.NoError(t, err)
				assert.EqualValues(t, 50, f.Slot)
				assert.Len(t, f.Runs, 50)
				r.kill()
			})
		})
	}
}

func TestAWalkOverDamageIsAnError(t *testing.T) { // fault-matrix.md row 19
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, Options{})
		for range 5 {
			require.NoError(t, r.produce(ingest.AcksAll, part(0), "x").Err)
		}
		old, _ := r.Session()
		r.store.Use(fault.Script( // on the way: read again
			fault.Step{Op: trace.Get, Times: 1, Fault: fault.Fault{Kind: fault.Corrupt, Seed: 1}},
			fault.Step{Op: trace.Get, Times: 1, Fault: fault.Fault{Kind: fault.Truncated, Seed: 1}},
		))
		require.True(t, r.bucket.Corrupt(catalog.WAL(old.ID, 3).Name(), 10))
		_, err := Fence(t.Context(), FenceOptions{Store: r.store, Session: old})
		require.ErrorContains(t, err, "slot 3")
		require.True(t, r.bucket.Corrupt(catalog.WAL(old.ID, 3).Name(), 10), "mended: the same bit again")
		f, err := Fence(t.Context(), FenceOptions{Store: r.store, Session: old})
		require.NoError(t, err)
		assert.EqualValues(t, 5, f.Slot)
		r.kill()
	})
}

func TestABrokerThatGoesOnWritingIsFenced(t *testing.T) { // S6: whoever is nearer to the bucket
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4, Options{})
		r.store.Use(fault.Always(fault.Fault{Before: time.Millisecond}, trace.Put)) // the writer is near
		far := fault.Wrap(r.bucket, fault.Always(fault.Fault{Before: 50 * time.Millisecond}))
		old, _ := r.Session()
		var acked sync.Map
		var clients sync.WaitGroup
		for i := range 40 {
			clients.Go(func() {
				for k := 0; ; k++ {
					v := fmt.Sprintf("%d/%d", i, k)
					if r.produce(ingest.AcksAll, part(int32(i%4)), v).Err != nil {
						return
					}
					acked.Store(v, part(int32(i%4)))
				}
			})
		}
		time.Sleep(time.Second)
		began := time.Now()
		f, err := Fence(t.Context(), FenceOptions{Store: far, Session: old, Nonce: [16]byte{9}})
		require.NoError(t, err)
		assert.Less(t, time.Since(began), 10*time.Second)
		clients.Wait()
		<-r.Over()
		r.catalog.must(t, &catalog.SealSession{Session: old.ID, Fence: f.Slot, Extents: f.Extents(old.ID)})
		logs := map[record.Partition]map[string]bool{}
		for p := range int32(4) {
			logs[part(p)] = map[string]bool{}
			for _, v := range r.log(part(p)) {
				logs[part(p)][v] = true
			}
		}
		acked.Range(func(v, p any) bool {
			assert.True(t, logs[p.(record.Partition)][v.(string)], "%s was acknowledged", v)
			return true
		})
		r.kill()
	})
}

// Who looked at the catalog before a partition was given to the session, or after it
// was given up, does not change whose it is now (S8). An ownership that began twice
// would give its offsets twice.
func TestAnOldViewOfTheCatalogChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, Options{})
		s, _ := r.Session()
		require.NoError(t, r.produce(ingest.AcksAll, part(0), "a").Err)
		epoch := func() int32 {
			pr, led := r.Progress(part(0))
			require.True(t, led)
			return pr.Epoch
		}
		own := func(epoch int32, next int64) {
			require.NoError(t, r.Own(t.Context(), s.ID, Owned{Partition: part(0), Start: ingest.Start{Epoch: epoch, Next: next}}))
		}
		first := epoch()

		require.NoError(t, r.Disown(t.Context(), s.ID, Ended{Partition: part(0), Epoch: first - 1}))
		require.NoError(t, r.Disown(t.Context(), s.ID+1, Ended{Partition: part(0), Epoch: first}))
		require.NoError(t, r.produce(ingest.AcksAll, part(0), "b").Err)

		require.NoError(t, r.Release(t.Context(), nil, part(0)))
		own(first, 0)
		_, led := r.Progress(part(0))
		assert.False(t, led, "what was given up is led again")
		assert.ErrorIs(t, r.produce(ingest.AcksAll, part(0), "c").Err, ingest.ErrNotLeader)

		own(first+1, 2)
		require.NoError(t, r.Disown(t.Context(), s.ID, Ended{Partition: part(0), Epoch: first}))
		own(first, 0)
		assert.Equal(t, first+1, epoch())
		res := r.produce(ingest.AcksAll, part(0), "d")
		require.NoError(t, res.Err)
		assert.EqualValues(t, 2, res.Base)
		r.kill()
	})
}
