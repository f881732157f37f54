package pump

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// FenceOptions say which session is to be fenced, and by whom.
type FenceOptions struct {
	Store   cold.Store
	Settler *cold.Settler // of Store
	Session Session       // the one to be fenced
	From    uint64        // its covered mark in the catalog
	Nonce   [16]byte      // of the process that fences
	// Readers is how many footers are read at once. Default 16.
	Readers int
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
	f := fencer{FenceOptions: o, sizes: map[uint64]int64{}, read: map[uint64]*reading{}}
	if f.Readers <= 0 {
		f.Readers = 16
	}
	ctx, cancel := context.WithCancel(ctx)
	defer f.tasks.Wait()
	defer cancel()
	out, err := f.walk(ctx)
	if err != nil {
		return Fenced{}, fmt.Errorf("fence session %d: %w", o.Session.ID, err)
	}
	return out, nil
}

// fencer performs one walk. Footers that a listing promises are read ahead.
type fencer struct {
	FenceOptions
	sizes map[uint64]int64 // from the listing
	ahead uint64           // slots below are being read
	read  map[uint64]*reading
	tasks sync.WaitGroup
}

// reading is what was found in a slot, once done is closed.
type reading struct {
	done chan struct{}
	who  ingest.Owner
	runs []object.Run
	err  error
}

func (f *fencer) walk(ctx context.Context) (Fenced, error) {
	likely := f.list(ctx)
	f.ahead = f.From
	w := ingest.NewWalk(f.From, likely)
	var out Fenced
	var pause time.Duration
	for {
		step, slot := w.Next()
		var answer ingest.Answer
		var err error
		switch step {
		case ingest.StepDone:
			out.Slot = slot
			return out, nil
		case ingest.StepFence:
			if answer, err = f.put(ctx, slot); ctx.Err() == nil {
				w.Fence(answer)
			}
		case ingest.StepRead:
			r := f.get(ctx, slot, likely)
			answer, err = getAnswer(r.err), r.err
			if errors.Is(err, object.ErrCorrupt) || errors.Is(err, object.ErrVersion) {
				return Fenced{}, fmt.Errorf("slot %d: %w", slot, err)
			}
			if answer == ingest.Found && r.who == ingest.Ours {
				out.Runs = append(out.Runs, SlotRuns{Slot: slot, Runs: r.runs})
			}
			if err := w.Read(answer, r.who); err != nil {
				return Fenced{}, err
			}
		}
		if now, at := w.Next(); now == step && at == slot {
			pause = min(2*pause+20*time.Millisecond, 5*time.Second)
			if sleep(ctx, pause) != nil {
				return Fenced{}, fmt.Errorf("at slot %d: %w (last answer: %w)", slot, ctx.Err(), err)
			}
			continue
		}
		pause = 0
	}
}

// list asks which slots there are: a hint of what to read ahead, nothing more.
func (f *fencer) list(ctx context.Context) (likely uint64) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var after string
	if f.From > 0 {
		after = catalog.WAL(f.Session.ID, f.From-1).Name()
	}
	for info, err := range f.Store.List(ctx, prefix(f.Session.ID), after) {
		if err != nil {
			break
		}
		if ref, err := catalog.ParseRef(info.Name); err == nil && ref.A == f.Session.ID {
			f.sizes[ref.B] = info.Size
		}
	}
	for likely = f.From; ; likely++ {
		if _, ok := f.sizes[likely]; !ok {
			return likely
		}
	}
}

// prefix is what the names of a session's slots begin with.
func prefix(session uint64) string {
	name := catalog.WAL(session, 0).Name()
	return name[:strings.LastIndexByte(name, '/')+1]
}

// put tries to put the fence into a slot.
func (f *fencer) put(ctx context.Context, slot uint64) (ingest.Answer, error) {
	b := object.EncodeFence(f.Session.ID, slot, f.Session.Nonce, f.Nonce, time.Now().UnixMilli())
	err := f.Settler.Put(ctx, catalog.WAL(f.Session.ID, slot).Name(), cold.Bytes(b), func(existing []byte) bool {
		return owner(existing, f.Session, slot) == ingest.AFence // anybody's will do
	})
	switch {
	case err == nil:
		return ingest.Created, nil
	case errors.Is(err, cold.ErrExists):
		return ingest.Exists, nil
	}
	return ingest.Unknown, err
}

// get reads a slot, and begins to read those above it that are likely to exist.
func (f *fencer) get(ctx context.Context, slot, likely uint64) *reading {
	f.ahead = max(f.ahead, slot)
	for ; f.ahead < likely && f.ahead < slot+uint64(f.Readers); f.ahead++ {
		f.begin(ctx, f.ahead)
	}
	if f.read[slot] == nil {
		f.begin(ctx, slot)
	}
	r := f.read[slot]
	delete(f.read, slot) // asked for again, it is read again
	select {
	case <-r.done:
		return r
	case <-ctx.Done():
		return &reading{err: ctx.Err()}
	}
}

func (f *fencer) begin(ctx context.Context, slot uint64) {
	r := &reading{done: make(chan struct{})}
	f.read[slot] = r
	size := f.sizes[slot]
	f.tasks.Go(func() {
		defer close(r.done)
		r.who, r.runs, r.err = f.footer(ctx, slot, size)
	})
}

// footer reads what a slot holds: whose it is, and its runs. Bytes that are damaged
// are read again before they are believed to be.
func (f *fencer) footer(ctx context.Context, slot uint64, size int64) (who ingest.Owner, runs []object.Run, err error) {
	for range 3 {
		if who, runs, err = f.footerOnce(ctx, slot, size); !errors.Is(err, object.ErrCorrupt) {
			break
		}
	}
	return who, runs, err
}

func (f *fencer) footerOnce(ctx context.Context, slot uint64, size int64) (ingest.Owner, []object.Run, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	name := catalog.WAL(f.Session.ID, slot).Name()
	if size == 0 {
		info, err := f.Store.Stat(ctx, name)
		if err != nil {
			return ingest.Nobody, nil, err
		}
		size = info.Size
	}
	tail, err := f.Store.Get(ctx, name, cold.Tail(object.TailLen), nil)
	if err != nil {
		return ingest.Nobody, nil, err
	}
	head := tail
	if int64(len(tail)) < size {
		if head, err = f.Store.Get(ctx, name, cold.Range{Length: object.HeaderLen}, nil); err != nil {
			return ingest.Nobody, nil, err
		}
	}
	if _, err := object.ParseHeader(head); err != nil {
		return ingest.Nobody, nil, err
	}
	who := owner(head, f.Session, slot)
	if who != ingest.Ours {
		return who, nil, nil
	}
	footer, need, err := object.OpenFooter(tail, size)
	if err == nil && footer == nil {
		if tail, err = f.Store.Get(ctx, name, cold.Tail(need), tail[:0]); err == nil {
			footer, _, err = object.OpenFooter(tail, size)
		}
	}
	if err != nil {
		return ingest.Nobody, nil, err
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
