package pump

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/trace"
	"github.com/firnlog/firn/tier/object"
)

// Who comes to a broker that leaves or rotates waits for the last slot and one entry of the
// journal: the fence is put beside the slot.
func TestAFenceOfOnesOwnCostsNoRoundTrip(t *testing.T) { // S9
	for what, end := range map[string]func(context.Context, *rig) error{
		"leave": func(ctx context.Context, r *rig) error { return r.Leave(ctx, nil) },
		"rotate": func(ctx context.Context, r *rig) error {
			return r.Rotate(ctx, catalog.RegisterSession{Node: 1, Nonce: [16]byte{7}})
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 1, Options{})
				r.store.Use(fault.Always(fault.Fault{Before: 30 * time.Millisecond}, trace.Put))
				req, _ := request(t, ingest.AcksAll, part(0), "x")
				require.NoError(t, r.Produce(t.Context(), req))
				synctest.Wait()
				began := time.Now()
				require.NoError(t, end(t.Context(), r))
				assert.Equal(t, 30*time.Millisecond, time.Since(began))
				<-req.Done()
				require.NoError(t, req.Results[0].Err)
				assert.Equal(t, []string{"x"}, r.log(part(0)))
				r.kill()
			})
		})
	}
}

// The fence has room for all that was accepted: it is put when nothing waits for a slot any
// more, though the slots themselves may be on their way.
func TestAFenceOfOnesOwnLiesBehindAllThatWasAccepted(t *testing.T) { // S2, S9
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, Options{Ingest: ingest.Config{Window: 1}})
		r.store.Use(fault.Always(fault.Fault{Before: 30 * time.Millisecond}, trace.Put))
		var reqs []*Request
		for _, v := range []string{"a", "b"} {
			req, _ := request(t, ingest.AcksAll, part(0), v)
			require.NoError(t, r.Produce(t.Context(), req))
			reqs = append(reqs, req)
			synctest.Wait()
		}
		s, _ := r.Session()
		began := time.Now()
		require.NoError(t, r.Leave(t.Context(), nil))
		assert.Equal(t, 60*time.Millisecond, time.Since(began))
		for _, req := range reqs {
			<-req.Done()
			require.NoError(t, req.Results[0].Err)
		}
		v, _ := r.catalog.State().Session(s.ID)
		assert.EqualValues(t, 2, v.Fence)
		assert.Equal(t, []string{"a", "b"}, r.log(part(0)))
		r.kill()
	})
}

// A fence that is there before the slot below it says nothing of that slot. Who takes over
// finds the gap, and what lands later finds his fence: nothing of it is acknowledged. What
// has landed is kept.
func TestAFenceAboveAGapIsNotTheEnd(t *testing.T) { // S4, S6, S7
	for what, lands := range map[string]bool{"the slot is empty": false, "the slot has landed": true} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 1, Options{})
				require.NoError(t, r.produce(ingest.AcksAll, part(0), "before").Err)
				s, _ := r.Session()
				kind, last := fault.RequestLost, catalog.WAL(s.ID, 1).Name()
				if lands {
					kind = fault.AnswerLost
				}
				r.store.Use(func(c fault.Call) fault.Fault {
					if c.Name != last || c.Op != trace.Put && !lands {
						return fault.Fault{}
					}
					if c.Op != trace.Put { // nor does it learn of it
						return fault.Fault{Kind: fault.Unavailable}
					}
					return fault.Fault{Kind: kind}
				})
				req, _ := request(t, ingest.AcksAll, part(0), "last")
				require.NoError(t, r.Produce(t.Context(), req))
				left := make(chan error, 1)
				go func() { left <- r.Leave(t.Context(), nil) }()
				time.Sleep(time.Second)
				b, err := r.bucket.Get(t.Context(), catalog.WAL(s.ID, 2).Name(), cold.Whole, nil)
				require.NoError(t, err, "the fence waits for the slot")
				h, err := object.ParseHeader(b)
				require.NoError(t, err)
				require.Equal(t, object.Fence, h.Kind)
				v, _ := r.catalog.State().Session(s.ID)
				require.False(t, v.Sealed, "it is sealed before its last slot is committed")
				select {
				case <-req.Done():
					t.Fatal("it is answered before its slot is committed")
				default:
				}

				f, err := Fence(t.Context(), FenceOptions{Store: r.bucket, Session: s, Nonce: [16]byte{99}})
				require.NoError(t, err)
				r.catalog.must(t, &catalog.SealSession{Session: s.ID, Fence: f.Slot, Extents: f.Extents(s.ID)})
				r.store.Use(fault.Healthy)
				require.Error(t, <-left, "somebody else has ended it")
				<-req.Done()
				want := []string{"before"}
				if lands {
					require.EqualValues(t, 2, f.Slot)
					require.NoError(t, req.Results[0].Err)
					want = append(want, "last")
				} else {
					require.EqualValues(t, 1, f.Slot)
					require.ErrorIs(t, req.Results[0].Err, ingest.ErrNotLeader)
				}
				r.kill()
				r.boot()
				defer r.kill()
				assert.Equal(t, want, r.log(part(0)))
				require.Empty(t, r.catalog.State().Check())
			})
		})
	}
}
