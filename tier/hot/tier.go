package hot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a Tier. The zero value of each field is its default.
type Options struct {
	Logger *slog.Logger
	// MaxBytes is the quota of the whole tier on disk. Default: no quota but the
	// disk. Four generations are the least that makes sense.
	MaxBytes int64
	// GenerationBytes is when a generation is full. Default 256 MiB, at most 1 GiB.
	GenerationBytes int64
	// IndexBytes is the memory for the index, about, beside what is not sealed yet.
	// Default 128 MiB, or a sixteenth of the memory limit (GOMEMLIMIT) if that is less.
	IndexBytes int64
	// Retry is how long the tier rests after the disk has failed. Default 1 s.
	Retry time.Duration

	free   func(dir string) (int64, error) // of the disk; nil: its own word
	fewest int64                           // generations that most allows whatever the quota
}

const (
	defaultGeneration = 256 << 20
	maxGeneration     = 1 << 30
	defaultIndex      = 128 << 20
	fewestGenerations = 64
)

// Tier is the hot tier of one broker. Its methods may be called from many
// goroutines; those that append (Append, Rotate, StartSession) take turns.
type Tier struct {
	dir  string
	opts Options
	log  *slog.Logger
	lock *os.File
	free func(dir string) (int64, error)

	// turn is held by the one that appends or ends generations, across I/O. No
	// state that readers need is behind it.
	turn chan struct{}
	// syncTurn is held by the one whose Sync is under way; those who wait for it
	// mostly find their slot synced, too: that is the group commit of acks=1.
	syncTurn chan struct{}
	retired  chan struct{}
	tasks    sync.WaitGroup

	// The appender's own, behind turn.
	session  Session
	started  bool
	over     uint64 // sessions below are not started any more
	seq      uint64 // of the next generation of the session
	nextSlot uint64 // slots below are refused
	notUntil time.Time
	ready    chan struct{} // closed when the generation opened ahead is there
	told     State         // what the log says of the tier
	saidAt   time.Time     // when it last said that the tier takes nothing

	mu     sync.RWMutex
	gens   []*generation // oldest first; replaced, never changed in place
	active *generation
	spare  *generation // opened ahead
	lastID uint64
	closed bool

	stats counters
}

type counters struct {
	state                          atomic.Int32
	appends, appended              atomic.Int64
	hits, misses, damaged, dropped atomic.Int64
	refused                        atomic.Int64
}

// State is how the tier is doing.
type State int32

// States of a Tier.
const (
	Healthy     State = iota
	Full              // refuses appends for want of room
	Unavailable       // the disk failed; the tier will try again
)

// String names the state as the gauge's label does.
func (s State) String() string {
	switch s {
	case Healthy:
		return "healthy"
	case Full:
		return "full"
	}
	return "unavailable"
}

// Stats are totals since Open, but for State, Bytes and Generations, which are now.
type Stats struct {
	State       State
	Bytes       int64 // on disk, reserved room not counted
	Generations int
	Appends     int64 // slots taken
	Appended    int64 // bytes of values taken
	Refused     int64 // slots not taken
	Hits        int64 // reads that found something
	Misses      int64 // reads that found nothing
	Damaged     int64 // values that failed their checksum
	Dropped     int64 // generations dropped
}

// Open takes the folder for this process and finds what earlier lives of the
// broker left in it. A folder that another process uses is ErrLocked. Whatever
// is unreadable is removed and said in one line of the log: the tier is a cache. What
// there is no room to open is left for the next life: it may hold leftovers.
// What is found is served after Settle (H2).
func Open(ctx context.Context, dir string, o Options) (*Tier, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.GenerationBytes <= 0 {
		o.GenerationBytes = defaultGeneration
	}
	o.GenerationBytes = min(o.GenerationBytes, maxGeneration)
	if o.IndexBytes <= 0 {
		o.IndexBytes = min(defaultIndex, debug.SetMemoryLimit(-1)/16)
	}
	if o.fewest <= 0 {
		o.fewest = fewestGenerations
	}
	if o.Retry <= 0 {
		o.Retry = time.Second
	}
	if o.free == nil {
		o.free = freeBytes
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open hot tier: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	t := &Tier{
		dir: dir, opts: o, log: o.Logger, lock: lock, free: o.free,
		turn: make(chan struct{}, 1), syncTurn: make(chan struct{}, 1), retired: make(chan struct{}, 1),
	}
	if err := t.recover(ctx); err != nil {
		return nil, errors.Join(err, t.Close(ctx))
	}
	return t, nil
}

// Close ends the tier. Generations that somebody still has pinned when ctx ends
// are left as a crash would leave them, and the error says so.
func (t *Tier) Close(ctx context.Context) error {
	t.turn <- struct{}{}
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		<-t.turn
		return nil
	}
	t.closed = true
	gens, spare := t.gens, t.spare
	t.gens, t.spare, t.active = nil, nil, nil
	t.mu.Unlock()
	<-t.turn

	t.syncTurn <- struct{}{} // a Sync under way ends first
	<-t.syncTurn
	if spare != nil {
		t.discard(spare)
	}
	for _, g := range gens {
		g.mu.Lock()
		g.gone = true
		g.mu.Unlock()
		t.release(g)
	}
	done := make(chan struct{})
	go func() { t.tasks.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("close hot tier: generations are still being read: %w", ctx.Err())
	}
	return t.lock.Close()
}

// Stats returns the counters.
func (t *Tier) Stats() Stats {
	s := Stats{
		State: State(t.stats.state.Load()), Appends: t.stats.appends.Load(), Appended: t.stats.appended.Load(),
		Refused: t.stats.refused.Load(), Hits: t.stats.hits.Load(), Misses: t.stats.misses.Load(),
		Damaged: t.stats.damaged.Load(), Dropped: t.stats.dropped.Load(),
	}
	for _, g := range t.list() {
		g.mu.RLock()
		s.Bytes += g.disk
		g.mu.RUnlock()
		s.Generations++
	}
	return s
}

// Retired receives a value after a generation was retired: there is something to
// seal. One that waits stands for all.
func (t *Tier) Retired() <-chan struct{} { return t.retired }

// list returns the generations, oldest first. The slice is not to be changed.
func (t *Tier) list() []*generation {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.gens
}

// add publishes a generation.
func (t *Tier) add(g *generation, active bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lastID++
	g.id = t.lastID
	t.tasks.Add(1) // until finish
	t.gens = append(slices.Clip(t.gens), g)
	if active {
		t.active = g
	}
}

// release gives up a reference, and ends the generation with the last one.
func (t *Tier) release(g *generation) {
	if g.refs.Add(-1) == 0 {
		go t.finish(g)
	}
}

// finish ends a generation that nobody refers to any more: removed when it was
// dropped, kept for the next life when the tier is closed.
func (t *Tier) finish(g *generation) {
	defer t.tasks.Done()
	g.mu.RLock()
	remove, memory := g.dropped || g.batches == 0, g.memory
	g.mu.RUnlock()
	if free, err := t.free(t.dir); !remove && (err != nil || free < memory+spare/4) {
		// Closing would write the memtable out. What is there is recovered as
		// after a crash, which needs no room.
		t.log.Warn("hot tier generation left open for want of room", "generation", g.path, "free", free)
		return
	}
	if err := g.end(remove); err != nil {
		t.log.Warn("hot tier generation did not end well", "generation", g.path, "error", err)
	}
}

// discard ends a generation that was never published.
func (t *Tier) discard(g *generation) {
	if err := g.end(true); err != nil {
		t.log.Warn("hot tier generation did not end well", "generation", g.path, "error", err)
	}
}

func (t *Tier) background(f func()) { t.tasks.Go(f) }
