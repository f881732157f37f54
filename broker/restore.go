package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/planted"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/hot"
)

// leftovers is what a hot tier has of former sessions; hot.Tier is one.
type leftovers interface {
	Over(below uint64)
	Generations() []hot.Info
	Settle(s hot.Session, fence uint64)
	Left(session, from uint64) []record.Partition
	Leftover(session, from uint64, fn func(seq uint64, entries []hot.Entry) error) error
	Forget(session uint64)
}

// settleHot tells the hot tier where the sessions before this one ended (H2), and returns
// those that may have left something beyond their fences.
func (s *session) settleHot(id uint64) (ended []*catalog.Session) {
	if s.hot == nil {
		return nil
	}
	s.hot.Over(id) // what is on its way there comes too late
	state := s.journal.State()
	seen := map[uint64]bool{}
	for _, g := range s.hot.Generations() {
		if seen[g.Session.ID] {
			continue
		}
		seen[g.Session.ID] = true
		v, ok := state.Session(g.Session.ID)
		if !ok || !v.Sealed || v.Nonce != g.Session.Nonce {
			// Forgotten by the catalog, or another cluster's: nothing of it counts.
			s.hot.Settle(hot.Session{ID: g.Session.ID}, 0)
			s.hot.Forget(g.Session.ID)
			continue
		}
		s.hot.Settle(g.Session, v.Fence)
		ended = append(ended, v)
	}
	return ended
}

// leftIn are the partitions of which sessions have left something beyond their fences.
// Those of coordinators are not among them: they acknowledge from the bucket alone.
func (s *session) leftIn(ended []*catalog.Session) (ps []record.Partition) {
	state := s.journal.State()
	for _, v := range ended {
		for _, p := range s.hot.Left(v.ID, v.Fence) {
			if !internal(state, p) {
				ps = append(ps, p)
			}
		}
	}
	return ps
}

// restoring appends leftovers again, those of one session in the order in which they were
// appended first.
type restoring struct {
	*session
	id     uint64                    // the session that it is done in
	former map[record.Partition]bool // whose last owner was a former life of this broker
	next   map[record.Partition]int64

	restored, lost int64
	unled          bool // a partition may be led here, and is not yet
}

// errUnrestored says that the session ended before all was appended again: the next one
// goes on.
var errUnrestored = errors.New("the session has ended")

// restoreAll appends what former sessions have left, at the offsets that it has. What does
// not fit any more is gone, as P2 says. The newest session comes first: it took nothing
// before it had dealt with what those before it had left, and what it found lost stays
// lost where it has written since. What it had appended again itself it has in their order.
// The hot tier keeps what the end of this session leaves undone, for the next one.
func (s *session) restoreAll(ctx context.Context, id uint64, ended []*catalog.Session, former map[record.Partition]bool) {
	r := restoring{session: s, id: id, former: former, next: map[record.Partition]int64{}}
	for _, v := range slices.Backward(ended) {
		r.restored, r.lost, r.unled = 0, 0, false
		err := s.hot.Leftover(v.ID, v.Fence, func(_ uint64, entries []hot.Entry) error { return r.slot(ctx, entries) })
		if r.restored+r.lost > 0 {
			s.log.Info("appended again what the hot tier held beyond the fence", "session", v.ID, "records", r.restored, "lost", r.lost)
		}
		switch {
		case errors.Is(err, errUnrestored) && !planted.Is(planted.ForgetLeftovers), ctx.Err() != nil:
			return
		case err != nil && !errors.Is(err, hot.ErrNotHeld):
			s.log.Warn("what the hot tier held beyond the fence could not be read to its end", "session", v.ID, "err", err)
		}
		if !r.unled {
			s.hot.Forget(v.ID)
		}
	}
}

// slot appends the leftovers of one slot, and waits until they are committed.
func (r *restoring) slot(ctx context.Context, entries []hot.Entry) error {
	req := &pump.Request{Request: ingest.Request{Acks: ingest.AcksAll}}
	state := r.journal.State()
	for _, e := range entries {
		h, err := record.ParseHeader(e.Value)
		switch c, ok := state.Partition(e.Partition); {
		case !ok || internal(state, e.Partition): // it is missed by nobody
		case !r.former[e.Partition] && (c.Owner != r.id || c.Epoch != e.Epoch+1), err != nil: // somebody else had it, or it rots
			r.lost += e.Last - e.Base + 1
		case e.Last < max(c.Next, r.next[e.Partition]): // a life that died here was so far
		default:
			req.Items = append(req.Items, ingest.Item{Partition: e.Partition, Batch: append([]byte(nil), e.Value...), Header: h, Restore: true})
		}
	}
	if len(req.Items) == 0 {
		return nil
	}
	if err := r.pump.Produce(ctx, req); err != nil { // nothing was appended
		return fmt.Errorf("%w: %w", errUnrestored, err)
	}
	if err := r.answered(ctx, req); err != nil {
		return err
	}
	for i, res := range req.Results {
		it := &req.Items[i]
		n := int64(it.Header.LastOffsetDelta) + 1
		if res.Err == nil {
			r.restored += n
			r.next[it.Partition] = it.Header.NextOffset()
			continue
		}
		if r.over() {
			return errUnrestored
		}
		if errors.Is(res.Err, ingest.ErrNotLeader) && r.ours(it.Partition) {
			r.unled = true
			continue
		}
		r.lost += n // what follows does not fit either: nothing else is appended meanwhile
	}
	return nil
}

// over reports whether the session has ended, which the journal may know before the pump.
func (r *restoring) over() bool {
	if s, ok := r.pump.Session(); !ok || s.ID != r.id {
		return true
	}
	v, ok := r.journal.State().Session(r.id)
	return !ok || v.Sealed
}

// ours reports whether a partition that is not led here may be led yet: it is this
// session's, and what its log tells of producers is not known (own), or it is still that of
// a session that has ended. What is left of it stays in the hot tier.
func (r *restoring) ours(p record.Partition) bool {
	state := r.journal.State()
	c, ok := state.Partition(p)
	if !ok || c.Owner == r.id {
		return ok
	}
	v, ok := state.Session(c.Owner)
	return !ok || v.Sealed
}

// answered waits for the answer to a request.
func (s *session) answered(ctx context.Context, r *pump.Request) error {
	if s.stage != nil {
		return s.stage.Wait(ctx, func() bool {
			select {
			case <-r.Done():
				return true
			default:
				return false
			}
		})
	}
	select {
	case <-r.Done():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// movedFrom tells the hot tier that a rotation has moved everything out of a session:
// nothing of it is left over.
func (s *session) movedFrom(id uint64) {
	if v, ok := s.journal.State().Session(id); ok && v.Sealed && s.hot != nil {
		s.hot.Settle(hot.Session{ID: v.ID, Nonce: v.Nonce}, v.Fence)
		s.hot.Forget(v.ID)
	}
}
