package broker

import (
	"context"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest/pump"
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
// is deleted.
func (b *Broker) follow(ctx context.Context) error {
	return b.follower.follow(ctx, b.session, time.Now(), b.groups.lead)
}

// follow looks at what has changed since the last time. It calls lead when what is
// led may have changed.
func (f *follower) follow(ctx context.Context, s *session, now time.Time, lead func()) error {
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	own, ok := s.pump.Session()
	if !ok {
		return nil
	}
	since := f.state
	all := f.session != own.ID || now.Sub(f.at) >= lookAround
	var before []record.Partition
	if all {
		since = nil
		before = s.pump.Led() // before the state, which then knows them unless they are deleted
	}
	state := s.journal.State()
	switch v, ok := state.Session(own.ID); {
	case !ok:
		return s.pump.Sealed(ctx, own.ID, 0) // and forgotten since
	case v.Sealed:
		return s.pump.Sealed(ctx, own.ID, v.Fence)
	}
	take, gone := shifts(state, since, own.ID, s.led)
	for _, p := range before {
		if _, ok := state.Partition(p); !ok {
			gone = append(gone, pump.Ended{Partition: p, Epoch: pump.Deleted})
		}
	}
	if len(take) > 0 {
		// Groups of a partition that was given up and comes back before anybody looked
		// would go on with what they knew: another broker may have written since.
		lead()
	}
	if err := s.own(ctx, own.ID, state, take); err != nil {
		return err
	}
	if len(gone) > 0 {
		if err := s.pump.Disown(ctx, own.ID, gone...); err != nil {
			return err
		}
	}
	f.state, f.session = state, own.ID
	if all {
		f.at = now
	}
	lead()
	return nil
}

// led is the epoch under which this broker leads a partition.
func (s *session) led(p record.Partition) (epoch int32, ok bool) {
	pr, ok := s.pump.Progress(p)
	return pr.Epoch, ok
}

// shifts decides what a session is to take and to give up, of what has changed since
// an older state (nil: of everything), given under which epochs it leads what. The
// state may be older than what it leads: a later epoch is none of its business.
func shifts(state, since *catalog.State, session uint64, led func(record.Partition) (int32, bool)) (take []*catalog.Partition, gone []pump.Ended) {
	for c := range state.Since(since) {
		if c.New == nil {
			if _, ok := led(c.Old.ID); ok {
				gone = append(gone, pump.Ended{Partition: c.Old.ID, Epoch: pump.Deleted})
			}
			continue
		}
		epoch, ok := led(c.New.ID)
		switch mine := c.New.Owner == session; {
		case mine && (!ok || epoch < c.New.Epoch):
			take = append(take, c.New)
		case !mine && ok && epoch <= c.New.Epoch:
			gone = append(gone, pump.Ended{Partition: c.New.ID, Epoch: c.New.Epoch, Owner: c.New.Owner})
		}
	}
	return take, gone
}
