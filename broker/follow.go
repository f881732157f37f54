package broker

import (
	"context"
	"slices"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/planted"
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
		b.tell("follow the catalog", b.follow(ctx))
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

// ownBatch is how many partitions the pump is given at once: those that are asked for
// meanwhile come in between (broker/settle.go).
const ownBatch = 64

// follow looks at what has changed since the last time, until it has seen the newest
// state. It calls lead when what is led may have changed.
func (f *follower) follow(ctx context.Context, s *session, now time.Time, lead func()) error {
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		seen, err := f.look(ctx, s, now, lead)
		if seen || err != nil {
			return err
		}
	}
}

// look follows one state; false when there is a newer one to be looked at first.
func (f *follower) look(ctx context.Context, s *session, now time.Time, lead func()) (seen bool, err error) {
	own, ok := s.pump.Session()
	if !ok {
		lead()
		return true, nil
	}
	since := f.state
	all := f.session != own.ID || now.Sub(f.at) >= lookAround
	var before []record.Partition
	if all {
		since = nil
		before = s.pump.Led() // before the state, which then knows them unless they are deleted
	}
	given := s.given.sofar()
	state := s.journal.State()
	if v, ok := state.Session(own.ID); !ok || v.Sealed {
		fence := uint64(0) // forgotten since
		if ok {
			fence = v.Fence
		}
		err := s.pump.Sealed(ctx, own.ID, fence)
		lead()
		return true, err
	}
	take, gone, cut := shifts(state, since, own.ID, s.led)
	for _, p := range append(before, given...) {
		if _, ok := state.Partition(p); !ok {
			gone = append(gone, pump.Ended{Partition: p, Epoch: pump.Deleted})
		}
	}
	if planted.Is(planted.DeleteUnheard) {
		gone = slices.DeleteFunc(gone, func(e pump.Ended) bool { return e.Epoch == pump.Deleted })
	}
	if len(gone) > 0 {
		if err := s.pump.Disown(ctx, own.ID, gone...); err != nil {
			return true, err
		}
	}
	for _, c := range cut {
		// Who asked for it may have left before the answer came.
		if pr, ok := s.pump.Progress(c.ID); ok && pr.LogStart < c.LogStart {
			if err := s.pump.Trim(ctx, c.ID, c.LogStart); err != nil {
				return true, err
			}
		}
	}
	if len(take) > 0 {
		// Groups of a partition that was given up and comes back before anybody looked
		// would go on with what they knew: another broker may have written since.
		lead()
		internalFirst(state, take)
	}
	for batch := range slices.Chunk(take, ownBatch) {
		began := time.Now()
		if err := s.own(ctx, own.ID, state, batch); err != nil {
			return true, err
		}
		lead()
		if s.journal.State() != state {
			return false, nil
		}
		if s.stage == nil && len(take) > ownBatch {
			// Half of the time is for those that are asked for. Partitions that have no
			// past cost none.
			if err := sleep(ctx, time.Since(began)); err != nil {
				return true, err
			}
		}
	}
	f.state, f.session = state, own.ID
	s.given.followed(len(given))
	if all {
		f.at = now
	}
	lead()
	return true, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// internalFirst puts the partitions of internal topics first: without coordinators
// nobody reads anything.
func internalFirst(state *catalog.State, ps []*catalog.Partition) {
	rank := func(p *catalog.Partition) int {
		if internal(state, p.ID) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(ps, func(a, b *catalog.Partition) int { return rank(a) - rank(b) })
}

func internal(state *catalog.State, p record.Partition) bool {
	t, ok := state.Topic(p.Topic)
	return ok && t.Internal
}

// led is the epoch under which this broker leads a partition.
func (s *session) led(p record.Partition) (epoch int32, ok bool) {
	pr, ok := s.pump.Progress(p)
	return pr.Epoch, ok
}

// shifts decides what a session is to take and to give up, of what has changed since
// an older state (nil: of everything), given under which epochs it leads what. The
// state may be older than what it leads: a later epoch is none of its business. cut is
// what it goes on to lead, with another log start.
func shifts(state, since *catalog.State, session uint64, led func(record.Partition) (int32, bool)) (take []*catalog.Partition, gone []pump.Ended, cut []*catalog.Partition) {
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
		case mine && c.New.LogStart > 0 && (c.Old == nil || c.Old.LogStart < c.New.LogStart):
			cut = append(cut, c.New)
		}
	}
	return take, gone, cut
}
