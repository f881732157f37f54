package broker

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/cold/trace"
)

func TestAMachineIsBelievedAsLongAsTheBucketAgrees(t *testing.T) {
	bucket := time.Unix(1_800_000_000, 0)
	for off, want := range map[time.Duration]time.Duration{
		0: 0, time.Millisecond: time.Millisecond, -time.Second: -time.Second, trusted: trusted, -trusted: -trusted,
		trusted + 1: 0, -trusted - 1: 0, time.Hour: 0, -24 * time.Hour: 0, 100 * 365 * 24 * time.Hour: 0, -50 * 365 * 24 * time.Hour: 0,
	} {
		if got := agreed(bucket.Add(off), bucket).Sub(bucket); got != want {
			t.Errorf("a machine that is %s ahead of the bucket: %s ahead is agreed, want %s", off, got, want)
		}
	}
}

// A clock that goes on while it is looked at is right all the same.
func TestAClockThatIsRightIsNotOff(t *testing.T) {
	tick := time.Now()
	c := &clock{wall: func() time.Time { tick = tick.Add(time.Microsecond); return tick }, log: slog.New(slog.DiscardHandler)}
	c.seen.Store(&sight{tick.Round(0), time.Now()})
	if off := c.off(); off != 0 {
		t.Errorf("it is off by %s", off)
	}
	c.seen.Store(&sight{tick.Round(0).Add(-time.Hour), time.Now()})
	if off := c.off(); (off - time.Hour).Abs() > time.Minute {
		t.Errorf("a clock that is an hour ahead is off by %s", off)
	}
}

// A clock that is right is believed, however long it took until what dates the bucket's was
// put and looked at: a rotation may have waited for the bucket since it registered its
// session, and so may the answer to a registration. One that is wrong is not.
func TestALateLookDisbelievesNoClockThatIsRight(t *testing.T) {
	for _, off := range []time.Duration{0, 10 * time.Second, -10 * time.Second, time.Hour, -time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			ctx, store := t.Context(), mem.New()
			put := func(name string) {
				t.Helper()
				if err := store.PutIfAbsent(ctx, name, cold.Bytes([]byte("x"))); err != nil {
					t.Fatal(err)
				}
			}
			c := &clock{wall: func() time.Time { return time.Now().Add(off) }, log: slog.New(slog.DiscardHandler)}
			want := off
			if off.Abs() <= trusted {
				want = 0
			}
			check := func(when string, most time.Duration) {
				t.Helper()
				if got := c.off(); want == 0 && got != 0 || (got-want).Abs() > most {
					t.Errorf("%s: a clock that is ahead by %s is off by %s", when, off, got)
				}
			}
			keep := func(session, slots uint64) {
				t.Helper()
				if err := c.keep(ctx, store, session, slots, time.Now()); err != nil {
					t.Fatal(err)
				}
			}

			asked := time.Now()
			put(journal.Name(1))
			time.Sleep(time.Minute)
			if err := c.first(ctx, store, 1, asked); err != nil {
				t.Fatal(err)
			}
			check("a late answer", time.Minute)

			keep(1, 0)
			put(journal.Name(2))
			time.Sleep(5 * time.Minute)
			keep(2, 0)
			check("a long rotation", 5*time.Minute)

			time.Sleep(again)
			keep(2, 0)
			put(catalog.WAL(2, 0).Name())
			time.Sleep(time.Second)
			keep(2, 1)
			check("a slot", 2*time.Second)
		})
	}
}

// Who asks a bucket for its time, and is not answered, goes on: others wait for him.
func TestABucketThatDoesNotTellItsTimeKeepsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := fault.Wrap(mem.New(), fault.Always(fault.Fault{Kind: fault.Hang}, trace.Stat))
		c := &clock{wall: time.Now, log: slog.New(slog.DiscardHandler)}
		began := time.Now()
		for session := range uint64(3) {
			_ = c.keep(t.Context(), store, session+1, 0, time.Now())
		}
		if took := time.Since(began); took == 0 || took > 2*statWait {
			t.Errorf("asking twice took %s", took)
		}
	})
}
