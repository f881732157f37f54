package pump

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/planted"
	"github.com/firnlog/firn/record"
)

// Rotate ends the session and goes on with a new one, which it registers as next
// says (S9). Nothing is refused meanwhile: requests wait for about two round
// trips, and are put by the new session.
//
//	register the new ─► drain the old and fence it ─► one command moves all ─► go on
//
// Once the new session is registered, ctx does not count any more: only the end of
// the pump stops it. An error that wraps ErrSession says that the session was
// fenced by somebody else; Over says so, too.
func (p *Pump) Rotate(ctx context.Context, next catalog.RegisterSession) error {
	if err := p.lock(ctx); err != nil {
		return err
	}
	defer p.unlock()
	res, err := p.opts.Catalog.Commit(ctx, &next)
	if err == nil {
		err = res[0].Err
	}
	if err != nil {
		return fmt.Errorf("rotate: register session: %w", err)
	}
	old, _ := p.Session()
	fresh := Session{ID: res[0].ID, Nonce: next.Nonce}
	ctx, cancel := p.whileRunning(ctx)
	defer cancel()
	if err := p.rotate(ctx, old, fresh); err != nil {
		p.unused(ctx, fresh)
		return fmt.Errorf("rotate session %d to %d: %w", old.ID, fresh.ID, err)
	}
	return nil
}

func (p *Pump) rotate(ctx context.Context, old, fresh Session) error {
	var phase ingest.Phase
	if err := p.call(ctx, func(time.Time) {
		p.machine.Drain()
		phase, p.fresh = p.machine.Phase(), fresh.ID
	}); err != nil {
		return err
	}
	if phase != ingest.Draining {
		return fmt.Errorf("%w: it is %s", ErrSession, phase)
	}
	fence, err := p.finish(ctx, old)
	if err == nil {
		err = p.call(ctx, func(time.Time) { p.fenced = p.session.ID == old.ID })
	}
	if err != nil {
		return err
	}
	return p.move(ctx, old, fresh, fence)
}

// unused seals a session that was registered and will not be served. When it fails
// the session is sealed some time like that of a stranger.
func (p *Pump) unused(ctx context.Context, s Session) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if f, err := Fence(ctx, FenceOptions{Store: p.opts.Store, Session: s, Nonce: s.Nonce, own: true, Stage: p.opts.Stage}); err == nil {
		_ = p.one(ctx, &catalog.SealSession{Session: s.ID, Fence: f.Slot})
	}
}

// finish puts the session's own fence behind all that is bound, and waits until that is
// committed, too. The fence goes beside the last slots and not after them: whoever meets it
// above a gap takes the gap for the end (S6), and then the put of that slot finds his fence.
// What is foreign there ends the pump.
func (p *Pump) finish(ctx context.Context, s Session) (fence uint64, err error) {
	var next uint64
	going := func(done func() bool) func() (bool, error) {
		return func() (bool, error) {
			if ph := p.machine.Phase(); ph != ingest.Draining && ph != ingest.Closing {
				return false, fmt.Errorf("%w: session %d is %s", ErrSession, s.ID, ph)
			}
			return done(), nil
		}
	}
	if err := p.await(ctx, going(func() bool {
		next = p.machine.Next()
		return p.machine.Phase() == ingest.Draining || !p.machine.Unbound()
	})); err != nil {
		return 0, err
	}
	var failed error
	fctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	put := crew{stage: p.opts.Stage}
	put.Go(func() {
		var found Fenced
		found, failed = Fence(fctx, FenceOptions{Store: p.opts.Store, Session: s, From: next, Nonce: s.Nonce, own: true, Stage: p.opts.Stage})
		if failed == nil && (found.Slot != next || len(found.Runs) > 0) {
			failed = fmt.Errorf("slot %d of session %d: %w", next, s.ID, ingest.ErrForeign)
		}
	})
	if err = p.await(ctx, going(p.machine.Drained)); err != nil {
		giveUp()
	}
	put.Wait()
	if errors.Is(failed, ingest.ErrForeign) {
		return 0, errors.Join(failed, p.call(ctx, func(time.Time) { p.fail(failed) })) // as under a put (S3)
	}
	return next, cmp.Or(err, failed)
}

// move hands all partitions to the new session, and makes the loop serve it.
func (p *Pump) move(ctx context.Context, old, fresh Session, fence uint64) error {
	for wait := time.Duration(0); ; wait = min(wait*2+10*time.Millisecond, 5*time.Second) {
		if err := pause(ctx, p.opts.Stage, wait); err != nil {
			return err
		}
		state := p.opts.Catalog.State()
		s, ok := state.Session(old.ID)
		if !ok || s.Sealed { // by the last attempt, whose answer was lost, or by somebody else
			return p.handOver(ctx, fresh)
		}
		if f, ok := state.Session(fresh.ID); !ok || f.Sealed { // the next rotation goes on with another one
			return fmt.Errorf("%w: session %d was sealed before it began", ErrSession, fresh.ID)
		}
		extents, err := p.overlay(ctx, old.ID, s.Covered, fence, nil)
		if err != nil {
			return err
		}
		err = p.one(ctx, &catalog.Move{Old: old.ID, New: fresh.ID, Covered: s.Covered, Fence: fence, Extents: extents, Tips: p.tips(state, nil)})
		switch {
		case err == nil:
			return p.handOver(ctx, fresh)
		case errors.Is(err, catalog.ErrInvalidExtents):
			return p.distrust(ctx, old.ID, err)
		case errors.Is(err, catalog.ErrNoSession):
			return err
		}
		// Stale: the covered mark moved. Sealed: look above. Anything else is the
		// journal's trouble, and passes.
	}
}

// handOver makes the loop serve the new session with what the catalog gives it. What
// the session got back from somebody who had it in between is another log than the one
// here, and is taken like any other.
func (p *Pump) handOver(ctx context.Context, fresh Session) error {
	state := p.opts.Catalog.State()
	var fail error
	err := p.call(ctx, func(time.Time) {
		if p.machine.Phase() != ingest.Draining {
			fail = fmt.Errorf("%w: it is %s", ErrSession, p.machine.Phase())
			return
		}
		grants := make(map[record.Partition]int32)
		for _, id := range p.machine.Partitions() {
			if c, ok := state.Partition(id); ok && c.Owner == fresh.ID && p.goesOn(id, c.Epoch) {
				grants[id] = c.Epoch
				p.board.epoch(id, c.Epoch)
			} else {
				p.board.shut(id)
			}
		}
		p.uncover(fresh.ID, 0)
		p.serve(fresh, grants)
	})
	return errors.Join(err, fail)
}

// Heirs says who is to own what is given up: the commands that follow in the same entry
// of the journal, so that the partitions are never without an owner. It is given the
// catalog as it is after the release. What it asks for may be refused: then they wait for
// an owner like those of a stranger. nil: nobody is named.
type Heirs func(after *catalog.State) []catalog.Command

// Release gives up partitions while the session goes on (S9): they take nothing any
// more, their last records are committed, and one command ends their logs in the
// catalog. When ctx ends before that, the partitions stay stopped and Release may
// be called again.
func (p *Pump) Release(ctx context.Context, heirs Heirs, partitions ...record.Partition) error {
	if err := p.lock(ctx); err != nil {
		return err
	}
	defer p.unlock()
	var session uint64
	var ended []Ended
	drained := false
	if err := p.call(ctx, func(time.Time) {
		session = p.session.ID
		if drained = p.machine.Phase() == ingest.Draining; drained {
			return
		}
		state := p.opts.Catalog.State()
		for _, id := range partitions {
			if epoch, ok := p.machine.Epoch(id); ok {
				ended = append(ended, Ended{Partition: id, Epoch: epoch})
			} else if c, ok := state.Partition(id); ok && c.Owner == session {
				// The catalog says that it is ours, and nobody has told the loop yet. Whoever
				// is about to comes too late: the release says that nothing was appended.
				p.machine.Disown(id, c.Epoch)
			}
			p.machine.Release(id)
		}
	}); err != nil {
		return err
	}
	if drained { // by a rotation that failed: what waits is committed after the next one
		return fmt.Errorf("%w: release from session %d, which is draining", ErrSession, session)
	}
	err := p.await(ctx, func() (bool, error) {
		if ph := p.machine.Phase(); p.session.ID != session || ph == ingest.Over || ph == ingest.Stopped {
			return false, fmt.Errorf("%w: release from session %d", ErrSession, session)
		}
		return !slices.ContainsFunc(partitions, func(id record.Partition) bool { return !p.machine.Released(id) }), nil
	})
	if err != nil {
		return err
	}
	err = p.giveUp(ctx, session, partitions, heirs)
	if errors.Is(err, catalog.ErrInvalidExtents) {
		err = p.distrust(ctx, session, err)
	}
	if err != nil {
		return fmt.Errorf("release %d partitions: %w", len(partitions), err)
	}
	return p.call(ctx, func(time.Time) { // when they may be somebody else's, or ours again
		p.disown(ended)
		for _, e := range ended {
			left := slices.DeleteFunc(p.orphans[e.Partition], func(x catalog.Extent) bool { return x.Epoch <= e.Epoch })
			if p.orphans[e.Partition] = left; len(left) == 0 { // all is described
				delete(p.orphans, e.Partition)
			}
		}
	})
}

// giveUp commits the release of partitions, and who owns them next.
func (p *Pump) giveUp(ctx context.Context, session uint64, partitions []record.Partition, heirs Heirs) error {
	picked := make(map[record.Partition]bool, len(partitions))
	for _, id := range partitions {
		picked[id] = true
	}
	_, to := p.Committed()
	return p.bequeath(ctx, session, to, heirs, func(c *catalog.Partition) bool { return picked[c.ID] },
		func(state *catalog.State, _ uint64, extents []catalog.Located) catalog.Command {
			return &catalog.Release{Session: session, Partitions: partitions, Extents: extents, Tips: p.tips(state, picked)}
		})
}

// bequeath commits a command that gives partitions up, told of the catalog's state, of the
// session's covered mark in it and of all that is committed of them in slots below to and not described yet, and who
// owns them next. It is one command: of two, the catalog may reject one and take the other,
// and what the one has described would be lost with a session that the other has sealed.
func (p *Pump) bequeath(ctx context.Context, session, to uint64, heirs Heirs, pick func(*catalog.Partition) bool, command func(state *catalog.State, covered uint64, extents []catalog.Located) catalog.Command) error {
	for tries := 0; ; tries++ {
		state := p.opts.Catalog.State()
		s, ok := state.Session(session)
		if !ok || s.Sealed {
			return fmt.Errorf("%w: session %d", catalog.ErrSealed, session)
		}
		extents, err := p.overlay(ctx, session, s.Covered, to, func(id record.Partition, x catalog.Extent) bool {
			c, ok := state.Partition(id)
			return ok && x.Base >= c.Next && pick(c)
		})
		if err != nil {
			return err
		}
		cmds := []catalog.Command{command(state, s.Covered, extents)}
		if seal, ok := cmds[0].(*catalog.SealSession); ok && planted.Is(planted.LeaveByTwo) {
			cmds = []catalog.Command{
				&catalog.Release{Session: session, Partitions: state.Owned(session), Extents: extents},
				&catalog.SealSession{Session: session, Covered: s.Covered, Fence: seal.Fence},
			}
		}
		if heirs != nil {
			after := state.Fork()
			after.Apply(after.Number()+1, cmds)
			cmds = append(cmds, heirs(after)...)
		}
		res, err := p.opts.Catalog.Commit(ctx, cmds...)
		if err != nil {
			return err
		}
		// The mark moved between our look and the commit: look again.
		if err = res[0].Err; err == nil || tries == 10 || !errors.Is(err, catalog.ErrStale) && !errors.Is(err, catalog.ErrInvalidExtents) {
			return err
		}
	}
}

// distrust ends a session of which the catalog refuses what its broker has to say (I9). It
// becomes like one that somebody else has fenced: its slots are read from the bucket.
func (p *Pump) distrust(ctx context.Context, session uint64, err error) error {
	return errors.Join(err, p.call(ctx, func(time.Time) {
		if p.session.ID != session {
			return
		}
		p.opts.Logger.Error("the catalog refuses what this broker says of its own session; the session ends, and is read from the bucket", "session", session, "err", err)
		p.machine.Abort()
		p.shutAll()
	}))
}

// Drain refuses what comes, and waits until all that was accepted is committed.
// Nothing can be appended afterwards; Leave, or the end of Run, is what remains.
func (p *Pump) Drain(ctx context.Context) error {
	if err := p.lock(ctx); err != nil {
		return err
	}
	defer p.unlock()
	if err := p.call(ctx, func(time.Time) { p.machine.Close() }); err != nil {
		return err
	}
	return p.quiet(ctx)
}

// quiet waits until nothing waits for the bucket.
func (p *Pump) quiet(ctx context.Context) error {
	return p.await(ctx, func() (bool, error) { return p.machine.Quiet(), nil })
}

// Leave ends the session in good order: what was accepted is put, and its own fence beside
// it, and then one entry in the journal seals the session and gives its partitions to
// heirs. Nobody has to walk its slots afterwards. When ctx ends before, the session is left
// to be sealed like that of a stranger, and nothing is lost.
//
// What comes meanwhile waits, and is refused when it can be told whom to ask instead.
func (p *Pump) Leave(ctx context.Context, heirs Heirs) error {
	if err := p.lock(ctx); err != nil {
		return err
	}
	defer p.unlock()
	s, ok := p.Session()
	if !ok {
		return nil
	}
	defer func() { _ = p.call(context.WithoutCancel(ctx), func(time.Time) { p.leaving = false }) }()
	if err := p.call(ctx, func(time.Time) { p.machine.Close(); p.leaving = true }); err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	fence, err := p.finish(ctx, s)
	if err != nil {
		_ = p.quiet(ctx) // what is there below the fence of somebody else is answered
		return fmt.Errorf("leave: %w", err)
	}
	// All that is the session's is given up with it, also what the loop was not told of yet.
	// A release that was given up may be on its way still: what it has described counts.
	err = p.bequeath(ctx, s.ID, fence, heirs, func(c *catalog.Partition) bool { return c.Owner == s.ID },
		func(state *catalog.State, covered uint64, extents []catalog.Located) catalog.Command {
			return &catalog.SealSession{Session: s.ID, Covered: covered, Fence: fence, Extents: extents, Tips: p.tips(state, nil)}
		})
	if err != nil {
		return fmt.Errorf("leave: seal session %d: %w", s.ID, err)
	}
	return p.call(ctx, func(time.Time) {
		p.machine.Abort()
		p.shutAll()
	})
}

// whileRunning is a context that ends with the pump and not with ctx.
func (p *Pump) whileRunning(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	if p.opts.Stage != nil { // which ends with the process
		return ctx, cancel
	}
	go func() {
		select {
		case <-p.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

func sleep(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
