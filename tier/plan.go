package tier

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
	// Own is the bytes of a partition from which on it gets a segment of its own:
	// objects of that size cost next to nothing for being many.
	Own int64
	// Target is the size that segments aim at, unless segment.bytes is less.
	Target int64
	// Gather is about how many bytes one job reads that gathers partitions.
	Gather int64
	// Small is how many small extents a partition has before they are merged.
	Small int
	// Extents is how many extents a partition has in the catalog before the oldest
	// are pressed out of it, and Keep how many stay; Fewest are worth the object.
	Extents, Keep, Fewest int
}

// DefaultLimits are right for production.
func DefaultLimits() Limits {
	return Limits{Own: 16 << 20, Target: 256 << 20, Gather: 64 << 20, Small: 16, Extents: 512, Keep: 256, Fewest: 64}
}

// compactedFrom: see W5.
const compactedFrom = 1 << 32

// Setting looks up a broker setting that gives a topic config its default.
type Setting = func(name string) (string, bool)

// Compacted reports whether an object holds runs that were compacted by key (W5).
func Compacted(r catalog.ObjectRef) bool {
	return r.Kind == catalog.KindSeg && r.B >= compactedFrom && !r.IsCancelled()
}

// SealStep is what to do about one generation.
type SealStep uint8

// The steps of a generation on its way to be sealed.
const (
	SealWait   SealStep = iota // nothing yet
	SealRotate                 // end it
	SealNow                    // seal it
)

// PlanSeal decides about a generation: it is ended at its age (its size is the hot
// tier's business), and sealed once every slot of it is committed (S4). What an
// earlier life left waits until it is known where that life ended (S7).
func PlanSeal(g hot.Info, session, committed uint64, now time.Time, every time.Duration) SealStep {
	switch {
	case g.Sealed:
		return SealWait
	case g.Filling:
		if g.Batches > 0 && now.Sub(g.Opened) >= every {
			return SealRotate
		}
		return SealWait
	case g.Session.ID == session:
		if committed < g.Next {
			return SealWait
		}
		return SealNow
	case !g.Settled:
		return SealWait
	}
	return SealNow
}

// SealFrom decides from which offset on a sealed object takes the batches that a
// generation holds of a partition, the offsets [base, next); false when none. It
// leaves out what somebody else leads now or what lies in sealed form already: the
// catalog describes that, and merging does the rest.
func SealFrom(c *catalog.Partition, session uint64, base, next int64) (int64, bool) {
	if next > c.Next {
		if base >= c.Next {
			return base, true
		}
		if !aligned(c, base, c.Next) {
			return c.Next, true
		}
		return base, true
	}
	if c.Owner != session || !aligned(c, base, next) {
		return 0, false
	}
	for _, x := range c.Extents[c.Find(base):] {
		if x.Base >= next {
			break
		}
		if x.Object.Kind == catalog.KindWAL {
			return base, true
		}
	}
	return 0, false
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

// aligned reports whether extents of the partition could be replaced by runs of
// exactly [base, next): no extent lies across either end, and none is pressed.
func aligned(c *catalog.Partition, base, next int64) bool {
	if n := len(c.Index); n > 0 && base < c.Index[n-1].Next {
		return false
	}
	if i := c.Find(base); i < len(c.Extents) && c.Extents[i].Base < base {
		return false
	}
	if i := c.Find(next - 1); i < len(c.Extents) && c.Extents[i].Next > next {
		return false
	}
	return true
}

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

// PlanLinger chooses runs that lie in WAL objects of sealed sessions, the oldest
// objects first, so that these can go (S10): up to about Gather bytes, of each
// partition of the session one stretch, in the order of partitions. Objects that
// skip says of are left alone.
func PlanLinger(s *catalog.State, session uint64, l Limits, skip func(catalog.ObjectRef) bool) []Stretch {
	var all []catalog.Located
	for t := range s.AllTopics() {
		for _, c := range t.Partitions {
			if c.Owner != session {
				continue
			}
			for _, x := range c.Extents {
				if x.Object.Kind != catalog.KindWAL || skip(x.Object) {
					continue
				}
				if v, ok := s.Session(x.Object.A); !ok || v.Sealed {
					all = append(all, catalog.Located{Partition: c.ID, Extent: x})
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b catalog.Located) int { return a.Object.Compare(b.Object) })
	n, limit := 0, l.Gather
	for ; n < len(all); n++ {
		if limit <= 0 && all[n].Object != all[n-1].Object {
			break
		}
		limit -= all[n].Len
	}
	all = all[:n]
	slices.SortFunc(all, func(a, b catalog.Located) int {
		return cmp.Or(a.Partition.Compare(b.Partition), cmp.Compare(a.Base, b.Base))
	})
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
// rewritten about as often as its partition doubles. own are stretches that each
// make a segment; shared go into one object together, up to about Gather bytes of
// them. Objects that skip says of are left alone.
func PlanMerge(s *catalog.State, session uint64, l Limits, skip func(catalog.ObjectRef) bool, setting Setting) (own, shared []Stretch) {
	limit := l.Gather
	for _, id := range s.Owned(session) {
		c, ok := s.Partition(id)
		if !ok || len(c.Extents) <= l.Small {
			continue
		}
		t, _ := s.Topic(id.Topic)
		target := min(l.Target, t.Int("segment.bytes", setting))
		lo, hi := mergeable(c, target, l.Small, func(x catalog.Extent) bool {
			return !Compacted(x.Object) && !skip(x.Object)
		})
		if hi == lo {
			continue
		}
		st := Stretch{id, c.Extents[lo:hi]}
		switch n := st.Bytes(); {
		case n >= l.Own:
			own = append(own, st)
		case limit > 0:
			limit -= n
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
		for lo < hi && xs[lo].Len > sum-xs[lo].Len {
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
// of them, as far as they lie in objects of their own. Compacted topics stay as they
// are: compaction keeps them few, and cannot reach what is pressed.
func PlanPress(s *catalog.State, session uint64, l Limits, setting Setting) []Stretch {
	var out []Stretch
	for _, id := range s.Owned(session) {
		c, ok := s.Partition(id)
		if !ok || len(c.Extents) <= l.Extents {
			continue
		}
		if t, _ := s.Topic(id.Topic); t.Has("cleanup.policy", "compact", setting) {
			continue
		}
		if n := pressable(s, c, len(c.Extents)-l.Keep); n >= l.Fewest {
			out = append(out, Stretch{id, c.Extents[:n]})
		}
	}
	return out
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

// Line is the catalog's line for extents that are pressed into an index object.
func Line(ref catalog.ObjectRef, xs []catalog.Extent) catalog.IndexRef {
	l := catalog.IndexRef{Base: xs[0].Base, Next: xs[len(xs)-1].Next, Object: ref, Extents: int32(len(xs)), MaxTimestamp: -1}
	for _, x := range xs {
		l.Bytes += x.Len
		l.MaxTimestamp = max(l.MaxTimestamp, x.MaxTimestamp)
	}
	return l
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
// before front, of which those before dirty were compacted before; front is 0
// when it is not worth it. Only what is sealed, below stable (the last stable
// offset) and older than the minimal lag is compacted.
func PlanCompact(c *catalog.Partition, k Cleaning, stable, nowMs int64) (dirty, front int) {
	var clean, fresh int64
	overdue := false
	for front < len(c.Extents) {
		x := c.Extents[front]
		if x.Object.Kind != catalog.KindSeg || x.Next > stable || k.MinLag > 0 && x.MaxTimestamp > nowMs-k.MinLag {
			break
		}
		if front == dirty && Compacted(x.Object) {
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

// PlanTrim decides what retention gives up, of the partitions of one session: whole
// extents from the front, those whose newest record is older than retention.ms
// and those without which retention.bytes still holds. Topics that are only
// compacted keep everything.
func PlanTrim(s *catalog.State, session uint64, nowMs int64, setting Setting) []catalog.TrimItem {
	var items []catalog.TrimItem
	for t := range s.AllTopics() {
		if !t.Has("cleanup.policy", "delete", setting) {
			continue
		}
		age, size := t.Int("retention.ms", setting), t.Int("retention.bytes", setting)
		for _, c := range t.Partitions {
			if c.Owner != session {
				continue
			}
			if start := retained(c, nowMs, age, size); start > c.LogStart {
				items = append(items, catalog.TrimItem{Partition: c.ID, LogStart: start})
			}
		}
	}
	slices.SortFunc(items, func(a, b catalog.TrimItem) int { return a.Partition.Compare(b.Partition) })
	return items
}

// retained is the first offset that retention keeps. Like Kafka it goes by the
// largest timestamp of what it would drop. Without timestamps, records are as old as
// those behind them.
func retained(c *catalog.Partition, nowMs, age, size int64) int64 {
	start, left := c.LogStart, c.Bytes
	maybe := start // what has no timestamps reaches up to here
	drop := func(next, bytes, newest, records int64) bool {
		much := size >= 0 && left-bytes >= size
		old := age >= 0 && (records == 0 || newest >= 0 && newest < sub(nowMs, age))
		unknown := age >= 0 && newest < 0
		if !much && !old && !unknown {
			return false
		}
		left -= bytes
		if maybe = max(maybe, next); much || old {
			start = maybe
		}
		return true
	}
	for _, l := range c.Index {
		if !drop(l.Next, l.Bytes, l.MaxTimestamp, 1) {
			return start
		}
	}
	for _, x := range c.Extents {
		if !drop(x.Next, x.Len, x.MaxTimestamp, x.Records) {
			break
		}
	}
	return start
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
			keep = keep || cools(s, sh, newer[sh.Partition], nowMs, setting)
		}
		for _, sh := range g.Shares {
			newer[sh.Partition] += sh.Bytes
		}
		if !keep {
			out = append(out, g.ID)
		}
	}
	slices.Reverse(out)
	return out
}

// cools reports whether local retention keeps a share.
func cools(s *catalog.State, sh hot.Share, newer, nowMs int64, setting Setting) bool {
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

// Collector is the session whose broker collects garbage: the oldest live one; 0
// when there is none. Two at once do no harm.
func Collector(s *catalog.State) uint64 {
	for _, v := range s.Sessions() {
		if !v.Sealed {
			return v.ID
		}
	}
	return 0
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

// PlanBury returns sealed sessions in whose WAL objects no extent lies, oldest
// first (S10). A sealed session never gets extents again, so that they stay so.
func PlanBury(s *catalog.State) []*catalog.Session {
	used := map[uint64]bool{}
	for ref := range s.Referenced() {
		if ref.Kind == catalog.KindWAL {
			used[ref.A] = true
		}
	}
	var out []*catalog.Session
	for _, v := range s.Sessions() {
		if v.Sealed && !used[v.ID] {
			out = append(out, v)
		}
	}
	return out
}

// Stray returns the open jobs of a session that nobody works on.
func Stray(s *catalog.State, session uint64, running func(uint64) bool) []uint64 {
	var out []uint64
	for _, j := range s.Jobs() {
		if j.Session == session && !running(j.ID) {
			out = append(out, j.ID)
		}
	}
	return out
}
