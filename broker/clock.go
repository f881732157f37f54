package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/planted"
	"github.com/firnlog/firn/tier/cold"
)

// clock is the time by the calendar, as all brokers of a cluster agree on it: by it
// records, offsets, tombstones and producers are dated, and by it they expire, often on
// another broker. A machine's clock may be years off, and jump. The bucket has a clock that
// all see, in the times of its objects, and in between monotonic time goes by. So a broker
// believes its machine as long as that says about what the bucket says (agreed). What waits
// for something, for leases, members of groups, deadlines, the grace of garbage, goes by
// monotonic time alone and not by this.
type clock struct {
	wall  func() time.Time // this machine's
	log   *slog.Logger
	stage pump.Stage // in simulations

	seen   atomic.Pointer[sight] // nil: the bucket was not asked yet
	warned atomic.Bool

	// maintain's alone.
	session, slots uint64    // at its last look
	looked         time.Time // when that was
	asked          time.Time // when the bucket was last asked
}

// sight is what the bucket's clock showed.
type sight struct {
	there time.Time
	at    time.Time // by monotonic time
}

// trusted is how far a machine's clock may be from the bucket's and be believed: times of
// objects are whole seconds, and when one was put is not known exactly (moment). What
// expires does so by twice this too early at most, whatever machines' clocks say.
const trusted = 30 * time.Second

// agreed decides what time it is: what the machine says, unless it is far from what the
// bucket says, which then counts.
func agreed(machine, bucket time.Time) time.Time {
	if machine.Sub(bucket).Abs() <= trusted || planted.Is(planted.OwnCalendar) {
		return machine
	}
	return bucket
}

// now is the time that all agree on. It does not block.
func (c *clock) now() time.Time {
	_, now := c.read()
	return now
}

// off is how far the machine's clock is from what is agreed.
func (c *clock) off() time.Duration {
	machine, now := c.read()
	return machine.Sub(now)
}

// read looks at the machine's clock once, and at what is agreed then.
func (c *clock) read() (machine, now time.Time) {
	machine = c.wall().Round(0) // the machine's monotonic time would shift with its calendar's
	s := c.seen.Load()
	if s == nil {
		return machine, machine
	}
	return machine, agreed(machine, s.there.Add(c.monotonic().Sub(s.at)))
}

// moment is when an object was put, which the bucket dates there, and which is known to lie
// between two times: where the machine's clock says, if that is about between them. If
// not, the machine's clock is wrong, and the object is as new as can be.
func moment(byMachine, since, until time.Time) time.Time {
	if byMachine.After(until) || byMachine.Before(since.Add(-trusted)) {
		return until
	}
	if byMachine.Before(since) {
		return since
	}
	return byMachine
}

// statWait is how long the bucket may take to tell its time.
const statWait = 5 * time.Second

// see reads the bucket's clock off an object that was put between two times.
func (c *clock) see(ctx context.Context, store cold.Store, name string, since, until time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, statWait) // others wait for who asks
	defer cancel()
	info, err := store.Stat(ctx, name)
	if err != nil {
		return fmt.Errorf("ask for the bucket's time: %w", err)
	}
	if info.Modified.IsZero() {
		return nil // a bucket without a clock: everybody believes his own
	}
	there := info.Modified.Round(0)
	ago := c.wall().Round(0).Sub(there) // as the machine's clock says
	c.seen.Store(&sight{there, moment(c.monotonic().Add(-ago), since, until)})
	if off := c.off(); off != 0 && c.warned.CompareAndSwap(false, true) {
		c.log.Warn("this machine's clock is not the bucket's, whose time is taken; look after the one that is wrong", "machine is ahead by", off.Round(time.Second).String())
	} else if off == 0 {
		c.warned.Store(false)
	}
	return nil
}

// first reads it before anything is dated, off the entry of the journal that registered
// the session (S1), put since it was asked for. It goes on until it is told or ctx ends.
func (c *clock) first(ctx context.Context, store cold.Store, session uint64, asked time.Time) error {
	until := c.monotonic()
	for wait := 50 * time.Millisecond; c.seen.Load() == nil; wait = min(2*wait, time.Second) {
		err := c.see(ctx, store, journal.Name(session), asked, until)
		if err == nil || errors.Is(err, cold.ErrNotFound) {
			return nil // given up already (S11): maintain finds something newer
		}
		c.log.Debug("the bucket's clock cannot be read yet", "err", err)
		if err := c.pause(ctx, wait); err != nil {
			return err
		}
	}
	return nil
}

// again is how often the bucket is asked while the machine's clock is not believed: it
// may be right by now, and monotonic time stands still while a machine sleeps.
const again = time.Minute

// keep is called each second: it reads the bucket's clock again with each session, and when
// it and the machine's differ, off what was put since the last call.
func (c *clock) keep(ctx context.Context, store cold.Store, session, slots uint64, now time.Time) error {
	name, since := "", c.looked
	switch fresh := session == c.session && slots > c.slots; {
	case session != c.session && c.session != 0:
		name = journal.Name(session)
	case fresh && (c.seen.Load() == nil || c.off() != 0) && (c.asked.IsZero() || now.Sub(c.asked) >= again):
		name = catalog.WAL(session, slots-1).Name()
	}
	c.session, c.slots, c.looked = session, slots, now
	if name == "" {
		return nil
	}
	c.asked = now
	if err := c.see(ctx, store, name, since, now); !errors.Is(err, cold.ErrNotFound) {
		return err
	}
	return nil
}

func (c *clock) monotonic() time.Time {
	if c.stage != nil {
		return c.stage.Now()
	}
	return time.Now()
}

func (c *clock) pause(ctx context.Context, d time.Duration) error {
	if c.stage != nil {
		return c.stage.Sleep(ctx, d)
	}
	return sleep(ctx, d)
}
