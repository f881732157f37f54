package press

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier"
	"github.com/firnlog/firn/tier/hot"
)

// agree applies commands that must be accepted.
func agree(t *testing.T, s *catalog.State, cmds ...catalog.Command) (*catalog.State, []catalog.Result) {
	t.Helper()
	next := s.Clone()
	res := next.Apply(next.Number()+1, cmds)
	for _, r := range res {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	return next, res
}

// started is a state with one live session and one topic that it owns.
func started(t *testing.T, partitions int, configs map[string]string) (*catalog.State, uint64, record.TopicID) {
	t.Helper()
	s, _ := agree(t, catalog.NewState(), &catalog.CreateCluster{ID: "c"})
	s, res := agree(t, s, &catalog.RegisterSession{Nonce: [16]byte{1}, Node: 1})
	id := record.TopicID{1}
	owners := slices.Repeat([]uint64{res[0].ID}, partitions)
	s, _ = agree(t, s, &catalog.CreateTopic{Name: "t", ID: id, Replicas: 1, Configs: configs, Owners: owners})
	return s, res[0].ID, id
}

func partitionsOf(id record.TopicID, n int) []record.Partition {
	out := make([]record.Partition, n)
	for i := range out {
		out[i] = record.Partition{Topic: id, Index: int32(i)}
	}
	return out
}

// TestHistoryStaysOutOfTheCatalog lets partitions grow by a segment an hour for three
// years. What the catalog holds of each stays a few kilobytes, and every offset is
// found where a plain list of all segments has it (protocol.md 6).
func TestHistoryStaysOutOfTheCatalog(t *testing.T) {
	const hours, years, per = 24, 3, 10 // offsets a segment
	partitions := 20
	if testing.Short() {
		partitions = 4
	}
	s, session, topic := started(t, partitions, map[string]string{"retention.ms": "-1"})
	ids := partitionsOf(topic, partitions)
	l := DefaultLimits()
	type content struct{ first, n int64 } // extents, by number
	objects := map[catalog.ObjectRef]content{}
	listed := 0
	size := func() int { return len(s.Encode()) / partitions }
	empty := size()
	segment := func(p int, k int64) catalog.Extent {
		return catalog.Extent{
			Base: k * per, Next: (k + 1) * per, Object: catalog.Seg(uint64(k)<<8|1<<60, uint64(p)),
			Pos: 64, Len: 60_000_000 + k, MaxTimestamp: 1_700_000_000_000 + k*3_600_000, CRC: uint32(k * 7919), Records: per,
		}
	}
	var after [years]int
	slot := uint64(0)
	for k := int64(0); k < years*365*24; k += hours {
		c := &catalog.Cover{Session: session, From: slot, To: slot + 1}
		for p, id := range ids {
			for i := range int64(hours) {
				c.Extents = append(c.Extents, catalog.Located{Partition: id, Extent: segment(p, k+i)})
			}
		}
		s, _ = agree(t, s, c)
		slot++
		if work := PlanPress(s, session, l, nil); len(work) > 0 {
			var res []catalog.Result
			s, res = agree(t, s, &catalog.BeginJob{Session: session})
			c := &catalog.CommitJob{Job: res[0].ID}
			for i, w := range work {
				ref := catalog.Index(res[0].ID, uint64(i))
				line := w.Line(ref)
				objects[ref] = content{line.Base / per, int64(line.Extents)}
				listed += int(line.Extents)
				c.Presses = append(c.Presses, catalog.Press{Partition: w.Partition, Line: line})
			}
			s, _ = agree(t, s, c)
			var old []catalog.ObjectRef
			for ref := range s.Garbage() {
				old = append(old, ref)
			}
			s, _ = agree(t, s, &catalog.Sweep{Objects: old})
		}
		if (k+hours)%(365*24) == 0 {
			after[(k+hours)/(365*24)-1] = size()
		}
	}
	if bad := s.Check(); len(bad) > 0 {
		t.Fatal(bad)
	}
	total := int64(years * 365 * 24)
	p0, _ := s.Partition(ids[0])
	t.Logf("bytes a partition in a snapshot: empty %d, after each year %v; %d lines and %d extents for %d segments; each was listed %.1f times",
		empty, after, len(p0.Index), len(p0.Extents), total, float64(listed)/float64(total)/float64(partitions))
	if after[2] > 2000 || 10*after[2] > 12*after[0] {
		t.Errorf("a partition takes %v bytes after each year", after)
	}
	for _, line := range p0.Index {
		if int64(line.Extents) > max(2*int64(l.Extents), total/int64(l.Lines)) {
			t.Errorf("a line of %d extents goes as a whole: retention is not exact", line.Extents)
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20000 {
		p := rng.IntN(partitions)
		c, _ := s.Partition(ids[p])
		offset := rng.Int64N(total * per)
		place, ok := tier.In(c, offset)
		if !ok {
			t.Fatalf("offset %d is nowhere", offset)
		}
		want := segment(p, offset/per)
		if len(place.Extents) > 0 {
			if place.Extents[0] != want {
				t.Fatalf("offset %d is in %+v, want %+v", offset, place.Extents[0], want)
			}
			continue
		}
		in := objects[place.Index.Object]
		if k := offset / per; k < in.first || k >= in.first+in.n || place.Index.MaxTimestamp != segment(p, in.first+in.n-1).MaxTimestamp {
			t.Fatalf("offset %d is in line %+v, which lists %d extents from number %d", offset, place.Index, in.n, in.first)
		}
	}
}

// TestRetentionAndDeleteRecordsDropIndexLines: a line goes when all of it is below the
// log start, and not before.
func TestRetentionAndDeleteRecordsDropIndexLines(t *testing.T) {
	s, session, topic := started(t, 1, map[string]string{"retention.ms": "1000", "retention.bytes": "-1"})
	id := record.Partition{Topic: topic}
	c := &catalog.Cover{Session: session, From: 0, To: 1}
	for k := range int64(6) {
		c.Extents = append(c.Extents, catalog.Located{Partition: id, Extent: catalog.Extent{
			Base: k * 10, Next: k*10 + 10, Object: catalog.Seg(77, uint64(k)), Pos: 64, Len: 100, MaxTimestamp: k * 100, Records: 10,
		}})
	}
	s, _ = agree(t, s, c)
	for range 2 { // two lines of two, two extents
		var res []catalog.Result
		s, res = agree(t, s, &catalog.BeginJob{Session: session})
		q, _ := s.Partition(id)
		w := Pressing{Stretch: Stretch{id, q.Extents[:2]}}
		s, _ = agree(t, s, &catalog.CommitJob{Job: res[0].ID, Presses: []catalog.Press{{Partition: id, Line: w.Line(catalog.Index(res[0].ID, 0))}}})
	}
	look := func(lines, extents int, bytes int64) {
		t.Helper()
		q, _ := s.Partition(id)
		if len(q.Index) != lines || len(q.Extents) != extents || q.Bytes != bytes {
			t.Fatalf("%d lines, %d extents, %d bytes", len(q.Index), len(q.Extents), q.Bytes)
		}
		if bad := s.Check(); len(bad) > 0 {
			t.Fatal(bad)
		}
	}
	look(2, 2, 600)
	s, _ = agree(t, s, &catalog.Trim{Items: []catalog.TrimItem{{Partition: id, LogStart: 15}}})
	look(2, 2, 600)
	if items := Expired(s, session, 1100, nil); len(items) != 0 {
		t.Fatalf("%v: the line's newest record is not older than a second", items)
	}
	if items := Expired(s, session, 1101, nil); len(items) != 1 || items[0].LogStart != 20 {
		t.Fatalf("%v", items)
	}
	if items := Expired(s, session, 1500, nil); len(items) != 1 || items[0].LogStart != 50 {
		t.Fatalf("%v", items)
	}
	q, _ := s.Partition(id)
	first := q.Index[0].Object
	s, _ = agree(t, s, &catalog.Trim{Items: []catalog.TrimItem{{Partition: id, LogStart: 25}}})
	look(1, 2, 400)
	if !s.IsGarbage(first) {
		t.Fatal("the line that nothing refers to is no garbage")
	}
	// What is folded into a newer line goes alone, without what it lists.
	s, res := agree(t, s, &catalog.BeginJob{Session: session})
	q, _ = s.Partition(id)
	w := Pressing{Stretch{id, q.Extents[:1]}, q.Index}
	old := q.Index[0].Object
	s, _ = agree(t, s, &catalog.CommitJob{Job: res[0].ID, Presses: []catalog.Press{{Partition: id, Line: w.Line(catalog.Index(res[0].ID, 0))}}})
	look(1, 1, 400)
	garbage := map[catalog.ObjectRef]uint64{}
	maps.Insert(garbage, s.Garbage())
	if _, whole := garbage[old]; whole || !s.IsGarbage(old) {
		t.Fatal("the folded line must go without its segments")
	}
}

// TestSmallExtentsAreMergedAboutAsOftenAsTheyDouble: however long a partition is fed by
// small seals, it has few extents, and each byte is rewritten a few times.
func TestSmallExtentsAreMergedAboutAsOftenAsTheyDouble(t *testing.T) {
	s, session, topic := started(t, 2, map[string]string{"segment.bytes": "1000000000"})
	l := DefaultLimits()
	never := func(catalog.ObjectRef) bool { return false }
	var fed, rewritten, most int64
	at := map[record.Partition]int64{}
	slot := uint64(0)
	for n := range 4000 {
		c := &catalog.Cover{Session: session, From: slot, To: slot + 1}
		for _, id := range partitionsOf(topic, 2) {
			size := int64(20_000 + 30_000*int64(id.Index))
			c.Extents = append(c.Extents, catalog.Located{Partition: id, Extent: catalog.Extent{
				Base: at[id], Next: at[id] + 1, Object: catalog.Seg(1<<40+uint64(n), 0), Len: size, Records: 1,
			}})
			at[id]++
			fed += size
		}
		s, _ = agree(t, s, c)
		slot++
		for {
			own, shared := PlanMerge(s, session, l, never, nil)
			if len(own)+len(shared) == 0 {
				break
			}
			for _, group := range append(slices.Collect(each(own)), shared) {
				if len(group) == 0 {
					continue
				}
				var res []catalog.Result
				s, res = agree(t, s, &catalog.BeginJob{Session: session})
				j := &catalog.CommitJob{Job: res[0].ID}
				for _, w := range group {
					if w.Bytes() > l.Budget {
						t.Fatalf("a merge of %d bytes", w.Bytes())
					}
					rewritten += w.Bytes()
					j.Extents = append(j.Extents, catalog.Located{Partition: w.Partition, Extent: catalog.Extent{
						Base: w.Extents[0].Base, Next: w.Extents[len(w.Extents)-1].Next, Object: catalog.Seg(res[0].ID, 0), Len: w.Bytes(),
					}})
				}
				s, _ = agree(t, s, j)
			}
		}
		for _, id := range partitionsOf(topic, 2) {
			c, _ := s.Partition(id)
			most = max(most, int64(len(c.Extents)))
		}
	}
	t.Logf("%d MB fed, each byte rewritten %.1f times, %d extents at most", fed>>20, float64(rewritten)/float64(fed), most)
	if most > 40 || rewritten > 6*fed {
		t.Errorf("%d extents at most, rewritten %.1f times", most, float64(rewritten)/float64(fed))
	}
}

func each(xs []Stretch) func(func([]Stretch) bool) {
	return func(yield func([]Stretch) bool) {
		for i := range xs {
			if !yield(xs[i : i+1]) {
				return
			}
		}
	}
}

func TestRetentionGivesUpWholeExtentsFromTheFront(t *testing.T) {
	c := &catalog.Partition{Bytes: 60}
	for i := range int64(6) {
		c.Extents = append(c.Extents, catalog.Extent{Base: i * 10, Next: i*10 + 10, Len: 10, MaxTimestamp: 100 * i, Records: 10})
	}
	for _, x := range []struct{ now, age, size, want int64 }{
		{1000, -1, -1, 0},
		{1000, 750, -1, 30}, // 0, 100 and 200 are older than 250
		{1000, -1, 25, 30},  // three extents hold 30 bytes
		{1000, -1, 30, 30},
		{1000, 1, -1, 60},
		{1000, 950, 25, 30},
	} {
		if got := expired(c, x.now, x.age, x.size); got != x.want {
			t.Errorf("%+v: %d", x, got)
		}
	}
	c.Extents[1].MaxTimestamp = -1 // as old as what follows
	if got := expired(c, 1000, 750, -1); got != 30 {
		t.Errorf("without timestamps: %d", got)
	}
}

func TestCompactionBeginsWhenHalfIsDirty(t *testing.T) {
	x := func(o catalog.ObjectRef, n int64) catalog.Extent { return catalog.Extent{Object: o, Len: n, Next: 1} }
	clean, fresh := catalog.Seg(1, catalog.CompactedFrom), catalog.Seg(2, 0)
	newer := catalog.Seg(3, catalog.CompactedFrom)
	for _, c := range []struct {
		extents      []catalog.Extent
		dirty, front int
	}{
		{nil, 0, 0},
		{[]catalog.Extent{x(clean, 10)}, 0, 0},
		{[]catalog.Extent{x(clean, 10), x(fresh, 5)}, 0, 0},
		{[]catalog.Extent{x(clean, 10), x(fresh, 5), x(fresh, 5)}, 1, 3},
		{[]catalog.Extent{x(clean, 5), x(clean, 5), x(fresh, 9)}, 0, 0},
		{[]catalog.Extent{x(clean, 5), x(fresh, 9), x(catalog.WAL(1, 0), 9)}, 1, 2},
		{[]catalog.Extent{x(catalog.WAL(1, 0), 9), x(fresh, 9)}, 0, 0},
		// Pieced together by a recovery: the newer one may have deleted what is in the older.
		{[]catalog.Extent{x(clean, 5), x(newer, 4), x(fresh, 2)}, 1, 3},
		{[]catalog.Extent{x(clean, 5), x(newer, 5)}, 1, 2},
	} {
		d, f := PlanCompact(&catalog.Partition{Extents: c.extents}, Cleaning{MinDirty: 0.5, MaxLag: 1 << 62}, 100, 1000)
		if d != c.dirty || f != c.front {
			t.Errorf("%v: from %d to %d, want %d to %d", c.extents, d, f, c.dirty, c.front)
		}
	}
}

// TestLocalRetentionLetsGenerationsGo is KIP-405's local.retention for generations,
// which go as a whole.
func TestLocalRetentionLetsGenerationsGo(t *testing.T) {
	s, session, topic := started(t, 2, map[string]string{"local.retention.ms": "1000", "local.retention.bytes": "150", "retention.ms": "-1"})
	a, b := record.Partition{Topic: topic}, record.Partition{Topic: topic, Index: 1}
	s, _ = agree(t, s, &catalog.Cover{Session: session, From: 0, To: 1, Extents: []catalog.Located{
		{Partition: a, Extent: catalog.Extent{Base: 0, Next: 100, Object: catalog.Seg(9, 0)}},
		{Partition: b, Extent: catalog.Extent{Base: 0, Next: 100, Object: catalog.Seg(9, 0)}},
	}})
	share := func(p record.Partition, next, bytes, ts int64) hot.Share {
		return hot.Share{Partition: p, Next: next, Bytes: bytes, MaxTimestamp: ts}
	}
	for _, c := range []struct {
		name string
		gens []Warm
		want []uint64
	}{
		{"young and small", []Warm{{1, true, []hot.Share{share(a, 10, 100, 9500)}}}, nil},
		{"old", []Warm{{1, true, []hot.Share{share(a, 10, 100, 8000)}}}, []uint64{1}},
		{"old, not sealed", []Warm{{1, false, []hot.Share{share(a, 10, 100, 8000)}}}, nil},
		{"old of one partition only", []Warm{{1, true, []hot.Share{share(a, 10, 100, 8000), share(b, 10, 1, 9900)}}}, nil},
		{"enough that is newer", []Warm{{1, true, []hot.Share{share(a, 10, 100, 9500)}}, {2, true, []hot.Share{share(a, 20, 150, 9600)}}}, []uint64{1}},
		{"nothing in it", []Warm{{1, true, nil}}, []uint64{1}},
	} {
		if got := PlanCool(s, c.gens, 10000, nil); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v goes, want %v", c.name, got, c.want)
		}
	}
}

// Index lines that an older program left are joined also when merging has left fewer
// extents than a press keeps.
func TestLinesAreJoinedBeforeFewExtents(t *testing.T) {
	s, session, topic := started(t, 1, map[string]string{"retention.ms": "-1"})
	id := partitionsOf(topic, 1)[0]
	l := DefaultLimits()
	at := int64(0)
	cover := func(n int) {
		c := &catalog.Cover{Session: session, From: uint64(at), To: uint64(at) + 1}
		for range n {
			c.Extents = append(c.Extents, catalog.Located{Partition: id, Extent: catalog.Extent{
				Base: at, Next: at + 1, Object: catalog.Seg(uint64(at)|1<<60, 0), Pos: 64, Len: 100, MaxTimestamp: 1, CRC: 7, Records: 1,
			}})
			at++
		}
		c.To = uint64(at)
		s, _ = agree(t, s, c)
	}
	press := func(w Pressing) {
		var res []catalog.Result
		s, res = agree(t, s, &catalog.BeginJob{Session: session})
		line := w.Line(catalog.Index(res[0].ID, 0))
		s, _ = agree(t, s, &catalog.CommitJob{Job: res[0].ID, Presses: []catalog.Press{{Partition: id, Line: line}}})
	}
	for range 2*l.Lines + 1 {
		cover(2)
		p, _ := s.Partition(id)
		press(Pressing{Stretch: Stretch{Partition: id, Extents: p.Extents}})
	}
	cover(1)
	work := PlanPress(s, session, l, nil)
	if len(work) != 1 || len(work[0].Extents) > 0 || len(work[0].Lines) < 2 {
		t.Fatalf("%d lines, 1 extent: %+v", 2*l.Lines+1, work)
	}
	press(work[0])
	if p, _ := s.Partition(id); len(p.Index) > 2*l.Lines {
		t.Errorf("%d lines are left", len(p.Index))
	}
	if bad := s.Check(); len(bad) > 0 {
		t.Fatal(bad)
	}
}
