package pump

import (
	"context"
	"errors"
	"time"

	"github.com/firnlog/firn/ingest"
)

// ErrClosed answers calls after the pump has ended.
var ErrClosed = errors.New("write path has ended")

// Request is one produce request. Acks, Timeout, Items and Frame are set by its
// maker, who does not touch it again until Done is closed, and never reuses it.
type Request struct {
	ingest.Request
	// Frame holds the bytes of all batches. Produce takes over one reference of it,
	// whatever it returns. nil when the bytes are garbage-collected.
	Frame Frame

	done chan struct{}
}

// Done is closed when Results is complete. For acks=0 that is at once.
func (r *Request) Done() <-chan struct{} { return r.done }

// Produce takes a request into the write path. Requests of one goroutine are
// appended in the order of its calls. It returns as soon as the request is
// accepted; Done says when it is answered.
//
// It blocks while as much waits for the bucket as may (U4), for the request's
// timeout at most. An error means that nothing was appended: ctx's, ErrTimedOut,
// or ErrClosed. Clients may retry all of them.
func (p *Pump) Produce(ctx context.Context, r *Request) error {
	r.Token = r
	r.done = make(chan struct{})
	if st := p.opts.Stage; st != nil {
		if err := st.Wait(ctx, func() bool { return !p.leaving && !p.machine.Full() }); err != nil {
			return err
		}
		p.accept(p.now(), r)
		p.turn()
		return nil
	}
	select { // the usual case needs no timer
	case p.inbox <- r:
		return nil
	default:
	}
	if err := p.wait(ctx, r); err != nil {
		if r.Frame != nil {
			r.Frame.Release()
		}
		return err
	}
	return nil
}

func (p *Pump) wait(ctx context.Context, r *Request) error {
	var late <-chan time.Time
	if r.Timeout > 0 {
		t := time.NewTimer(r.Timeout)
		defer t.Stop()
		late = t.C
	}
	select {
	case p.inbox <- r:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-late:
		return ingest.ErrTimedOut
	case <-p.ended:
		return ErrClosed
	}
}

// accept appends a request. The loop calls it.
func (p *Pump) accept(now time.Time, r *Request) {
	holds := p.machine.Append(now, &r.Request)
	if r.Frame == nil {
		return
	}
	for ; holds > 1; holds-- {
		r.Frame.Retain()
	}
	if holds == 0 {
		r.Frame.Release()
	}
}

// release gives back what a slot held.
func release(s *ingest.Slot) {
	for i, h := range s.Holds {
		if r := h.(*Request); r.Frame != nil {
			r.Frame.Release()
		}
		s.Holds[i] = nil
	}
}
