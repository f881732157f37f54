package catalog

import (
	"fmt"
	"slices"

	"github.com/firnlog/firn/record"
)

// describe records runs that lie in WAL slots of a session, at or above its covered
// mark. Those of partitions that it owns under the run's epoch continue what is
// described (I1); anything else is rejected whole. But a partition may have been
// deleted since, or released, and the session may even have got it back: what it
// wrote before was described with the release (S9), other owners have written
// behind it or merged it with theirs, and it is left as it is.
//
// Nothing changes either when a log would end before one of the tips (I9).
func (s *State) describe(session uint64, extents []Located, tips []Tip) error {
	var p *Partition
	known := func(r Located) bool {
		if p == nil || p.ID != r.Partition {
			if p, _ = s.Partition(r.Partition); p == nil {
				return true // deleted
			}
		}
		return r.Next <= p.Next && (p.Owner != session || r.Epoch < p.Epoch)
	}
	if slices.ContainsFunc(extents, known) {
		extents = slices.DeleteFunc(slices.Clone(extents), known)
	}
	if err := s.reach(tips, extents); err != nil {
		return err
	}
	return s.splice(extents, func(p *Partition) bool { return p.Owner == session })
}

// reach checks that logs would reach their tips with extents, which are in the order of
// partitions (splice sees to that). A partition that was deleted has no tip.
func (s *State) reach(tips []Tip, extents []Located) error {
	for _, t := range tips {
		p, ok := s.Partition(t.Partition)
		if !ok || p.Next >= t.Next {
			continue
		}
		behind, _ := slices.BinarySearchFunc(extents, t.Partition, func(x Located, id record.Partition) int {
			if x.Partition.Compare(id) <= 0 {
				return -1
			}
			return 1
		})
		if behind == 0 || extents[behind-1].Partition != t.Partition || extents[behind-1].Next < t.Next {
			return fmt.Errorf("%w: %s would end before %d, which is committed", ErrInvalidExtents, t.Partition, t.Next)
		}
	}
	return nil
}

// splice puts runs in their places: those that lie below a partition's Next
// replace what describes the same offsets, those at Next extend it if the
// partition may grow. All is checked before anything changes.
func (s *State) splice(extents []Located, mayGrow func(*Partition) bool) error {
	type change struct {
		id   record.Partition
		runs []Located
	}
	var changes []change
	for len(extents) > 0 {
		n := 1
		for n < len(extents) && extents[n].Partition == extents[0].Partition {
			n++
		}
		c := change{extents[0].Partition, extents[:n]}
		extents = extents[n:]
		if len(changes) > 0 && changes[len(changes)-1].id.Compare(c.id) >= 0 {
			return fmt.Errorf("%w: they are not in order of partitions", ErrInvalidExtents)
		}
		p, ok := s.Partition(c.id)
		if !ok {
			continue
		}
		if err := fits(p, c.runs, mayGrow(p)); err != nil {
			return err
		}
		changes = append(changes, c)
	}
	for _, c := range changes {
		s.spliceOne(s.mutPartition(c.id), c.runs)
	}
	return nil
}

// fits checks runs of one partition against I1 and I3.
func fits(p *Partition, runs []Located, mayGrow bool) error {
	base, next := runs[0].Base, runs[len(runs)-1].Next
	bad := func(why string) error {
		return fmt.Errorf("%w: %s [%d, %d): %s", ErrInvalidExtents, p.ID, base, next, why)
	}
	for i, r := range runs {
		if r.Next <= r.Base || r.Len < 0 || r.Pos < 0 || r.Object.IsZero() {
			return bad("an empty or negative run")
		}
		if i > 0 && (r.Base != runs[i-1].Next || r.Epoch < runs[i-1].Epoch) {
			return bad("its runs do not follow each other")
		}
		if r.Epoch > p.Epoch {
			return bad("a run of an epoch that never was")
		}
	}
	switch {
	case next > p.Next && !mayGrow:
		return bad(fmt.Sprintf("the log ends at %d and the session does not own it", p.Next))
	case base > p.Next:
		return bad(fmt.Sprintf("a gap behind %d", p.Next))
	}
	if base < p.Next && len(p.Extents) > 0 {
		lo, hi := p.Find(base), p.Find(next-1)
		if lo < len(p.Extents) && p.Extents[lo].Base < base {
			return bad("it begins inside an extent")
		}
		if hi < len(p.Extents) && p.Extents[hi].Next > next {
			return bad("it ends inside an extent")
		}
	}
	if base < p.Next && len(p.Index) > 0 && base < p.Index[len(p.Index)-1].Next {
		return bad("it reaches into the index")
	}
	return nil
}

func (s *State) spliceOne(p *Partition, runs []Located) {
	base, next := runs[0].Base, runs[len(runs)-1].Next
	if base == p.Next { // the usual case appends: older states do not look past their length
		if s.fork {
			p.Extents = slices.Clip(p.Extents)
		}
		for _, r := range runs {
			p.Extents = append(p.Extents, r.Extent)
			p.Bytes += r.Len
			s.addRef(r.Object)
		}
		p.Next = next
		s.drop(p, p.LogStart)
		return
	}
	lo, hi := p.Find(base), p.Find(next)
	if next >= p.Next {
		hi = len(p.Extents)
	}
	old := p.Extents[lo:hi]
	fresh := make([]Extent, 0, len(p.Extents)-len(old)+len(runs))
	fresh = append(fresh, p.Extents[:lo]...)
	for _, r := range runs {
		fresh = append(fresh, r.Extent)
		p.Bytes += r.Len
		s.addRef(r.Object)
	}
	fresh = append(fresh, p.Extents[hi:]...)
	p.Extents = fresh
	p.Next = max(p.Next, next)
	for _, e := range old {
		p.Bytes -= e.Len
		s.dropRef(e.Object)
	}
	s.drop(p, p.LogStart)
}

// drop forgets what lies wholly below an offset. p must be mutable, or about to
// be deleted with its topic.
func (s *State) drop(p *Partition, below int64) {
	i, bytes := 0, int64(0)
	for ; i < len(p.Index) && p.Index[i].Next <= below; i++ {
		bytes += p.Index[i].Bytes
		s.garbage.set(s.edit, p.Index[i].Object, s.number)
	}
	n := 0
	for ; n < len(p.Extents) && p.Extents[n].Next <= below; n++ {
		bytes += p.Extents[n].Len
		s.dropRef(p.Extents[n].Object)
	}
	if p.edit != s.edit {
		return // the topic goes with it, and other states have it as it is
	}
	p.Bytes -= bytes
	p.Index, p.Extents = p.Index[i:], p.Extents[n:]
	e := 0
	for e+1 < len(p.Epochs) && p.Epochs[e+1].Start <= min(below, p.Next) {
		e++
	}
	p.Epochs = p.Epochs[e:]
}

func (c *Cover) apply(s *State, _ position) (Result, error) {
	return Result{}, s.cover(c.Session, c.From, c.To, c.Extents, nil)
}

func (s *State) cover(session, from, to uint64, extents []Located, tips []Tip) error {
	v, err := s.live(session)
	if err != nil {
		return err
	}
	if v.Covered != from || to < from {
		return ErrStale
	}
	if err := s.describe(session, extents, tips); err != nil {
		return err
	}
	if to != from {
		s.mutSession(session).Covered = to
	}
	return nil
}

func (c *BeginJob) apply(s *State, at position) (Result, error) {
	if _, err := s.live(c.Session); err != nil {
		return Result{}, err
	}
	if at.index >= 1<<10 {
		return Result{}, ErrStale // its id would be one of the next entry's
	}
	id := at.number<<10 | uint64(at.index)
	s.jobs.set(s.edit, id, &Job{ID: id, Session: c.Session})
	return Result{ID: id}, nil
}

func (c *CommitJob) apply(s *State, _ position) (Result, error) {
	j, ok := s.jobs.get(c.Job)
	if !ok {
		return Result{}, ErrNoJob
	}
	for _, p := range c.Presses {
		if err := s.checkPress(p); err != nil {
			return Result{}, err
		}
	}
	// Only the owner knows what footers must say of producers (S2).
	for _, x := range c.Extents {
		if p, ok := s.Partition(x.Partition); ok && p.Owner != j.Session {
			return Result{}, fmt.Errorf("%w: job of session %d, %s", ErrNotOwner, j.Session, p.ID)
		}
	}
	if c.To > c.From { // it sealed the session's own slots
		if err := s.cover(j.Session, c.From, c.To, c.Extents, c.Tips); err != nil {
			return Result{}, err
		}
	} else if err := s.splice(c.Extents, func(*Partition) bool { return false }); err != nil {
		return Result{}, err
	}
	for _, p := range c.Presses {
		s.press(p)
	}
	for _, o := range c.Objects {
		if _, used := s.refs.get(o); !used && o.Kind == KindSeg {
			s.garbage.set(s.edit, o, s.number)
		}
	}
	s.jobs.del(s.edit, c.Job)
	return Result{}, nil
}

// checkPress checks that a line describes exactly consecutive lines, or the last ones
// and a front part of the extents, each of these in an object that nothing else is in.
func (s *State) checkPress(c Press) error {
	p, ok := s.Partition(c.Partition)
	if !ok {
		return nil
	}
	l, n, ok := p.span(c.Line.Base, c.Line.Next)
	if !ok || c.Line.Object.Kind != KindIndex {
		return ErrStale
	}
	listed := int32(n)
	for _, x := range p.Index[l.from:l.to] {
		listed += x.Extents
	}
	if c.Line.Extents != listed {
		return ErrStale
	}
	own := map[ObjectRef]int{}
	for _, e := range p.Extents[:n] {
		if e.Object.Kind != KindSeg {
			return fmt.Errorf("%w: %s lies in a WAL object", ErrInvalidExtents, e.Object)
		}
		own[e.Object]++
	}
	for o, n := range own {
		if s.Refs(o) != n {
			return fmt.Errorf("%w: %s is shared", ErrInvalidExtents, o)
		}
	}
	return nil
}

// lines is a part of Partition.Index.
type lines struct{ from, to int }

// span finds what describes the offsets [base, next): index lines, and the first n
// extents when it reaches beyond the last line. It is not ok when anything would be
// split, or is one line already.
func (p *Partition) span(base, next int64) (l lines, n int, ok bool) {
	l.from = slices.IndexFunc(p.Index, func(l IndexRef) bool { return l.Base == base })
	if l.from < 0 {
		if len(p.Extents) == 0 || p.Extents[0].Base != base {
			return lines{}, 0, false
		}
		l.from = len(p.Index)
	}
	for l.to = l.from; l.to < len(p.Index) && p.Index[l.to].Next <= next; l.to++ {
	}
	if l.to > l.from && p.Index[l.to-1].Next == next {
		return l, 0, l.to-l.from > 1
	}
	i := p.Find(next - 1)
	return l, i + 1, l.to == len(p.Index) && i < len(p.Extents) && p.Extents[i].Next == next
}

func (s *State) press(c Press) {
	p := s.mutPartition(c.Partition)
	if p == nil {
		s.garbage.set(s.edit, c.Line.Object, s.number)
		return
	}
	l, n, ok := p.span(c.Line.Base, c.Line.Next)
	if !ok { // it overlaps another one of the same job: what it lists is listed already
		s.garbage.set(s.edit, ObjectRef{KindListless, c.Line.Object.A, c.Line.Object.B}, s.number)
		return
	}
	for _, e := range p.Extents[:n] {
		n, _ := s.refs.get(e.Object)
		if n > 1 {
			s.refs.set(s.edit, e.Object, n-1)
		} else {
			s.refs.del(s.edit, e.Object) // the index line refers to it now
		}
	}
	for _, x := range p.Index[l.from:l.to] { // what they list is listed by the new one
		s.garbage.set(s.edit, ObjectRef{KindListless, x.Object.A, x.Object.B}, s.number)
	}
	p.Extents = slices.Clone(p.Extents[n:])
	p.Index = slices.Concat(p.Index[:l.from], []IndexRef{c.Line}, p.Index[l.to:]) // exactly as long: there are few changes and many partitions
}

func (c *CancelJob) apply(s *State, _ position) (Result, error) {
	if _, ok := s.jobs.get(c.Job); !ok {
		return Result{}, ErrNoJob
	}
	s.cancel(c.Job)
	return Result{}, nil
}

// Cancelled is the reference under which a cancelled job waits in the garbage:
// whatever lies below its names may be deleted.
func Cancelled(job uint64) ObjectRef { return ObjectRef{KindSeg, job, ^uint64(0)} }

// IsCancelled reports whether r is such a reference.
func (r ObjectRef) IsCancelled() bool { return r.Kind == KindSeg && r.B == ^uint64(0) }

func (s *State) cancel(job uint64) {
	s.jobs.del(s.edit, job)
	s.garbage.set(s.edit, Cancelled(job), s.number)
}

func (c *Trim) apply(s *State, _ position) (Result, error) {
	var res Result
	for i, it := range c.Items {
		p := s.mutPartition(it.Partition)
		if p == nil {
			if res.Items == nil {
				res.Items = make([]error, len(c.Items))
			}
			res.Items[i] = ErrNoPartition
			continue
		}
		// The owner may trim into its unrecorded tail; nobody else knows one.
		if it.LogStart > p.LogStart {
			p.LogStart = it.LogStart
			s.drop(p, p.LogStart)
		}
	}
	return res, nil
}

func (c *Sweep) apply(s *State, _ position) (Result, error) {
	for _, o := range c.Objects {
		s.garbage.del(s.edit, o)
	}
	return Result{}, nil
}
