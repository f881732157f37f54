package fault_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/coldtest"
	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/cold/trace"
)

func TestAHealthyStoreIsAStore(t *testing.T) {
	coldtest.Acceptance(t, func(t *testing.T) func() cold.Store {
		s := fault.Wrap(mem.New(), fault.Healthy)
		return func() cold.Store { return s }
	})
	coldtest.Acceptance(t, func(t *testing.T) func() cold.Store {
		s := fault.Break(mem.New(), fault.Sound)
		return func() cold.Store { return s }
	})
}

func TestALatePutLandsWhenTheTestSaysSo(t *testing.T) {
	bucket := mem.New()
	s := fault.Wrap(bucket, fault.Script(fault.Step{Op: trace.Put, Name: "wal/*/0", Fault: fault.Fault{Kind: fault.LandsLater}}))
	body := []byte("zombie")
	if err := s.PutIfAbsent(t.Context(), "wal/1/0", cold.Bytes(body)); err == nil || cold.Definite(err) {
		t.Fatalf("%v", err)
	}
	copy(body, "reused") // C3: the sender has its memory back
	if _, err := bucket.Stat(t.Context(), "wal/1/0"); !errors.Is(err, cold.ErrNotFound) {
		t.Fatalf("landed at once: %v", err)
	}
	if late := s.Late(); !slices.Equal(late, []string{"wal/1/0"}) {
		t.Fatalf("late: %q", late)
	}
	if err := s.Land(t.Context(), "wal/1/0"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), "wal/1/0", cold.Whole, nil); err != nil || string(got) != "zombie" {
		t.Fatalf("%q, %v", got, err)
	}
	if err := s.Land(t.Context(), "wal/1/0"); !errors.Is(err, cold.ErrNotFound) {
		t.Fatalf("landed twice: %v", err)
	}
}

// It does not overwrite what took the slot in the meantime.
func TestALatePutIsStillConditional(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fault.Wrap(mem.New(), fault.Script(fault.Step{Op: trace.Put, Fault: fault.Fault{Kind: fault.LandsLater, Landing: time.Minute}}))
		_ = s.PutIfAbsent(t.Context(), "wal/1/0", cold.Bytes([]byte("zombie")))
		if err := s.PutIfAbsent(t.Context(), "wal/1/0", cold.Bytes([]byte("fence"))); err != nil {
			t.Fatal(err)
		}
		s.Wait()
		if got, _ := s.Get(t.Context(), "wal/1/0", cold.Whole, nil); string(got) != "fence" {
			t.Fatalf("%q", got)
		}
	})
}

func TestAStoreGoesAwayAndComesBack(t *testing.T) {
	s := fault.Wrap(mem.New(), fault.Healthy)
	one := cold.Bytes([]byte("x"))
	if err := s.PutIfAbsent(t.Context(), "a", one); err != nil {
		t.Fatal(err)
	}
	s.Use(fault.Always(fault.Fault{Kind: fault.Unavailable}))
	_, err := s.Get(t.Context(), "a", cold.Whole, nil)
	if !errors.Is(err, fault.ErrUnavailable) || cold.Definite(err) {
		t.Fatal(err)
	}
	s.Use(fault.Healthy)
	if _, err := s.Get(t.Context(), "a", cold.Whole, nil); err != nil {
		t.Fatal(err)
	}
}

func TestFaultsDoWhatTheySay(t *testing.T) {
	for kind, op := range map[fault.Kind]trace.Op{
		fault.Truncated: trace.Get, fault.Corrupt: trace.Get, fault.Stale: trace.Get,
		fault.Missing: trace.List, fault.Duplicate: trace.List, fault.Unordered: trace.List,
		fault.AnswerLost: trace.Put, fault.RequestLost: trace.Put, fault.Conflict: trace.Put, fault.Denied: trace.Put,
	} {
		t.Run(kind.String(), func(t *testing.T) {
			bucket := mem.New()
			healthy := make([]string, 20)
			for i := range healthy {
				healthy[i] = fmt.Sprintf("l/%02d", i)
				if err := bucket.PutIfAbsent(t.Context(), healthy[i], cold.Bytes([]byte("0123456789"))); err != nil {
					t.Fatal(err)
				}
			}
			s := fault.Wrap(bucket, fault.Always(fault.Fault{Kind: kind, Seed: 77}, op))
			err := s.PutIfAbsent(t.Context(), "p", cold.Bytes(nil))
			_, there := bucket.Stat(t.Context(), "p")
			got, getErr := s.Get(t.Context(), "l/00", cold.Whole, nil)
			var listed []string
			for info := range s.List(t.Context(), "l/", "") {
				listed = append(listed, info.Name)
			}
			unordered := slices.Clone(listed)
			slices.Sort(unordered)
			ok := map[fault.Kind]bool{
				fault.Truncated:   len(got) < 10 && getErr == nil,
				fault.Corrupt:     len(got) == 10 && string(got) != "0123456789",
				fault.Stale:       errors.Is(getErr, cold.ErrNotFound),
				fault.Missing:     len(listed) < 20,
				fault.Duplicate:   len(listed) > 20,
				fault.Unordered:   !slices.Equal(listed, healthy) && slices.Equal(unordered, healthy),
				fault.AnswerLost:  errors.Is(err, fault.ErrLost) && there == nil,
				fault.RequestLost: errors.Is(err, fault.ErrLost) && there != nil,
				fault.Conflict:    errors.Is(err, cold.ErrConflict) && there != nil,
				fault.Denied:      errors.Is(err, cold.ErrDenied) && there != nil,
			}[kind]
			if !ok {
				t.Errorf("put %v (%v), got %q (%v), listed %q", err, there, got, getErr, listed)
			}
		})
	}
}

// The same seed does the same to each name, in whatever order the calls come.
func TestASeedMeansTheSameFaultsAgain(t *testing.T) {
	odds := fault.Odds{
		Kinds: map[fault.Kind]float64{fault.RequestLost: 0.1, fault.AnswerLost: 0.1, fault.LandsLater: 0.1, fault.Corrupt: 0.2},
		Slow:  0.5, Delay: time.Second, Landing: time.Minute,
	}
	var calls []fault.Call
	for op := range trace.Ops {
		for i := range 200 {
			calls = append(calls, fault.Call{Op: op, Name: fmt.Sprint(i % 20), Nth: i / 20})
		}
	}
	one, again, other := fault.Seeded(1, odds), fault.Seeded(1, odds), fault.Seeded(2, odds)
	first := make(map[fault.Call]fault.Fault)
	kinds := make(map[fault.Kind]int)
	for _, c := range calls {
		first[c] = one(c)
		kinds[first[c].Kind]++
	}
	slices.Reverse(calls)
	different := 0
	for _, c := range calls {
		if again(c) != first[c] {
			t.Fatalf("%+v: another fault", c)
		}
		if other(c) != first[c] {
			different++
		}
	}
	if different < len(calls)/2 || kinds[fault.None] < len(calls)/2 || kinds[fault.RequestLost] < 50 || kinds[fault.Corrupt] < 20 {
		t.Errorf("%d of %d differ by seed; %v", different, len(calls), kinds)
	}
}

func TestDelaysEndWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, f := range []fault.Fault{{Kind: fault.Hang}, {Before: time.Hour}, {After: time.Hour}} {
			s := fault.Wrap(mem.New(), fault.Always(f))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			start := time.Now()
			if err := s.PutIfAbsent(ctx, "a", cold.Bytes(nil)); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
				t.Errorf("%+v: %v after %v", f, err, time.Since(start))
			}
			cancel()
		}
	})
}
