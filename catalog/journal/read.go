package journal

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/tier/cold"
)

// Reader follows a journal without ever writing: for tools that work on a bucket
// with or without brokers. It is not safe for concurrent use.
type Reader struct {
	store    cold.Store
	boundary uint64 // newest boundary seen, k of the chain
	floor    uint64 // what it names
	snapshot uint64 // newest snapshot known
	state    *catalog.State
	ahead    int // how many entries are read, or deleted, at once, each by a goroutine; 1: none
	toll     toll
	due      bool // there is to be a snapshot of state

	started bool // start has found a place to begin

	patience *atomic.Int64 // of the next get of what is small; nil: it takes as long as it takes

	// further is what was read behind state by a Catchup that failed later: the next
	// one goes on there, or a long journal would never be read from a store that often
	// fails. It belongs to the state that it was read behind.
	further, behind *catalog.State
}

// NewReader returns a reader that has read nothing yet: its State is empty.
func NewReader(store cold.Store) *Reader {
	r := &Reader{store: store, state: catalog.NewState(), ahead: aheadMost, toll: newToll(defaultEvery), patience: new(atomic.Int64)}
	r.patience.Store(int64(firstTimeout))
	return r
}

// OneByOne makes the reader read entry after entry, without goroutines and clocks, for
// simulations.
func (r *Reader) OneByOne() *Reader {
	r.ahead, r.patience = 1, nil
	return r
}

// State is the catalog as of the last Catchup.
func (r *Reader) State() *catalog.State { return r.state }

// Catchup applies everything that the journal holds. What it read counts only
// once the boundary chain, read afterwards, shows that none of it had been given
// up: a writer that slept may have put an entry under a number that was deleted
// (S11). Until then State does not move, nor does it on an error, after which the next
// Catchup goes on where this one failed. For each entry applied visit, if not nil, is
// told the results, once; it is not called for what a snapshot made unnecessary to read.
func (r *Reader) Catchup(ctx context.Context, visit func(Entry, []catalog.Result)) error {
	if !r.started && r.state.Number() == 0 {
		if err := r.start(ctx); err != nil {
			return err
		}
		r.started = true
	}
	for {
		base := r.state
		if r.behind == base {
			r.state = r.further
		}
		err := r.follow(ctx, visit)
		read := r.state
		r.state = base
		if err == nil {
			err = r.followBoundary(ctx) // J4
		}
		if err != nil {
			r.further, r.behind = read, base
			return err
		}
		r.further, r.behind = nil, nil
		if r.floor <= base.Number() {
			r.state = read
			return nil
		}
		if err := r.loadSnapshot(ctx, r.snapshot); err != nil {
			return err
		}
	}
}

// furthest is the last entry that was read, whether it counts already or not.
func (r *Reader) furthest() uint64 {
	if r.behind == r.state {
		return r.further.Number()
	}
	return r.state.Number()
}

// aheadMost is how many entries are read at once by who is far behind: a start needs a
// round trip for so many, not for each.
const aheadMost = 32

// follow applies entries up to the first one that is not there. After some that were, it
// reads several at once; what lies behind a gap does not count.
func (r *Reader) follow(ctx context.Context, visit func(Entry, []catalog.Result)) error {
	type read struct {
		entry Entry
		err   error
	}
	for found := 0; ; {
		reads := make([]read, max(1, min(found/2, r.ahead)))
		first := r.state.Number() + 1
		var tasks sync.WaitGroup
		for i := range reads[1:] {
			tasks.Go(func() { reads[i+1].entry, _, reads[i+1].err = r.entry(ctx, first+uint64(i)+1) })
		}
		reads[0].entry, _, reads[0].err = r.entry(ctx, first)
		tasks.Wait()
		for _, e := range reads {
			switch {
			case errors.Is(e.err, errNoSide):
				return r.without(ctx, e.err)
			case errors.Is(e.err, cold.ErrNotFound):
				return nil
			case e.err != nil:
				return e.err
			}
			results := r.apply(e.entry)
			if found++; visit != nil {
				visit(e.entry, results)
			}
		}
	}
}

// errNoSide says that an entry is there, and not what it says.
var errNoSide = errors.New("its side object is not there")

// without decides about the next entry, whose side object was not found. That goes after
// a boundary has given the entry up. Otherwise it is lost, and this is no end of the
// journal: others have applied the entry.
func (r *Reader) without(ctx context.Context, err error) error {
	if err := r.followBoundary(ctx); err != nil {
		return err
	}
	if r.floor > r.state.Number() {
		return nil
	}
	return fmt.Errorf("%w: %w: see `firn catalog recover`", ErrLost, err)
}

func (r *Reader) apply(e Entry) []catalog.Result {
	next := r.state.Clone()
	results := next.Apply(e.Number, e.Commands)
	r.state = next
	r.due = r.toll.pay(e.size, next)
	return results
}

// start finds a place to begin: the newest snapshot that a listing shows or the
// boundary chain names. Both are safe: an older snapshot means more to read.
func (r *Reader) start(ctx context.Context) error {
	if err := r.leap(ctx); err != nil {
		return err
	}
	if err := r.followBoundary(ctx); err != nil {
		return err
	}
	numbers := []uint64{}
	if r.snapshot > 0 {
		numbers = append(numbers, r.snapshot)
	}
	for info, err := range r.store.List(ctx, PrefixSnapshots, "") {
		if err != nil {
			return fmt.Errorf("list snapshots: %w", err)
		}
		if n, ok := parseNumber(PrefixSnapshots, info.Name); ok && n >= r.floor && n != r.snapshot {
			numbers = append(numbers, n)
		}
	}
	slices.SortFunc(numbers, func(a, b uint64) int { return cmp.Compare(b, a) })
	var bad error
	for _, n := range numbers {
		err := r.loadSnapshot(ctx, n)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, catalog.ErrCorrupt), errors.Is(err, cold.ErrNotFound):
			bad = errors.Join(bad, err) // an older one, and more entries, do as well
		default:
			return err
		}
	}
	if r.floor > 0 {
		return bad // the entries from the first on are gone
	}
	return nil
}

// leap finds a place near the end of the boundary chain. The chain is as long as the
// cluster is old, but dense: where it ends takes twice the logarithm of its length to find,
// and no listing.
func (r *Reader) leap(ctx context.Context) error {
	there := func(k uint64) (bool, error) {
		_, err := r.get(ctx, numbered(PrefixBoundaries, k), kindBoundary, k)
		switch {
		case errors.Is(err, cold.ErrNotFound):
			return false, nil
		case errors.Is(err, catalog.ErrCorrupt): // it is there; whether it matters, its place says
			return true, nil
		}
		return err == nil, err
	}
	have, step := r.boundary, uint64(1)
	for ; ; step *= 2 {
		ok, err := there(have + step)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		have += step
	}
	for step /= 2; step > 0; step /= 2 { // have is there, have+2*step is not
		ok, err := there(have + step)
		if err != nil {
			return err
		}
		if ok {
			have += step
		}
	}
	if have > 0 {
		r.boundary = have - 1 // which followBoundary reads
	}
	return nil
}

// followBoundary walks the chain of boundaries to its end.
func (r *Reader) followBoundary(ctx context.Context) error {
	for {
		floor, snap, err := r.readBoundary(ctx, r.boundary+1)
		if errors.Is(err, cold.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		r.boundary, r.floor, r.snapshot = r.boundary+1, floor, max(snap, r.snapshot)
	}
}

func (r *Reader) loadSnapshot(ctx context.Context, n uint64) error {
	name := numbered(PrefixSnapshots, n)
	f, err := r.get(ctx, name, kindSnapshot, n)
	if err != nil {
		return err
	}
	s, err := catalog.DecodeState(f.payload)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if s.Number() != n {
		return fmt.Errorf("%s: %w: it holds the state after entry %d", name, catalog.ErrCorrupt, s.Number())
	}
	r.state, r.snapshot, r.due = s, n, false
	r.toll.reset(s)
	return nil
}

// believed is how many equal reads of bytes that make no sense say that the object is
// so. Fewer may have been damaged on the way, and must not end a broker. After garbled
// reads that do not agree nothing is known: who insists pauses and asks again.
const (
	believed = 3
	garbled  = 8
)

func (r *Reader) get(ctx context.Context, name string, kind byte, number uint64) (frame, error) {
	seen := map[[sha256.Size]byte]int{}
	for reads := 1; ; reads++ {
		b, err := r.fetch(ctx, name, kind)
		if err != nil {
			return frame{}, fmt.Errorf("read %s: %w", name, err)
		}
		f, err := decodeFrame(b, kind, number)
		if err == nil {
			return f, nil
		}
		sum := sha256.Sum256(b)
		if seen[sum]++; seen[sum] == believed {
			return frame{}, fmt.Errorf("%s: %w", name, err)
		}
		if reads == garbled { // not ErrCorrupt: that is not what it says
			return frame{}, fmt.Errorf("%s: %d reads make no sense and do not agree, the last one: %v", name, reads, err)
		}
	}
}

// fetch reads an object once. What is small and takes long is lost, and asked for again, with
// more time as long as that was not enough: a broker that waits does not know whether it
// still leads (S13).
func (r *Reader) fetch(ctx context.Context, name string, kind byte) ([]byte, error) {
	if kind != kindEntry && kind != kindBoundary || r.patience == nil {
		return r.store.Get(ctx, name, cold.Whole, nil)
	}
	for limit := time.Duration(r.patience.Load()); ; limit = min(2*limit, attemptTimeout) {
		began := time.Now()
		b, late, err := r.within(ctx, limit, name)
		switch {
		case late && limit < attemptTimeout:
			continue
		case late:
			r.patience.Store(int64(limit))
		default:
			r.patience.Store(int64(min(max(firstTimeout, 4*time.Since(began)), attemptTimeout)))
		}
		return b, err
	}
}

// within is one request; late says that its time was over, and not ctx.
func (r *Reader) within(ctx context.Context, limit time.Duration, name string) (b []byte, late bool, err error) {
	actx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	b, err = r.store.Get(actx, name, cold.Whole, nil)
	return b, err != nil && actx.Err() != nil && ctx.Err() == nil, err
}

func (r *Reader) entry(ctx context.Context, n uint64) (Entry, writer, error) {
	name := numbered(PrefixEntries, n)
	f, err := r.get(ctx, name, kindEntry, n)
	if err != nil {
		return Entry{}, writer{}, err
	}
	if len(f.payload) == 0 {
		return Entry{}, writer{}, fmt.Errorf("%s: %w: it is empty", name, catalog.ErrCorrupt)
	}
	cmds := f.payload[1:]
	if f.payload[0] == 1 {
		side := string(cmds)
		g, err := r.get(ctx, side, kindSide, n)
		if errors.Is(err, cold.ErrNotFound) {
			return Entry{}, writer{}, fmt.Errorf("%s: %w: %w", name, errNoSide, err)
		}
		if err != nil {
			return Entry{}, writer{}, fmt.Errorf("%s: %w", name, err)
		}
		cmds = g.payload
	}
	e := Entry{Number: n, Writer: f.writer.nonce, size: len(cmds)}
	if e.Commands, err = catalog.DecodeCommands(cmds); err != nil {
		return Entry{}, writer{}, fmt.Errorf("%s: %w", name, err)
	}
	return e, f.writer, nil
}

// ReadEntry reads one entry; cold.ErrNotFound when it was deleted or is not yet.
func ReadEntry(ctx context.Context, store cold.Store, n uint64) (Entry, error) {
	r := Reader{store: store}
	e, _, err := r.entry(ctx, n)
	return e, err
}
