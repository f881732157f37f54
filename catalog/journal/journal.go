package journal

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"math"
	mrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/tier/cold"
)

// ErrClosed answers Commit when the journal is not running, or stopped before
// the fate of the commands was known: they may yet be committed.
var ErrClosed = errors.New("journal stopped: the commands may or may not be committed")

// Options of a journal. The zero value is right for production.
type Options struct {
	Logger *slog.Logger
	// Poll is how often an idle broker looks for entries of others. Default 1 s.
	Poll time.Duration
	// SnapshotEvery is the number of entries between snapshots of a small catalog; see
	// toll. Default 512.
	SnapshotEvery uint64
	// Keep is how long entries below a snapshot stay, by the store's clock, so
	// that slow readers find them, and may stay a 24th of it longer. Default 24 h.
	Keep time.Duration
	// Retry is the first pause after an answer that decided nothing; it doubles
	// up to 32 times that. Default 50 ms.
	Retry time.Duration
	// Sleep and Rand, numbers in [0, 1), are how it pauses, and Now is the time, never by
	// the calendar. Simulations have their own.
	Sleep func(ctx context.Context, d time.Duration) error
	Rand  func() float64
	Now   func() time.Time
	// Current, if not nil, is told that the journal was known to be current at a time
	// (S13). Who opens a Journal asks for Contact instead.
	Current func(at time.Time)
	// Observe, if not nil, is told of each attempt to win a number.
	Observe func(number uint64, won bool)
}

func (o Options) defaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Poll == 0 {
		o.Poll = time.Second
	}
	if o.SnapshotEvery == 0 {
		o.SnapshotEvery = defaultEvery
	}
	if o.Keep == 0 {
		o.Keep = 24 * time.Hour
	}
	if o.Retry == 0 {
		o.Retry = 50 * time.Millisecond
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Rand == nil {
		o.Rand = mrand.Float64
	}
	return o
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

// Journal is a broker's end of the shared journal. Open it, then Run it: Commit
// is answered while it runs. All methods may be called from many goroutines.
type Journal struct {
	opts   Options
	log    *slog.Logger
	scribe *Scribe // owned by Run (by Open before it)

	inbox chan *proposal
	nudge chan struct{}
	looks chan chan struct{} // closed when a look that begins later is over
	asks  chan chan struct{} // the same, within the allowance
	ended chan struct{}

	state   atomic.Pointer[catalog.State]
	contact atomic.Int64 // since born, nanoseconds
	broken  atomic.Int64 // when contact came later than it should, since born

	mu      sync.Mutex
	changed chan struct{}
	born    time.Time
}

type proposal struct {
	cmds    []catalog.Command
	results []catalog.Result
	err     error
	done    chan struct{}
}

// Open reads the journal to its end. In an empty bucket it founds the cluster.
func Open(ctx context.Context, store cold.Store, opts Options) (*Journal, error) {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:])
	s := NewScribe(store, nonce, opts)
	j := &Journal{
		opts: s.opts, log: s.log, scribe: s,
		inbox: make(chan *proposal), nudge: make(chan struct{}, 1), looks: make(chan chan struct{}), asks: make(chan chan struct{}), ended: make(chan struct{}),
		changed: make(chan struct{}), born: time.Now(),
	}
	s.reader.ahead = aheadMost
	s.moved = j.publish
	s.opts.Current = j.current
	if err := s.Open(ctx, newClusterID()); err != nil {
		return nil, err
	}
	j.publish()
	return j, nil
}

// newClusterID is 22 characters of URL-safe base64, as Kafka's are.
func newClusterID() string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	var b [22]byte
	_, _ = rand.Read(b[:])
	for i, c := range b {
		b[i] = digits[c&63]
	}
	return string(b[:])
}

// State is the catalog as this broker knows it. It never blocks; the result is
// never changed.
func (j *Journal) State() *catalog.State { return j.state.Load() }

// Changed returns a channel that is closed at the next change of State. Take it
// before you look at State, so that no change is missed.
func (j *Journal) Changed() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.changed
}

// Nudge says that the journal grew, as gossip tells: look now. It never blocks.
func (j *Journal) Nudge() {
	select {
	case j.nudge <- struct{}{}:
	default:
	}
}

// Look looks at the journal: State is no older than the call when it returns nil, unless
// the bucket did not answer. Those who call at the same time share one look. It is for what
// ends by itself, as a client that was sent here before the journal was heard of. The error
// is ctx's, or ErrClosed.
func (j *Journal) Look(ctx context.Context) error { return j.await(ctx, j.looks) }

// Ask is a look that may be asked for without end, as by clients that wait for a topic:
// when the allowance is spent, a call waits for more, or until there is a look anyway, as
// when gossip tells of an entry.
func (j *Journal) Ask(ctx context.Context) error { return j.await(ctx, j.asks) }

func (j *Journal) await(ctx context.Context, looks chan chan struct{}) error {
	l := make(chan struct{})
	select {
	case looks <- l:
	case <-ctx.Done():
		return ctx.Err()
	case <-j.ended:
		return ErrClosed
	}
	select {
	case <-l:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-j.ended:
		return ErrClosed
	}
}

// Contact is how long ago the journal was last known to be current (S13).
func (j *Journal) Contact() time.Duration {
	return time.Since(j.born) - time.Duration(j.contact.Load())
}

func (j *Journal) current(at time.Time) {
	if j.Contact() > j.late() {
		j.broken.Store(int64(time.Since(j.born)))
	}
	j.contact.Store(int64(at.Sub(j.born)))
}

// late is how long after a contact the answer of the next look is late, which is due after a poll.
func (j *Journal) late() time.Duration { return j.opts.Poll * 3 / 2 }

// Steady is for how long every look at the journal was answered in time: 0 when one is late,
// and the longest duration that there is when none ever was.
func (j *Journal) Steady() time.Duration {
	broken := time.Duration(j.broken.Load())
	switch {
	case j.Contact() > j.late():
		return 0
	case broken == 0:
		return math.MaxInt64
	}
	return time.Since(j.born) - broken
}

// Commit proposes commands, all in one entry, and returns what became of each
// once they are durable and applied here. The error is ctx's, or ErrClosed: then
// the commands may still be committed. It blocks for about a round trip to the
// bucket, and for as long as the bucket is away.
func (j *Journal) Commit(ctx context.Context, cmds ...catalog.Command) ([]catalog.Result, error) {
	p := &proposal{cmds: cmds, done: make(chan struct{})}
	select {
	case j.inbox <- p:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-j.ended:
		return nil, ErrClosed
	}
	select {
	case <-p.done:
		return p.results, p.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// complain is how often a journal that stays out of reach is told of: it is asked for many
// times a second while clients wait.
const complain = 10 * time.Second

// Run commits proposals and follows the entries of others until ctx ends. It
// returns an error only if the journal cannot be followed any further.
func (j *Journal) Run(ctx context.Context) error {
	defer close(j.ended)
	poll := time.NewTicker(j.opts.Poll)
	defer poll.Stop()
	var looking []chan struct{}
	allowed, more := newAllowance(time.Now()), time.NewTimer(0)
	defer more.Stop()
	var away time.Time     // when it was last told that the journal is out of reach; zero while it is not
	var tidying chan error // nil while nothing is tidied; the journal goes on meanwhile
	tctx, cancel := context.WithCancel(ctx)
	defer func() {
		if cancel(); tidying != nil {
			<-tidying
		}
	}()
	tidied := func(err error) {
		tidying = nil
		if j.scribe.tidied(err); err == nil && j.scribe.owed { // one became due meanwhile
			tidying = j.tidy(tctx)
		}
	}
	for ctx.Err() == nil {
		asks, refill := j.asks, (<-chan time.Time)(nil)
		if wait := allowed.wait(time.Now()); wait > 0 {
			more.Reset(wait)
			asks, refill = nil, more.C
		}
		// Commands come before looks: whoever takes over from the dead commits while the
		// others tell each other to look.
		var first *proposal
		select {
		case first = <-j.inbox:
		case err := <-tidying:
			tidied(err)
			continue
		default:
			select {
			case <-ctx.Done():
				return nil
			case <-refill:
				continue
			case first = <-j.inbox:
			case err := <-tidying:
				tidied(err)
				continue
			case <-j.nudge:
			case <-poll.C:
			case l := <-j.looks:
				looking = append(looking, l)
			case l := <-asks:
				allowed.spend()
				looking = append(looking, l)
			}
		}
		looking = j.waiting(looking)
		if first != nil {
			if err := j.commit(ctx, j.gather(first)); err != nil && ctx.Err() == nil {
				return err
			}
			if j.scribe.owes() && tidying == nil { // asked after each, also while the one before is put
				tidying = j.tidy(tctx)
			}
		} else if err := j.scribe.Catchup(ctx); err != nil && ctx.Err() == nil {
			if errors.Is(err, catalog.ErrVersion) || errors.Is(err, catalog.ErrCorrupt) {
				return err
			}
			if now := time.Now(); away.IsZero() || now.Sub(away) >= complain {
				away = now
				j.log.Warn("journal is out of reach", "err", err, "contact", j.Contact())
			}
		} else if err == nil && !away.IsZero() {
			away = time.Time{}
			j.log.Info("journal is within reach again")
		}
		for _, l := range looking { // an entry that was put since they came is a look, too
			close(l)
		}
		clear(looking)
		looking = looking[:0]
	}
	return nil
}

// waiting adds those who wait for a look that has not begun.
func (j *Journal) waiting(looking []chan struct{}) []chan struct{} {
	for {
		select {
		case l := <-j.looks:
			looking = append(looking, l)
		case l := <-j.asks:
			looking = append(looking, l)
		default:
			return looking
		}
	}
}

const (
	maxCommands = 1000    // gathered into one entry; ids of jobs have ten bits for it
	maxInline   = 1 << 18 // bytes of commands before they go to a side object
)

// gather takes what else is waiting, so that one put commits it all.
func (j *Journal) gather(first *proposal) []*proposal {
	batch := []*proposal{first}
	n := len(first.cmds)
	registers := hasRegister(first)
	for n < maxCommands/2 {
		select {
		case p := <-j.inbox:
			// One entry registers one session (S1): a second one waits its turn,
			// which is the next entry of this same loop.
			if r := hasRegister(p); r && registers || n+len(p.cmds) > maxCommands {
				go func() {
					select {
					case j.inbox <- p:
					case <-j.ended:
						p.err = ErrClosed
						close(p.done)
					}
				}()
				return batch
			} else if r {
				registers = true
			}
			batch = append(batch, p)
			n += len(p.cmds)
		default:
			return batch
		}
	}
	return batch
}

func hasRegister(p *proposal) bool {
	for _, c := range p.cmds {
		if _, ok := c.(*catalog.RegisterSession); ok {
			return true
		}
	}
	return false
}

// commit makes one entry of the proposals, and answers them.
func (j *Journal) commit(ctx context.Context, batch []*proposal) error {
	var cmds []catalog.Command
	for _, p := range batch {
		cmds = append(cmds, p.cmds...)
	}
	results, err := j.scribe.Commit(ctx, cmds...)
	for _, p := range batch {
		if err != nil {
			p.err = errors.Join(ErrClosed, err)
		} else {
			p.results, results = results[:len(p.cmds):len(p.cmds)], results[len(p.cmds):]
		}
		close(p.done)
	}
	return err
}

// tidy puts a snapshot and gives up old entries, beside the loop; how it ended comes
// through the channel.
func (j *Journal) tidy(ctx context.Context) chan error {
	do, done := j.scribe.tidying(), make(chan error, 1)
	go func() { done <- do(ctx) }()
	return done
}

func (j *Journal) publish() {
	j.state.Store(j.scribe.State())
	j.mu.Lock()
	close(j.changed)
	j.changed = make(chan struct{})
	j.mu.Unlock()
}
