package press

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/hot"
)

// Limits are the sizes and counts that decide what is worth doing.
type Limits struct {
	// Budget is about how many bytes one rewrite holds in memory: what one job
	// gathers, and how large the segments are that merging and compaction write.
	Budget int64
	// Own is the bytes of a partition from which on it gets an object of its own:
	// objects of that size cost next to nothing for being many.
	Own int64
	// Small is how many small extents a partition has before they are merged.
	Small int
	// Extents is how many extents a partition has in the catalog before the oldest
	// are pressed out of it, Keep how many stay, and Fewest are worth the object.
	Extents, Keep, Fewest int
	// Lines is how exact retention is: an index line, which goes as a whole, holds at
	// most one part in so many of a partition's extents, or those of one pressing. There
	// are twice as many lines at most.
	Lines int
	// Keys is how many keys compaction remembers at a time: about 64 bytes each.
	Keys int
}

// DefaultLimits are right for production.
func DefaultLimits() Limits {
	return Limits{Budget: 64 << 20, Own: 16 << 20, Small: 16, Extents: 24, Keep: 8, Fewest: 8, Lines: 16, Keys: 1 << 20}
}

// Setting looks up a broker setting that gives a topic config its default.
type Setting = func(name string) (string, bool)

// Stretch is consecutive extents of one partition.
type Stretch struct {
	Partition record.Partition
	Extents   []catalog.Extent
}

// Bytes is the sum of their lengths.
func (s Stretch) Bytes() (n int64) {
	for _, x := range s.Extents {
		n += x.Len
	}
	return n
}

// Pending says which WAL objects are in generations that wait to be sealed: the hot
// tier spares the bucket reading them.
func Pending(gens []hot.Info) func(catalog.ObjectRef) bool {
	gens = slices.DeleteFunc(slices.Clone(gens), func(g hot.Info) bool { return g.Sealed })
	return func(r catalog.ObjectRef) bool {
		return r.Kind == catalog.KindWAL && slices.ContainsFunc(gens, func(g hot.Info) bool {
			return g.Session.ID == r.A && r.B >= g.First && (g.Filling || r.B < g.Next)
		})
	}
}

// PlanLinger chooses runs that lie in WAL objects of sealed sessions, the oldest
// objects first, so that these can go (S10): up to about Budget bytes, of each
// partition of the session one stretch, in the order of partitions. Objects that
// skip says of are left alone.
func PlanLinger(s *catalog.State, session uint64, l Limits, skip func(catalog.ObjectRef) bool) []Stretch {
	var all []catalog.Located
	dead := map[uint64]bool{}
	for _, id := range s.Owned(session) {
		c, _ := s.Partition(id)
		for _, x := range c.Extents {
			if x.Object.Kind != catalog.KindWAL || x.Object.A == session {
				continue
			}
			sealed, known := dead[x.Object.A]
			if !known {
				v, ok := s.Session(x.Object.A)
				sealed = !ok || v.Sealed
				dead[x.Object.A] = sealed
			}
			if sealed && !skip(x.Object) {
				all = append(all, catalog.Located{Partition: c.ID, Extent: x})
			}
		}
	}
	slices.SortFunc(all, func(a, b catalog.Located) int { return a.Object.Compare(b.Object) })
	n, left := 0, l.Budget
	for ; n < len(all); n++ {
		if left <= 0 && all[n].Object != all[n-1].Object {
			break
		}
		left -= all[n].Len
	}
	all = all[:n]
	sortLocated(all)
	var out []Stretch
	for _, x := range all {
		if n := len(out); n > 0 && out[n-1].Partition == x.Partition {
			// Sessions are not always as old as what they wrote: there may be a gap.
			if last := &out[n-1]; last.Extents[len(last.Extents)-1].Next == x.Base {
				last.Extents = append(last.Extents, x.Extent)
			}
			continue
		}
		out = append(out, Stretch{x.Partition, []catalog.Extent{x.Extent}})
	}
	return out
}

// PlanMerge chooses small extents worth merging: stretches of more than Small,
// none of which is larger than those behind it together, so that a record is
// rewritten about as often as its partition doubles, until it lies in a segment of
// half the target or more. own are stretches that each make a segment; shared go
// into one object together, up to about Budget bytes of them. Objects that skip
// says of are left alone, and so are WAL objects of sessions that live: sealing
// sees to them.
func PlanMerge(s *catalog.State, session uint64, l Limits, skip func(catalog.ObjectRef) bool, setting Setting) (own, shared []Stretch) {
	left := l.Budget
	for _, id := range s.Owned(session) {
		c, ok := s.Partition(id)
		if !ok || len(c.Extents) <= l.Small {
			continue
		}
		t, _ := s.Topic(id.Topic)
		target := min(l.Budget, t.Int("segment.bytes", setting))
		lo, hi := mergeable(c, target, l.Small, func(x catalog.Extent) bool {
			return x.Object.Kind == catalog.KindSeg && !x.Object.IsCompacted() && !skip(x.Object)
		})
		if hi == lo {
			continue
		}
		st := Stretch{id, c.Extents[lo:hi:hi]}
		switch n := st.Bytes(); {
		case n >= min(l.Own, target/2):
			own = append(own, st)
		case left > 0:
			left -= n
			shared = append(shared, st)
		}
	}
	return own, shared
}

// mergeable finds the first stretch [lo, hi) of extents to merge.
func mergeable(c *catalog.Partition, target int64, small int, may func(catalog.Extent) bool) (lo, hi int) {
	xs := c.Extents
	for lo < len(xs) {
		var sum int64
		for hi = lo; hi < len(xs) && may(xs[hi]) && xs[hi].Len <= target/2 && sum+xs[hi].Len <= target; hi++ {
			sum += xs[hi].Len
		}
		next := max(hi, lo+1)
		full := hi < len(xs) && may(xs[hi]) // what is here makes a segment already
		for lo < hi && xs[lo].Len > sum-xs[lo].Len && !full {
			sum -= xs[lo].Len
			lo++
		}
		epochs := 1
		for i := lo + 1; i < hi; i++ {
			if xs[i].Epoch != xs[i-1].Epoch {
				epochs++ // a run has one
			}
		}
		if hi-lo > small && epochs <= (hi-lo)/2 {
			return lo, hi
		}
		lo = next
	}
	return 0, 0
}

// PlanPress chooses the oldest extents of partitions that have more than Extents
// of them, as far as they lie in objects of their own, and with them the index
// lines that the new line takes in; and the index lines to join of partitions that have
// too many of these. Compacted topics stay as they are: compaction keeps them few, and
// cannot reach what is pressed.
func PlanPress(s *catalog.State, session uint64, l Limits, setting Setting) []Pressing {
	var out []Pressing
	for _, id := range s.Owned(session) {
		c, ok := s.Partition(id)
		if !ok || len(c.Extents) <= l.Extents && len(c.Index) <= 2*l.Lines {
			continue
		}
		if t, _ := s.Topic(id.Topic); t.Has("cleanup.policy", "compact", setting) {
			continue
		}
		old := c.Index
		if n := pressable(s, c, max(0, len(c.Extents)-l.Keep)); n >= l.Fewest {
			last := folded(old, n, l.Lines)
			out = append(out, Pressing{Stretch{id, c.Extents[:n:n]}, last})
			old = old[:len(old)-len(last)]
		}
		if len(old) > 2*l.Lines {
			out = append(out, Pressing{Stretch{Partition: id}, joined(old, l.Lines)})
		}
	}
	return out
}

// Pressing is what becomes one index line: a front part of a partition's extents together
// with the last index lines, or index lines alone.
type Pressing struct {
	Stretch
	Lines []catalog.IndexRef
}

// folded is which of the last lines are taken into one with n new extents: those that
// are not larger than what follows them, so that each extent is listed anew about as
// often as the history doubles.
func folded(lines []catalog.IndexRef, n, parts int) []catalog.IndexRef {
	sum, i := n, len(lines)
	most := (n + listed(lines)) / parts
	for i > 0 && int(lines[i-1].Extents) <= sum && sum+int(lines[i-1].Extents) <= most {
		i--
		sum += int(lines[i].Extents)
	}
	return lines[i:]
}

// joined is the first lines in a row that may be one: old ones, made when there was less
// history to have a part of. Of more than 2*parts lines two neighbours always may.
func joined(lines []catalog.IndexRef, parts int) []catalog.IndexRef {
	most := listed(lines) / parts
	for i := range lines {
		sum, n := int(lines[i].Extents), i+1
		for n < len(lines) && sum+int(lines[n].Extents) <= most {
			sum += int(lines[n].Extents)
			n++
		}
		if n > i+1 {
			return lines[i:n]
		}
	}
	return nil
}

// listed is how many extents lines stand for.
func listed(lines []catalog.IndexRef) (n int) {
	for _, l := range lines {
		n += int(l.Extents)
	}
	return n
}

// Line is the catalog's line for lines and extents that follow them, pressed into one
// index object.
func (p Pressing) Line(ref catalog.ObjectRef) catalog.IndexRef {
	l := catalog.IndexRef{Base: math.MaxInt64, Object: ref, MaxTimestamp: -1}
	for _, x := range p.Lines {
		l.Base, l.Next = min(l.Base, x.Base), x.Next
		l.Extents += x.Extents
		l.Bytes += x.Bytes
		l.MaxTimestamp = max(l.MaxTimestamp, x.MaxTimestamp)
	}
	for _, x := range p.Extents {
		l.Base, l.Next = min(l.Base, x.Base), x.Next
		l.Extents++
		l.Bytes += x.Len
		l.MaxTimestamp = max(l.MaxTimestamp, x.MaxTimestamp)
	}
	return l
}

// pressable is the length of the longest front of extents, most at most, that
// nothing else shares its objects with.
func pressable(s *catalog.State, c *catalog.Partition, most int) int {
	left := map[catalog.ObjectRef]int{} // extents elsewhere, of objects begun
	open, best := 0, 0
	for i, x := range c.Extents[:most] {
		if x.Object.Kind != catalog.KindSeg {
			break
		}
		n, begun := left[x.Object]
		if !begun {
			n = s.Refs(x.Object)
			open++
		}
		if n--; n == 0 {
			open--
		}
		left[x.Object] = n
		if open == 0 {
			best = i + 1
		}
	}
	return best
}

// Cleaning says when a compacted topic is worth compacting, in Kafka's words.
type Cleaning struct {
	MinLag   int64   // min.compaction.lag.ms
	MaxLag   int64   // max.compaction.lag.ms
	MinDirty float64 // min.cleanable.dirty.ratio
	// DeleteRetention is delete.retention.ms: how long tombstones stay.
	DeleteRetention int64
}

// CleaningOf is what a topic's configs say.
func CleaningOf(t *catalog.Topic, setting Setting) Cleaning {
	ratio, err := strconv.ParseFloat(t.Config("min.cleanable.dirty.ratio", setting), 64)
	if err != nil {
		ratio = 0.5
	}
	return Cleaning{
		MinLag: t.Int("min.compaction.lag.ms", setting), MaxLag: t.Int("max.compaction.lag.ms", setting),
		MinDirty: ratio, DeleteRetention: t.Int("delete.retention.ms", setting),
	}
}

// PlanCompact decides which extents of a partition are compacted by key: those
// before front, of which those before dirty were compacted before, by one job: of each
// key they have one record. A recovery may have pieced together what several wrote. front
// is 0 when it is not worth it. Only what is sealed, below stable (the last stable
// offset) and older than the minimal lag is compacted.
func PlanCompact(c *catalog.Partition, k Cleaning, stable, nowMs int64) (dirty, front int) {
	var clean, fresh int64
	overdue := false
	for front < len(c.Extents) {
		x := c.Extents[front]
		if x.Object.Kind != catalog.KindSeg || x.Next > stable || k.MinLag > 0 && x.MaxTimestamp > nowMs-k.MinLag {
			break
		}
		if front == dirty && x.Object.IsCompacted() && x.Object.A == c.Extents[0].Object.A {
			clean += x.Len
			dirty++
		} else {
			fresh += x.Len
			overdue = overdue || x.MaxTimestamp >= 0 && x.MaxTimestamp < sub(nowMs, k.MaxLag)
		}
		front++
	}
	if fresh == 0 || !overdue && float64(fresh) < k.MinDirty*float64(clean+fresh) {
		return 0, 0
	}
	return dirty, front
}

// sub is a-b, or the least number when that is too small for one.
func sub(a, b int64) int64 {
	if b > 0 && a < math.MinInt64+b {
		return math.MinInt64
	}
	return a - b
}

// Warm is a generation of the hot tier and what partitions have in it.
type Warm struct {
	ID     uint64
	Sealed bool
	Shares []hot.Share
}

// PlanCool decides which generations, given oldest first, local retention
// (KIP-405) lets go: sealed ones of which no partition keeps anything, by age or
// because it has enough that is newer.
func PlanCool(s *catalog.State, gens []Warm, nowMs int64, setting Setting) []uint64 {
	newer := map[record.Partition]int64{}
	var out []uint64
	for _, g := range slices.Backward(gens) {
		keep := !g.Sealed
		for _, sh := range g.Shares {
			keep = keep || keeps(s, sh, newer[sh.Partition], nowMs, setting)
			newer[sh.Partition] += sh.Bytes
		}
		if !keep {
			out = append(out, g.ID)
		}
	}
	slices.Reverse(out)
	return out
}

// keeps reports whether local retention keeps a share of a partition that has so
// many newer bytes.
func keeps(s *catalog.State, sh hot.Share, newer, nowMs int64, setting Setting) bool {
	c, ok := s.Partition(sh.Partition)
	if !ok || sh.Next <= c.LogStart {
		return false
	}
	t, _ := s.Topic(sh.Partition.Topic)
	age, size := t.Int("local.retention.ms", setting), t.Int("local.retention.bytes", setting)
	if age == -2 {
		age = t.Int("retention.ms", setting)
	}
	if size == -2 {
		size = t.Int("retention.bytes", setting)
	}
	old := age >= 0 && sh.MaxTimestamp >= 0 && sh.MaxTimestamp < sub(nowMs, age)
	return !old && (size < 0 || newer < size)
}

// PlanSweep returns the garbage that was first seen longer than grace ago, oldest
// first, and keeps seen up to date: what is new garbage is seen now, what is no
// garbage any more is forgotten.
func PlanSweep(s *catalog.State, seen map[catalog.ObjectRef]time.Time, now time.Time, grace time.Duration) []catalog.ObjectRef {
	var due []catalog.ObjectRef
	for ref := range s.Garbage() {
		since, known := seen[ref]
		if !known {
			seen[ref], since = now, now
		}
		if now.Sub(since) >= grace {
			due = append(due, ref)
		}
	}
	if len(seen) > s.GarbageCount() {
		for ref := range seen {
			if !s.IsGarbage(ref) {
				delete(seen, ref)
			}
		}
	}
	slices.SortFunc(due, func(a, b catalog.ObjectRef) int {
		return cmp.Or(seen[a].Compare(seen[b]), a.Compare(b))
	})
	return due
}
