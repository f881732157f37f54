package journal

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/mem"
)

// counted is a store that takes its time for reads, and counts them.
type counted struct {
	cold.Store
	gets atomic.Int64
}

func (c *counted) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	c.gets.Add(1)
	time.Sleep(10 * time.Millisecond)
	return c.Store.Get(ctx, name, r, buf)
}

// Those who look without a pause all see what was committed before they asked, soon, and
// cost no more than the allowance.
func TestLooksAreFreshAndCostNoMoreThanTheAllowance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := mem.New()
		writer, stop := open(t, bucket, Options{Poll: time.Hour})
		defer stop()
		s := &counted{Store: bucket}
		j, stop := open(t, s, Options{Poll: time.Hour})
		defer stop()

		const long, entries = 20 * time.Second, 40
		ctx, cancel := context.WithTimeout(t.Context(), long)
		defer cancel()
		before := s.gets.Load()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				for ctx.Err() == nil {
					known, began := writer.State().Number(), time.Now()
					if j.Ask(ctx) != nil {
						return
					}
					if n := j.State().Number(); n < known {
						t.Errorf("a look shows entry %d, and %d was there when it was asked for", n, known)
					}
					if d := time.Since(began); d > 400*time.Millisecond {
						t.Errorf("a look took %v", d)
					}
				}
			})
		}
		for range entries {
			if _, err := writer.Commit(t.Context(), &catalog.ProducerIDs{Count: 10}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(long / entries)
		}
		wg.Wait()
		if n, most := s.gets.Load()-before, int64(2*(lookBurst+lookRate*long.Seconds()+1)+entries); n > most {
			t.Errorf("%d reads, of which the allowance has %d", n, most)
		}
	})
}

// Who waits for the allowance is served by a look that there is anyway.
func TestAHintServesThoseWhoWaitForALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, stop := open(t, mem.New(), Options{Poll: time.Hour})
		defer stop()
		for range lookBurst {
			if err := j.Ask(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		go func() {
			time.Sleep(10 * time.Millisecond)
			j.Nudge()
		}()
		if err := j.Ask(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d != 10*time.Millisecond {
			t.Errorf("a look took %v, and the hint came after 10ms", d)
		}
	})
}

// A commit waits for the look that is under way and for no other, however many wait, and
// those who wait see what it has committed.
func TestCommitsComeBeforeLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, stop := open(t, &counted{Store: mem.New()}, Options{Poll: time.Millisecond})
		defer stop()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for known := j.State().Number(); j.Look(ctx) == nil; known = j.State().Number() {
					if n := j.State().Number(); n < known {
						t.Errorf("a look shows entry %d, and %d was there when it was asked for", n, known)
					}
				}
			})
		}
		for ctx.Err() == nil {
			j.Nudge()
			began := time.Now()
			if _, err := j.Commit(t.Context(), &catalog.ProducerIDs{Count: 10}); err != nil {
				t.Fatal(err)
			}
			// A look is two reads, a commit is a put, which takes no time here, and one read.
			if d := time.Since(began); d > 30*time.Millisecond {
				t.Errorf("a commit took %v, and a look 20ms", d)
			}
			time.Sleep(time.Millisecond)
		}
		wg.Wait()
	})
}
