package broker

import (
	"context"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

// lookAround is how often everything is compared, not only what has changed: for what
// the pump may have lost without the catalog saying so.
const lookAround = time.Minute

// follower remembers how far the pump has followed the catalog.
type follower struct {
	turn    chan struct{} // cap 1: held by the one that follows, across its round trips
	state   *catalog.State
	session uint64
	at      time.Time // of the last look at everything
}

// followAll keeps the pump at what the catalog gives this broker.
func (b *Broker) followAll(ctx context.Context) error {
	for {
		changed := b.journal.Changed()
		if err := b.follow(ctx); err != nil && ctx.Err() == nil {
			b.log.Warn("cannot follow the catalog", "err", err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// follow makes the pump serve what the state gives its session, and forget what
// is deleted. It looks at what has changed since the last time.
func (b *Broker) follow(ctx context.Context) error {
	f := &b.follower
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	s, ok := b.pump.Session()
	if !ok {
		return nil
	}
	state, since, now := b.journal.State(), f.state, time.Now()
	all := f.session != s.ID || now.Sub(f.at) >= lookAround
	if all {
		since = nil
	}
	led := func(p record.Partition) bool { _, ok := b.pump.Progress(p); return ok }
	take, gone := shifts(state, since, s.ID, led)
	if all {
		for _, p := range b.pump.Led() { // of topics that are deleted
			if _, ok := state.Partition(p); !ok {
				gone = append(gone, p)
			}
		}
	}
	if len(take) > 0 {
		// Groups of a partition that was given up and comes back before anybody looked
		// would go on with what they knew: another broker may have written since.
		b.groups.lead()
	}
	if err := b.session.own(ctx, s.ID, state, take); err != nil {
		return err
	}
	if len(gone) > 0 {
		if err := b.pump.Disown(ctx, gone...); err != nil {
			return err
		}
	}
	f.state, f.session = state, s.ID
	if all {
		f.at = now
	}
	b.groups.lead()
	return nil
}

// shifts decides what a session is to take and to give up, of what has changed since
// an older state (nil: of everything), given what it leads.
func shifts(state, since *catalog.State, session uint64, led func(record.Partition) bool) (take []*catalog.Partition, gone []record.Partition) {
	for c := range state.Since(since) {
		mine := c.New != nil && c.New.Owner == session
		switch {
		case c.New != nil && mine != led(c.New.ID):
			if mine {
				take = append(take, c.New)
			} else {
				gone = append(gone, c.New.ID)
			}
		case c.New == nil && led(c.Old.ID):
			gone = append(gone, c.Old.ID)
		}
	}
	return take, gone
}
