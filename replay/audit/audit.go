// Package audit proves what is stored: it reads a whole bucket, with or without
// brokers running, and reports everything that is not as the catalog says.
//
// It holds the bucket to these:
//
//	A1  The catalog can be read and its invariants hold.
//	A2  Every object that an extent lies in exists, and the extent's bytes have its
//	    checksum, hold dense batches, and begin and end at its offsets.
//	A3  The extents of a partition are contiguous from what is kept of its log to
//	    its end, index lines included: no offset twice, none missing.
//	A4  The slots of a session above its covered mark are dense, are its own, and
//	    continue the logs of the partitions; nothing lies between two of them.
//	A5  Groups can be loaded from __consumer_offsets.
//
// Objects that nothing refers to are listed with their age; they are no finding:
// they wait for garbage collection, or are rubbish of an attempt that lost.
package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/coord/group"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// Options of a run.
type Options struct {
	// Parallel is how many objects are read at once. Default 8.
	Parallel int
	// Progress, if not nil, is told how many objects of how many are done. It is
	// called by one goroutine at a time.
	Progress func(done, total int)
}

// Finding is one thing that is wrong.
type Finding struct {
	Where string `json:"where" yaml:"where"` // an object, a partition or "catalog"
	What  string `json:"what" yaml:"what"`
}

// Orphan is an object that nothing refers to.
type Orphan struct {
	Name string        `json:"name" yaml:"name"`
	Size int64         `json:"size" yaml:"size"`
	Age  time.Duration `json:"age_ns" yaml:"age_ns"`
}

// Report is what a run found.
type Report struct {
	Cluster    string    `json:"cluster" yaml:"cluster"`
	Entry      uint64    `json:"entry" yaml:"entry"` // of the journal, as of which the bucket was held
	Objects    int       `json:"objects" yaml:"objects"`
	Runs       int       `json:"runs" yaml:"runs"`
	Bytes      int64     `json:"bytes" yaml:"bytes"`
	Records    int64     `json:"records" yaml:"records"`
	Partitions int       `json:"partitions" yaml:"partitions"`
	Findings   []Finding `json:"findings" yaml:"findings"`
	Orphans    []Orphan  `json:"orphans" yaml:"orphans"`
}

// Run audits the bucket. The error says that it could not be read as a whole; what
// is wrong in it is in the report.
func Run(ctx context.Context, store cold.Store, o Options) (Report, error) {
	if o.Parallel <= 0 {
		o.Parallel = 8
	}
	a := &auditor{store: store, opts: o, reader: journal.NewReader(store)}
	// On a live cluster objects are replaced while we read: what is missing is
	// missing only if it still is by the newest catalog.
	for try := 0; ; try++ {
		if err := a.once(ctx); err != nil {
			return a.report, err
		}
		if len(a.report.Findings) == 0 || try == 3 {
			break
		}
		before := a.reader.State().Number()
		if err := a.reader.Catchup(ctx, nil); err != nil || a.reader.State().Number() == before && try > 0 {
			break // the findings stand; one of them says why the catalog cannot be read
		}
	}
	slices.SortFunc(a.report.Findings, func(x, y Finding) int {
		return cmp.Or(cmp.Compare(x.Where, y.Where), cmp.Compare(x.What, y.What))
	})
	return a.report, nil
}

type auditor struct {
	store  cold.Store
	opts   Options
	reader *journal.Reader

	mu     sync.Mutex
	report Report
}

func (a *auditor) find(where, format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.report.Findings = append(a.report.Findings, Finding{where, fmt.Sprintf(format, args...)})
}

// claim is what an extent says of a stretch of an object.
type claim struct {
	partition record.Partition
	extent    catalog.Extent
	topic     string
}

func (a *auditor) once(ctx context.Context) error {
	a.report = Report{Findings: []Finding{}, Orphans: []Orphan{}}
	if err := a.reader.Catchup(ctx, nil); err != nil {
		if errors.Is(err, catalog.ErrCorrupt) || errors.Is(err, catalog.ErrVersion) || errors.Is(err, cold.ErrNotFound) {
			a.find("catalog", "it cannot be read: %v", err) // A1
			return nil
		}
		return fmt.Errorf("read the catalog: %w", err)
	}
	s := a.reader.State()
	if s.Number() == 0 {
		a.find("catalog", "there is no journal: this is no bucket of Firn, or it was emptied")
		return nil
	}
	a.report.Cluster, a.report.Entry = s.ClusterID(), s.Number()
	for _, err := range s.Check() {
		a.find("catalog", "%v", err)
	}
	listed, err := a.list(ctx)
	if err != nil {
		return err
	}
	claims, err := a.claims(ctx, s)
	if err != nil {
		return err
	}
	if err := a.slots(ctx, s, claims); err != nil {
		return err
	}
	if err := a.objects(ctx, claims); err != nil {
		return err
	}
	a.orphans(s, claims, listed)
	return nil
}

// list lists all objects that records may lie in.
func (a *auditor) list(ctx context.Context) (map[string]cold.Info, error) {
	out := map[string]cold.Info{}
	for _, prefix := range []string{catalog.PrefixWAL, catalog.PrefixSeg, catalog.PrefixIndex} {
		for info, err := range a.store.List(ctx, prefix, "") {
			if err != nil {
				return nil, fmt.Errorf("list %s: %w", prefix, err)
			}
			out[info.Name] = info
		}
	}
	return out, nil
}

// claims gathers all extents by object, and checks that those of a partition
// follow each other (A3).
func (a *auditor) claims(ctx context.Context, s *catalog.State) (map[catalog.ObjectRef][]claim, error) {
	claims := map[catalog.ObjectRef][]claim{}
	for _, t := range s.Topics() {
		for _, p := range t.Partitions {
			a.report.Partitions++
			name := fmt.Sprintf("%s-%d", t.Name, p.ID.Index)
			extents, err := a.pressed(ctx, name, p, claims)
			if err != nil {
				return nil, err
			}
			at := p.First()
			for _, x := range append(extents, p.Extents...) {
				if x.Base != at {
					a.find(name, "A3: extent [%d, %d) in %s begins at %d, want %d", x.Base, x.Next, x.Object, x.Base, at)
				}
				at = x.Next
				claims[x.Object] = append(claims[x.Object], claim{p.ID, x, name})
			}
			if at != p.Next {
				a.find(name, "A3: what is described ends at %d, the log at %d", at, p.Next)
			}
		}
	}
	return claims, nil
}

// pressed reads the extents of a partition that lie in index objects.
func (a *auditor) pressed(ctx context.Context, name string, p *catalog.Partition, claims map[catalog.ObjectRef][]claim) ([]catalog.Extent, error) {
	var out []catalog.Extent
	for _, l := range p.Index {
		claims[l.Object] = append(claims[l.Object], claim{topic: name})
		b, err := a.store.Get(ctx, l.Object.Name(), cold.Whole, nil)
		if errors.Is(err, cold.ErrNotFound) {
			a.find(l.Object.Name(), "A2: missing: it describes offsets [%d, %d) of %s", l.Base, l.Next, name)
			out = append(out, catalog.Extent{Base: l.Base, Next: l.Next, Object: l.Object})
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", l.Object, err)
		}
		payload, err := object.DecodeIndex(b)
		var xs []catalog.Extent
		if err == nil {
			xs, err = catalog.DecodeExtents(payload)
		}
		if err != nil {
			a.find(l.Object.Name(), "A2: %v", err)
			xs = []catalog.Extent{{Base: l.Base, Next: l.Next, Object: l.Object}}
		}
		out = append(out, xs...)
	}
	return out, nil
}

// slots walks what live sessions have committed above their covered mark (A4) and
// adds it to the claims.
func (a *auditor) slots(ctx context.Context, s *catalog.State, claims map[catalog.ObjectRef][]claim) error {
	for _, v := range s.Sessions() {
		if v.Sealed {
			if err := a.fence(ctx, v); err != nil {
				return err
			}
			continue
		}
		ends := map[record.Partition]int64{}
		for slot := v.Covered; ; slot++ {
			ref := catalog.WAL(v.ID, slot)
			b, err := a.store.Get(ctx, ref.Name(), cold.Whole, nil)
			if errors.Is(err, cold.ErrNotFound) {
				break
			}
			if err != nil {
				return fmt.Errorf("read %s: %w", ref, err)
			}
			h, runs, bad := object.Verify(b)
			for _, err := range bad {
				a.find(ref.Name(), "A2: %v", err)
			}
			if len(claims[ref]) == 0 { // else it is held to what a release has described
				claims[ref] = append(claims[ref], claim{topic: "a live session"})
			}
			if len(bad) > 0 || h.Kind == object.Fence {
				break
			}
			if h.Session != v.ID || h.Slot != slot || h.Nonce != v.Nonce {
				a.find(ref.Name(), "A4: it says that it is slot %d of session %d", h.Slot, h.Session)
				break
			}
			for _, r := range runs {
				p, ok := s.Partition(r.Partition)
				if !ok {
					continue
				}
				end, seen := ends[r.Partition]
				if !seen {
					end = p.Next
				}
				if r.Next <= p.Next && !seen {
					continue // released: described already
				}
				if r.Base != end {
					a.find(ref.Name(), "A4: %s: it continues at offset %d, the log ends at %d", r.Partition, r.Base, end)
				}
				ends[r.Partition] = r.Next
			}
			a.count(runs)
		}
	}
	return nil
}

// fence checks that a sealed session's fence is in its place.
func (a *auditor) fence(ctx context.Context, v *catalog.Session) error {
	ref := catalog.WAL(v.ID, v.Fence)
	b, err := a.store.Get(ctx, ref.Name(), cold.Whole, nil)
	if errors.Is(err, cold.ErrNotFound) {
		a.find(ref.Name(), "A4: the fence of session %d is missing: its broker could write again", v.ID)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", ref, err)
	}
	if h, err := object.ParseHeader(b); err != nil || h.Kind != object.Fence {
		a.find(ref.Name(), "A4: it should be the fence of session %d, and is not", v.ID)
	}
	return nil
}

func (a *auditor) count(runs []object.Run) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.report.Objects++
	a.report.Runs += len(runs)
	for _, r := range runs {
		a.report.Bytes += r.Len
		a.report.Records += r.Records
	}
}

// objects reads every object that is claimed, once, and holds it to the claims.
func (a *auditor) objects(ctx context.Context, claims map[catalog.ObjectRef][]claim) error {
	refs := make([]catalog.ObjectRef, 0, len(claims))
	for r, cs := range claims {
		if cs[0].extent.Object == r {
			refs = append(refs, r)
		}
	}
	slices.SortFunc(refs, catalog.ObjectRef.Compare)
	offsets, _ := a.reader.State().TopicNamed("__consumer_offsets")
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(a.opts.Parallel)
	done := 0
	for _, r := range refs {
		g.Go(func() error {
			err := a.object(ctx, r, claims[r], offsets)
			a.mu.Lock()
			defer a.mu.Unlock()
			if done++; a.opts.Progress != nil {
				a.opts.Progress(done, len(refs))
			}
			return err
		})
	}
	return g.Wait()
}

// object reads the claimed stretches of one object, each by itself so that memory
// stays bounded by the largest run.
func (a *auditor) object(ctx context.Context, ref catalog.ObjectRef, cs []claim, offsets *catalog.Topic) error {
	var runs []object.Run
	for _, c := range cs {
		x := c.extent
		b, err := a.store.Get(ctx, ref.Name(), cold.Range{Offset: x.Pos, Length: x.Len}, nil)
		switch {
		case errors.Is(err, cold.ErrNotFound):
			a.find(ref.Name(), "A2: missing: it holds offsets [%d, %d) of %s", x.Base, x.Next, c.topic)
			continue
		case errors.Is(err, cold.ErrRange):
			a.find(ref.Name(), "A2: cut short: offsets [%d, %d) of %s should be bytes [%d, %d)", x.Base, x.Next, c.topic, x.Pos, x.Pos+x.Len)
			continue
		case err != nil:
			return fmt.Errorf("read %s: %w", ref, err)
		}
		r := object.Run{Partition: c.partition, Epoch: x.Epoch, Base: x.Base, Next: x.Next, Pos: x.Pos, Len: x.Len, CRC: x.CRC, Records: x.Records, MaxTimestamp: x.MaxTimestamp}
		if err := object.VerifyRun(r, b); err != nil {
			a.find(ref.Name(), "A2: offsets [%d, %d) of %s, bytes [%d, %d): %v", x.Base, x.Next, c.topic, x.Pos, x.Pos+x.Len, err)
			continue
		}
		if offsets != nil && c.partition.Topic == offsets.ID {
			a.groups(ref, b)
		}
		runs = append(runs, r)
	}
	a.count(runs)
	return a.footer(ctx, ref, cs)
}

// footer checks header and footer of an object: readers need them.
func (a *auditor) footer(ctx context.Context, ref catalog.ObjectRef, cs []claim) error {
	info, err := a.store.Stat(ctx, ref.Name())
	if errors.Is(err, cold.ErrNotFound) {
		return nil // found missing above
	}
	if err != nil {
		return fmt.Errorf("stat %s: %w", ref, err)
	}
	tail, err := a.store.Get(ctx, ref.Name(), cold.Tail(object.TailLen), nil)
	if err != nil {
		return fmt.Errorf("read %s: %w", ref, err)
	}
	f, need, err := object.OpenFooter(tail, info.Size)
	if err == nil && f == nil {
		if tail, err = a.store.Get(ctx, ref.Name(), cold.Tail(need), nil); err != nil {
			return fmt.Errorf("read %s: %w", ref, err)
		}
		f, _, err = object.OpenFooter(tail, info.Size)
	}
	if err != nil {
		a.find(ref.Name(), "A2: %v", err)
		return nil
	}
	for _, c := range cs {
		i := f.Find(c.partition, c.extent.Base)
		if i < 0 {
			a.find(ref.Name(), "A2: its footer does not know offset %d of %s", c.extent.Base, c.topic)
			continue
		}
		if _, err := f.Whole(i); err != nil {
			a.find(ref.Name(), "A2: %v", err)
		}
	}
	return nil
}

// groups checks that the records of a run of __consumer_offsets can be loaded (A5).
func (a *auditor) groups(ref catalog.ObjectRef, run []byte) {
	m := group.New(group.Config{}, func(p string) string { return p })
	dec := record.BorrowDecoder()
	defer dec.Return()
	for len(run) > 0 {
		h, batch, rest, err := record.Next(run)
		if err != nil {
			return // found above
		}
		run = rest
		it := record.Iterate(h, batch, dec)
		for it.Next() {
			if !h.Control() && !m.Replay(it.Record.Key, it.Record.Value) {
				a.find(ref.Name(), "A5: the record at offset %d of __consumer_offsets cannot be read", it.Offset())
			}
		}
		if err := it.Err(); err != nil {
			a.find(ref.Name(), "A5: %v", err)
		}
	}
}

// orphans lists what nothing refers to.
func (a *auditor) orphans(s *catalog.State, claims map[catalog.ObjectRef][]claim, listed map[string]cold.Info) {
	now := time.Now()
	doomed := a.doomed(s)
	for name, info := range listed {
		ref, err := catalog.ParseRef(name)
		if err == nil {
			if _, used := claims[ref]; used || doomed[ref] || s.IsGarbage(ref) || s.IsGarbage(catalog.Cancelled(ref.A)) {
				continue
			}
			if ref.Kind == catalog.KindWAL {
				v, ok := s.Session(ref.A)
				if ok && ref.B < v.Covered || ok && v.Sealed && ref.B == v.Fence || ok && !v.Sealed {
					continue // waits for its session to end and be swept, or is the fence
				}
				if !ok && info.Size <= object.HeaderLen+object.TailLen && a.isFence(name) {
					continue // of a session that the catalog has forgotten: kept for ever
				}
			} else if slices.ContainsFunc(s.Jobs(), func(j *catalog.Job) bool { return j.ID == ref.A }) {
				continue // of a job under way
			}
		}
		a.report.Orphans = append(a.report.Orphans, Orphan{name, info.Size, now.Sub(info.Modified).Round(time.Second)})
	}
	slices.SortFunc(a.report.Orphans, func(x, y Orphan) int { return cmp.Compare(x.Name, y.Name) })
}

// doomed are the objects that index objects in the garbage list: they go with them.
func (a *auditor) doomed(s *catalog.State) map[catalog.ObjectRef]bool {
	out := map[catalog.ObjectRef]bool{}
	for ref := range s.Garbage() {
		if ref.Kind != catalog.KindIndex {
			continue
		}
		b, err := a.store.Get(context.Background(), ref.Name(), cold.Whole, nil)
		if err != nil {
			continue // deleted already: they were before it
		}
		payload, err := object.DecodeIndex(b)
		if err != nil {
			continue
		}
		xs, _ := catalog.DecodeExtents(payload)
		for _, x := range xs {
			out[x.Object] = true
		}
	}
	return out
}

func (a *auditor) isFence(name string) bool {
	b, err := a.store.Get(context.Background(), name, cold.Range{Length: object.HeaderLen}, nil)
	if err != nil {
		return false
	}
	h, err := object.ParseHeader(b)
	return err == nil && h.Kind == object.Fence
}
