package salvage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// Why slots of a session cannot be given up.
var (
	ErrLegible = errors.New("whoever takes the session over can read what is in it, or where that lies")
	ErrFree    = errors.New("it is free, and nothing that was acknowledged lies behind it")
	ErrAbsent  = errors.New("it is not there, and slots behind it are: it was deleted, or its broker died while it was on its way")
	ErrBeyond  = errors.New("a slot before it is free, or holds the fence: nothing in it was acknowledged")
	ErrAlso    = errors.New("it cannot be read either")
)

// Torn is a session that is not sealed, and that nobody can seal: slots of it that were
// filled cannot be read. It is made by FindTorn.
type Torn struct {
	Session catalog.Session
	Given   []TornSlot // to be given up, in order
	Whole   int        // slots that can be read
	End     uint64     // the slot behind the last one that counts
	Fenced  bool       // it holds the fence

	Lost []catalog.Located // offsets that are lost, as empty runs without an object
	Kept []catalog.Located // runs that can be read in slots that are given up
	// Blind are what takes the place of what nobody knows, as empty runs without an object: of
	// the partitions of the session that no later slot tells of, from the end of the log on
	// as many offsets as the slots can have held.
	Blind []catalog.Located

	pieces  []piece           // of Lost, Kept and Blind, in order
	extents []catalog.Located // of the slots that can be read
}

// TornSlot is one slot of a Torn that is given up.
type TornSlot struct {
	Slot    uint64
	Why     string
	Missing bool
	// What was in it, by its footer, when only its header is damaged, or by TornOptions.Held.
	held  []piece
	known bool // held is all
}

// piece is what is put in the place of offsets that lie in a slot that is given up: a run
// that can be read there, or nothing. run is what the slot's footer says, or the batches;
// nil: nobody knows.
type piece struct {
	catalog.Located
	run   *object.Run
	sent  []record.Header // of the batches, where no footer tells of producers
	bytes []byte          // of the run; nil: they are lost
}

// TornOptions are for FindTorn.
type TornOptions struct {
	Watch time.Duration // how long a slot is looked at before it is believed to be lost
	// Deleted says that slots that are missing were there. Otherwise ErrAbsent is the answer:
	// slots are put several at once, so that after a crash a later one may be there and an
	// earlier one not, and then nothing was acknowledged of either.
	Deleted bool
	// Held is what was in slots, by the disk of the broker that put them: all of each that it
	// names.
	Held map[uint64][]Held
}

// FindTorn finds what is lost with slots of one session that is not sealed, which the
// catalog therefore does not describe. A slot is lost when the store says again and again,
// for as long as it is watched, that it is not there, or gives something that nobody can
// take for a slot of this session. Any other answer decides nothing, and is the error. All
// slots that cannot be read have to be named at once, since they are sealed at once: ErrAlso
// names one that was not.
func FindTorn(ctx context.Context, store cold.Store, s *catalog.State, session uint64, slots []uint64, o TornOptions) (Torn, error) {
	v, ok := s.Session(session)
	switch {
	case !ok:
		return Torn{}, fmt.Errorf("session %d: %w", session, catalog.ErrNoSession)
	case v.Sealed:
		return Torn{}, fmt.Errorf("session %d: %w", session, catalog.ErrSealed)
	}
	slots = slices.Compact(slices.Sorted(slices.Values(slots)))
	given := make([]TornSlot, len(slots))
	for look := range looks {
		if look > 0 {
			select {
			case <-ctx.Done():
				return Torn{}, ctx.Err()
			case <-time.After(o.Watch / (looks - 1)):
			}
		}
		for i, n := range slots {
			if n < v.Covered {
				return Torn{}, fmt.Errorf("%s: %w", catalog.WAL(v.ID, n), ErrUnknown)
			}
			var err error
			if given[i], err = illegible(ctx, store, v, n); err != nil {
				return Torn{}, err
			}
		}
	}
	for i := range given {
		if held, ok := o.Held[given[i].Slot]; ok && !given[i].known {
			var err error
			if given[i].held, err = stretches(held); err != nil {
				return Torn{}, fmt.Errorf("%s: %w", catalog.WAL(v.ID, given[i].Slot), err)
			}
			given[i].known = true
		}
	}
	t := Torn{Session: *v, Given: given}
	read, err := t.walk(ctx, store)
	if err != nil {
		return t, err
	}
	for i := len(given) - 1; i >= 0; i-- {
		switch x := given[i]; {
		case x.Slot >= t.End && x.Missing:
			return t, fmt.Errorf("%s: %w", catalog.WAL(v.ID, x.Slot), ErrFree)
		case x.Slot >= t.End:
			return t, fmt.Errorf("%s: %w", catalog.WAL(v.ID, x.Slot), ErrBeyond)
		case x.Missing && !o.Deleted:
			return t, fmt.Errorf("%s: %w", catalog.WAL(v.ID, x.Slot), ErrAbsent)
		}
	}
	return t, t.weigh(s, read)
}

// illegible is what is to be known of a slot that nobody can read; the error says that it
// can be read, or that the store has not answered.
func illegible(ctx context.Context, store cold.Store, v *catalog.Session, n uint64) (TornSlot, error) {
	ref := catalog.WAL(v.ID, n)
	x := TornSlot{Slot: n}
	b, err := store.Get(ctx, ref.Name(), cold.Whole, nil)
	if errors.Is(err, cold.ErrNotFound) {
		x.Missing, x.Why = true, err.Error()
		return x, nil
	}
	if err != nil {
		return x, fmt.Errorf("read %s: %w", ref, err)
	}
	h, f, err := object.Open(b)
	if err == nil {
		_, err = f.Runs()
	}
	if err == nil {
		err = belongs(h, v, n)
	}
	if err == nil {
		return x, fmt.Errorf("%s: %w", ref, ErrLegible)
	}
	if errors.Is(err, object.ErrVersion) {
		return x, fmt.Errorf("%s: a newer program wrote it: %w", ref, err)
	}
	x.Why = err.Error()
	// The header is known without it: it is ours if footer and trailer belong to it.
	if len(b) >= object.HeaderLen {
		own := slices.Concat(object.Header{Kind: object.WAL, Session: v.ID, Slot: n, Nonce: v.Nonce}.Encode(), b[object.HeaderLen:])
		if _, f, err := object.Open(own); err == nil {
			if runs, err := f.Runs(); err == nil {
				x.held, x.known = legible(runs, own), true
			}
		}
	}
	return x, nil
}

// legible are the runs of an object whose footer is whole.
func legible(runs []object.Run, body []byte) []piece {
	out := make([]piece, len(runs))
	for i := range runs {
		r := &runs[i]
		out[i] = piece{Located: catalog.Located{Partition: r.Partition, Extent: located(*r, catalog.ObjectRef{})}, run: r}
		if b := body[r.Pos : r.Pos+r.Len]; object.VerifyRun(*r, b) == nil {
			out[i].bytes = b
		}
	}
	return out
}

// belongs says what is wrong with a slot of a session that has this header.
func belongs(h object.Header, v *catalog.Session, n uint64) error {
	if h.Session != v.ID || h.Slot != n || h.Nonce != v.Nonce || h.Kind != object.WAL && h.Kind != object.Fence {
		return fmt.Errorf("%w: it says that it is %s %d of %d, written by %x", object.ErrCorrupt, h.Kind, h.Slot, h.Session, h.Nonce)
	}
	return nil
}

// slotsAtOnce is how many slots are read at once.
const slotsAtOnce = 16

// walk reads the slots that are not given up, from the covered mark to the first that is
// free or holds the fence (S6), with those that are given up taken for filled. It sets End,
// Fenced and Whole.
func (t *Torn) walk(ctx context.Context, store cold.Store) (read []Object, err error) {
	v := &t.Session
	t.Whole, t.Fenced = 0, false
	for at := v.Covered; ; at += slotsAtOnce {
		var some [slotsAtOnce]Object
		var there [slotsAtOnce]bool
		g, gctx := errgroup.WithContext(ctx)
		for i := range some {
			n := at + uint64(i)
			if t.gives(n) {
				continue
			}
			g.Go(func() (err error) {
				some[i], err = open(gctx, store, catalog.WAL(v.ID, n))
				switch there[i] = true; {
				case errors.Is(err, cold.ErrNotFound):
					there[i] = false
				case errors.Is(err, cold.ErrRange): // it is empty
					some[i].Err = err
				default:
					return err
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return nil, err
		}
		for i, x := range some {
			n := at + uint64(i)
			if t.gives(n) {
				continue
			}
			if there[i] && x.Err == nil {
				x.Err = belongs(x.Header, v, n)
			}
			switch {
			case !there[i]:
			case x.Err != nil:
				return nil, fmt.Errorf("%s: %w: %w", x.Ref, ErrAlso, x.Err)
			case x.Header.Kind == object.WAL:
				read = append(read, x)
				t.Whole++
				continue
			}
			t.End, t.Fenced = n, there[i]
			for !t.Fenced && t.End > v.Covered && t.missing(t.End-1) { // free as well
				t.End--
			}
			return read, nil
		}
	}
}

func (t *Torn) gives(n uint64) bool {
	return slices.ContainsFunc(t.Given, func(x TornSlot) bool { return x.Slot == n })
}

func (t *Torn) missing(n uint64) bool {
	return slices.ContainsFunc(t.Given, func(x TornSlot) bool { return x.Slot == n && x.Missing })
}

// slotMost is more records than a slot holds of one partition: 8 MiB are 1.2 million that
// have neither key nor value. Nobody knows how many there were, and no offset may be given
// away twice: not for consumers that have read there, and not for the hot tier of the
// broker that is gone, which takes all below the fence for what the bucket has.
const slotMost = 1 << 24

// weigh finds out what was in the slots that are given up: where the next run of a
// partition does not begin where the one before it ended. A footer that can be read says
// it better.
func (t *Torn) weigh(s *catalog.State, read []Object) error {
	t.Lost, t.Kept, t.Blind, t.pieces, t.extents = nil, nil, nil, nil, nil
	ends := map[record.Partition]int64{} // of logs, as far as was looked
	dark := int64(0)                     // slots so far whose runs nobody knows
	seen := map[record.Partition]int64{} // how many of them came before the last run
	add := func(p piece) {
		if p.bytes == nil {
			t.Lost = append(t.Lost, p.Located)
		} else {
			t.Kept = append(t.Kept, p.Located)
		}
		t.pieces = append(t.pieces, p)
	}
	run := func(ref catalog.ObjectRef, r catalog.Located) (c *catalog.Partition, err error) {
		c, ok := s.Partition(r.Partition)
		if !ok || r.Next <= c.Next && (c.Owner != t.Session.ID || r.Epoch < c.Epoch) {
			return nil, nil // deleted, or described when it was given up (S9)
		}
		end := max(c.Next, ends[r.Partition])
		if c.Owner != t.Session.ID || r.Epoch != c.Epoch || r.Base < end || r.Base > end && dark == 0 {
			return nil, fmt.Errorf("%s: its run [%d, %d) of %s, epoch %d, does not continue the log, which ends at %d in epoch %d", ref, r.Base, r.Next, r.Partition, r.Epoch, end, c.Epoch)
		}
		if r.Base > end {
			add(piece{Located: catalog.Located{Partition: r.Partition, Extent: catalog.Extent{Base: end, Next: r.Base, Epoch: r.Epoch, MaxTimestamp: -1}}})
		}
		ends[r.Partition], seen[r.Partition] = r.Next, dark
		return c, nil
	}
	given := t.Given
	for _, x := range append(slices.Clone(read), Object{Ref: catalog.WAL(t.Session.ID, t.End)}) {
		for ; len(given) > 0 && given[0].Slot < x.Ref.B; given = given[1:] {
			g := &given[0]
			if !g.known {
				dark++
				continue
			}
			for _, p := range g.held {
				c, err := run(catalog.WAL(t.Session.ID, g.Slot), p.Located)
				if err != nil {
					return err
				}
				if c != nil {
					add(p)
				}
			}
		}
		for _, r := range x.Runs {
			l := catalog.Located{Partition: r.Partition, Extent: located(r, x.Ref)}
			c, err := run(x.Ref, l)
			if err != nil {
				return err
			}
			if c != nil {
				t.extents = append(t.extents, l)
			}
		}
	}
	for _, id := range s.Owned(t.Session.ID) {
		if since := dark - seen[id]; since > 0 {
			c, _ := s.Partition(id)
			end := max(c.Next, ends[id])
			p := piece{Located: catalog.Located{Partition: id, Extent: catalog.Extent{Base: end, Next: end + since*slotMost, Epoch: c.Epoch, MaxTimestamp: -1}}}
			t.Blind, t.pieces = append(t.Blind, p.Located), append(t.pieces, p)
		}
	}
	for _, all := range [][]catalog.Located{t.Lost, t.Kept, t.Blind, t.extents} {
		slices.SortFunc(all, inOrder)
	}
	slices.SortFunc(t.pieces, func(a, b piece) int { return inOrder(a.Located, b.Located) })
	return nil
}

func inOrder(a, b catalog.Located) int {
	return cmp.Or(a.Partition.Compare(b.Partition), cmp.Compare(a.Base, b.Base))
}

// GiveUpTorn seals the session without what is lost (V7): it ends it by a fence, if nobody
// has, puts objects with what can be read of the slots that are given up and fillers for the
// rest, and has the catalog describe those beside all that the other slots hold, by the one
// command by which whoever takes a session over seals it (S7). No slot is deleted, or put
// anew (S2). What it has found by then is returned: slots that landed meanwhile count.
//
// After an interruption, catalog.ErrStale, ErrSealed or ErrNoJob it is to be done again.
func GiveUpTorn(ctx context.Context, store cold.Store, t Torn, producers Producers) (Torn, error) {
	ctx, store, why := strictly(ctx, store)
	t, err := giveUpTorn(ctx, store, t, producers)
	return t, why(err)
}

func giveUpTorn(ctx context.Context, store cold.Store, t Torn, producers Producers) (Torn, error) {
	scribe, me, err := writer(ctx, store)
	if err != nil {
		return t, err
	}
	v, ok := scribe.State().Session(t.Session.ID)
	switch {
	case !ok || v.Sealed:
		return t, fmt.Errorf("session %d: %w", t.Session.ID, catalog.ErrSealed)
	case v.Covered != t.Session.Covered:
		return t, fmt.Errorf("session %d: %w", t.Session.ID, catalog.ErrStale)
	}
	// First its end: nothing lands behind it any more that counts, so that what is found to
	// be lost is all.
	var read []Object
	for {
		if read, err = t.walk(ctx, store); err != nil {
			return t, err
		}
		if t.Fenced {
			break
		}
		if _, err := fence(ctx, store, Fence{v.ID, v.Nonce, t.End}, t.End, me); err != nil {
			return t, fmt.Errorf("fence session %d: %w", v.ID, err)
		}
	}
	if err := t.weigh(scribe.State(), read); err != nil {
		return t, err
	}
	var cmds []catalog.Command
	extents := t.extents
	if len(t.pieces) > 0 {
		// In the name of the session itself: should somebody seal it first, job and seal fail
		// together.
		res, err := scribe.Commit(ctx, &catalog.BeginJob{Session: v.ID})
		if err == nil {
			err = res[0].Err
		}
		if err != nil {
			return t, err
		}
		end := &catalog.CommitJob{Job: res[0].ID}
		if extents, end.Objects, err = t.stand(ctx, store, scribe.State(), res[0].ID, producers); err != nil {
			return t, err
		}
		cmds = append(cmds, end) // what a job of a session that is sealed has put is deleted
	}
	res, err := scribe.Commit(ctx, append(cmds, &catalog.SealSession{Session: v.ID, Covered: v.Covered, Fence: t.End, Extents: extents})...)
	for _, r := range res {
		err = cmp.Or(err, r.Err)
	}
	return t, err
}

// stand puts objects with the pieces, and returns all that the session's slots are to be
// described by. Sealed objects say of each run all that is known of producers at its end,
// so that those that come before it in its log come first.
func (t *Torn) stand(ctx context.Context, store cold.Store, s *catalog.State, job uint64, producers Producers) (extents []catalog.Located, refs []catalog.ObjectRef, err error) {
	extents = t.extents
	for left := t.pieces; len(left) > 0; {
		var now, later []piece
		ends := map[record.Partition]int64{}
		for _, p := range left {
			if _, other := ends[p.Partition]; other {
				later = append(later, p)
				continue
			}
			now, ends[p.Partition] = append(now, p), p.Base
		}
		before := slices.DeleteFunc(slices.Clone(extents), func(x catalog.Located) bool {
			end, ok := ends[x.Partition]
			return ok && x.Base >= end
		})
		fork := s.Fork()
		if res := fork.Apply(fork.Number()+1, []catalog.Command{&catalog.Cover{Session: t.Session.ID, From: t.Session.Covered, To: t.Session.Covered, Extents: before}}); res[0].Err != nil {
			return nil, nil, res[0].Err
		}
		known, unknown, err := producers(ctx, store, fork, ends)
		if err != nil {
			return nil, nil, err
		}
		for id, err := range unknown {
			return nil, nil, fmt.Errorf("what %s had before offset %d is lost or damaged as well: give that up first: %w", id, ends[id], err)
		}
		ref := catalog.Seg(job, uint64(len(refs)))
		runs, e := together(ref, now, known)
		if err := putOnce(ctx, store, ref, e); err != nil {
			return nil, nil, err
		}
		refs = append(refs, ref)
		extents = append(slices.Clone(extents), runs...)
		slices.SortFunc(extents, inOrder)
		left = later
	}
	return extents, refs, nil
}

// together makes one object of pieces of different partitions.
func together(ref catalog.ObjectRef, pieces []piece, known map[record.Partition][]object.Producer) ([]catalog.Located, *object.Encoder) {
	e := object.NewEncoder(object.Header{Kind: object.Sealed, Session: ref.A, Slot: ref.B}, 0, nil)
	for _, p := range pieces {
		e.Begin(p.Partition, p.Epoch, p.Base)
		if p.bytes == nil {
			empty(e, p.Base, p.Next, p.Epoch)
		} else {
			for rest := p.bytes; len(rest) > 0; { // they were verified
				var batch []byte
				var h record.Header
				h, batch, rest, _ = record.Next(rest)
				e.Append(h, batch)
			}
		}
		ps := known[p.Partition]
		switch {
		case p.sent != nil:
			ps = appended(ps, p.sent, time.Now().UnixMilli())
		case p.run != nil:
			ps = behind(ps, p.run)
		}
		e.Producers(ps)
		e.Complete()
	}
	made, _ := e.Finish() // without a writer it cannot fail
	out := make([]catalog.Located, len(made))
	for i, r := range made {
		out[i] = catalog.Located{Partition: r.Partition, Extent: located(r, ref)}
	}
	return out, e
}

// behind is what is known of producers at the end of a run of a WAL object, which tells of those
// that appended in it, or of all.
func behind(before []object.Producer, r *object.Run) []object.Producer {
	if r.Complete {
		return r.Producers
	}
	all := map[int64]object.Producer{}
	for _, p := range slices.Concat(before, r.Producers) {
		all[p.ID] = p
	}
	return slices.SortedFunc(maps.Values(all), func(a, b object.Producer) int {
		return cmp.Or(cmp.Compare(a.TimestampMs, b.TimestampMs), cmp.Compare(a.ID, b.ID))
	})
}
