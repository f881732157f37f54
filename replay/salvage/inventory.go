package salvage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// Inventory is what a bucket holds of a cluster.
type Inventory struct {
	// Whole says that nothing of the catalog is lost.
	Whole bool
	// Why says how it is known that something is.
	Why string
	// Base is what can be read of the catalog: the newest snapshot, and the entries
	// behind it, holes left out. Its commands that were refused behind a hole are in
	// Refused.
	Base    *catalog.State
	Refused []string
	// Holes are the entries that are lost between others, as ranges; Tail says that the
	// newest may be lost as well, and Oldest is the first number that was read.
	Holes []Range
	// Sound is when what comes before the first hole was put, by the store's clock; zero
	// if nothing comes before it.
	Sound time.Time
	// Top is the largest number that anything in the bucket bears or needs.
	Top uint64
	// Begun is the number of a journal that was begun anew, and whose state is missing; 0
	// for none.
	Begun uint64
	// Missing are objects that Base refers to and that are not there.
	Missing map[catalog.ObjectRef]bool
	// An index line that is in Broken is not whole. Lists are the extents of those and of
	// all that lie behind them, of which the catalog cannot have lines any more; as far as
	// they can be read.
	Broken map[catalog.ObjectRef]bool
	Lists  map[catalog.ObjectRef][]catalog.Extent
	// Objects are those that Base does not refer to, or not in whole.
	Objects []Object
	// Alive are sessions that put something while the inventory was taken.
	Alive []uint64
}

// Range is numbers from First to Last.
type Range struct{ First, Last uint64 }

// Object is one of which the catalog does not describe all.
type Object struct {
	Ref      catalog.ObjectRef
	Modified time.Time
	Header   object.Header
	Runs     []object.Run // without details
	Producer int64        // one more than the largest id of a producer in it
	Err      error        // it cannot be read
}

// Options of an inventory.
type Options struct {
	Parallel int // objects read at once. Default 16.
	// Watch is how long the bucket is watched for brokers that write. Zero is not at all.
	Watch time.Duration
	// ClusterID is believed where the bucket does not say.
	ClusterID string
	// Progress, if not nil, is told how many footers of how many are read.
	Progress func(done, total int)
}

// Take takes an inventory. It writes nothing.
func Take(ctx context.Context, store cold.Store, o Options) (Inventory, error) {
	if o.Parallel <= 0 {
		o.Parallel = 16
	}
	store = cold.Patient(store, cold.Patience)
	began := time.Now()
	inv := Inventory{Missing: map[catalog.ObjectRef]bool{}, Broken: map[catalog.ObjectRef]bool{}, Lists: map[catalog.ObjectRef][]catalog.Extent{}}
	before, err := newest(ctx, store)
	if err != nil {
		return inv, err
	}
	sv, err := journal.Look(ctx, store, o.Parallel)
	if err != nil {
		return inv, err
	}
	if err := inv.judge(ctx, store, sv); err != nil || inv.Whole {
		return inv, err
	}
	if err := inv.base(ctx, store, sv, o.ClusterID); err != nil {
		return inv, err
	}
	listed, err := inv.list(ctx, store)
	if err != nil {
		return inv, err
	}
	if err := inv.indexes(ctx, store, listed, o.Parallel); err != nil {
		return inv, err
	}
	if err := inv.footers(ctx, store, listed, o); err != nil {
		return inv, err
	}
	if rest := o.Watch - time.Since(began); rest > 0 {
		select {
		case <-ctx.Done():
			return inv, ctx.Err()
		case <-time.After(rest):
		}
	}
	if o.Watch > 0 {
		after, err := newest(ctx, store)
		if err != nil {
			return inv, err
		}
		for session, slot := range after {
			if old, known := before[session]; !known || slot > old {
				inv.Alive = append(inv.Alive, session)
			}
		}
		slices.Sort(inv.Alive)
	}
	return inv, nil
}

// newest is the newest slot of every session, and under 0 the newest entry.
func newest(ctx context.Context, store cold.Store) (map[uint64]uint64, error) {
	out := map[uint64]uint64{}
	for info, err := range store.List(ctx, catalog.PrefixWAL, "") {
		if err != nil {
			return nil, fmt.Errorf("list the slots: %w", err)
		}
		if ref, err := catalog.ParseRef(info.Name); err == nil {
			out[ref.A] = max(out[ref.A], ref.B+1)
		}
	}
	for info, err := range store.List(ctx, journal.PrefixEntries, "") {
		if err != nil {
			return nil, fmt.Errorf("list the journal: %w", err)
		}
		var n uint64
		if _, err := fmt.Sscanf(strings.TrimPrefix(info.Name, journal.PrefixEntries), "%d", &n); err == nil {
			out[0] = max(out[0], n)
		}
	}
	return out, nil
}

// judge finds out whether something is lost, as a broker that starts does.
func (inv *Inventory) judge(ctx context.Context, store cold.Store, sv journal.Survey) error {
	r := journal.NewReader(store)
	err := r.Catchup(ctx, nil)
	if err == nil {
		err = r.Complete(ctx)
	}
	switch {
	case err == nil && r.State().Number() == 0 && len(sv.Boundaries)+len(sv.Snapshots) == 0:
		return fmt.Errorf("%w: there is nothing of a cluster in this bucket; is it the right bucket and prefix?", ErrNothing)
	case err == nil && r.State().Number() > 0:
		inv.Whole, inv.Base = true, r.State()
	case err == nil:
		inv.Why = "there are boundaries or snapshots, and no entry"
	case errors.Is(err, catalog.ErrVersion):
		return fmt.Errorf("it was written by a newer program: %w", err)
	case isLost(err), errors.Is(err, journal.ErrLost):
		inv.Why = err.Error()
	default:
		return fmt.Errorf("read the catalog: %w", err)
	}
	return nil
}

// isLost reports whether an error says that a part of the journal is lost. Any other says
// nothing of it: what the store did not give this time must not be given up.
func isLost(err error) bool {
	return errors.Is(err, catalog.ErrCorrupt) || errors.Is(err, catalog.ErrVersion) || errors.Is(err, cold.ErrNotFound)
}

// Why an inventory cannot be taken.
var (
	// ErrNothing says that the bucket holds nothing of a cluster.
	ErrNothing = errors.New("nothing to recover")
	// ErrClusterID says that the id of the cluster is lost.
	ErrClusterID = errors.New("the id of the cluster is lost")
)

// base reads what can be read of the catalog: the newest snapshot that is whole, the
// cluster's id, and the entries behind them.
func (inv *Inventory) base(ctx context.Context, store cold.Store, sv journal.Survey, cluster string) error {
	floor, named := sv.Floor()
	s, readable, err := inv.snapshot(ctx, store, sv, floor)
	if err != nil {
		return err
	}
	inv.Top = max(floor, named, s.Number())
	for _, ps := range [][]journal.Part{sv.Entries, sv.Snapshots} {
		if n := len(ps); n > 0 {
			inv.Top = max(inv.Top, ps[n-1].Number)
		}
	}
	if floor == named && floor > 0 && s.Number() < floor && inv.Top == floor {
		inv.Begun = floor
	}
	if s, err = inv.identify(ctx, store, sv, s, cluster); err != nil {
		return err
	}
	sound := readable || s.Number() == 0
	behind := slices.DeleteFunc(slices.Clone(sv.Entries), func(p journal.Part) bool {
		if p.Number <= s.Number() {
			return true
		}
		return p.Number <= floor && floor != inv.Begun && readable // it was given up: a writer that slept may have put it
	})
	if inv.Base, err = inv.follow(ctx, store, s, behind, sound); err != nil {
		return err
	}
	if !sound || !readable && len(inv.Holes) > 0 && inv.Holes[0].First == 1 {
		inv.Sound = time.Time{}
	}
	return nil
}

// snapshot is the newest state that was written down and can be read, or an empty one.
func (inv *Inventory) snapshot(ctx context.Context, store cold.Store, sv journal.Survey, floor uint64) (s *catalog.State, readable bool, err error) {
	for _, p := range slices.Backward(sv.Snapshots) {
		if p.Err != nil {
			continue
		}
		s, err := journal.ReadSnapshot(ctx, store, p.Number)
		if isLost(err) {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		inv.Sound = agreed(sv, p, floor)
		return s, true, nil
	}
	return catalog.NewState(), false, nil
}

// identify sees to it that the state has the cluster's id: its own, what else in the bucket
// tells of it, or the one that was given, which must not contradict the state's.
func (inv *Inventory) identify(ctx context.Context, store cold.Store, sv journal.Survey, s *catalog.State, cluster string) (*catalog.State, error) {
	if own := s.ClusterID(); own != "" {
		if cluster != "" && cluster != own {
			return nil, fmt.Errorf("the bucket holds cluster %s, not %s", own, cluster)
		}
		return s, nil
	}
	id, err := founded(ctx, store)
	if err != nil {
		return nil, err
	}
	if id == "" {
		id = cluster
	}
	if id == "" {
		return nil, fmt.Errorf("%w: no snapshot can be read, and entry 1 is not there; meta.properties in a broker's data folder has it", ErrClusterID)
	}
	if s.Number() == 0 && (len(sv.Entries) == 0 || sv.Entries[0].Number != 1 || sv.Entries[0].Err != nil) {
		s = s.Clone()
		s.Apply(1, []catalog.Command{&catalog.CreateCluster{ID: id}})
		inv.hole(1, 1)
	}
	return s, nil
}

// follow applies entries to a state, in their order. Entries that are missing or cannot be
// read are holes; behind one, or on a state that is not sound, commands may be refused.
func (inv *Inventory) follow(ctx context.Context, store cold.Store, s *catalog.State, entries []journal.Part, sound bool) (*catalog.State, error) {
	for _, p := range entries {
		var e journal.Entry
		err := p.Err
		if err == nil {
			e, err = journal.ReadEntry(ctx, store, p.Number)
		}
		if err != nil && !isLost(err) {
			return nil, err
		}
		next := s.Clone()
		for n := s.Number() + 1; n < p.Number; n++ {
			next.Apply(n, nil)
		}
		if p.Number > s.Number()+1 {
			inv.hole(s.Number()+1, p.Number-1)
		}
		if err != nil {
			inv.hole(p.Number, p.Number)
		}
		results := next.Apply(p.Number, e.Commands)
		s = next
		if len(inv.Holes) == 0 && sound {
			inv.Sound = p.Modified
			continue
		}
		for i, r := range results {
			if r.Err != nil {
				inv.Refused = append(inv.Refused, fmt.Sprintf("entry %d: %s: %v", p.Number, catalog.Describe(e.Commands[i]), r.Err))
			}
		}
	}
	return s, nil
}

// snapshotTakes is longer than a snapshot is on its way: it is put beside the entries that
// come behind it.
const snapshotTakes = time.Hour

// agreed is when, at the latest, a snapshot's last entry was put: topics are made, and
// written to, while the snapshot is on its way.
func agreed(sv journal.Survey, snapshot journal.Part, floor uint64) time.Time {
	at := snapshot.Modified.Add(-snapshotTakes)
	for _, e := range sv.Entries {
		if e.Number > floor && e.Number <= snapshot.Number && e.Modified.After(at) {
			at = e.Modified
		}
	}
	return at
}

// founded is the id that entry 1 gave the cluster.
func founded(ctx context.Context, store cold.Store) (string, error) {
	e, err := journal.ReadEntry(ctx, store, 1)
	if isLost(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	for _, c := range e.Commands {
		if c, ok := c.(*catalog.CreateCluster); ok {
			return c.ID, nil
		}
	}
	return "", nil
}

func (inv *Inventory) hole(first, last uint64) {
	if n := len(inv.Holes); n > 0 && inv.Holes[n-1].Last+1 == first {
		inv.Holes[n-1].Last = last
		return
	}
	inv.Holes = append(inv.Holes, Range{first, last})
}

// list lists the objects; those that Base refers to and that are not there are missing.
func (inv *Inventory) list(ctx context.Context, store cold.Store) (map[catalog.ObjectRef]time.Time, error) {
	listed := map[catalog.ObjectRef]time.Time{}
	for _, prefix := range []string{catalog.PrefixWAL, catalog.PrefixSeg, catalog.PrefixIndex} {
		for info, err := range store.List(ctx, prefix, "") {
			if err != nil {
				return nil, fmt.Errorf("list %s: %w", prefix, err)
			}
			if ref, err := catalog.ParseRef(info.Name); err == nil {
				listed[ref] = info.Modified
				inv.Top = max(inv.Top, journal.Needs(ref))
			}
		}
	}
	for ref := range inv.Base.Referenced() {
		if err := inv.miss(ctx, store, listed, ref); err != nil {
			return nil, err
		}
	}
	return listed, nil
}

// miss notes an object that is not listed, if it is not there.
func (inv *Inventory) miss(ctx context.Context, store cold.Store, listed map[catalog.ObjectRef]time.Time, ref catalog.ObjectRef) error {
	if _, ok := listed[ref]; ok || inv.Missing[ref] {
		return nil
	}
	info, err := store.Stat(ctx, ref.Name())
	switch {
	case err == nil:
		listed[ref] = info.Modified
	case errors.Is(err, cold.ErrNotFound):
		inv.Missing[ref] = true
	default:
		return fmt.Errorf("stat %s: %w", ref, err)
	}
	return nil
}

// indexes reads the index objects that Base refers to. A line is whole when its object
// can be read and everything that it lists is there. What lines list, those that are garbage
// too, is deleted with them, whatever else lies in it: nothing else may be described there.
func (inv *Inventory) indexes(ctx context.Context, store cold.Store, there map[catalog.ObjectRef]time.Time, parallel int) error {
	type line struct {
		of  record.Partition
		ref catalog.ObjectRef
	}
	var lines []line
	for t := range inv.Base.AllTopics() {
		for _, p := range t.Partitions {
			for _, l := range p.Index {
				lines = append(lines, line{p.ID, l.Object})
			}
		}
	}
	behind := map[record.Partition]bool{} // a line that is broken
	for some := range slices.Chunk(lines, 64) {
		lists := make([][]catalog.Extent, len(some))
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(parallel)
		for i, l := range some {
			g.Go(func() (err error) {
				lists[i], err = listed(gctx, store, l.ref)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		for i, l := range some {
			broken := len(lists[i]) == 0
			for _, x := range lists[i] {
				if err := inv.miss(ctx, store, there, x.Object); err != nil {
					return err
				}
				broken = broken || inv.Missing[x.Object]
			}
			for _, x := range lists[i] {
				if !broken {
					delete(there, x.Object) // it stays where it is, and goes with its line
				}
			}
			if broken {
				inv.Broken[l.ref], behind[l.of] = true, true
			}
			if behind[l.of] {
				inv.Lists[l.ref] = lists[i]
			}
			delete(there, l.ref)
		}
	}
	for ref := range inv.Base.Garbage() {
		if ref.Kind != catalog.KindIndex {
			continue
		}
		xs, err := listed(ctx, store, ref)
		if err != nil {
			return err
		}
		for _, x := range xs {
			delete(there, x.Object) // it goes with it
		}
	}
	return nil
}

// listed is what an index object lists; nothing when it is not there, or damaged however
// often it is read.
func listed(ctx context.Context, store cold.Store, ref catalog.ObjectRef) ([]catalog.Extent, error) {
	for range looks {
		b, err := store.Get(ctx, ref.Name(), cold.Whole, nil)
		if errors.Is(err, cold.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", ref, err)
		}
		if payload, err := object.DecodeIndex(b, ref.A, ref.B); err == nil {
			if xs, err := catalog.DecodeExtents(payload); err == nil {
				return xs, nil
			}
		}
	}
	return nil, nil
}

// footers reads the ends of all objects that Base does not refer to, or not in whole: of
// slots that a session wrote above its mark it describes what was given up since (S9). If
// something is missing that Base does refer to, all others may hold it too: what was
// rewritten stays for a while, and for as long as its neighbours were not.
func (inv *Inventory) footers(ctx context.Context, store cold.Store, listed map[catalog.ObjectRef]time.Time, o Options) error {
	whole := len(inv.Missing)+len(inv.Broken) == 0
	var refs []catalog.ObjectRef
	for ref := range listed {
		v, known := inv.Base.Session(ref.A)
		switch {
		case ref.Kind == catalog.KindWAL && known && !v.Sealed && ref.B >= v.Covered:
			refs = append(refs, ref)
		case ref.Kind == catalog.KindIndex, whole && (inv.Base.Refs(ref) > 0 || inv.Base.IsGarbage(ref)):
		case ref.Kind == catalog.KindWAL && known && v.Sealed && ref.B >= v.Fence: // its fence, and rubbish
		default:
			refs = append(refs, ref)
		}
	}
	slices.SortFunc(refs, catalog.ObjectRef.Compare)
	inv.Objects = make([]Object, len(refs))
	done := 0
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(o.Parallel)
	for i, ref := range refs {
		g.Go(func() error {
			x, err := open(gctx, store, ref)
			x.Modified = listed[ref]
			inv.Objects[i] = x
			mu.Lock()
			defer mu.Unlock()
			if done++; o.Progress != nil {
				o.Progress(done, len(refs))
			}
			return err
		})
	}
	return g.Wait()
}

// open reads header and footer of an object. Damage may be done on the way: it is believed
// when it is there again and again.
func open(ctx context.Context, store cold.Store, ref catalog.ObjectRef) (x Object, err error) {
	for range looks {
		if x, err = openOnce(ctx, store, ref); err != nil || x.Err == nil {
			break
		}
	}
	return x, err
}

func openOnce(ctx context.Context, store cold.Store, ref catalog.ObjectRef) (Object, error) {
	x := Object{Ref: ref}
	tail, err := store.Get(ctx, ref.Name(), cold.Tail(object.TailLen), nil)
	if err != nil {
		return x, fmt.Errorf("read %s: %w", ref, err)
	}
	size, err := object.SizeOf(tail)
	if err != nil {
		x.Err = err
		return x, nil
	}
	if _, need, err := object.OpenFooter(tail, size); err == nil && need > int64(len(tail)) {
		if tail, err = store.Get(ctx, ref.Name(), cold.Tail(need), nil); err != nil {
			return x, fmt.Errorf("read %s: %w", ref, err)
		}
	}
	head := tail
	if int64(len(tail)) < size {
		if head, err = store.Get(ctx, ref.Name(), cold.Range{Length: object.HeaderLen}, nil); err != nil {
			return x, fmt.Errorf("read %s: %w", ref, err)
		}
	}
	h, f, _, err := object.OpenEnds(head, tail, size)
	if err == nil && f == nil {
		err = fmt.Errorf("%w: its footer is cut short", object.ErrCorrupt)
	}
	if err == nil && (h.Session != ref.A || h.Slot != ref.B) {
		err = fmt.Errorf("%w: it says that it is %s %d of %d", object.ErrCorrupt, h.Kind, h.Slot, h.Session)
	}
	if err == nil {
		x.Header = h
		x.Runs, err = f.Runs()
	}
	for i := range x.Runs {
		for _, p := range x.Runs[i].Producers {
			x.Producer = max(x.Producer, p.ID+1)
		}
		x.Runs[i].Details = object.Details{} // of a thousand producers for each run, in a large bucket
	}
	x.Err = err
	return x, nil
}

// sortRuns orders runs by their base, then by their end.
func sortRuns(a, b catalog.Extent) int {
	return cmp.Or(cmp.Compare(a.Base, b.Base), cmp.Compare(a.Next, b.Next))
}
