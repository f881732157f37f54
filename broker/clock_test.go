package broker

import (
	"log/slog"
	"testing"
	"time"
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
