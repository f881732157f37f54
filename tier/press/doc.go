// Package press turns snow into ice: it seals generations of the hot tier into
// large objects, presses what WAL objects of dead sessions still hold, merges small
// extents into segments, compacts by key, presses old extents out of the catalog,
// drops what retention gives up, and deletes what nothing can refer to any more.
// What to do is decided by pure functions (plan.go); the rest does it.
//
// # Invariants
//
//	P1  Every object that is put belongs to a registered job (S12); the job is
//	    committed with all it put, or cancelled.
//	P2  What a job writes describes exactly the offsets of what it replaces (the
//	    catalog checks it), and the bytes that it read were checked before.
//	P3  The journal says first that an object is garbage, and for the grace period
//	    nobody deletes it; the delete comes second, the journal learns of it third
//	    (S10).
//	P4  Footers name what is known of producers at the end of the run. Only
//	    partitions that this broker leads are rewritten, because only it knows; the
//	    catalog refuses the others.
//	P5  Objects of a job numbered from catalog.CompactedFrom on hold runs that were
//	    compacted by key: in them every key is there once.
package press

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// Journal is the agreed state and the way to change it.
type Journal interface {
	State() *catalog.State
	Commit(ctx context.Context, cmds ...catalog.Command) ([]catalog.Result, error)
}

// Writer is the write path that fills the hot tier.
type Writer interface {
	// Committed is the session that is served and its first slot that is not
	// committed; zeros when there is none.
	Committed() (session, slot uint64)
	// Index moves the covered mark up to what is committed.
	Index(ctx context.Context) error
	// Tips are the ends of what is committed in slots of the session below to, and may
	// not be described yet (I9).
	Tips(ctx context.Context, session, to uint64) ([]catalog.Tip, error)
	// Covered says that the covered mark may have moved.
	Covered(ctx context.Context) error
	// Producers is what a footer says of a partition's producers: what is known from
	// committed batches alone. It fails for partitions that are not led (P4).
	Producers(ctx context.Context, p record.Partition) ([]object.Producer, error)
	// Trim says that a log start has moved.
	Trim(ctx context.Context, p record.Partition, start int64) error
}

// Options of a Press. Store, Settler, Journal and Writer are needed.
type Options struct {
	Store   cold.Store
	Settler *cold.Settler
	Journal Journal
	Writer  Writer
	Hot     Generations // nil without a hot tier; see OnHot
	Nonce   [16]byte
	Logger  *slog.Logger
	// SealEvery is seal.interval.ms: how old a generation gets.
	SealEvery time.Duration
	// RetainEvery is log.retention.check.interval.ms.
	RetainEvery time.Duration
	// Grace is gc.grace.ms: how long garbage stays for readers that are behind.
	Grace time.Duration
	// Setting looks up a broker setting that gives a topic config its default.
	Setting Setting
	// Now is the clock; its monotonic part is used. Default time.Now.
	Now func() time.Time
	// Wall is the time by the calendar, by which records get old. It must not block.
	// Default Now.
	Wall func() time.Time
	// Limits are DefaultLimits where they are zero.
	Limits Limits
}

// Press does the work of this package for one broker.
type Press struct {
	Options
	seen   map[catalog.ObjectRef]time.Time // garbage, and when it was first seen
	dead   map[uint64]time.Time            // sessions without extents, likewise
	avoid  map[catalog.ObjectRef]time.Time // objects that cannot be read, and until when
	more   bool                            // the last turn left some of its work
	sealed uint64                          // the newest sealed session that linger has seen to
	atOnce int                             // how many objects are deleted at once, each by a goroutine; below 2: none
}

// New makes a Press.
func New(o Options) *Press {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wall == nil {
		o.Wall = o.Now
	}
	if o.Limits == (Limits{}) {
		o.Limits = DefaultLimits()
	}
	return &Press{
		Options: o, seen: map[catalog.ObjectRef]time.Time{}, dead: map[uint64]time.Time{},
		avoid: map[catalog.ObjectRef]time.Time{},
	}
}

// Run works until ctx ends. What fails is tried again at the next turn.
func (p *Press) Run(ctx context.Context) error {
	p.atOnce = deletesMost
	every := max(min(p.SealEvery/4, time.Second), 50*time.Millisecond)
	tick := time.NewTicker(every)
	defer tick.Stop()
	var retained, pressed time.Time
	var retired <-chan struct{}
	if p.Hot != nil {
		retired = p.Hot.Retired()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-retired:
		}
		p.try(ctx, "seal", p.seal)
		if now := p.Now(); p.more || p.buried() || now.Sub(pressed) >= p.SealEvery {
			pressed = now
			p.Turn(ctx)
		}
		if now := p.Now(); now.Sub(retained) >= p.RetainEvery {
			retained = now
			p.Retain(ctx)
		}
	}
}

// Turn does all but sealing and retention, once. Run calls it; simulations, which have
// no Run, do it themselves.
func (p *Press) Turn(ctx context.Context) {
	p.more = false
	p.try(ctx, "press WAL objects of dead sessions", p.linger)
	p.try(ctx, "merge", p.merge)
	p.try(ctx, "compact", p.compact)
	p.try(ctx, "press extents out of the catalog", p.index)
	p.try(ctx, "collect garbage", p.collect)
}

// Retain applies retention, once, as Turn does the rest.
func (p *Press) Retain(ctx context.Context) {
	p.try(ctx, "apply retention", p.retain)
	p.try(ctx, "apply local retention", p.cool)
}

// buried reports whether a session was sealed since the last call: what it left in
// WAL objects is pressed at once, so that nobody has to read it there twice.
func (p *Press) buried() bool {
	var newest uint64
	for _, v := range p.Journal.State().Sessions() {
		if v.Sealed && !v.Swept {
			newest = max(newest, v.ID)
		}
	}
	fresh := newest > p.sealed
	p.sealed = max(p.sealed, newest)
	return fresh
}

func (p *Press) try(ctx context.Context, what string, do func(context.Context) error) {
	err := do(ctx)
	switch {
	case err == nil || ctx.Err() != nil || errors.Is(err, catalog.ErrSealed):
	case errors.Is(err, catalog.ErrInvalidExtents), errors.Is(err, catalog.ErrStale), errors.Is(err, catalog.ErrNoJob),
		errors.Is(err, catalog.ErrNotOwner), errors.Is(err, ErrNotLed):
		p.Logger.Debug("the catalog moved on; it will be planned anew", "what", what, "err", err)
	default:
		p.Logger.Warn("could not "+what+"; it will be tried again", "err", err)
	}
}

// session is the session that works now; false when there is none.
func (p *Press) session() (*catalog.Session, bool) {
	id, _ := p.Writer.Committed()
	s, ok := p.Journal.State().Session(id)
	return s, ok && !s.Sealed
}

func (p *Press) wallMs() int64 { return p.Wall().UnixMilli() }

func (p *Press) one(ctx context.Context, c catalog.Command) (catalog.Result, error) {
	res, err := p.Journal.Commit(ctx, c)
	if err != nil {
		return catalog.Result{}, err
	}
	return res[0], res[0].Err
}

// job registers a job, lets write put its objects, and commits what it says; or
// cancels the job (P1).
func (p *Press) job(ctx context.Context, session uint64, write func(j *job) (*catalog.CommitJob, error)) error {
	r, err := p.one(ctx, &catalog.BeginJob{Session: session})
	if err != nil {
		return fmt.Errorf("begin job: %w", err)
	}
	j := &job{press: p, ctx: ctx, id: r.ID}
	c, err := write(j)
	if err == nil && c != nil {
		c.Job, c.Objects = r.ID, j.objects
		if err = p.commit(ctx, session, c); err == nil {
			return nil
		}
	}
	_, cerr := p.one(ctx, &catalog.CancelJob{Job: r.ID})
	if errors.Is(cerr, catalog.ErrNoJob) {
		cerr = nil
	}
	return errors.Join(err, cerr)
}

// commit commits a job. While it wrote, the write path may have moved the covered mark
// with extents that point into WAL objects: those are replaced, and what is left above the
// mark is covered. Otherwise a write path that is quicker than sealing would let no job
// through.
func (p *Press) commit(ctx context.Context, session uint64, c *catalog.CommitJob) error {
	for {
		_, err := p.one(ctx, c)
		s, ok := p.Journal.State().Session(session)
		if !errors.Is(err, catalog.ErrStale) || c.To <= c.From || !ok || s.Covered <= c.From {
			return err
		}
		c.From = s.Covered
		c.To = max(c.From, c.To)
	}
}

// job is one that is under way.
type job struct {
	press   *Press
	ctx     context.Context
	id      uint64
	objects []catalog.ObjectRef
}

// put finishes an object and puts it; it returns its runs as extents.
func (j *job) put(e *object.Encoder, n uint64) ([]catalog.Located, error) {
	runs, err := e.Finish()
	if err != nil {
		return nil, err
	}
	ref := catalog.Seg(j.id, n)
	if err := j.send(ref, cold.Bytes(e.Segments()...), e.Identity()); err != nil {
		return nil, err
	}
	j.objects = append(j.objects, ref)
	out := make([]catalog.Located, len(runs))
	for i, r := range runs {
		out[i] = catalog.Located{Partition: r.Partition, Extent: catalog.Extent{
			Base: r.Base, Next: r.Next, Epoch: r.Epoch, Object: ref, Pos: r.Pos, Len: r.Len,
			MaxTimestamp: r.MaxTimestamp, CRC: r.CRC, Records: r.Records,
		}}
	}
	return out, nil
}

// send puts the bytes of an object.
func (j *job) send(ref catalog.ObjectRef, body cold.Body, identity uint32) error {
	err := j.press.Settler.Put(j.ctx, ref.Name(), body, func(existing []byte) bool {
		_, id, err := object.Identity(existing)
		return err == nil && id == identity
	})
	if err != nil {
		return fmt.Errorf("put %s: %w", ref, err)
	}
	return nil
}

// begin starts the n-th object of the job.
func (j *job) begin(kind object.Kind, n uint64) *object.Encoder {
	return object.NewEncoder(object.Header{Kind: kind, Session: j.id, Slot: n, Nonce: j.press.Nonce}, j.press.wallMs(), nil)
}
