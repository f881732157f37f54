package tier

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/hot"
	"github.com/firnlog/firn/tier/object"
)

// The write side presses snow into ice: a Press seals generations of the hot
// tier, merges small extents, compacts by key, presses old extents out of the
// catalog, applies retention, and deletes what nothing can refer to any more.
// What to do is decided by pure functions (plan.go); the rest of it does it.
//
// Invariants of writing:
//
//	W1  Every object that is put belongs to a registered job (S12), whose number
//	    is in its name; the job is committed with all that it put, or cancelled.
//	W2  What a job writes describes exactly the offsets of what it replaces, and
//	    the bytes that it read were checked before they are believed.
//	W3  The journal says first that an object is garbage; nobody deletes it for the
//	    grace period; the journal learns last that it is gone (S10).
//	W4  Footers name what is known of producers at the end of the run; only
//	    partitions that this broker leads are rewritten, because only it knows.
//	W5  Objects of a job numbered from compactedFrom on hold runs that were
//	    compacted by key: in them every key is there once.

// Journal is the agreed state and the way to change it.
type Journal interface {
	State() *catalog.State
	Commit(ctx context.Context, cmds ...catalog.Command) ([]catalog.Result, error)
}

// Owner is the write path of this broker, which leads partitions and fills the
// hot tier. Its methods may block for as long as the journal is away.
type Owner interface {
	// Committed is the session that is served and its first slot that is not
	// committed; zeros when there is none.
	Committed() (session, slot uint64)
	// Index moves the covered mark up to what is committed, by extents that point
	// into WAL objects.
	Index(ctx context.Context) error
	// Covered says that the covered mark may have moved.
	Covered(ctx context.Context) error
	// Producers is what is known of a partition's producers from committed batches
	// alone.
	Producers(ctx context.Context, p record.Partition) ([]object.Producer, error)
	// Trim says that a partition's log start has moved.
	Trim(ctx context.Context, p record.Partition, start int64) error
}

// Observer counts what a Press does. Its methods must not block.
type Observer interface {
	// Sealed: a generation of so many bytes became extents.
	Sealed(bytes int64, extents int)
	// Rewritten: extents of so many bytes became others ("merge", "compact").
	Rewritten(what string, before, after int64)
	// Deleted: so many objects left the bucket ("object", "orphan", "wal").
	Deleted(kind string, objects int)
	// Failed: something will be tried again.
	Failed(what string)
}

// PressOptions are for [NewPress]. Store, Settler, Journal, Owner and Logger are
// needed.
type PressOptions struct {
	Store    cold.Store
	Settler  *cold.Settler
	Journal  Journal
	Owner    Owner
	Hot      Generations // nil without a hot tier; see OnHot
	Nonce    [16]byte    // of this process, for the headers of objects
	Logger   *slog.Logger
	Observer Observer         // may be nil
	Now      func() time.Time // default time.Now; its monotonic part is used

	// SealEvery is seal.interval.ms: the age at which a generation is ended. Its
	// size, seal.bytes, is the hot tier's. Default 60 s.
	SealEvery time.Duration
	// RetainEvery is log.retention.check.interval.ms. Default 5 min.
	RetainEvery time.Duration
	// CleanEvery is how often the compactor looks for work (log.cleaner.backoff.ms
	// in Kafka). Default 15 s.
	CleanEvery time.Duration
	// Grace is gc.grace.ms: how long garbage stays for readers that are behind.
	Grace time.Duration
	// Setting looks up a broker setting that gives a topic config its default.
	Setting func(name string) (string, bool)
	// Spool is a folder for objects too large for memory while they are written.
	Spool string
	// Rate bounds the bytes a second that rewriting reads and writes, so that it
	// does not slow producers (log.cleaner.io.max.bytes.per.second). Default 64 MiB/s.
	Rate int64
	// Keys bounds the keys that one pass of compaction remembers, at about 60 bytes
	// each (log.cleaner.dedupe.buffer.size). Default 1,048,576.
	Keys int
	// Limits decide what is worth doing. Default [DefaultLimits]; without a spool
	// segments stay below SpoolFrom.
	Limits Limits
}

// SpoolFrom is the size of an object from which on it is written to a file first.
const SpoolFrom = 32 << 20

// Press is the write side of one broker's tiers.
type Press struct {
	PressOptions
	pace pace
	gc   collection
	// avoid is objects that could not be read, and until when they are left alone.
	// It belongs to the goroutine that rewrites.
	avoid map[catalog.ObjectRef]time.Time

	mu       sync.Mutex // of what follows
	starting int
	running  map[uint64]bool // jobs of this process
}

// NewPress makes a Press.
func NewPress(o PressOptions) *Press {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Observer == nil {
		o.Observer = nobody{}
	}
	if o.Setting == nil {
		o.Setting = func(string) (string, bool) { return "", false }
	}
	o.SealEvery = orDefault(o.SealEvery, time.Minute)
	o.RetainEvery = orDefault(o.RetainEvery, 5*time.Minute)
	o.CleanEvery = orDefault(o.CleanEvery, 15*time.Second)
	o.Rate = orDefault(o.Rate, 64<<20)
	o.Keys = orDefault(o.Keys, 1<<20)
	o.Limits = orDefault(o.Limits, DefaultLimits())
	if o.Spool == "" {
		o.Limits.Target = min(o.Limits.Target, SpoolFrom)
	}
	return &Press{
		PressOptions: o, pace: pace{rate: o.Rate, now: o.Now}, running: map[uint64]bool{},
		avoid: map[catalog.ObjectRef]time.Time{},
		gc: collection{seen: map[catalog.ObjectRef]time.Time{}, dead: map[uint64]*deadSession{}},
	}
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

type nobody struct{}

func (nobody) Sealed(int64, int)              {}
func (nobody) Rewritten(string, int64, int64) {}
func (nobody) Deleted(string, int)            {}
func (nobody) Failed(string)                  {}

// Run works until ctx ends, and returns when all that it started has ended. What
// fails is tried again, later each time.
func (p *Press) Run(ctx context.Context) error {
	p.sweepSpool()
	var wg sync.WaitGroup
	wg.Go(func() {
		var retired <-chan struct{}
		if p.Hot != nil {
			retired = p.Hot.Retired()
		}
		p.loop(ctx, max(min(p.SealEvery/4, time.Second), 50*time.Millisecond), retired, task{"seal", p.seal})
	})
	wg.Go(func() {
		p.loop(ctx, p.RetainEvery, nil, task{"apply retention", p.retain}, task{"drop generations", p.cool})
	})
	wg.Go(func() {
		p.loop(ctx, p.CleanEvery, nil,
			task{"merge extents", p.mergeAll},
			task{"compact by key", p.compactAll},
			task{"press extents out of the catalog", p.pressAll})
	})
	wg.Go(func() {
		p.loop(ctx, max(min(p.Grace/4, 10*time.Second), 100*time.Millisecond), nil, task{"collect garbage", p.collect})
	})
	wg.Wait()
	return nil
}

// task is something that a loop does every so often.
type task struct {
	what string
	do   func(context.Context) error
}

// loop does tasks every so often, and when poked. A task that fails waits longer each time, up
// to a minute; it never holds up the others for longer than it runs.
func (p *Press) loop(ctx context.Context, every time.Duration, poke <-chan struct{}, tasks ...task) {
	next := make([]time.Time, len(tasks))
	failures := make([]int, len(tasks))
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-poke:
		}
		for i, t := range tasks {
			if p.Now().Before(next[i]) {
				continue
			}
			err := t.do(ctx)
			if ctx.Err() != nil {
				return
			}
			if err == nil || errors.Is(err, errNoSession) || errors.Is(err, catalog.ErrSealed) {
				failures[i] = 0
				continue
			}
			wait := min(time.Second<<min(failures[i], 6), time.Minute)
			failures[i]++
			next[i] = p.Now().Add(wait)
			p.Observer.Failed(t.what)
			p.Logger.Warn("could not "+t.what+"; it will be tried again", "err", err, "in", wait.String())
		}
	}
}

// errNoSession: there is nobody to work for just now.
var errNoSession = errors.New("no session is served")

// session is the session that is served now.
func (p *Press) session() (*catalog.Session, error) {
	id, _ := p.Owner.Committed()
	if s, ok := p.Journal.State().Session(id); ok && !s.Sealed {
		return s, nil
	}
	return nil, errNoSession
}

func (p *Press) nowMs() int64 { return p.Now().UnixMilli() }

func (p *Press) one(ctx context.Context, c catalog.Command) (catalog.Result, error) {
	res, err := p.Journal.Commit(ctx, c)
	if err != nil {
		return catalog.Result{}, err
	}
	return res[0], res[0].Err
}

// job registers a job, lets write put its objects, and commits what it says; or
// cancels the job (W1). A write that returns nothing cancels it without an error.
func (p *Press) job(ctx context.Context, session uint64, write func(j *job) (*catalog.CommitJob, error)) error {
	p.mu.Lock()
	p.starting++
	p.mu.Unlock()
	r, err := p.one(ctx, &catalog.BeginJob{Session: session})
	p.mu.Lock()
	p.starting--
	if err == nil {
		p.running[r.ID] = true
	}
	p.mu.Unlock()
	if err != nil {
		return fmt.Errorf("begin a job: %w", err)
	}
	defer func() {
		p.mu.Lock()
		delete(p.running, r.ID)
		p.mu.Unlock()
	}()
	j := &job{press: p, id: r.ID}
	c, err := write(j)
	if err == nil && c != nil {
		c.Job, c.Objects = r.ID, j.objects
		if _, err = p.one(ctx, c); err == nil {
			return nil
		}
		err = fmt.Errorf("commit job %d: %w", r.ID, err)
	}
	if ctx.Err() != nil {
		return err // collect cancels what is left of a session's jobs
	}
	_, cerr := p.one(ctx, &catalog.CancelJob{Job: r.ID})
	if errors.Is(cerr, catalog.ErrNoJob) {
		cerr = nil
	}
	return errors.Join(err, cerr)
}

// job is one that is under way.
type job struct {
	press   *Press
	id      uint64
	objects []catalog.ObjectRef
}

func (j *job) header(kind object.Kind, n uint64) object.Header {
	return object.Header{Kind: kind, Session: j.id, Slot: n, Nonce: j.press.Nonce}
}

// put binds an object to its name and returns its runs as extents.
func (j *job) put(ctx context.Context, n uint64, body cold.Body, identity uint32, runs []object.Run) ([]catalog.Located, error) {
	ref := catalog.Seg(j.id, n)
	if err := j.send(ctx, ref, body, identity); err != nil {
		return nil, err
	}
	out := make([]catalog.Located, len(runs))
	for i, r := range runs {
		out[i] = catalog.Located{Partition: r.Partition, Extent: catalog.Extent{
			Base: r.Base, Next: r.Next, Epoch: r.Epoch, Object: ref, Pos: r.Pos, Len: r.Len,
			MaxTimestamp: r.MaxTimestamp, CRC: r.CRC, Records: r.Records,
		}}
	}
	return out, nil
}

func (j *job) send(ctx context.Context, ref catalog.ObjectRef, body cold.Body, identity uint32) error {
	err := j.press.Settler.Put(ctx, ref.Name(), body, func(existing []byte) bool {
		_, id, err := object.Identity(existing)
		return err == nil && id == identity
	})
	if err != nil {
		return fmt.Errorf("put %s: %w", ref, err)
	}
	j.objects = append(j.objects, ref)
	return nil
}

// sink is an object that is being written from bytes that do not stay: in memory
// while it is small, else in a file of the spool.
type sink struct {
	*object.Encoder
	job    *job
	n      uint64
	memory *bytes.Buffer
	file   *os.File
	w      *bufio.Writer
}

const spoolPattern = "press-*.spool"

// open begins an object of about so many bytes.
func (j *job) open(kind object.Kind, n uint64, size int64) (*sink, error) {
	s := &sink{job: j, n: n}
	now := j.press.nowMs()
	if size < SpoolFrom || j.press.Spool == "" {
		s.memory = new(bytes.Buffer)
		s.Encoder = object.NewEncoder(j.header(kind, n), now, s.memory)
		return s, nil
	}
	f, err := os.CreateTemp(j.press.Spool, spoolPattern)
	if err != nil {
		return nil, fmt.Errorf("spool of %s: %w", catalog.Seg(j.id, n), err)
	}
	s.file, s.w = f, bufio.NewWriterSize(f, 1<<20)
	s.Encoder = object.NewEncoder(j.header(kind, n), now, s.w)
	return s, nil
}

// finish puts the object. The sink must be discarded all the same.
func (s *sink) finish(ctx context.Context) ([]catalog.Located, error) {
	runs, err := s.Finish()
	if err == nil && s.w != nil {
		err = s.w.Flush()
	}
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", catalog.Seg(s.job.id, s.n), err)
	}
	if err := s.job.press.pace.spend(ctx, s.Size()); err != nil {
		return nil, err
	}
	var body cold.Body
	if s.memory != nil {
		body = cold.Bytes(s.memory.Bytes())
	} else if body, err = cold.File(s.file.Name()); err != nil {
		return nil, err
	}
	return s.job.put(ctx, s.n, body, s.Identity(), runs)
}

// discard gives back what the sink holds. It may be called more than once.
func (s *sink) discard() {
	if s.file == nil {
		return
	}
	name := s.file.Name()
	_ = s.file.Close() // it is a copy
	if err := os.Remove(name); err != nil {
		s.job.press.Logger.Warn("could not remove a spool file", "err", err)
	}
	s.file = nil
}

// sweepSpool removes what a process that was killed left in the spool. The data
// folder belongs to one process.
func (p *Press) sweepSpool() {
	if p.Spool == "" {
		return
	}
	left, _ := filepath.Glob(filepath.Join(p.Spool, spoolPattern))
	for _, f := range left {
		if err := os.Remove(f); err != nil {
			p.Logger.Warn("could not remove a spool file", "err", err)
		}
	}
}

// pace spreads bytes over time: whoever spends waits until they are due.
type pace struct {
	rate int64
	now  func() time.Time
	mu   sync.Mutex
	free time.Time // when what was spent is paid for
}

func (p *pace) spend(ctx context.Context, n int64) error {
	p.mu.Lock()
	now := p.now()
	// What was not used is lost but for a second's worth: no bursts after a pause.
	if least := now.Add(-time.Second); p.free.Before(least) {
		p.free = least
	}
	p.free = p.free.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	wait := p.free.Sub(now)
	p.mu.Unlock()
	if wait <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pressAll presses old extents of partitions that have many into index objects, so
// that the catalog does not grow with history (DESIGN 6).
func (p *Press) pressAll(ctx context.Context) error {
	s, err := p.session()
	if err != nil {
		return err
	}
	work := PlanPress(p.Journal.State(), s.ID, p.Limits, p.Setting)
	if len(work) == 0 {
		return nil
	}
	return p.job(ctx, s.ID, func(j *job) (*catalog.CommitJob, error) {
		c := &catalog.CommitJob{}
		for i, w := range work {
			b := object.EncodeIndex(j.id, uint64(i), p.Nonce, p.nowMs(), catalog.EncodeExtents(w.Extents))
			_, identity, err := object.Identity(b)
			if err != nil {
				return nil, err
			}
			line := Line(catalog.Index(j.id, uint64(i)), w.Extents)
			if err := j.send(ctx, line.Object, cold.Bytes(b), identity); err != nil {
				return nil, err
			}
			c.Presses = append(c.Presses, catalog.Press{Partition: w.Partition, Line: line})
		}
		p.Logger.Info("pressed extents out of the catalog", "partitions", len(work))
		return c, nil
	})
}

// Generations is the hot tier as the write side sees it. OnHot makes one.
type Generations interface {
	Generations() []hot.Info
	Shares(id uint64) ([]hot.Share, error)
	Hold(id uint64) (Held, error)
	Lifecycle
}

// Lifecycle is what becomes of generations.
type Lifecycle interface {
	Retired() <-chan struct{}
	Rotate()
	MarkSealed(id uint64) error
	Drop(id uint64) error
}

// Held is a generation whose bytes stay valid until Release.
type Held interface {
	Scan(fn func(hot.Entry) error) error
	Release()
}

// OnHot makes Generations of a hot tier; nil of none.
func OnHot(t *hot.Tier) Generations {
	if t == nil {
		return nil
	}
	return onHot{t}
}

type onHot struct{ *hot.Tier }

func (t onHot) Hold(id uint64) (Held, error) {
	p, err := t.Pin(id)
	if err != nil {
		return nil, err
	}
	return p, nil
}
