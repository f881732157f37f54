package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/gossip/placement"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/press"
)

// shape is one cluster.
type shape struct {
	partitions, per int
	brokers         int
	active          int     // partitions in a flush of each broker
	sealed          int     // objects that the sealed extents lie in
	years           float64 // of history, a segment an hour in each partition
	dead            int     // sessions that are sealed, and whose objects are not deleted yet
}

// figures are what a cluster costs.
type figures struct {
	heap, snapshot             float64 // bytes a partition
	write, start, entry, cover time.Duration
	coverBytes                 float64 // a run
	takeover, spread           time.Duration
	takeoverBytes              float64 // a partition
	moved                      int
	journal                    float64 // bytes of entries and side objects in all
	extents, lines             int     // of each partition with history
}

// simulate measures clusters that differ in one thing each, ten-fold; of the tables those
// whose names contain only.
func simulate(ctx context.Context, most int, only string) error {
	base := shape{partitions: most / 10, per: 1000, brokers: 10, active: 1000, sealed: 100}
	for _, table := range []struct {
		what string
		of   func(shape) float64
		rows []shape
	}{
		{"partitions", func(s shape) float64 { return float64(s.partitions) }, vary(base, []int{most / 100, most / 10, most}, func(s *shape, n int) {
			s.partitions = n
		})},
		{"active partitions of a flush", func(s shape) float64 { return float64(s.active) }, vary(base, []int{100, 1000, min(10_000, base.partitions/base.brokers)}, func(s *shape, n int) { s.active = n })},
		{"brokers", func(s shape) float64 { return float64(s.brokers) }, vary(base, []int{3, 30, 300}, func(s *shape, n int) { s.brokers = n })},
		{"dead sessions whose objects are still there", func(s shape) float64 { return float64(s.dead) }, vary(base, []int{10, 100, 1000}, func(s *shape, n int) { s.dead = n })},
		{"sealed objects", func(s shape) float64 { return float64(s.sealed) }, vary(base, []int{100, 1000, 10_000}, func(s *shape, n int) { s.sealed = n })},
		{"years of a segment an hour in 10,000 partitions", func(s shape) float64 { return s.years }, vary(base, []int{0, 30, 300}, func(s *shape, n int) {
			s.partitions, s.active, s.years = min(10_000, most), 100, float64(n)/100
		})},
	} {
		if !strings.Contains(table.what, only) {
			continue
		}
		fmt.Printf("\n%-12s %9s %11s %9s %9s %9s %11s %10s %10s %11s %11s %10s %9s\n", table.what, "heap B", "snapshot B", "write it", "start", "an entry", "move mark", "B a run", "takeover", "B of that", "placement", "moved", "B journal")
		for _, s := range table.rows {
			f, err := measure(ctx, s)
			if err != nil {
				return fmt.Errorf("%+v: %w", s, err)
			}
			fmt.Printf("%12.5g %9.0f %11.0f %9s %9s %9s %11s %10.0f %10s %11.0f %11s %10d %9.3g", table.of(s), f.heap, f.snapshot, ms(f.write), ms(f.start), ms(f.entry), ms(f.cover), f.coverBytes,
				ms(f.takeover), f.takeoverBytes, ms(f.spread), f.moved, f.journal)
			if s.years > 0 {
				fmt.Printf("  %d extents, %d lines", f.extents, f.lines)
			}
			fmt.Println()
		}
	}
	return nil
}

func vary(base shape, ns []int, set func(*shape, int)) []shape {
	out := make([]shape, len(ns))
	for i, n := range ns {
		out[i] = base
		set(&out[i], n)
	}
	return out
}

// model is a cluster's catalog in its journal on a bucket in memory.
type model struct {
	shape
	ctx      context.Context
	bucket   *bucket
	scribe   *journal.Scribe
	sessions []uint64 // live
	topics   []record.TopicID
}

// bucket counts what is put.
type bucket struct {
	*mem.Store
	entries int64 // bytes of entries and side objects
}

func (b *bucket) PutIfAbsent(ctx context.Context, name string, body cold.Body) error {
	if !strings.HasPrefix(name, journal.PrefixSnapshots) {
		b.entries += body.Size()
	}
	return b.Store.PutIfAbsent(ctx, name, body)
}

func measure(ctx context.Context, s shape) (f figures, err error) {
	before := heap()
	m := &model{shape: s, ctx: ctx, bucket: &bucket{Store: mem.New()}}
	m.scribe = journal.NewScribe(m.bucket, [16]byte{1}, journal.Options{SnapshotEvery: 1})
	if err := m.scribe.Open(ctx, "scale"); err != nil {
		return f, err
	}
	if err := m.found(); err != nil {
		return f, err
	}
	f.extents, f.lines, err = m.history()
	if err != nil {
		return f, err
	}
	f.journal = float64(m.bucket.entries)
	m.bucket.Store = nil // the bucket is not the broker's memory
	f.heap = float64(heap()-before) / float64(s.partitions)
	m.bucket.Store = mem.New()
	began := time.Now()
	enc := m.state().Encode()
	f.write = time.Since(began)
	f.snapshot = float64(len(enc)) / float64(s.partitions)
	began = time.Now()
	if _, err := catalog.DecodeState(enc); err != nil {
		return f, err
	}
	f.start = time.Since(began) // and one GET
	f.entry = m.times(50, func(int) catalog.Command { return &catalog.ProducerIDs{Count: 1} })
	if f.cover, f.coverBytes, err = m.cover(); err != nil {
		return f, err
	}
	if err := m.takeover(&f); err != nil {
		return f, err
	}
	if bad := m.state().Check(); len(bad) > 0 {
		return f, fmt.Errorf("the catalog is broken: %w", bad[0])
	}
	return f, nil
}

func (m *model) state() *catalog.State { return m.scribe.State() }

// heap is what is in use.
func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

func (m *model) must(cmds ...catalog.Command) ([]catalog.Result, error) {
	res, err := m.scribe.Commit(m.ctx, cmds...)
	for i, r := range res {
		if r.Err != nil && err == nil {
			err = fmt.Errorf("%T: %w", cmds[i], r.Err)
		}
	}
	return res, err
}

// times is the median of n commits on a bucket that answers at once.
func (m *model) times(n int, c func(int) catalog.Command) time.Duration {
	var ds []time.Duration
	for i := range n {
		began := time.Now()
		if _, err := m.must(c(i)); err != nil {
			return -1
		}
		ds = append(ds, time.Since(began))
	}
	slices.Sort(ds)
	return ds[len(ds)/2]
}

// found registers brokers, in three zones, and creates topics, of which every partition has
// a sealed extent and a new one.
func (m *model) found() error {
	for i := range m.brokers + m.dead {
		res, err := m.must(&catalog.RegisterSession{Node: int32(i), Advertised: "10.0.0.1:9092", Gossip: "10.0.0.1:7946", Rack: fmt.Sprint("zone-", i%3)})
		if err != nil {
			return err
		}
		m.sessions = append(m.sessions, res[0].ID)
	}
	owner := make(map[record.Partition]uint64, m.partitions)
	loads := make([]placement.Broker, len(m.sessions))
	for i := range loads {
		loads[i].Zone = fmt.Sprint("zone-", i%3)
	}
	for t := range m.partitions / m.per {
		id := record.TopicID{1, 14: byte(t >> 8), 15: byte(t)}
		m.topics = append(m.topics, id)
		c := &catalog.CreateTopic{Name: fmt.Sprintf("topic-%05d", t), ID: id, Replicas: 1}
		limit := placement.Limit(m.partitions, len(m.sessions))
		for p, at := range placement.Spread(loads, []placement.Topic{{Want: m.per}}, limit)[0] {
			loads[at].Load++
			c.Owners = append(c.Owners, m.sessions[at])
			owner[record.Partition{Topic: id, Index: int32(p)}] = m.sessions[at]
		}
		if _, err := m.must(c); err != nil {
			return err
		}
	}
	// In one command for each broker: as many objects as are asked for.
	n := 0
	for slot, kind := range []func(int) catalog.ObjectRef{
		func(n int) catalog.ObjectRef { return catalog.Seg(1<<40|uint64(n%m.sealed), 0) },
		func(n int) catalog.ObjectRef { return catalog.Seg(1<<41|uint64(n%100), 0) },
	} {
		for _, s := range m.sessions {
			c := &catalog.Cover{Session: s, From: uint64(slot), To: uint64(slot) + 1}
			for _, p := range m.state().Owned(s) {
				c.Extents = append(c.Extents, m.extent(p, int64(slot)*1000, kind(n), 0))
				n++
			}
			if _, err := m.must(c); err != nil {
				return err
			}
		}
	}
	for _, s := range m.sessions[m.brokers:] {
		c := &catalog.SealSession{Session: s, Covered: 2, Fence: 3}
		if ps := m.state().Owned(s); len(ps) > 0 { // something of it lies in a WAL object
			c.Extents = append(c.Extents, m.extent(ps[0], 2000, catalog.WAL(s, 2), 0))
		}
		if _, err := m.must(c); err != nil {
			return err
		}
	}
	m.sessions = m.sessions[:m.brokers]
	_, err := m.take(nil)
	return err
}

func (m *model) extent(p record.Partition, base int64, ref catalog.ObjectRef, epoch int32) catalog.Located {
	return catalog.Located{Partition: p, Extent: catalog.Extent{
		Base: base, Next: base + 1000, Epoch: epoch, Object: ref, Pos: int64(p.Index) << 16, Len: 1 << 16,
		MaxTimestamp: 1_700_000_000_000, CRC: uint32(p.Index) * 2654435761, Records: 1000,
	}}
}

// history gives every partition what a segment an hour leaves in the catalog after the
// years: the rule of package press says how many extents and index lines that are.
func (m *model) history() (extents, lines int, err error) {
	if m.years == 0 {
		return 0, 0, nil
	}
	limits := press.DefaultLimits()
	one := &model{shape: shape{partitions: 1, per: 1, brokers: 1, sealed: 1}, ctx: m.ctx, bucket: &bucket{Store: mem.New()}}
	one.scribe = journal.NewScribe(one.bucket, [16]byte{2}, journal.Options{SnapshotEvery: 1 << 40})
	if err := one.scribe.Open(m.ctx, "one"); err != nil {
		return 0, 0, err
	}
	if err := one.found(); err != nil {
		return 0, 0, err
	}
	p := one.state().Owned(one.sessions[0])[0]
	for h := range int(m.years * 365 * 24) {
		c := &catalog.Cover{Session: one.sessions[0], From: uint64(h) + 2, To: uint64(h) + 3, Extents: []catalog.Located{one.extent(p, int64(h+2)*1000, catalog.Seg(1<<42|uint64(h), 0), 0)}}
		if _, err := one.must(c); err != nil {
			return 0, 0, err
		}
		for _, w := range press.PlanPress(one.state(), one.sessions[0], limits, func(string) (string, bool) { return "", false }) {
			res, err := one.must(&catalog.BeginJob{Session: one.sessions[0]})
			if err != nil {
				return 0, 0, err
			}
			if _, err = one.must(&catalog.CommitJob{Job: res[0].ID, Presses: []catalog.Press{{Partition: p, Line: w.Line(catalog.Index(res[0].ID, 0))}}}); err != nil {
				return 0, 0, err
			}
		}
		if h%100 == 0 { // collection sees to that
			var gone []catalog.ObjectRef
			for ref := range one.state().Garbage() {
				gone = append(gone, ref)
			}
			if _, err := one.must(&catalog.Sweep{Objects: gone}); err != nil {
				return 0, 0, err
			}
		}
	}
	c, _ := one.state().Partition(p)
	extents, lines = len(c.Extents), len(c.Index)
	// The same number for all. A line that lists one extent is as long as one of thousands.
	all := func(command func(k int, s uint64, owned []record.Partition) catalog.Command) ([]catalog.Result, error) {
		var cmds []catalog.Command
		for k, s := range m.sessions {
			cmds = append(cmds, command(k, s, m.state().Owned(s)))
		}
		return m.must(cmds...)
	}
	for i := range extents + lines {
		if _, err := all(func(k int, s uint64, owned []record.Partition) catalog.Command {
			c := &catalog.Cover{Session: s, From: uint64(i) + 2, To: uint64(i) + 3}
			for n, p := range owned {
				c.Extents = append(c.Extents, m.extent(p, int64(i+2)*1000, catalog.Seg(uint64(1<<42|i<<20|k<<14)|uint64(n), 0), 0))
			}
			return c
		}); err != nil {
			return 0, 0, err
		}
	}
	// The two extents of the foundation lie in shared objects, which are not pressed.
	if _, err := all(func(_ int, _ uint64, owned []record.Partition) catalog.Command {
		c := &catalog.Trim{}
		for _, p := range owned {
			c.Items = append(c.Items, catalog.TrimItem{Partition: p, LogStart: 2000})
		}
		return c
	}); err != nil {
		return 0, 0, err
	}
	for range lines {
		res, err := all(func(_ int, s uint64, _ []record.Partition) catalog.Command { return &catalog.BeginJob{Session: s} })
		if err != nil {
			return 0, 0, err
		}
		if _, err := all(func(k int, s uint64, owned []record.Partition) catalog.Command {
			j := &catalog.CommitJob{Job: res[k].ID}
			for n, p := range owned {
				c, _ := m.state().Partition(p)
				st := press.Pressing{Stretch: press.Stretch{Partition: p, Extents: c.Extents[:1:1]}}
				j.Presses = append(j.Presses, catalog.Press{Partition: p, Line: st.Line(catalog.Index(j.Job, uint64(n)))})
			}
			return j
		}); err != nil {
			return 0, 0, err
		}
	}
	return extents, lines, nil
}

// behind is when the mark moves: pump.Options has the same.
const (
	behindSlots = 128
	behindRuns  = 1 << 16
)

// runs are the extents of the slots that the catalog does not describe, when the mark is
// about to move.
func (m *model) runs(s uint64) (slots uint64, out []catalog.Located) {
	owned := m.state().Owned(s)
	active := owned[:min(m.active, len(owned))]
	v, _ := m.state().Session(s)
	slots = uint64(min(behindSlots, max(1, behindRuns/len(active))))
	for _, p := range active {
		c, _ := m.state().Partition(p)
		for i := range slots {
			out = append(out, m.extent(p, c.Next+int64(i)*1000, catalog.WAL(s, v.Covered+i), c.Epoch))
		}
	}
	return slots, out
}

// cover moves the mark of one broker.
func (m *model) cover() (time.Duration, float64, error) {
	s := m.sessions[1]
	slots, runs := m.runs(s)
	v, _ := m.state().Session(s)
	bytes, began := m.bucket.entries, time.Now()
	_, err := m.must(&catalog.Cover{Session: s, From: v.Covered, To: v.Covered + slots, Extents: runs})
	return time.Since(began), float64(m.bucket.entries-bytes) / float64(len(runs)), err
}

// takeover is the death of one broker in the worst moment: its mark was about to move.
func (m *model) takeover(f *figures) error {
	s := m.sessions[0]
	slots, runs := m.runs(s)
	v, _ := m.state().Session(s)
	m.sessions = m.sessions[1:]
	old := m.state()
	bytes, began := m.bucket.entries, time.Now()
	spread, err := m.take(&catalog.SealSession{Session: s, Covered: v.Covered, Fence: v.Covered + slots, Extents: runs})
	if err != nil {
		return err
	}
	for c := range m.state().Since(old) { // what each heir looks at
		if c.New != nil && c.New.Owner != c.Old.Owner {
			f.moved++
		}
	}
	f.takeover, f.spread = time.Since(began), spread
	f.takeoverBytes = float64(m.bucket.entries-bytes) / float64(max(1, f.moved))
	return nil
}

// take gives orphans to the living, in the entry of a command.
func (m *model) take(seal catalog.Command) (spread time.Duration, err error) {
	state := m.state()
	var cmds []catalog.Command
	if seal != nil {
		cmds = []catalog.Command{seal}
		state = state.Clone()
		state.Apply(state.Number()+1, cmds)
	}
	began := time.Now()
	brokers := make([]placement.Broker, len(m.sessions))
	at := map[uint64]int{}
	for i, s := range m.sessions {
		brokers[i] = placement.Broker{Load: state.OwnedCount(s), Zone: fmt.Sprint("zone-", i%3)}
		at[s] = i
	}
	var topics []placement.Topic
	var orphans [][]*catalog.Partition
	for _, id := range m.topics {
		t, _ := state.Topic(id)
		has := make([]int, len(brokers))
		var left []*catalog.Partition
		for _, p := range t.Partitions {
			if i, ok := at[p.Owner]; ok {
				has[i]++
			} else {
				left = append(left, p)
			}
		}
		topics, orphans = append(topics, placement.Topic{Has: has, Want: len(left)}), append(orphans, left)
	}
	items := make([][]catalog.TakeItem, len(brokers))
	for i, chosen := range placement.Spread(brokers, topics, placement.Share(m.partitions, len(brokers))) {
		for k, b := range chosen {
			p := orphans[i][k]
			items[b] = append(items[b], catalog.TakeItem{Partition: p.ID, Epoch: p.Epoch + 1, Start: p.Next})
		}
	}
	spread = time.Since(began)
	for i, s := range m.sessions {
		for batch := range slices.Chunk(items[i], 10_000) {
			cmds = append(cmds, &catalog.Take{Session: s, Items: batch})
		}
	}
	if len(cmds) > 0 {
		_, err = m.must(cmds...)
	}
	return spread, err
}
