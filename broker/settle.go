package broker

import (
	"context"
	"sync"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/record"
)

// settleWait is how long somebody who asks for a partition that is not led here, or not
// yet, is kept waiting before he is sent away.
const settleWait = 500 * time.Millisecond

// hearWait is how long somebody who asks for what this broker has not heard of is kept
// waiting while the bucket does not answer: he may take it that there is no such topic.
const hearWait = 2 * time.Second

// settling makes sure that nobody is told "not here", or "there is no such topic", by a
// broker that does not know yet: a client that was sent here may be faster than the hint
// that the journal grew, and than a takeover of ten thousand partitions. What is asked for
// is served first.
type settling struct {
	journal *journal.Journal
	session *session

	mu      sync.Mutex
	opening map[record.Partition]chan struct{} // closed when the attempt is over; guarded by mu
}

func newSettling(j *journal.Journal, s *session) *settling {
	return &settling{journal: j, session: s, opening: map[record.Partition]chan struct{}{}}
}

// settle returns when the partitions are led here, or when a look at the journal that
// began after the call has shown that they are somebody else's, or after settleWait.
func (s *settling) settle(ctx context.Context, ps ...record.Partition) {
	ps = s.missing(ps)
	if len(ps) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleWait)
	defer cancel()
	if s.own(ctx, ps) {
		return
	}
	if s.look(ctx, s.journal.Look) {
		s.own(ctx, ps)
	}
}

// hear returns when what was in the journal at the call is known, or after hearWait.
func (s *settling) hear(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, hearWait)
	defer cancel()
	s.look(ctx, s.journal.Ask)
}

// look looks at the journal by Look or Ask, and reports whether what was there at the call
// is known: not when it cannot be read before ctx ends. A look that fails is asked for
// again: a bucket that refuses at once must not be asked without a pause.
func (s *settling) look(ctx context.Context, at func(context.Context) error) bool {
	for began := time.Now(); ; at = s.journal.Ask {
		if at(ctx) != nil {
			return false
		}
		// In this order: asked later, Contact never seems to be after the call when it is not.
		if since := time.Since(began); s.journal.Contact() <= since {
			return true
		}
	}
}

// missing are those that are not led.
func (s *settling) missing(ps []record.Partition) []record.Partition {
	var out []record.Partition
	for _, p := range ps {
		if _, ok := s.session.led(p); !ok {
			out = append(out, p)
		}
	}
	return out
}

// own makes the pump serve those of the partitions that the catalog gives this broker,
// and reports whether it gives it all of them.
func (s *settling) own(ctx context.Context, ps []record.Partition) (all bool) {
	own, ok := s.session.pump.Session()
	if !ok {
		return false
	}
	state := s.journal.State()
	all = true
	var take []*catalog.Partition
	var wait []chan struct{}
	done := make(chan struct{})
	s.mu.Lock()
	for _, id := range ps {
		c, ok := state.Partition(id)
		switch {
		case !ok || c.Owner != own.ID || internal(state, id):
			all = false // groups are to hear of theirs in the order in which follow looks
		case s.opening[id] != nil:
			wait = append(wait, s.opening[id])
		default:
			s.opening[id] = done
			take = append(take, c)
		}
	}
	s.mu.Unlock()
	if len(take) > 0 {
		// What fails is tried again by follow, which tells of it.
		_ = s.session.own(ctx, own.ID, state, take)
		s.mu.Lock()
		for _, c := range take {
			delete(s.opening, c.ID)
		}
		s.mu.Unlock()
		close(done)
	}
	for _, w := range wait {
		select {
		case <-w:
		case <-ctx.Done():
			return all
		}
	}
	return all
}

// leads looks at the journal, and reports whether the catalog gives this broker the
// partition under the epoch, after the call: nobody else has appended to it before. When
// the journal cannot be read before ctx ends it is not known, and false.
func (s *settling) leads(ctx context.Context, p record.Partition, epoch int32) bool {
	if !s.look(ctx, s.journal.Look) {
		return false
	}
	own, ok := s.session.pump.Session()
	c, known := s.journal.State().Partition(p)
	return ok && known && c.Owner == own.ID && c.Epoch == epoch
}
