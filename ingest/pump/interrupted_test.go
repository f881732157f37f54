package pump

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/trace"
	"github.com/firnlog/firn/tier/object"
)

// A session is fenced, and hears of it, while it is about to tell the catalog what it has
// committed. It has forgotten what that was: were it to say so all the same, its slots
// would count as described, and whoever seals it would not look at them.
func TestASessionThatIsFencedDescribesNothing(t *testing.T) { // P1, S7
	for name, tell := range map[string]func(context.Context, *rig) error{
		"index":   func(ctx context.Context, r *rig) error { return r.Index(ctx) },
		"release": func(ctx context.Context, r *rig) error { return r.Release(ctx, nil, part(0)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 2, Options{})
				defer r.kill()
				s, _ := r.Session()
				require.NoError(t, r.produce(ingest.AcksAll, part(0), "acknowledged").Err)
				var f Fenced
				stopped := name != "release" // which looks once before it stops the partition
				r.catalog.looked = func() {
					if !stopped {
						stopped = true
						return
					}
					r.catalog.looked = nil
					var err error
					f, err = Fence(t.Context(), FenceOptions{Store: r.bucket, Session: s})
					require.NoError(t, err)
					require.Error(t, r.produce(ingest.AcksAll, part(1), "above the fence").Err)
					<-r.Over()
				}
				assert.ErrorIs(t, tell(t.Context(), r), ErrSession)
				r.catalog.must(t, &catalog.SealSession{Session: s.ID, Fence: f.Slot, Extents: f.Extents(s.ID)})
				assert.Equal(t, []string{"acknowledged"}, r.log(part(0)))
			})
		})
	}
}

// A release whose answer is lost is a release all the same. When the partition has come
// back before anybody here has looked, the next release is one of another log: it waits
// for what that one has under way, however far the first one was.
func TestAReleaseWaitsForTheLogThatThereIs(t *testing.T) { // P3, S9
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, Options{})
		s, _ := r.Session()
		require.NoError(t, r.produce(ingest.AcksAll, part(0), "before").Err)
		r.catalog.lose = losing(1)
		require.Error(t, r.Release(t.Context(), nil, part(0)))
		r.catalog.lose = nil
		c, _ := r.catalog.State().Partition(part(0))
		require.Zero(t, c.Owner)
		r.catalog.must(t, &catalog.Take{Session: s.ID, Items: []catalog.TakeItem{{Partition: part(0), Epoch: c.Epoch + 1, Start: c.Next}}})
		require.NoError(t, r.Own(t.Context(), s.ID, Owned{part(0), ingest.Start{Epoch: c.Epoch + 1, Next: c.Next}}))

		r.store.Use(fault.Always(fault.Fault{Before: 10 * time.Millisecond}, trace.Put))
		req, _ := request(t, ingest.AcksAll, part(0), "under way")
		require.NoError(t, r.Produce(t.Context(), req))
		require.NoError(t, r.Release(t.Context(), nil, part(0)))
		<-req.Done()
		require.NoError(t, req.Results[0].Err)
		c, _ = r.catalog.State().Partition(part(0))
		assert.EqualValues(t, 2, c.Next, "what was acknowledged is where the next owner goes on")
		r.kill()
	})
}

// The session that a rotation goes on with is sealed before it has got anything, by a
// broker that saw neither it nor the old one. The rotation does not ask for ever: the next
// one goes on with another session.
func TestARotationToASessionThatIsSealedEnds(t *testing.T) { // S9
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, Options{})
		require.NoError(t, r.produce(ingest.AcksAll, part(0), "before").Err)
		r.catalog.after = func(c catalog.Command) {
			if _, ok := c.(*catalog.RegisterSession); ok {
				r.catalog.after = nil
				id := r.catalog.State().Number()
				go func() {
					r.catalog.must(t, &catalog.SealSession{Session: id})
				}()
			}
		}
		r.catalog.before = func(c catalog.Command) {
			if _, ok := c.(*catalog.Move); ok {
				time.Sleep(time.Second)
			}
		}
		rotated := make(chan error, 1)
		go func() { rotated <- r.Rotate(t.Context(), catalog.RegisterSession{Node: 1, Nonce: [16]byte{7}}) }()
		select {
		case err := <-rotated:
			assert.ErrorIs(t, err, ErrSession)
		case <-time.After(time.Minute):
			assert.Fail(t, "the rotation has no end")
			r.kill()
			<-rotated
			return
		}
		req, _ := request(t, ingest.AcksAll, part(0), "meanwhile")
		require.NoError(t, r.Produce(t.Context(), req))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		assert.ErrorIs(t, r.Release(ctx, nil, part(0)), ErrSession, "it would wait for the next rotation, and that for it")
		require.NoError(t, r.Rotate(t.Context(), catalog.RegisterSession{Node: 1, Nonce: [16]byte{8}}))
		<-req.Done()
		assert.NoError(t, req.Results[0].Err)
		assert.Equal(t, []string{"before", "meanwhile"}, r.log(part(0)))
		r.kill()
	})
}

// What is foreign in the slot in which a rotation wants its fence is as foreign as under a
// put: a process that went on would bind no slot any more, and tell nobody.
func TestAForeignObjectUnderTheFenceOfARotationStopsTheBroker(t *testing.T) { // S3, S9
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, Options{})
		s, _ := r.Session()
		b := object.EncodeFence(s.ID, 0, [16]byte{66}, [16]byte{66}, 0)
		require.NoError(t, r.bucket.PutIfAbsent(t.Context(), catalog.WAL(s.ID, 0).Name(), cold.Bytes(b)))
		require.Error(t, r.Rotate(t.Context(), catalog.RegisterSession{Node: 1, Nonce: [16]byte{7}}))
		select {
		case err := <-r.ran:
			assert.ErrorIs(t, err, ingest.ErrForeign)
		case <-time.After(time.Minute):
			assert.Fail(t, "it goes on")
			r.kill()
		}
	})
}

// astray answers the first read of an object's end with another object.
type astray struct {
	cold.Store
	from, to string
	done     bool
}

func (s *astray) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	if name == s.from && r == cold.Tail(object.TailLen) && !s.done {
		s.done = true
		name = s.to
	}
	return s.Store.Get(ctx, name, r, buf)
}

func (s *astray) List(context.Context, string, string) iter.Seq2[cold.Info, error] {
	return func(func(cold.Info, error) bool) {}
}

// A cache in between gives one slot for another. What is in a slot that a put has found to
// hold data is not left out for that.
func TestAFencerLeavesNoSlotOut(t *testing.T) { // S6, S7
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, Options{})
		s, _ := r.Session()
		for _, v := range []string{"a", "b"} {
			require.NoError(t, r.produce(ingest.AcksAll, part(0), v).Err)
		}
		store := &astray{Store: r.bucket, from: catalog.WAL(s.ID, 0).Name(), to: catalog.WAL(s.ID, 1).Name()}
		f, err := Fence(t.Context(), FenceOptions{Store: store, Session: s})
		require.NoError(t, err)
		require.True(t, store.done)
		assert.Len(t, f.Extents(s.ID), 2)
		r.kill()
	})
}

// A release whose caller has given up, because the bucket was away, lands just before the
// broker leaves. The leave is of more than there is to be given up by then; it may be
// refused, and must not end the session without telling what it has committed.
func TestALeaveBehindAReleaseThatLandsLateLosesNothing(t *testing.T) { // P1, S9
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, Options{})
		s, _ := r.Session()
		require.NoError(t, r.produce(ingest.AcksAll, part(0), "acknowledged").Err)
		require.NoError(t, r.produce(ingest.AcksAll, part(1), "released").Err)
		late := &catalog.Release{Session: s.ID, Partitions: []record.Partition{part(1)}}
		for _, x := range r.Recent(part(1), 0) {
			late.Extents = append(late.Extents, catalog.Located{Partition: part(1), Extent: x})
		}
		r.catalog.before = func(catalog.Command) {
			r.catalog.before = nil
			r.catalog.must(t, late)
		}
		_ = r.Leave(t.Context(), nil)
		r.kill()
		r.boot()
		defer r.kill()
		assert.Equal(t, []string{"acknowledged"}, r.log(part(0)))
		assert.Equal(t, []string{"released"}, r.log(part(1)))
	})
}

// What the pump has noted of a commit is gone, by a fault that nobody knows of yet. However
// the broker gives the partition up, the catalog does not take it without what clients were
// told is there; whoever seals the session finds it in the bucket.
func TestWhatWasNotNotedIsNotLost(t *testing.T) { // P1, I9
	for what, giveUp := range map[string]func(*rig) error{
		"leave":   func(r *rig) error { return r.Leave(r.t.Context(), nil) },
		"release": func(r *rig) error { return r.Release(r.t.Context(), nil, part(0), part(1)) },
		"rotate": func(r *rig) error {
			return r.Rotate(r.t.Context(), catalog.RegisterSession{Node: 1, Nonce: [16]byte{9}})
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 2, Options{})
				require.NoError(t, r.produce(ingest.AcksAll, part(0), "noted").Err)
				require.NoError(t, r.produce(ingest.AcksAll, part(1), "forgotten").Err)
				require.NoError(t, r.call(t.Context(), func(time.Time) {
					r.board.find(part(1)).recent = nil
					delete(r.board.loose, part(1))
				}))
				assert.ErrorIs(t, giveUp(r), catalog.ErrInvalidExtents)
				if what == "leave" {
					r.kill()
					r.boot()
				} else {
					<-r.Over()
					r.takeOver()
				}
				defer r.kill()
				assert.Equal(t, []string{"noted"}, r.log(part(0)))
				assert.Equal(t, []string{"forgotten"}, r.log(part(1)))
			})
		})
	}
}
