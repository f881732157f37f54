package journal

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/cold/trace"
)

// One request to the bucket that is never answered costs no broker its lease, which ends
// 9 s after the journal was reached last (S13), and keeps nobody waiting for as long.
func TestOneRequestThatIsLostEndsNoLease(t *testing.T) {
	for name, step := range map[string]fault.Step{
		"a look":             {Op: trace.Get, Name: PrefixEntries + "*"},
		"a boundary":         {Op: trace.Get, Name: PrefixBoundaries + "*"},
		"a put":              {Op: trace.Put, Name: PrefixEntries + "*"},
		"two looks in a row": {Op: trace.Get, Name: PrefixEntries + "*", Times: 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := fault.Wrap(mem.New(), fault.Healthy)
				j, stop := open(t, s, Options{})
				defer stop()
				time.Sleep(2500 * time.Millisecond)
				step.Fault = fault.Fault{Kind: fault.Hang}
				s.Use(fault.Script(step))
				began := time.Now()
				if _, err := j.Commit(t.Context(), &catalog.RegisterSession{Node: 1}); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("a commit took %s", took)
				}
				longest := time.Duration(0)
				for time.Since(began) < 20*time.Second {
					time.Sleep(100 * time.Millisecond)
					longest = max(longest, j.Contact())
				}
				if longest > 8*time.Second {
					t.Errorf("the journal was not reached for %s", longest)
				}
			})
		})
	}
}

// A journal that has just been opened has no reason to doubt the bucket: only a look that was
// late is one, for as long as it is fresh.
func TestALateLookIsTheOnlyReasonForDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fault.Wrap(mem.New(), fault.Healthy)
		j, stop := open(t, s, Options{})
		defer stop()
		if d := j.Steady(); d < time.Hour {
			t.Errorf("steady for %s at the start", d)
		}
		time.Sleep(10 * time.Second)
		s.Use(fault.Always(fault.Fault{Before: 6 * time.Second}))
		time.Sleep(10 * time.Second)
		if d := j.Steady(); d != 0 {
			t.Errorf("steady for %s while every look is late", d)
		}
		s.Use(fault.Healthy)
		time.Sleep(10 * time.Second)
		if d := j.Steady(); d < 2*time.Second || d > 10*time.Second {
			t.Errorf("steady for %s, ten seconds after the bucket was slow", d)
		}
	})
}

// A bucket that needs long for everything is read all the same.
func TestABucketThatIsAlwaysSlowIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fault.Wrap(mem.New(), fault.Healthy)
		a, stop := open(t, s, Options{})
		defer stop()
		s.Use(fault.Always(fault.Fault{Before: 6 * time.Second}))
		register(t, a, 1)
		b, stopB := open(t, s, Options{})
		defer stopB()
		same(t, a, b)
	})
}
