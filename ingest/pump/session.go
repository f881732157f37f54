package pump

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/hot"
)

// ErrSession refuses a call that does not fit the session that is served, or that
// none is.
var ErrSession = errors.New("session is not served")

// Begin gives the pump its first session, or the next one after a fence. The
// session is registered in the catalog and has not put anything yet. After a
// fence it waits for the slots below the fence. The partitions that are to be restored
// from the hot tier take nothing else until Admit.
func (p *Pump) Begin(ctx context.Context, s Session, restore ...record.Partition) error {
	return p.await(ctx, func() (bool, error) {
		switch {
		case p.machine.Phase() != ingest.Idle && p.machine.Phase() != ingest.Over:
			return false, fmt.Errorf("%w: begin session %d while session %d is %s", ErrSession, s.ID, p.session.ID, p.machine.Phase())
		case !p.machine.Quiet():
			return false, nil
		}
		p.serve(s, nil)
		p.machine.Hold(restore)
		return true, nil
	})
}

// Admit lets everybody append to the partitions that the session was begun with.
func (p *Pump) Admit(ctx context.Context, session uint64) error {
	return p.call(ctx, func(time.Time) {
		if p.session.ID == session {
			p.machine.Admit()
		}
	})
}

// serve makes the loop serve a session.
func (p *Pump) serve(s Session, grants map[record.Partition]int32) {
	p.session, p.covered, p.behindAt, p.fenced = s, 0, 0, false
	p.loose, p.runs = nil, 0
	p.committed.Store(0)
	p.machine.Begin(s.ID, grants)
	clear(p.orphans)
	p.current.Store(&s)
	p.starve(time.Time{})
	if p.hot != nil {
		p.hot.push(hotTask{start: hot.Session{ID: s.ID, Nonce: s.Nonce}})
	}
}

// Session is the session that is served; false when there is none, or when it was
// fenced.
func (p *Pump) Session() (Session, bool) {
	if s := p.current.Load(); s != nil {
		return *s, true
	}
	return Session{}, false
}

// Over receives a value when the session was fenced by somebody else: all
// partitions are gone, and a new session has to be registered and given to Begin.
func (p *Pump) Over() <-chan struct{} { return p.over }

// Sealed tells that the catalog says that a session is sealed, with its fence at a slot.
// When it is the one that is served, and nothing here has sealed it, it is over as if a
// put had found the fence: a session that puts nothing would never know. Behind a fence
// of its own the session may have been sealed by the rotation or by a stranger: only
// partitions that are a stranger's by now are served no more.
func (p *Pump) Sealed(ctx context.Context, session, fence uint64) error {
	return p.call(ctx, func(time.Time) {
		switch ph := p.machine.Phase(); {
		case p.session.ID != session, ph != ingest.Serving && ph != ingest.Draining:
			return
		case p.fenced:
			p.shutStrange()
			return
		}
		p.opts.Logger.Warn("session was sealed: somebody else takes over its partitions", "session", session, "fence", fence)
		p.machine.Sealed(fence)
		p.shutAll()
	})
}

// Own makes the pump take appends for partitions that the catalog says the session
// owns (S8). Those that it owns already stay as they are.
func (p *Pump) Own(ctx context.Context, session uint64, partitions ...Owned) error {
	var fail error
	err := p.call(ctx, func(time.Time) {
		if ph := p.machine.Phase(); session != p.session.ID || ph != ingest.Serving && ph != ingest.Draining {
			fail = fmt.Errorf("%w: own partitions for session %d", ErrSession, session)
			return
		}
		for _, o := range partitions {
			end, hw, known := p.machine.Owned(o.Partition)
			p.machine.Own(o.Partition, o.Start)
			if e, ok := p.machine.Epoch(o.Partition); !ok || e != o.Epoch {
				continue // an old view of the catalog
			}
			if end2, hw2, _ := p.machine.Owned(o.Partition); known && (end2 != end || hw2 != hw) {
				p.shut(o.Partition) // it was another log
			}
			p.board.open(o.Partition, Progress{
				HighWatermark: o.Next, LastStable: stable(o.Start), LogStart: o.LogStart, Epoch: o.Epoch,
			})
		}
	})
	return errors.Join(err, fail)
}

// stable is the last stable offset at the end of a log that is taken over.
func stable(s ingest.Start) int64 {
	at := s.Next
	for i := range s.Producers {
		if t := s.Producers[i].TxnStart; t >= 0 {
			at = min(at, t)
		}
	}
	return at
}

// Ended is the end of the ownership of a partition under an epoch and all before it.
type Ended struct {
	Partition record.Partition
	Epoch     int32
	Owner     uint64 // under that epoch; 0 when nobody is
}

// Deleted is the epoch of a partition that is deleted: it ends them all.
const Deleted int32 = math.MaxInt32

// Disown makes the pump forget partitions that the catalog says the session does not
// own any more; one that it has got back under a later epoch meanwhile stays.
// Requests for them that are not bound to a slot yet are answered with ErrNotLeader.
// It does nothing when another session is served by now: what that one owns is
// another question.
//
// While a rotation is under way, those stay that the catalog says have gone over to the
// next session, which is ours, too. Those that somebody else had meanwhile do not.
func (p *Pump) Disown(ctx context.Context, session uint64, ended ...Ended) error {
	return p.call(ctx, func(time.Time) {
		if p.session.ID != session {
			return
		}
		if p.machine.Phase() == ingest.Draining {
			ended = slices.DeleteFunc(slices.Clone(ended), func(e Ended) bool { return e.Owner == p.fresh && p.goesOn(e.Partition, e.Epoch) })
		}
		p.disown(ended)
	})
}

// goesOn reports whether a log that the next session owns under an epoch is as it stands
// here: it was moved, which keeps the epoch, or taken from this session, which adds one.
// Otherwise somebody had it in between.
func (p *Pump) goesOn(id record.Partition, epoch int32) bool {
	e, ok := p.machine.Epoch(id)
	return ok && (epoch == e || epoch == e+1)
}

func (p *Pump) disown(ended []Ended) {
	for _, e := range ended {
		if p.machine.Disown(e.Partition, e.Epoch) {
			p.shut(e.Partition)
		}
	}
}

// shut takes a partition from the board. Its committed extents are kept until the
// catalog covers their slots: a command that covers slots must describe all runs
// in them, whatever became of the partition here.
func (p *Pump) shut(id record.Partition) {
	if left := p.board.shut(id); len(left) > 0 {
		p.orphans[id] = append(p.orphans[id], left...)
	}
}

// Trim tells the log start of a partition after DeleteRecords or retention.
func (p *Pump) Trim(ctx context.Context, id record.Partition, start int64) error {
	return p.call(ctx, func(time.Time) {
		p.machine.Trim(id, start)
		p.board.trim(id, start)
	})
}

// Producers is what is known of a partition's producers from committed batches
// alone, for the footer of a sealed run. It may know of more than is in the run,
// but of nothing that could still be lost. It fails with ingest.ErrNotLeader when
// this broker does not lead the partition, or does not yet.
func (p *Pump) Producers(ctx context.Context, id record.Partition) ([]ingest.Producer, error) {
	var out []ingest.Producer
	var led bool
	err := p.call(ctx, func(now time.Time) {
		if _, _, led = p.machine.Owned(id); led {
			out = p.machine.Producers(id, now)
		}
	})
	if err == nil && !led {
		err = fmt.Errorf("%w: %s", ingest.ErrNotLeader, id)
	}
	return out, err
}

// shutAll forgets all partitions, after a fence.
func (p *Pump) shutAll() {
	p.current.Store(nil)
	if p.starving.Load() == nil {
		p.starve(p.now())
	}
	p.board.entries.Range(func(k, _ any) bool {
		p.board.shut(k.(record.Partition))
		return true
	})
	clear(p.orphans)
	poke(p.over)
}

// shutStrange takes from the board what neither the session nor the one that a rotation
// goes on with owns. The rotation itself hears of it later: when its command, which may
// still be on its way, has failed.
func (p *Pump) shutStrange() {
	state := p.opts.Catalog.State()
	for _, id := range p.machine.Partitions() {
		c, ok := state.Partition(id)
		if ok && (c.Owner == p.session.ID || c.Owner == p.fresh && p.goesOn(id, c.Epoch)) {
			continue
		}
		p.board.shut(id)
	}
}

// Committed is the session that is served and the first of its slots that is not
// committed; zeros when there is none.
func (p *Pump) Committed() (session, slot uint64) {
	for {
		s := p.current.Load()
		if s == nil {
			return 0, 0
		}
		n := p.committed.Load()
		if p.current.Load() == s {
			return s.ID, n
		}
	}
}

// WaitCommitted waits until all slots of the session below slot are committed. It
// fails with ErrSession when the session ends before that.
func (p *Pump) WaitCommitted(ctx context.Context, session, slot uint64) error {
	return p.await(ctx, func() (bool, error) {
		if p.session.ID != session || p.machine.Phase() == ingest.Over || p.machine.Phase() == ingest.Stopped {
			return false, fmt.Errorf("%w: wait for slot %d of session %d", ErrSession, slot, session)
		}
		return p.committed.Load() >= slot, nil
	})
}

// Covered says that the covered mark of the session may have moved in the catalog:
// what is described there leaves the overlay.
func (p *Pump) Covered(ctx context.Context) error {
	return p.call(ctx, func(time.Time) {
		s, ok := p.opts.Catalog.State().Session(p.session.ID)
		if !ok || s.Covered <= p.covered {
			return
		}
		n := min(int(s.Covered-p.covered), len(p.loose))
		for _, runs := range p.loose[:n] {
			p.runs -= runs
		}
		p.loose = append(p.loose[:0], p.loose[n:]...)
		p.covered, p.behindAt = s.Covered, 0
		p.uncover(s.ID, s.Covered)
	})
}

// uncover drops from the overlay what lies in slots below a mark.
func (p *Pump) uncover(session, mark uint64) {
	p.board.cover(session, mark)
	for id, left := range p.orphans {
		if left = left[covered(left, session, mark):]; len(left) == 0 {
			delete(p.orphans, id)
		} else {
			p.orphans[id] = left
		}
	}
}

// Uncovered receives a value when more committed slots than Options.Behind are not
// described by the catalog: seal, or call Index.
func (p *Pump) Uncovered() <-chan struct{} { return p.behind }

// overlay gathers the committed extents that a command has to describe: those in
// slots [from, to) of a session that pick accepts, in the order that the catalog
// wants. It fails with ErrSession once the session has ended: what it had committed is
// forgotten then, and is told by whoever seals it.
func (p *Pump) overlay(ctx context.Context, session, from, to uint64, pick func(record.Partition, catalog.Extent) bool) ([]catalog.Located, error) {
	type run struct {
		id      record.Partition
		extents []catalog.Extent
	}
	var runs []run
	served := false
	if err := p.call(ctx, func(time.Time) {
		s, ok := p.Session()
		if served = ok && s.ID == session; !served {
			return
		}
		runs = make([]run, 0, len(p.board.loose)+len(p.orphans))
		note := func(id record.Partition, recent []catalog.Extent) { runs = append(runs, run{id, recent}) }
		p.board.overlays(note)
		for id, left := range p.orphans {
			note(id, slices.Clone(left))
		}
	}); err != nil {
		return nil, err
	}
	if !served {
		return nil, fmt.Errorf("%w: describe slots of session %d", ErrSession, session)
	}
	var out []catalog.Located
	for _, r := range runs {
		for _, x := range r.extents {
			if x.Object.A == session && x.Object.B >= from && x.Object.B < to && (pick == nil || pick(r.id, x)) {
				out = append(out, catalog.Located{Partition: r.id, Extent: x})
			}
		}
	}
	slices.SortFunc(out, func(a, b catalog.Located) int {
		if c := a.Partition.Compare(b.Partition); c != 0 {
			return c
		}
		return cmp.Compare(a.Base, b.Base)
	})
	return out, nil
}

// tips are the ends of logs that clients were told of and that the catalog does not
// describe yet: of the partitions picked, or of all that are led. They come from the high
// watermarks, and not from the extents that are noted with each commit: whichever of the
// two is wrong, the catalog refuses to end a log before what is acknowledged (I9).
func (p *Pump) tips(state *catalog.State, picked map[record.Partition]bool) []catalog.Tip {
	var out []catalog.Tip
	p.board.ends(func(id record.Partition, hw int64) {
		if c, ok := state.Partition(id); ok && c.Next < hw && (picked == nil || picked[id]) {
			out = append(out, catalog.Tip{Partition: id, Next: hw})
		}
	})
	slices.SortFunc(out, func(a, b catalog.Tip) int { return a.Partition.Compare(b.Partition) })
	return out
}

// Tips are the ends of what is committed in slots of the session below to, as far as the
// catalog may not describe it yet; none once the session has ended. Whoever moves the
// covered mark up to there names them: they come from what was noted with each commit,
// and not from the hot tier, which may lack something (I9).
func (p *Pump) Tips(ctx context.Context, session, to uint64) ([]catalog.Tip, error) {
	extents, err := p.overlay(ctx, session, 0, to, nil)
	if err != nil && !errors.Is(err, ErrSession) {
		return nil, err
	}
	var out []catalog.Tip
	for i, x := range extents {
		if i+1 == len(extents) || extents[i+1].Partition != x.Partition {
			out = append(out, catalog.Tip{Partition: x.Partition, Next: x.Next})
		}
	}
	return out, nil
}

// Index moves the covered mark up to what is committed, with extents that point
// into WAL objects (protocol.md 6). It does nothing when nothing is uncovered.
func (p *Pump) Index(ctx context.Context) error {
	if err := p.lock(ctx); err != nil {
		return err
	}
	defer p.unlock()
	for {
		session, to := p.Committed()
		s, ok := p.opts.Catalog.State().Session(session)
		switch {
		case !ok:
			return fmt.Errorf("%w: nothing to index", ErrSession)
		case s.Covered >= to:
			return p.Covered(ctx)
		}
		extents, err := p.overlay(ctx, session, s.Covered, to, nil)
		if err != nil {
			return err
		}
		err = p.one(ctx, &catalog.Cover{Session: session, From: s.Covered, To: to, Extents: extents})
		switch {
		case errors.Is(err, catalog.ErrStale):
			continue // a generation was sealed meanwhile
		case err != nil:
			return fmt.Errorf("index slots %d to %d of session %d: %w", s.Covered, to, session, err)
		}
		return p.Covered(ctx)
	}
}

// one commits one command.
func (p *Pump) one(ctx context.Context, c catalog.Command) error {
	res, err := p.opts.Catalog.Commit(ctx, c)
	if err != nil {
		return err
	}
	return res[0].Err
}

func (p *Pump) lock(ctx context.Context) error {
	if st := p.opts.Stage; st != nil {
		if err := st.Wait(ctx, func() bool { return len(p.admin) == 0 }); err != nil {
			return err
		}
	}
	select {
	case p.admin <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.ended:
		return ErrClosed
	}
}

func (p *Pump) unlock() { <-p.admin }
