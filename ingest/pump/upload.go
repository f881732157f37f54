package pump

import (
	"bytes"
	"context"
	"errors"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/planted"
	"github.com/firnlog/firn/tier/cold"
)

// launch sends a slot on its way into the bucket and into the hot tier.
func (p *Pump) launch(ctx context.Context, s *ingest.Slot) {
	ctx, cancel := context.WithCancel(ctx)
	f := &flight{slot: s, session: p.session, cancel: cancel, refs: 2}
	p.flights[s] = f
	if p.hot != nil {
		if p.hot.push(hotTask{flight: f}) {
			f.refs++
		} else {
			p.opts.Observer.HotSkipped(s.Bytes, errBacklog)
		}
	}
	p.tasks.Go(func() { p.upload(ctx, f) })
}

var errBacklog = errors.New("the hot tier is too slow")

// upload is the goroutine of one put: it sends the slot's bytes until the answer
// is definite or the flight is cancelled (S2, S3). No attempt reads them any more
// when it ends (U1).
func (p *Pump) upload(ctx context.Context, f *flight) {
	defer f.cancel()
	e := event{flight: f, uploaded: true}
	e.object, e.fault = encode(f.slot, f.session, p.now())
	if e.fault == nil {
		began := p.now()
		e.outcome, e.fault = p.put(ctx, f, e.object)
		e.took = p.now().Sub(began)
	}
	p.tell(e)
}

// put returns Undecided when the flight was cancelled.
func (p *Pump) put(ctx context.Context, f *flight, o *encoded) (ingest.Outcome, error) {
	name := catalog.WAL(f.session.ID, f.slot.Seq).Name()
	if planted.Is(planted.TimeoutIsSuccess) {
		_ = p.opts.Store.PutIfAbsent(ctx, name, cold.Bytes(o.segments...))
		return ingest.Mine, nil
	}
	err := p.opts.Settler.Put(ctx, name, cold.Bytes(o.segments...), func(existing []byte) bool {
		return same(existing, o.segments)
	})
	var taken *cold.TakenError
	switch {
	case err == nil:
		return ingest.Mine, nil
	case errors.Is(err, cold.ErrExists) && planted.Is(planted.TakenIsSuccess):
		return ingest.Mine, nil
	case errors.As(err, &taken):
		who := owner(taken.Existing, f.session, f.slot.Seq)
		if who == ingest.Ours { // our session, and not our bytes: somebody has a copy of it
			who = ingest.Stranger
		}
		_, outcome := ingest.Settle(ingest.Found, who)
		return outcome, nil
	case ctx.Err() != nil:
		return ingest.Undecided, nil
	}
	return ingest.Undecided, err // the name or the body is at fault: ours
}

// same reports whether found is exactly the bytes of the segments. Nothing less
// makes a slot ours: not the nonce alone, which is in all our slots.
func same(found []byte, segments [][]byte) bool {
	for _, s := range segments {
		if len(found) < len(s) || !bytes.Equal(found[:len(s)], s) {
			return false
		}
		found = found[len(s):]
	}
	return len(found) == 0
}
