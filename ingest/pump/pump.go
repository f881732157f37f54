package pump

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/hot"
)

// Session is what the write path needs to know of one: its id in the catalog and
// the nonce in the header of each of its objects (S1).
type Session struct {
	ID    uint64
	Nonce [16]byte
}

// Owned is a partition that the catalog has given to the session.
type Owned struct {
	Partition record.Partition
	ingest.Start
}

// Pump is the write path of one broker. New makes it, Run runs it; all other
// methods may be called from many goroutines. Until Run has begun they wait.
type Pump struct {
	opts  Options
	board board

	inbox  chan *Request
	calls  chan func(now time.Time)
	events chan event
	ended  chan struct{} // closed when the loop has ended
	behind chan struct{} // cap 1
	over   chan struct{} // cap 1

	// admin is held by the one that rotates, releases or indexes, across its round
	// trips: these commands must not overtake each other.
	admin chan struct{}

	current   atomic.Pointer[Session] // nil when none is served
	committed atomic.Uint64           // slots of the session below are committed
	starving  atomic.Pointer[time.Time]

	// All below is the loop's.
	machine  *ingest.Machine
	session  Session
	fresh    uint64 // the session that a rotation goes on with
	fenced   bool   // the session's own fence is there: a seal is ours
	covered  uint64 // as last seen in the catalog
	behindAt uint64 // the slot at which behind is poked again
	loose    []int  // runs in each committed slot from covered on
	runs     int    // the sum of loose
	flights  map[*ingest.Slot]*flight
	orphans  map[record.Partition][]catalog.Extent // see shut
	hot      *hotter                               // nil without hot tier
	tasks    crew
	waiters  []waiter
	away     bool      // the bucket does not take puts
	fed      time.Time // when a slot was committed
	leaving  bool      // requests wait until others own the partitions
	fault    error
	batches  []Batch   // scratch
	turnAt   time.Time // on a stage: when it comes by itself
}

// flight is one slot on its way.
type flight struct {
	slot    *ingest.Slot
	session Session
	cancel  context.CancelFunc
	object  *encoded // set when the upload is told of
	refs    int      // upload, hot tier, loop: who may still read the bytes
}

// event is what goroutines tell the loop: about an upload that has ended, or what
// the hot tier did.
type event struct {
	uploaded bool
	flight   *flight
	object   *encoded
	outcome  ingest.Outcome
	took     time.Duration
	fault    error // ours: this process must not go on
	hot      hotEvent
}

// waiter is a call that waits for the loop to get somewhere.
type waiter struct {
	ctx   context.Context
	ready func() (bool, error)
	done  chan error
}

// New makes a Pump. Run runs it.
func New(o Options) *Pump {
	p := &Pump{
		opts:    o.defaults(),
		inbox:   make(chan *Request),
		calls:   make(chan func(time.Time)),
		events:  make(chan event, 64),
		ended:   make(chan struct{}),
		behind:  make(chan struct{}, 1),
		over:    make(chan struct{}, 1),
		admin:   make(chan struct{}, 1),
		board:   board{loose: make(map[record.Partition]*entry)},
		machine: ingest.New(o.Ingest),
		flights: make(map[*ingest.Slot]*flight),
		orphans: make(map[record.Partition][]catalog.Extent),
	}
	p.tasks.stage = o.Stage
	if o.Hot != nil {
		p.hot = newHotter(o.Hot, o.Stage, p.opts.HotBacklog, func(e hotEvent) { p.tell(event{hot: e}) })
		if o.Stage != nil {
			p.feedHot(context.Background())
		}
	}
	return p
}

// slowPut is how long a slot waits for the bucket before the log says so.
const slowPut = 10 * time.Second

// Run is the write path, until ctx ends: then requests that wait are answered with
// a retriable error, and puts under way are given up. They may land: the session
// is to be sealed like that of a stranger. Drain or Leave before avoids that. Run
// returns nil, or why this process must stop at once (S3).
func (p *Pump) Run(ctx context.Context) error {
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	if p.hot != nil {
		p.feedHot(inner)
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for p.fault == nil && ctx.Err() == nil {
		now := time.Now()
		p.date()
		next := p.machine.Step(now)
		p.perform(inner, now, p.machine.Take())
		timer.Reset(p.until(now, next))
		inbox := p.inbox
		if p.machine.Full() || p.leaving {
			inbox = nil // U4
		}
		select {
		case <-ctx.Done():
		case <-timer.C:
		case r := <-inbox:
			p.date()
			p.accept(time.Now(), r)
			p.more()
		case f := <-p.calls:
			p.date()
			f(time.Now())
		case e := <-p.events:
			p.handle(e)
		}
	}
	p.stop(cancel)
	return p.fault
}

// date tells the machine the time by the calendar.
func (p *Pump) date() {
	if p.opts.Wall != nil {
		p.machine.Date(p.opts.Wall())
	}
}

// feedHot starts what feeds the hot tier.
func (p *Pump) feedHot(ctx context.Context) {
	p.tasks.Go(func() { p.hot.append(ctx) })
	p.tasks.Go(func() { p.hot.sync(ctx) })
}

// more takes what came together with a request, so that it goes into one object.
func (p *Pump) more() {
	for range 1024 {
		if p.machine.Full() || p.leaving {
			return
		}
		select {
		case r := <-p.inbox:
			p.accept(time.Now(), r)
		case e := <-p.events:
			p.handle(e)
		default:
			return
		}
	}
}

// until is how long the loop may sleep. It also notices a bucket that is away, and one
// that is back: when nothing has waited for long, not when one of several slots is in.
func (p *Pump) until(now, next time.Time) time.Duration {
	wait := time.Hour
	if !next.IsZero() {
		wait = next.Sub(now)
	}
	_, since := p.machine.Pending()
	waits := len(p.flights) > 0 && !since.IsZero()
	left := slowPut - now.Sub(since)
	switch {
	case waits && left > 0 && !p.away:
		wait = min(wait, left)
	case waits && left <= 0 && !p.away:
		p.away = true
		p.opts.Logger.Warn("the bucket does not take puts; requests wait and time out until it does", "for", now.Sub(since).Round(time.Millisecond).String(), "err", p.opts.Settler.Trouble())
	case p.away && (!waits || left > 0):
		p.away = false
		p.opts.Logger.Info("the bucket takes puts again")
		return 0 // and looks again when to complain next
	}
	return max(wait, 0)
}

// stop ends everything that Run has started.
func (p *Pump) stop(cancel context.CancelFunc) {
	p.current.Store(nil) // who is answered sees why
	p.machine.Abort()
	p.perform(context.Background(), time.Now(), p.machine.Take()) // what is aborted puts nothing
	p.shutAll()
	cancel()
	done := make(chan struct{})
	go func() { p.tasks.Wait(); close(done) }()
	for running := true; running; {
		select {
		case e := <-p.events:
			p.handle(e)
		case <-done:
			running = false
		}
	}
	for len(p.events) > 0 {
		p.handle(<-p.events)
	}
	close(p.ended)
	for _, w := range p.waiters {
		w.done <- ErrClosed
	}
	p.waiters = nil
}

// perform does what the machine has decided. Commits come before answers (U2).
func (p *Pump) perform(ctx context.Context, now time.Time, out *ingest.Output) {
	for i := range out.Commits {
		p.commit(now, &out.Commits[i])
	}
	for _, r := range out.Answers {
		close(r.Token.(*Request).done)
	}
	for _, s := range out.Puts {
		p.launch(ctx, s)
	}
	for _, s := range out.Dropped {
		if f := p.flights[s]; f != nil { // cut off by a fence
			f.cancel()
			p.free(f)
		} else {
			release(s)
		}
	}
	if out.Lost > 0 {
		p.opts.Observer.Lost(out.Lost)
	}
	if len(out.Commits)+len(out.Puts)+len(out.Dropped) > 0 {
		bytes, since := p.machine.Pending()
		var age time.Duration
		if !since.IsZero() {
			age = now.Sub(since)
		}
		p.opts.Observer.Pending(bytes, age)
		if len(out.Commits) > 0 {
			p.fed = now
		}
		if p.current.Load() != nil {
			p.starve(since)
		}
	}
	p.wakeWaiters()
}

// starve notes since when something waits for the bucket; the zero time when nothing does.
func (p *Pump) starve(since time.Time) {
	if since.IsZero() {
		p.starving.Store(nil)
		return
	}
	if p.fed.After(since) {
		since = p.fed
	}
	if was := p.starving.Load(); was == nil || !was.Equal(since) {
		p.starving.Store(&since)
	}
}

// Starving is how long the bucket has taken no slot though something waits for it: a
// record, or this broker for a session that can put. 0 when nothing waits.
func (p *Pump) Starving() time.Duration {
	if since := p.starving.Load(); since != nil {
		return max(time.Since(*since), 0)
	}
	return 0
}

// handle takes what a goroutine told.
func (p *Pump) handle(e event) {
	if !e.uploaded {
		p.hotDone(e.hot)
		return
	}
	f := e.flight
	f.object = e.object
	defer p.free(f)
	switch {
	case e.fault != nil:
		p.fail(fmt.Errorf("put slot %d of session %d: %w", f.slot.Seq, f.session.ID, e.fault))
		return
	case e.outcome == ingest.Undecided: // given up
		return
	}
	p.opts.Observer.Put(e.outcome, f.object.size, e.took)
	if f.session.ID != p.session.ID {
		return // a session that is over
	}
	switch e.outcome {
	case ingest.Fenced:
		if p.machine.Phase() != ingest.Over {
			p.opts.Logger.Warn("session was fenced: somebody else takes over its partitions", "session", f.session.ID, "slot", f.slot.Seq)
			defer p.shutAll()
		}
	case ingest.Foreign:
		p.fail(fmt.Errorf("slot %d of session %d: %w", f.slot.Seq, f.session.ID, ingest.ErrForeign))
	}
	p.machine.PutDone(p.now(), f.slot.Seq, e.outcome)
}

// fail makes Run end: this process must not go on (S3).
func (p *Pump) fail(err error) {
	if p.fault == nil {
		p.fault = err
	}
}

func (p *Pump) hotDone(e hotEvent) {
	switch {
	case e.flight != nil:
		if e.err != nil && !errors.Is(e.err, context.Canceled) {
			p.opts.Observer.HotSkipped(e.flight.slot.Bytes, e.err)
		}
		p.free(e.flight)
	case errors.Is(e.err, hot.ErrOrder): // it has ended meanwhile
	case e.err != nil:
		p.opts.Logger.Warn("hot tier did not start the session; acks=1 waits for the bucket", "error", e.err)
	case e.synced.Session == p.session.ID:
		p.machine.HotDone(e.synced.Seq)
	}
}

// free gives up one reference to a flight's bytes, and the bytes with the last.
func (p *Pump) free(f *flight) {
	if f.refs--; f.refs == 0 {
		delete(p.flights, f.slot)
		release(f.slot)
	}
}

// commit publishes a committed slot (U2).
func (p *Pump) commit(now time.Time, c *ingest.Commit) {
	f := p.flights[c.Slot]
	for i := range c.Parts {
		part := &c.Parts[i]
		stable := part.Next
		if c.Stable != nil {
			stable = c.Stable[i]
		}
		if p.opts.Tail != nil {
			p.opts.Tail.Add(part.Partition, p.tailBatches(part))
		}
		if x := f.object.extents[i]; !p.board.advance(part.Partition, x, stable) {
			p.orphans[part.Partition] = append(p.orphans[part.Partition], x)
		}
	}
	p.committed.Store(c.Seq + 1)
	if p.hot != nil {
		p.hot.settled(c.Session, c.Seq+1)
	}
	p.opts.Observer.Committed(c.Records, c.Bytes, c.Batches, now.Sub(c.Opened))
	p.free(f)
	p.loose = append(p.loose, len(c.Parts))
	p.runs += len(c.Parts)
	if (c.Seq+1-p.covered >= p.opts.Behind || p.runs >= p.opts.BehindRuns) && c.Seq+1 >= p.behindAt {
		p.behindAt = c.Seq + 1 + max(1, min(p.opts.Behind/8, (c.Seq+1-p.covered)/8)) // if nobody listens, say it again
		poke(p.behind)
	}
}

func (p *Pump) tailBatches(part *ingest.Part) []Batch {
	clear(p.batches)
	p.batches = p.batches[:0]
	for j := range part.Batches {
		b := &part.Batches[j]
		p.batches = append(p.batches, Batch{
			Base: b.Base, Next: b.Header.NextOffset(), Epoch: part.Epoch, MaxTimestamp: b.Header.MaxTimestamp,
			Bytes: b.Bytes, Frame: b.Token.(*Request).Frame,
		})
	}
	return p.batches
}

// call runs f on the loop and waits for it.
func (p *Pump) call(ctx context.Context, f func(now time.Time)) error {
	if p.opts.Stage != nil {
		f(p.now())
		p.turn()
		return nil
	}
	done := make(chan struct{})
	select {
	case p.calls <- func(now time.Time) { f(now); close(done) }:
		<-done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.ended:
		return ErrClosed
	}
}

// await waits until ready, which the loop asks after each step, says true or fails.
func (p *Pump) await(ctx context.Context, ready func() (bool, error)) error {
	done := make(chan error, 1)
	if err := p.call(ctx, func(time.Time) { p.waiters = append(p.waiters, waiter{ctx, ready, done}) }); err != nil {
		return err
	}
	if st := p.opts.Stage; st != nil {
		if err := st.Wait(ctx, func() bool { return len(done) > 0 }); err != nil {
			return err
		}
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		// The loop may be asking right now; it drops the waiter when it sees ctx.
		return ctx.Err()
	}
}

func (p *Pump) wakeWaiters() {
	kept := p.waiters[:0]
	for _, w := range p.waiters {
		if w.ctx.Err() != nil {
			continue
		}
		if ok, err := w.ready(); ok || err != nil {
			w.done <- err
		} else {
			kept = append(kept, w)
		}
	}
	clear(p.waiters[len(kept):])
	p.waiters = kept
}
