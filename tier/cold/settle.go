package cold

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// ErrUndecided says that the context ended before the store gave a definite
// answer. The put may have landed, may land later, or never: the name stays bound
// to the body (S2), and only another settling of the same bytes tells.
var ErrUndecided = errors.New("the store has not decided")

// TakenError is the definite answer that somebody else's object has the name. It
// is an ErrExists.
type TakenError struct {
	Name     string
	Existing []byte // what the peek range of the object holds; the caller's to keep
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("put %s: somebody else's %v (it starts with %.16x)", e.Name, ErrExists, e.Existing)
}

// Unwrap makes it an ErrExists.
func (e *TakenError) Unwrap() error { return ErrExists }

// SettlerOptions are for [NewSettler]. The zero value is good.
type SettlerOptions struct {
	// Hedge allows a second, identical request when one takes clearly longer than
	// 95 of 100 recent ones did (S5). At most one put in twenty gets one. For stores behind
	// a network only: a slow disk does not become faster by asking twice.
	Hedge bool
	// Peek is the part of an existing object that tells whose it is. The default
	// is the whole object.
	Peek Range
	// Observe, when not nil, is told of every attempt after it ended, from many
	// goroutines. It must not block.
	Observe func(Attempt)
	// Rand, when not nil, is the source of jitter in [0, 1), for simulations.
	Rand func() float64
	// Sleep, when not nil, is how it pauses, for simulations: their time is not the
	// clock's, and no attempt is ended by it.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Attempt is one request on behalf of a put.
type Attempt struct {
	Name   string
	Number int  // of this put, from 1; a hedge has its original's
	Hedge  bool // it ran beside an attempt that was slow
	Peek   bool // it read what was there
	Took   time.Duration
	Err    error // nil, or the store's answer
}

// Settler puts objects until the store's answer is definite (S3). It remembers
// how long puts take, so one Settler serves everybody who puts to one store. It
// may be used from many goroutines.
type Settler struct {
	store   Store
	options SettlerOptions
	recent  latencies
	trouble atomic.Pointer[error]
}

// Trouble is why the store did not take the put that it answered last, for people; nil when
// it did, or nothing was put.
func (s *Settler) Trouble() error {
	if err := s.trouble.Load(); err != nil {
		return *err
	}
	return nil
}

// NewSettler returns a Settler for the store.
func NewSettler(store Store, o SettlerOptions) *Settler {
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	return &Settler{store: store, options: o}
}

// Settle is Put of a fresh Settler, for a put that comes alone.
func Settle(ctx context.Context, store Store, name string, body Body, mine func(existing []byte) bool) error {
	return NewSettler(store, SettlerOptions{}).Put(ctx, name, body, mine)
}

// Put binds the name to the body: it sends the same bytes until the answer is
// definite, and does not give up before ctx ends. Mine reports whether an object
// that is there is this very one, from an attempt whose answer got lost; it is
// shown the peek range of the object and should compare nonce and checksum.
//
// It returns nil when the body is stored under the name, a *TakenError when
// somebody else's object is, an error that wraps ErrUndecided and the last answer
// when ctx ended first. ErrName and ErrBody are for callers that cannot be helped;
// they come with ErrUndecided when an earlier attempt was sent. Access denied and
// a missing bucket are waited out: both are mended from outside while the name
// stays bound. No attempt is under way when it returns (C3).
func (s *Settler) Put(ctx context.Context, name string, body Body, mine func(existing []byte) bool) error {
	p := &pending{Settler: s, name: name, body: body, mine: mine, timeout: s.recent.timeout(body.Size())}
	for {
		done, err := p.attempt(ctx)
		if done {
			return err
		}
		if p.last = err; ctx.Err() == nil {
			p.wait(ctx, err)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("put %s: %w after %d attempts: %w (last answer: %w)", name, ErrUndecided, p.attempts, context.Cause(ctx), p.last)
		}
	}
}

// Backoff: the first pause is up to 50 ms, each next up to twice as much, at most
// 5 s. Random all the way down to nothing, so that brokers that lost the store
// together do not come back together.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
)

// pending is one put on its way to an answer.
type pending struct {
	*Settler
	name     string
	body     Body
	mine     func([]byte) bool
	timeout  time.Duration // of the next attempt
	attempts int
	pauses   int
	last     error
}

// attempt sends the body once, or twice when it hedges. It reports whether the
// put is settled, and how, or else the answer that settled nothing.
func (p *pending) attempt(ctx context.Context) (done bool, err error) {
	p.attempts++
	began := time.Now()
	err = p.send(ctx)
	p.late(err, began)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, ErrExists):
		return p.identify(ctx)
	case unsent(err):
		if p.attempts > 1 {
			err = fmt.Errorf("%w: %w", ErrUndecided, err)
		}
		return true, err
	}
	return false, err
}

// late gives requests more time when that of one ran out: too short a timeout would send
// the same bytes for ever, or read them, each time half. Time that ran out elsewhere, as
// for who dialled, is none that the body would have needed.
func (p *pending) late(err error, began time.Time) {
	if errors.Is(err, context.DeadlineExceeded) && time.Since(began) >= p.timeout {
		p.timeout = max(p.timeout, min(2*p.timeout, longest(p.body.Size())))
	}
}

// identify reads what has the name. A stranger is believed when two reads agree:
// taking a damaged answer for somebody else's object would end a healthy session.
func (p *pending) identify(ctx context.Context) (done bool, err error) {
	var before []byte
	for range 2 {
		existing, err := p.peek(ctx)
		if err != nil {
			return false, err // also when it is not found: gone again, so put again
		}
		if p.mine(existing) {
			return true, nil
		}
		if before != nil && bytes.Equal(before, existing) {
			return true, &TakenError{Name: p.name, Existing: existing}
		}
		if before = existing; before == nil {
			before = []byte{}
		}
	}
	return false, fmt.Errorf("two reads of what is there differ: %w", errUnsteady)
}

var errUnsteady = errors.New("the store's reads do not agree")

func (p *pending) peek(ctx context.Context) ([]byte, error) {
	ctx, cancel := p.bound(ctx)
	defer cancel()
	start := time.Now()
	existing, err := p.store.Get(ctx, p.name, p.options.Peek, nil)
	p.late(err, start)
	p.tell(Attempt{Name: p.name, Number: p.attempts, Peek: true, Took: time.Since(start), Err: err})
	if errors.Is(err, ErrRange) {
		return nil, nil // shorter than the range begins: an object all the same
	}
	return existing, err
}

// send makes one attempt, and a second one beside it when the first is slow and
// the budget allows. Both have returned when it does.
func (p *pending) send(ctx context.Context) error {
	after, ok := p.hedgeAfter()
	if !ok {
		return p.once(ctx, false)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan error, 2)
	go func() { answers <- p.once(ctx, false) }()
	slow := time.NewTimer(after)
	defer slow.Stop()
	select {
	case err := <-answers:
		return err
	case <-slow.C:
	}
	if !p.recent.spend() {
		return <-answers
	}
	go func() { answers <- p.once(ctx, true) }()
	first := <-answers
	if first == nil || errors.Is(first, ErrExists) {
		cancel()
	}
	return better(first, <-answers)
}

// better picks the answer that says more. That one of two requests could not be sent says
// nothing of the other.
func better(a, b error) error {
	for _, decides := range []func(error) bool{
		func(err error) bool { return err == nil },
		func(err error) bool { return errors.Is(err, ErrExists) },
		func(err error) bool { return !errors.Is(err, context.Canceled) && !unsent(err) },
		func(err error) bool { return !unsent(err) },
	} {
		if decides(a) {
			return a
		}
		if decides(b) {
			return b
		}
	}
	return a
}

// unsent reports whether it is the caller's fault, who cannot be helped.
func unsent(err error) bool { return errors.Is(err, ErrName) || errors.Is(err, ErrBody) }

// bound ends an attempt in time. In a simulation the store does.
func (p *pending) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if p.options.Sleep != nil {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, p.timeout)
}

// once is one request.
func (p *pending) once(ctx context.Context, hedge bool) error {
	ctx, cancel := p.bound(ctx)
	defer cancel()
	start := time.Now()
	err := p.store.PutIfAbsent(ctx, p.name, p.body)
	took := time.Since(start)
	if err == nil {
		p.recent.add(p.body.Size(), took)
	}
	switch {
	case err == nil || errors.Is(err, ErrExists):
		p.trouble.Store(nil)
	case !errors.Is(err, context.Canceled): // by us
		p.trouble.Store(&err)
	}
	p.tell(Attempt{Name: p.name, Number: p.attempts, Hedge: hedge, Took: took, Err: err})
	return err
}

func (p *pending) tell(a Attempt) {
	if p.options.Observe != nil {
		p.options.Observe(a)
	}
}

func (p *pending) hedgeAfter() (time.Duration, bool) {
	if !p.options.Hedge {
		return 0, false
	}
	return p.recent.hedgeAfter(p.body.Size())
}

// wait pauses before the next attempt, longer each time. A conflict is over soon:
// it starts over from the shortest pause.
func (p *pending) wait(ctx context.Context, answer error) {
	if errors.Is(answer, ErrConflict) {
		p.pauses = 0
	}
	pause := min(firstPause<<min(p.pauses, 16), lastPause)
	p.pauses++
	pause = time.Duration(p.options.Rand() * float64(pause))
	if p.options.Sleep != nil {
		_ = p.options.Sleep(ctx, pause)
		return
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
