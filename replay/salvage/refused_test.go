package salvage

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/cold/trace"
	"github.com/firnlog/firn/tier/object"
)

// Keys that were revoked end the one who waits for the command; a store that is away for
// a while does not.
func TestWritingEndsWhenTheStoreRefuses(t *testing.T) {
	state := catalog.NewState()
	if r := state.Apply(1, []catalog.Command{&catalog.CreateCluster{ID: "c"}}); r[0].Err != nil {
		t.Fatal(r[0].Err)
	}
	plans := map[string]Plan{
		"journal": {State: state},
		"fillers": {State: state, Fillers: []Filler{{catalog.WAL(1, 0), object.EncodeFence(1, 0, [16]byte{}, [16]byte{}, 0)}}},
	}
	for name, p := range plans {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bucket := mem.New()
				store := fault.Wrap(bucket, fault.Always(fault.Fault{Kind: fault.Denied}, trace.Put))
				began := time.Now()
				if err := Write(t.Context(), store, p); !errors.Is(err, cold.ErrDenied) {
					t.Errorf("ended with %v", err)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("ended after %s", took)
				}
				began = time.Now()
				away := fault.Always(fault.Fault{Kind: fault.Unavailable}, trace.Put)
				store.Use(func(c fault.Call) fault.Fault {
					if time.Since(began) < 20*time.Second {
						return away(c)
					}
					return fault.Fault{}
				})
				if err := Write(t.Context(), store, p); err != nil {
					t.Errorf("a store that comes back: %v", err)
				}
				store.Wait()
			})
		})
	}
}
