package salvage

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/object"
)

// Wishes are what the operator decides.
type Wishes struct {
	// Names of topics whose names are lost.
	Names map[record.TopicID]Name
}

// Name is what a topic is called, and how many partitions it has at least: those
// without records leave no trace, and keys are spread over all of them.
type Name struct {
	Topic      string
	Partitions int
}

// Plan is what will be. It is complete once Fences is empty: the ends of the sessions
// in it are not certain before.
type Plan struct {
	State  *catalog.State // nil while there are Fences to put
	Number uint64
	// Fences are sessions that have not ended.
	Fences []Fence
	// Fillers are objects to be put before the state: empty runs where offsets are lost.
	Fillers []Filler

	Topics     []Topic   // that are known by what lies in objects alone
	Partitions []Stretch // what was found beyond what the catalog knew
	Lost       []Stretch // offsets that nothing holds
	Raised     []Stretch // offsets at the front that nothing holds: the log begins behind
	Damaged    []string  // objects that cannot be read
	Unknown    []string  // what the lost entries may have said beside
	Unused     int       // objects that nothing refers to afterwards

	ends []catalog.SessionEnd
}

// Fence is a session to be fenced: Slot is its first empty one.
type Fence struct {
	Session uint64
	Nonce   [16]byte
	Slot    uint64
}

// Filler is an object to be put.
type Filler struct {
	Ref   catalog.ObjectRef
	Bytes []byte
}

// Topic is one whose name and configs are lost.
type Topic struct {
	ID         record.TopicID `json:"id"`
	Name       string         `json:"name"` // that it will have
	Partitions int            `json:"partitions"`
	Named      bool           `json:"named"` // by the operator
}

// Stretch is offsets [From, To) of a partition.
type Stretch struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
	Records   int64  `json:"records,omitempty"` // found
}

const (
	// margin is how far numbers go on behind the largest that is known to have been: the
	// lost entries may have given away some that left no trace (V3).
	margin = 1 << 20
	// epochs is the same for leader epochs.
	epochs = 1000
)

// Make makes the plan of an inventory. It is a pure function.
func Make(inv Inventory, w Wishes) (Plan, error) {
	m := maker{inv: inv, wishes: w, runs: map[record.Partition][]catalog.Extent{}}
	m.plan.Number = inv.Top + margin
	if inv.Begun > 0 {
		m.plan.Number = inv.Begun
	}
	m.sessions()
	m.gather()
	m.topics()
	m.unknown()
	if len(m.plan.Fences) > 0 {
		m.partitions() // to say what is known already
		return m.plan, nil
	}
	ps := m.partitions()
	state, err := inv.Base.Rebuild(catalog.Rebuilt{
		Number: m.plan.Number, NextProducerID: m.producer + margin, Fences: m.plan.ends, Topics: m.fresh, Partitions: ps,
	})
	if err != nil {
		return m.plan, fmt.Errorf("what is left does not fit together: %w", err)
	}
	m.plan.State = state
	return m.plan, nil
}

type maker struct {
	inv    Inventory
	wishes Wishes
	plan   Plan

	committed map[catalog.ObjectRef]bool // slots
	fillers   map[catalog.ObjectRef]bool // of a recovery that was interrupted
	producer  int64
	runs      map[record.Partition][]catalog.Extent // found, beside Base
	fresh     []catalog.Topic
	names     map[record.TopicID]string
}

// sessions finds where each session ended.
func (m *maker) sessions() {
	m.committed = map[catalog.ObjectRef]bool{}
	slots := map[uint64]map[uint64]*Object{}
	for i := range m.inv.Objects {
		if x := &m.inv.Objects[i]; x.Ref.Kind == catalog.KindWAL {
			if slots[x.Ref.A] == nil {
				slots[x.Ref.A] = map[uint64]*Object{}
			}
			slots[x.Ref.A][x.Ref.B] = x
			if v, ok := m.inv.Base.Session(x.Ref.A); ok && x.Ref.B < v.Covered {
				m.committed[x.Ref] = true // waits to be swept
			}
		}
	}
	ids := map[uint64]bool{}
	for _, v := range m.inv.Base.Sessions() {
		if !v.Sealed {
			ids[v.ID] = true
		}
	}
	for id := range slots {
		if v, known := m.inv.Base.Session(id); !known || !v.Sealed {
			ids[id] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		m.session(id, slots[id])
	}
}

// session walks one session that the catalog takes for alive, or does not know (S4, S6).
func (m *maker) session(id uint64, slots map[uint64]*Object) {
	v, known := m.inv.Base.Session(id)
	var from uint64
	var nonce [16]byte
	if known {
		from, nonce = v.Covered, v.Nonce
	}
	data, lowest := false, uint64(math.MaxUint64)
	for slot, x := range slots {
		switch {
		case x.Err != nil:
		case x.Header.Kind == object.Fence && slot >= from:
			lowest = min(lowest, slot)
		case x.Header.Kind == object.WAL:
			data = data || slot >= from
		}
		if !known && x.Err == nil {
			nonce = x.Header.Nonce
		}
	}
	if !data && lowest < math.MaxUint64 { // its slots were swept: they were described
		if known {
			m.plan.ends = append(m.plan.ends, catalog.SessionEnd{Session: id, Nonce: nonce, Fence: lowest})
		}
		return // one that the catalog has forgotten, or would have
	}
	for slot := from; ; slot++ {
		x := slots[slot]
		switch {
		case x == nil && m.inv.Base.Refs(catalog.WAL(id, slot)) > 0:
			continue // it is missing, and had been committed
		case x == nil:
			m.plan.Fences = append(m.plan.Fences, Fence{id, nonce, slot})
			return
		case x.Err == nil && x.Header.Kind == object.Fence:
			m.plan.ends = append(m.plan.ends, catalog.SessionEnd{Session: id, Nonce: nonce, Fence: slot})
			return
		}
		m.committed[x.Ref] = true // also one that cannot be read: slots behind it count
	}
}

// gather collects the runs that were committed, and that the catalog does not know.
func (m *maker) gather() {
	m.fillers = map[catalog.ObjectRef]bool{}
	for _, x := range m.inv.Objects {
		if x.Err == nil && x.Header.Kind == object.Segment && x.Header.Nonce == [16]byte{} { // brokers have one
			m.fillers[x.Ref] = true
		}
		m.producer = max(m.producer, x.Producer)
		switch {
		case x.Err != nil:
			m.plan.Damaged = append(m.plan.Damaged, fmt.Sprintf("%s: %v", x.Ref, x.Err))
			continue
		case x.Header.Kind == object.Fence, x.Ref.Kind == catalog.KindWAL && !m.committed[x.Ref]:
			continue
		}
		for _, r := range x.Runs {
			if _, known := m.inv.Base.Topic(r.Partition.Topic); !known && !m.lives(x) {
				continue
			}
			m.runs[r.Partition] = append(m.runs[r.Partition], catalog.Extent{
				Base: r.Base, Next: r.Next, Epoch: r.Epoch, Object: x.Ref, Pos: r.Pos, Len: r.Len,
				MaxTimestamp: r.MaxTimestamp, CRC: r.CRC, Records: r.Records,
			})
		}
	}
}

// lives reports whether an object of an unknown topic was put after the journal was
// last sound. Before that the topic can only have been deleted: the journal would know
// it, since it was created before its first record.
func (m *maker) lives(x Object) bool {
	return m.inv.Sound.IsZero() || !x.Modified.Before(m.inv.Sound)
}

// topics names those that are known by id alone.
func (m *maker) topics() {
	m.names = map[record.TopicID]string{}
	parts := map[record.TopicID]int32{}
	for p := range m.runs {
		parts[p.Topic] = max(parts[p.Topic], p.Index+1)
	}
	ids := slices.SortedFunc(maps.Keys(parts), func(a, b record.TopicID) int { return slices.Compare(a[:], b[:]) })
	for _, id := range ids {
		if t, known := m.inv.Base.Topic(id); known {
			m.names[id] = t.Name
			continue
		}
		wish, named := m.wishes.Names[id]
		name := wish.Topic
		parts[id] = max(parts[id], int32(wish.Partitions))
		if !named {
			name = "recovered-" + strings.ReplaceAll(id.String(), "=", "")
		}
		m.names[id] = name
		m.fresh = append(m.fresh, catalog.Topic{ID: id, Name: name, Replicas: -1, Internal: strings.HasPrefix(name, "__"), Configs: configs(name)})
		m.plan.Topics = append(m.plan.Topics, Topic{ID: id, Name: name, Partitions: int(parts[id]), Named: named})
	}
	for t := range m.inv.Base.AllTopics() {
		m.names[t.ID] = t.Name
	}
}

// configs are those of a topic whose own are lost. Retention by the brokers' defaults could
// delete at once what is recovered: nothing goes until the operator says so. The offsets
// of groups are what brokers make of them.
func configs(name string) map[string]string {
	if name == "__consumer_offsets" {
		return map[string]string{"cleanup.policy": "compact", "compression.type": "producer", "segment.bytes": "104857600"}
	}
	return map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
}

// partitions rebuilds every partition that has something new or lost something.
func (m *maker) partitions() []catalog.Partition {
	var ids []record.Partition
	for t := range m.inv.Base.AllTopics() {
		for _, p := range t.Partitions {
			ids = append(ids, p.ID)
		}
	}
	for p := range m.runs {
		_, known := m.inv.Base.Topic(p.Topic)
		if _, there := m.inv.Base.Partition(p); known && !there {
			ids = append(ids, p) // AddPartitions is lost
		}
	}
	for _, t := range m.plan.Topics {
		for i := range t.Partitions {
			ids = append(ids, record.Partition{Topic: t.ID, Index: int32(i)})
		}
	}
	slices.SortFunc(ids, record.Partition.Compare)
	used := map[catalog.ObjectRef]bool{}
	var out []catalog.Partition
	for _, id := range ids {
		p := m.partition(id)
		for _, x := range p.Extents {
			used[x.Object] = true
		}
		out = append(out, p)
	}
	for _, x := range m.inv.Objects {
		if x.Err == nil && x.Header.Kind != object.Fence && !used[x.Ref] {
			m.plan.Unused++
		}
	}
	return out
}

// unknown says what nothing can tell.
func (m *maker) unknown() {
	say := func(format string, args ...any) {
		m.plan.Unknown = append(m.plan.Unknown, fmt.Sprintf(format, args...))
	}
	for _, h := range m.inv.Holes {
		if h.First == h.Last {
			say("entry %d of the journal is lost", h.First)
		} else {
			say("entries %d to %d of the journal are lost", h.First, h.Last)
		}
	}
	say("of entries behind %d nothing is known, but for what lies in objects", m.inv.Base.Number())
	say("what lost entries said of topics without records, of deleted topics, of configs, log starts, credentials and ACLs is lost: topics that they deleted are there again, configs are those of entry %d", m.inv.Base.Number())
	for _, t := range m.fresh {
		if m.names[t.ID] != "__consumer_offsets" {
			say("the configs of %s are lost: with retention.ms=-1 nothing of it is deleted until you set them", t.Name)
		}
	}
	for _, r := range m.inv.Refused {
		say("refused, since it builds on a lost entry: %s", r)
	}
}

func (m *maker) stretch(id record.Partition, from, to, records int64) Stretch {
	return Stretch{m.names[id.Topic], id.Index, from, to, records}
}

// partition rebuilds one: a path of runs from the first offset to the last that is
// known, with fillers where there is none.
func (m *maker) partition(id record.Partition) catalog.Partition {
	p := catalog.Partition{ID: id, Epochs: []catalog.EpochStart{{}}}
	var known []catalog.Extent
	if old, ok := m.inv.Base.Partition(id); ok {
		p.LogStart, p.Next, p.Epoch = old.LogStart, old.Next, old.Epoch
		p.Epochs = slices.Clone(old.Epochs)
		lines := 0
		for lines < len(old.Index) && !m.inv.Broken[old.Index[lines].Object] {
			lines++
		}
		p.Index = slices.Clone(old.Index[:lines])
		for _, l := range old.Index[lines:] {
			known = append(known, m.inv.Lists[l.Object]...) // of whole ones behind a broken one as well
		}
		known = append(known, old.Extents...)
	}
	begin, end := p.LogStart, p.Next
	if n := len(p.Index); n > 0 {
		begin = p.Index[n-1].Next
	}
	known = slices.DeleteFunc(slices.Clone(known), func(x catalog.Extent) bool { return m.inv.Missing[x.Object] })
	found := m.runs[id]
	if len(p.Index) > 0 { // a rewrite that was cancelled may lie across the end of the last line
		across := func(x catalog.Extent) bool { return x.Base < begin }
		known, found = slices.DeleteFunc(known, across), slices.DeleteFunc(slices.Clone(found), across)
	}
	path := walk(begin, end, known, found)
	if len(path) > 0 && len(p.Index) == 0 && path[0].Object.IsZero() { // nothing holds the front
		if from := max(path[0].Base, p.LogStart); path[0].Next > from {
			m.plan.Raised = append(m.plan.Raised, m.stretch(id, from, path[0].Next, 0))
		}
		p.LogStart = max(p.LogStart, path[0].Next)
		path = path[1:]
	}
	end = p.Next
	var more, records int64
	for i := range path {
		x := &path[i]
		switch gap := x.Object.IsZero(); {
		case gap || m.fillers[x.Object]:
			m.plan.Lost = append(m.plan.Lost, m.stretch(id, x.Base, x.Next, 0))
			if gap {
				m.fill(&p, x, path, i)
			}
		case x.Next > end:
			more, records = more+1, records+x.Records
		}
		p.Next = max(p.Next, x.Next)
		if last := p.Epochs[len(p.Epochs)-1]; x.Epoch > last.Epoch {
			p.Epochs = append(p.Epochs, catalog.EpochStart{Epoch: x.Epoch, Start: max(x.Base, last.Start)})
		}
	}
	if more > 0 {
		m.plan.Partitions = append(m.plan.Partitions, m.stretch(id, end, p.Next, records))
	}
	p.Extents = path
	if p.Next < p.LogStart { // DeleteRecords went into what the catalog did not know
		p.Next, p.Extents, p.Index = p.LogStart, nil, nil
	}
	if len(p.Extents) == 0 && len(p.Index) == 0 {
		p.LogStart = p.Next
	}
	p.Epoch = p.Epochs[len(p.Epochs)-1].Epoch + epochs
	for n := len(p.Epochs); n > 1 && p.Epochs[n-1].Start >= p.Next; n = len(p.Epochs) {
		p.Epochs = p.Epochs[:n-1]
	}
	p.Epochs = append(p.Epochs, catalog.EpochStart{Epoch: p.Epoch, Start: p.Next})
	return p
}

// fill makes an object with an empty run in the place of what is lost of a partition.
func (m *maker) fill(p *catalog.Partition, x *catalog.Extent, path []catalog.Extent, i int) {
	if x.Epoch, _, _ = p.EpochAt(x.Base); i > 0 {
		x.Epoch = max(x.Epoch, path[i-1].Epoch)
	}
	job := m.plan.Number << 10
	n := uint64(len(m.plan.Fillers))
	e := object.NewEncoder(object.Header{Kind: object.Segment, Session: job, Slot: n}, 0, nil)
	e.Begin(p.ID, x.Epoch, x.Base)
	empty(e, x.Base, x.Next, x.Epoch)
	runs, _ := e.Finish() // without a writer it cannot fail
	*x = located(runs[0], catalog.Seg(job, n))
	m.plan.Fillers = append(m.plan.Fillers, Filler{x.Object, join(e)})
}

// walk finds the way from begin to the last offset that a run ends at, or to end, that
// passes the fewest offsets without a run; of several the one that least often comes from
// what was compacted long ago, or never, to what was compacted later: there a deleted key
// could have lost its tombstone, and its value come back. Of those the one with most of what
// the catalog knows already. Stretches without a run are extents without an object. Leader
// epochs do not fall on the way.
func walk(begin, end int64, known, found []catalog.Extent) []catalog.Extent {
	type step struct {
		cost, fresh int64 // offsets without a run; runs that the catalog does not know
		ups         int   // to what was compacted later
		via         catalog.Extent
		from        uint64 // the level that it comes from
	}
	type run struct {
		catalog.Extent
		fresh int64
		level uint64 // the job that compacted it
	}
	var runs []run
	marks := map[int64]bool{begin: true, end: true}
	add := func(xs []catalog.Extent, fresh int64) {
		for _, x := range xs {
			if x.Next <= begin || x.Next <= x.Base {
				continue
			}
			r := run{Extent: x, fresh: fresh}
			if x.Object.IsCompacted() {
				r.level = x.Object.A
			}
			runs = append(runs, r)
			marks[x.Base], marks[x.Next] = true, true
		}
	}
	add(known, 0)
	add(found, 1)
	slices.SortFunc(runs, func(a, b run) int {
		return cmp.Or(sortRuns(a.Extent, b.Extent), cmp.Compare(a.fresh, b.fresh), -cmp.Compare(a.Epoch, b.Epoch), -cmp.Compare(a.Object.Kind, b.Object.Kind), a.Object.Compare(b.Object))
	})
	at := slices.Sorted(maps.Keys(marks))
	first := begin
	if len(at) > 0 && at[0] < begin {
		first = at[0] // an extent reaches over the log start
	}
	// The best way to each offset, for each level that the last run before it has: those of
	// most partitions have one.
	steps := map[int64]map[uint64]step{first: {math.MaxUint64: {}}}
	better := func(a, b step) int {
		return cmp.Or(cmp.Compare(a.cost, b.cost), cmp.Compare(a.ups, b.ups), cmp.Compare(a.fresh, b.fresh))
	}
	relax := func(to int64, level uint64, s step) {
		if steps[to] == nil {
			steps[to] = map[uint64]step{}
		}
		if old, set := steps[to][level]; !set || better(s, old) < 0 {
			steps[to][level] = s
		}
	}
	i := 0
	for k, b := range at {
		for i < len(runs) && runs[i].Base < b {
			i++
		}
		for _, level := range slices.Sorted(maps.Keys(steps[b])) {
			s := steps[b][level]
			for j := i; j < len(runs) && runs[j].Base == b; j++ {
				if x := runs[j]; x.Epoch >= s.via.Epoch {
					next := step{s.cost, s.fresh + x.fresh, s.ups, x.Extent, level}
					if x.level > level {
						next.ups++
					}
					relax(x.Next, x.level, next)
				}
			}
			if k+1 < len(at) {
				gap := catalog.Extent{Base: b, Next: at[k+1], Epoch: s.via.Epoch}
				relax(at[k+1], level, step{s.cost + at[k+1] - b, s.fresh, s.ups, gap, level})
			}
		}
	}
	last := at[len(at)-1]
	ends := slices.Sorted(maps.Keys(steps[last]))
	level := slices.MinFunc(ends, func(a, b uint64) int { return better(steps[last][a], steps[last][b]) })
	var path []catalog.Extent
	for b := last; b != first; b = path[len(path)-1].Base {
		s := steps[b][level]
		path, level = append(path, s.via), s.from
	}
	slices.Reverse(path)
	out := path[:0]
	for _, x := range path { // neighbouring gaps are one
		if n := len(out); n > 0 && x.Object.IsZero() && out[n-1].Object.IsZero() {
			out[n-1].Next = x.Next
			continue
		}
		out = append(out, x)
	}
	return out
}
