package pump

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/planted"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// FenceOptions say which session is to be fenced, and by whom.
type FenceOptions struct {
	Store   cold.Store
	Session Session  // the one to be fenced
	From    uint64   // its covered mark in the catalog
	Nonce   [16]byte // of the process that fences
	// Readers is how many footers are read at once. Default 16.
	Readers int
	// Gone is asked once, when the store has answered and before anything is put, whether
	// the session is to be fenced still. Its error ends the fence. It may block; nil: yes.
	Gone func(ctx context.Context) error

	// Stage is where simulations run it; nil for goroutines and the clock.
	Stage Stage

	own bool // it is our own session: nobody needs to be asked what there is
}

// Fenced is where a session ended, and what it has committed above the mark.
type Fenced struct {
	Slot uint64 // holds the fence
	Runs []SlotRuns
}

// SlotRuns are the runs of one WAL object, from its footer.
type SlotRuns struct {
	Slot uint64
	Runs []object.Run
}

// Extents are all runs as catalog.SealSession wants them.
func (f Fenced) Extents(session uint64) []catalog.Located {
	var out []catalog.Located
	for _, s := range f.Runs {
		for i := range s.Runs {
			out = append(out, catalog.Located{
				Partition: s.Runs[i].Partition,
				Extent:    Extent(&s.Runs[i], catalog.WAL(session, s.Slot)),
			})
		}
	}
	slices.SortFunc(out, func(a, b catalog.Located) int {
		if c := a.Partition.Compare(b.Partition); c != 0 {
			return c
		}
		return cmp.Compare(a.Base, b.Base)
	})
	return out
}

// Fence fences a session (S6): it finds the end of what the session has committed,
// and puts a fence there, or adopts the one that is there. Anyone may do this to
// anyone at any time. It goes on until ctx ends; a session that is fenced by half
// is found so by the next one who tries. An error other than ctx's means that the
// session cannot be fenced: what is in one of its slots is foreign or damaged.
//
// The result is only of use with catalog.SealSession and the same From: a mark
// that has moved meanwhile makes it stale (S7).
func Fence(ctx context.Context, o FenceOptions) (Fenced, error) {
	f := fencer{FenceOptions: o, sizes: map[uint64]int64{}, runs: map[uint64][]object.Run{}}
	f.settler = cold.NewSettler(o.Store, o.settling())
	if f.Readers <= 0 {
		f.Readers = 16
	}
	out, err := f.fence(ctx)
	if err != nil {
		return Fenced{}, fmt.Errorf("fence session %d: %w", o.Session.ID, err)
	}
	return out, nil
}

func (o FenceOptions) settling() cold.SettlerOptions {
	s := cold.SettlerOptions{Peek: cold.Range{Length: object.HeaderLen}}
	if o.Stage != nil {
		s.Sleep, s.Rand = o.Stage.Sleep, o.Stage.Rand
	}
	return s
}

func (o FenceOptions) now() time.Time {
	if o.Stage != nil {
		return o.Stage.Now()
	}
	return time.Now()
}

// fencer performs one walk.
type fencer struct {
	FenceOptions
	settler *cold.Settler
	sizes   map[uint64]int64 // from the listing
	runs    map[uint64][]object.Run
	damage  error
}

func (f *fencer) fence(ctx context.Context) (Fenced, error) {
	likely, err := f.list(ctx)
	if f.Gone != nil {
		for wait := 20 * time.Millisecond; err != nil; wait = min(2*wait, 5*time.Second) {
			if pause(ctx, f.Stage, wait) != nil {
				return Fenced{}, fmt.Errorf("list its slots: %w (last answer: %w)", ctx.Err(), err)
			}
			likely, err = f.list(ctx)
		}
		if err := f.Gone(ctx); err != nil {
			return Fenced{}, err
		}
	}
	end, err := f.walk(ctx, ingest.NewWalk(f.From, likely))
	if err != nil {
		return Fenced{}, err
	}
	out := Fenced{Slot: end}
	if err := f.rest(ctx, end); err != nil {
		return Fenced{}, err
	}
	for slot := f.From; slot < end; slot++ {
		out.Runs = append(out.Runs, SlotRuns{Slot: slot, Runs: f.runs[slot]})
	}
	return out, nil
}

// tried is what became of one step of the walk.
type tried struct {
	ingest.Try
	answer ingest.Answer
	who    ingest.Owner
	runs   []object.Run // of a read
	err    error
}

// walk finds the end. Each round takes all steps that the walk wants at once, and
// is over when they are answered or the end is found.
func (f *fencer) walk(ctx context.Context, w *ingest.Walk) (uint64, error) {
	var wait time.Duration
	for {
		tries := w.Next()
		if len(tries) == 0 {
			end, _ := w.End()
			return end, nil
		}
		progress, last, err := f.round(ctx, w, tries)
		switch {
		case err != nil:
			return 0, err
		case progress:
			wait = 0
			continue
		}
		wait = min(2*wait+20*time.Millisecond, 5*time.Second)
		if pause(ctx, f.Stage, wait) != nil {
			return 0, fmt.Errorf("at slot %d: %w (last answer: %w)", tries[0].Slot, ctx.Err(), last)
		}
	}
}

func (f *fencer) round(ctx context.Context, w *ingest.Walk, tries []ingest.Try) (progress bool, last, fail error) {
	ctx, cancel := context.WithCancel(ctx)
	answers := make(chan tried, len(tries))
	tasks := crew{stage: f.Stage}
	defer tasks.Wait()
	defer cancel()
	for _, t := range tries {
		tasks.Go(func() { answers <- f.try(ctx, t) })
	}
	for range len(tries) {
		a := receive(f.Stage, answers)
		if a.err != nil {
			last = a.err
		}
		if a.runs != nil {
			f.runs[a.Slot] = a.runs
		}
		if damaged(a.err) { // of no interest if it lies above the end
			a.answer, a.who = ingest.Found, ingest.Stranger
			f.damage = errors.Join(f.damage, fmt.Errorf("slot %d: %w", a.Slot, a.err))
		}
		if err := w.Answer(a.Try, a.answer, a.who); err != nil {
			return false, nil, errors.Join(err, f.damage)
		}
		progress = progress || a.answer == ingest.Created || a.answer == ingest.Exists || a.answer == ingest.Found || a.answer == ingest.Absent
		if _, done := w.End(); done {
			break
		}
	}
	return progress, last, nil
}

func (f *fencer) try(ctx context.Context, t ingest.Try) tried {
	out := tried{Try: t}
	if t.Step == ingest.StepFence {
		out.answer, out.who, out.err = f.put(ctx, t.Slot)
		return out
	}
	out.who, out.runs, out.err = f.footer(ctx, t.Slot)
	out.answer = getAnswer(out.err)
	return out
}

// rest reads the footers that the walk did not read: of slots that a put has found
// to be taken.
func (f *fencer) rest(ctx context.Context, end uint64) error {
	var left []uint64
	for slot := f.From; slot < end; slot++ {
		if f.runs[slot] == nil {
			left = append(left, slot)
		}
	}
	for len(left) > 0 {
		some := left[:min(len(left), f.Readers)]
		results := make([]tried, len(some))
		tasks := crew{stage: f.Stage}
		for i, slot := range some {
			tasks.Go(func() { results[i] = f.try(ctx, ingest.Try{Step: ingest.StepRead, Slot: slot}) })
		}
		tasks.Wait()
		var again []uint64
		var last error
		for _, a := range results {
			switch {
			case damaged(a.err):
				return fmt.Errorf("slot %d: %w", a.Slot, a.err)
			case a.err != nil:
				again, last = append(again, a.Slot), a.err
			case a.who != ingest.Ours: // a put has found data of the session there
				again, last = append(again, a.Slot), fmt.Errorf("slot %d: %w", a.Slot, errElse)
			default:
				f.runs[a.Slot] = a.runs
			}
		}
		left = append(left[len(some):], again...)
		if last != nil && pause(ctx, f.Stage, 200*time.Millisecond) != nil {
			return fmt.Errorf("read footers: %w (last answer: %w)", ctx.Err(), last)
		}
	}
	return nil
}

// errElse says that the store gave another object than the one that is there.
var errElse = errors.New("the store's reads do not agree")

// damaged reports whether bytes are there, and are not what they should be.
func damaged(err error) bool {
	return errors.Is(err, object.ErrCorrupt) || errors.Is(err, object.ErrVersion)
}

// list asks which slots there are: a hint of what to read ahead, nothing more.
func (f *fencer) list(ctx context.Context) (likely uint64, fail error) {
	if f.own {
		return f.From, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var after string
	if f.From > 0 {
		after = catalog.WAL(f.Session.ID, f.From-1).Name()
	}
	for info, err := range f.Store.List(ctx, prefix(f.Session.ID), after) {
		if err != nil {
			fail = err
			break
		}
		if ref, err := catalog.ParseRef(info.Name); err == nil && ref.A == f.Session.ID {
			f.sizes[ref.B] = info.Size
		}
	}
	for likely = f.From; ; likely++ {
		if _, ok := f.sizes[likely]; !ok {
			return likely, fail
		}
	}
}

// prefix is what the names of a session's slots begin with.
func prefix(session uint64) string {
	name := catalog.WAL(session, 0).Name()
	return name[:strings.LastIndexByte(name, '/')+1]
}

// put tries to put the fence into a slot, and learns whose object is there already.
func (f *fencer) put(ctx context.Context, slot uint64) (ingest.Answer, ingest.Owner, error) {
	if planted.Is(planted.NoFence) {
		if _, err := f.Store.Stat(ctx, catalog.WAL(f.Session.ID, slot).Name()); errors.Is(err, cold.ErrNotFound) {
			return ingest.Created, ingest.Nobody, nil
		}
	}
	b := object.EncodeFence(f.Session.ID, slot, f.Session.Nonce, f.Nonce, f.now().UnixMilli())
	who := ingest.Nobody
	err := f.settler.Put(ctx, catalog.WAL(f.Session.ID, slot).Name(), cold.Bytes(b), func(head []byte) bool {
		// A fence is as good as ours, whoever put it; and that data is data, one read
		// is enough to say: its header has a checksum.
		who = owner(head, f.Session, slot)
		return who != ingest.Stranger
	})
	var taken *cold.TakenError
	switch {
	case err == nil && who == ingest.Nobody:
		return ingest.Created, who, nil
	case err == nil, errors.As(err, &taken):
		return ingest.Exists, who, nil
	}
	return ingest.Unknown, ingest.Nobody, err
}

// footer reads what a slot holds: whose it is, and its runs.
func (f *fencer) footer(ctx context.Context, slot uint64) (ingest.Owner, []object.Run, error) {
	h, footer, err := readFooter(ctx, f.Store, catalog.WAL(f.Session.ID, slot).Name(), f.sizes[slot], nil)
	if err != nil {
		return ingest.Nobody, nil, err
	}
	who := ownerOf(h, f.Session, slot)
	if who != ingest.Ours {
		return who, nil, nil
	}
	runs, err := footer.Runs()
	return who, runs, err
}

// getAnswer translates what a store answered to a get.
func getAnswer(err error) ingest.Answer {
	switch {
	case err == nil:
		return ingest.Found
	case errors.Is(err, cold.ErrNotFound):
		return ingest.Absent
	case errors.Is(err, cold.ErrDenied):
		return ingest.Denied
	}
	return ingest.Unknown
}
