package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/planted"
	"github.com/firnlog/firn/tier/cold"
)

// Scribe is one who writes a journal: rules J1 to J5, one call after another, without
// goroutines. Journal runs one for a broker; simulations run theirs themselves. It is
// not safe for concurrent use.
type Scribe struct {
	store  cold.Store
	opts   Options
	nonce  [16]byte
	log    *slog.Logger
	reader *Reader
	state  *catalog.State // what was last read or written to its end
	seq    atomic.Uint64
	owed   bool   // a snapshot is due, and ours to put
	moved  func() // State is another one; may be nil
}

// NewScribe returns a scribe that has read nothing yet. The nonce tells its objects
// from those of all others.
func NewScribe(store cold.Store, nonce [16]byte, opts Options) *Scribe {
	r := NewReader(store)
	if r.ahead = 1; opts.Sleep != nil { // its time is not that of the clock
		r = r.OneByOne()
	}
	opts = opts.defaults()
	r.toll = newToll(opts.SnapshotEvery)
	return &Scribe{store: store, opts: opts, nonce: nonce, log: opts.Logger, reader: r, state: r.state}
}

// State is the catalog as of the last Catchup or Commit. It is never changed.
func (s *Scribe) State() *catalog.State { return s.state }

// Open reads the journal to its end, however long the bucket is away. In an empty
// bucket it founds the cluster, with the id given.
func (s *Scribe) Open(ctx context.Context, cluster string) error {
	if err := s.insist(ctx, s.reader, func() error { return s.Catchup(ctx) }); err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	if err := s.insist(ctx, s.reader, func() error { return s.reader.Complete(ctx) }); err != nil { // J6
		return fmt.Errorf("open journal: %w", err)
	}
	for s.State().ClusterID() == "" {
		if _, err := s.Commit(ctx, &catalog.CreateCluster{ID: cluster}); err != nil {
			return fmt.Errorf("found the cluster: %w", err)
		}
	}
	return nil
}

// Catchup applies the entries of others. It gives up only where it gets no further.
func (s *Scribe) Catchup(ctx context.Context) error {
	var began time.Time
	var err error
	for at, again := s.reader.furthest(), true; again; {
		began = s.opts.Now()
		err = s.reader.Catchup(ctx, nil)
		now := s.reader.furthest()
		again, at = err != nil && now > at && ctx.Err() == nil, now
	}
	if err == nil && s.opts.Current != nil {
		s.opts.Current(began)
	}
	if err == nil && s.reader.state != s.state {
		s.publish()
	}
	return err
}

func (s *Scribe) publish() {
	s.state = s.reader.state
	if s.moved != nil {
		s.moved()
	}
}

// Commit makes one entry of the commands, puts it under the next number until one of
// its puts wins (J1, J2, J3), and returns what became of each. After an error they may
// yet be committed. It goes on until ctx ends. What must not be committed twice, and may
// have been, is rejected with catalog.ErrUnsure (J7).
func (s *Scribe) Commit(ctx context.Context, cmds ...catalog.Command) ([]catalog.Result, error) {
	payload := append([]byte{0}, catalog.EncodeCommands(cmds)...)
	for {
		began := s.opts.Now() // the put that wins lands later, and no entry of others is before it then
		n := s.reader.state.Number() + 1
		body := payload
		w := s.writer()
		if len(payload) > maxInline {
			if err := s.putSide(ctx, w, n, payload[1:]); err != nil {
				return nil, err
			}
			body = append([]byte{1}, sideName(w)...)
		}
		won, err := s.settle(ctx, s.reader, numbered(PrefixEntries, n), frame{kindEntry, n, w, body})
		if err != nil {
			return nil, err
		}
		if s.opts.Observe != nil {
			s.opts.Observe(n, won)
		}
		givenUp := false
		if won {
			// J3: had this number been given up before the put landed?
			if err := s.insist(ctx, s.reader, func() error { return s.reader.followBoundary(ctx) }); err != nil {
				return nil, err
			}
			won = n > s.reader.floor
			givenUp = !won
		}
		if won {
			results := s.reader.apply(Entry{Number: n, Writer: s.nonce, Commands: cmds, size: len(payload) - 1})
			if s.opts.Current != nil {
				s.opts.Current(began)
			}
			s.publish()
			return results, nil
		}
		if err := s.insist(ctx, s.reader, func() error { return s.Catchup(ctx) }); err != nil {
			return nil, err
		}
		if givenUp {
			return s.again(ctx, cmds)
		}
	}
}

// again commits what was put under a number that had been given up when that was known.
// Whether it had been applied before it was, or landed after, nobody can tell.
func (s *Scribe) again(ctx context.Context, cmds []catalog.Command) ([]catalog.Result, error) {
	results := make([]catalog.Result, len(cmds))
	var rest []catalog.Command
	var places []int
	for i, c := range cmds {
		r, again := s.State().Repeat(c)
		if results[i] = r; again {
			rest, places = append(rest, c), append(places, i)
		}
	}
	if len(rest) == 0 {
		return results, nil
	}
	more, err := s.Commit(ctx, rest...)
	if err != nil {
		return nil, err
	}
	for i, r := range more {
		results[places[i]] = r
	}
	return results, nil
}

func (s *Scribe) putSide(ctx context.Context, w writer, n uint64, cmds []byte) error {
	won, err := s.settle(ctx, s.reader, sideName(w), frame{kindSide, n, w, cmds})
	if err == nil && !won {
		return fmt.Errorf("%s: %w: somebody else's object", sideName(w), catalog.ErrCorrupt)
	}
	return err
}

// settle sends the same bytes until it is known whose object is there (S2, S3). The
// reader is the caller's: tidying has its own.
func (s *Scribe) settle(ctx context.Context, r *Reader, name string, f frame) (mine bool, err error) {
	body := cold.Bytes(f.encode())
	limit := firstTimeout + time.Duration(body.Size()/usualLink)*time.Second
	err = s.insist(ctx, r, func() error {
		actx, cancel := ctx, context.CancelFunc(func() {})
		if r.patience != nil {
			actx, cancel = context.WithTimeout(ctx, limit)
		}
		defer cancel()
		err := s.store.PutIfAbsent(actx, name, body)
		if err == nil {
			mine = true
			return nil
		}
		if actx.Err() != nil { // side objects and snapshots may be large, and links slow
			limit = max(limit, min(2*limit, attemptTimeout+time.Duration(body.Size()/slowestLink)*time.Second))
		}
		if !errors.Is(err, cold.ErrExists) {
			return err // the store says which name
		}
		g, err := r.get(ctx, name, f.kind, f.number)
		if err != nil {
			return err
		}
		mine = g.writer == f.writer || planted.Is(planted.JournalOverrun)
		return nil
	})
	return mine, err
}

// firstTimeout bounds the first attempt to get or put an entry, and whenever it was not
// enough the next one has twice the time: attemptTimeout at most, and for puts what a link of
// so many bytes per second needs in addition. One request that is lost must cost no broker
// its lease.
const (
	firstTimeout   = 2 * time.Second
	attemptTimeout = 10 * time.Second
	usualLink      = 4 << 20
	slowestLink    = 16 << 10
)

// insist repeats what failed without a decision until it is decided, or ctx ends. What
// the reader gets further by is no failure.
func (s *Scribe) insist(ctx context.Context, r *Reader, do func() error) error {
	pause, at := s.opts.Retry, r.furthest()
	var told time.Time // when it was last told that the bucket does not answer; zero until it was
	for {
		err := do()
		if err == nil && !told.IsZero() {
			s.log.Info("journal: the bucket answers again")
		}
		if err == nil || errors.Is(err, catalog.ErrVersion) || errors.Is(err, catalog.ErrCorrupt) || errors.Is(err, ErrLost) {
			return err
		}
		if now := r.furthest(); now > at { // it gets on
			pause, at = s.opts.Retry, now
		}
		if now := s.opts.Now(); pause > s.opts.Retry && (told.IsZero() || now.Sub(told) >= complain) { // the first failure is no news
			told = now
			s.log.Warn("journal: the bucket did not answer, trying again", "err", err)
		}
		if s.opts.Sleep(ctx, pause/2+time.Duration(s.opts.Rand()*float64(pause))) != nil {
			return errors.Join(ctx.Err(), err)
		}
		pause = min(2*pause, 32*s.opts.Retry)
	}
}

// writer names one more object of ours.
func (s *Scribe) writer() writer { return writer{s.nonce, s.seq.Add(1)} }

// owes reports whether we are to put a snapshot, to be asked after each Commit.
func (s *Scribe) owes() bool {
	s.owed = s.owed || s.reader.due
	return s.owed
}

// Housekeep, after a Commit, puts a snapshot when one is due, and gives up old entries.
func (s *Scribe) Housekeep(ctx context.Context) {
	if s.owes() {
		s.tidied(s.tidying()(ctx))
	}
}

// tidying is what is owed, as of now. It may run beside Commit and Catchup: writing down a
// million partitions takes a second, deleting some thousand entries longer. tidied is to
// be told of its result.
func (s *Scribe) tidying() func(ctx context.Context) error {
	s.owed, s.reader.due = false, false
	r := *s.reader
	return func(ctx context.Context) error { return s.tidy(ctx, &r) }
}

func (s *Scribe) tidied(err error) {
	if err != nil {
		s.owed = true
		s.log.Warn("journal: no snapshot this time, or old entries stay for now", "err", err)
	}
}

// tidy puts a snapshot of what a reader knows, and gives up old entries.
func (s *Scribe) tidy(ctx context.Context, r *Reader) error {
	n := r.state.Number()
	f := frame{kindSnapshot, n, s.writer(), r.state.Encode()}
	err := s.store.PutIfAbsent(ctx, numbered(PrefixSnapshots, n), cold.Bytes(f.encode()))
	if err != nil && !errors.Is(err, cold.ErrExists) {
		return fmt.Errorf("put snapshot %d: %w", n, err)
	}
	return s.collect(ctx, r, n)
}

// boundariesIn is how many boundaries there are at most for the time that entries stay.
const boundariesIn = 24

// collect advances the boundary to the newest snapshot that is older than Keep,
// both times by the store's clock, and then deletes what lies at or below it: the
// journal says first what can no longer count (S10, S11).
func (s *Scribe) collect(ctx context.Context, r *Reader, n uint64) error {
	newest, err := s.store.Stat(ctx, numbered(PrefixSnapshots, n))
	if err != nil {
		return fmt.Errorf("stat snapshot %d: %w", n, err)
	}
	// Boundaries stay for ever: they come by the time, and not as often as snapshots do.
	if r.boundary > 0 {
		last, err := s.store.Stat(ctx, numbered(PrefixBoundaries, r.boundary))
		if err != nil {
			return fmt.Errorf("stat boundary %d: %w", r.boundary, err)
		}
		if newest.Modified.Sub(last.Modified) < s.opts.Keep/boundariesIn {
			return nil
		}
	}
	var floor uint64
	var old []string
	for info, err := range s.store.List(ctx, PrefixSnapshots, "") {
		if err != nil {
			return fmt.Errorf("list snapshots: %w", err)
		}
		m, ok := parseNumber(PrefixSnapshots, info.Name)
		if ok && m < n && newest.Modified.Sub(info.Modified) >= s.opts.Keep {
			floor = max(floor, m)
			old = append(old, info.Name)
		}
	}
	if floor <= r.floor {
		return nil
	}
	b := binary.AppendUvarint(binary.AppendUvarint(nil, floor), n)
	k := r.boundary + 1
	won, err := s.settle(ctx, r, numbered(PrefixBoundaries, k), frame{kindBoundary, k, s.writer(), b})
	if err != nil || !won {
		return err // somebody else does it
	}
	if err := r.followBoundary(ctx); err != nil {
		return err
	}
	for info, err := range s.store.List(ctx, PrefixEntries, "") {
		if err != nil {
			return fmt.Errorf("list entries: %w", err)
		}
		// All are looked at, though the younger ones are many more: not every store lists in order.
		if m, ok := parseNumber(PrefixEntries, info.Name); ok && m <= floor {
			old = append(old, info.Name)
		}
	}
	if err := cold.DeleteAll(ctx, s.store, r.ahead, old); err != nil {
		return err
	}
	return s.collectSide(ctx, r, newest)
}

// collectSide deletes side objects that are older than Keep: the entries that
// named them lie below the boundary or never won.
func (s *Scribe) collectSide(ctx context.Context, r *Reader, newest cold.Info) error {
	boundary, err := s.store.Stat(ctx, numbered(PrefixSnapshots, r.snapshot))
	if err != nil {
		return fmt.Errorf("stat snapshot: %w", err)
	}
	for info, err := range s.store.List(ctx, PrefixSide, "") {
		if err != nil {
			return fmt.Errorf("list side objects: %w", err)
		}
		if boundary.Modified.Sub(info.Modified) < s.opts.Keep || newest.Modified.Sub(info.Modified) < s.opts.Keep {
			continue
		}
		b, err := s.store.Get(ctx, info.Name, cold.Whole, nil)
		if err != nil {
			continue
		}
		f, err := decodeFrame(b, kindSide, frameNumber(b))
		if err == nil && f.number <= r.floor {
			if err := s.store.Delete(ctx, info.Name); err != nil {
				return fmt.Errorf("delete %s: %w", info.Name, err)
			}
		}
	}
	return nil
}

func frameNumber(b []byte) uint64 {
	if len(b) < frameHead {
		return 0
	}
	return binary.LittleEndian.Uint64(b[8:])
}
