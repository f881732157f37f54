package sim

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/firnlog/firn/broker/sim/fiber"
	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// cluster is the small world that has everything at once. A and B write one partition for
// an idempotent client, A with two puts at a time. B fences A, seals its session and takes
// what it had (S6 to S8), and its client sends again what A may have. B presses what dead
// sessions have left (S12); B or C, a broker of its own, deletes what that makes garbage
// (S10). All journals are objects, put by scribes of their own, and B moves the boundary
// and deletes entries (S11). One put, of a slot, a segment or an entry, may lose its
// answer or land late (S2, S3). In some scopes A presses, too, or rotates its session (S9).
// All of it is the code that brokers run.
//
// Left to other small worlds: releases (newHandover), the hot tier (P2, newRestore), and
// what may happen between a put of the journal and the reads and deletes that follow it,
// which here are one event (newChronicle).
type cluster struct {
	*handover
	id     record.Partition
	chairs []*chair
	marks  map[uint64]uint64 // of the states after each entry
	fences map[uint64]uint64 // of all sessions that were ever sealed
	seen   map[int64]string  // what was committed at some time
}

type clusterScope struct {
	values   int  // that the client sends to A, and to B again
	presses  bool // A presses
	collects bool // B presses what dead sessions have left, and collects
	apart    bool // C collects instead, which has the oldest session
	rotates  bool // A rotates its session
	tidies   bool // B moves the boundary of the journal
	faults   int
	at       string                // what names begin with whose puts may go wrong; empty: any
	a, b, c  func(port) port       // planted
	bend     func(catalog.Command) // planted: what B commits
}

// String says what there is.
func (sc clusterScope) String() string {
	out := fmt.Sprintf("%d values, %d faults", sc.values, sc.faults)
	if sc.at != "" {
		out += " at " + sc.at
	}
	for _, x := range []struct {
		has  bool
		what string
	}{
		{sc.presses, "A presses"}, {sc.rotates, "A rotates"}, {sc.collects, "B presses and collects"},
		{sc.apart, "C collects instead"}, {sc.tidies, "B tidies the journal"},
	} {
		if x.has {
			out += ", " + x.what
		}
	}
	return out
}

// inJournal is what happens at once.
func inJournal(name string) bool { return strings.HasPrefix(name, "catalog/") }

func (h *handover) scribe(store port, nonce byte) *journal.Scribe {
	p := store.p
	store.calm = inJournal
	return journal.NewScribe(store, [16]byte{nonce}, journal.Options{
		SnapshotEvery: 1, Keep: time.Nanosecond, Sleep: p.Sleep, Rand: p.Rand,
	})
}

// producers is pump.LoadProducers, whose reads are all at one instant.
func (h *handover) producers(ctx context.Context, _ cold.Store, s *catalog.State, ps ...record.Partition) (map[record.Partition][]ingest.Producer, error) {
	return pump.LoadProducers(ctx, instant{h.w}, s, ps...)
}

// instant is a bucket that is read at once, by whichever goroutine. What is not there is
// damage: it will not come.
type instant struct{ w *small }

// Get implements cold.Store.
func (s instant) Get(_ context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	o, ok := s.w.bucket[name]
	if !ok {
		return buf, fmt.Errorf("get %s: %w: %w", name, object.ErrCorrupt, cold.ErrNotFound)
	}
	at, n, err := r.Within(int64(len(o.data)))
	if err != nil {
		return buf, err
	}
	return append(buf, o.data[at:at+n]...), nil
}

// Stat implements cold.Store.
func (s instant) Stat(_ context.Context, name string) (cold.Info, error) {
	o, ok := s.w.bucket[name]
	if !ok {
		return cold.Info{}, fmt.Errorf("stat %s: %w: %w", name, object.ErrCorrupt, cold.ErrNotFound)
	}
	return cold.Info{Name: name, Size: int64(len(o.data)), Modified: o.at}, nil
}

// PutIfAbsent implements cold.Store.
func (instant) PutIfAbsent(context.Context, string, cold.Body) error { return errors.ErrUnsupported }

// List implements cold.Store.
func (instant) List(context.Context, string, string) iter.Seq2[cold.Info, error] { return nil }

// Delete implements cold.Store.
func (instant) Delete(context.Context, string) error { return errors.ErrUnsupported }

// landed is told of each object: of an entry of the journal everybody hears from then on.
func (c *cluster) landed(name string) {
	n := c.state.Number() + 1
	if name != journal.Name(n) {
		return // also of somebody who slept (S11)
	}
	e, err := journal.ReadEntry(background, instant{c.w}, n)
	if err != nil {
		c.w.fail("S11: %s: %w", name, err)
		return
	}
	c.apply(e.Commands...)
	c.marks[n] = c.mark(c.state)
	for _, v := range c.state.Sessions() {
		if v.Sealed {
			c.fences[v.ID] = v.Fence
		}
	}
}

// equal is what stands for an entry that everybody has read: what it has led to.
func (c *cluster) equal(name string) (string, bool) {
	if !strings.HasPrefix(name, journal.PrefixEntries) {
		return "", false
	}
	for _, d := range c.chairs {
		if name > journal.Name(d.State().Number()) {
			return "", false
		}
	}
	return "", true
}

// judge is P1, P3, and what S6, S8, S10 and S11 say of every state.
func (c *cluster) judge() error {
	if err := c.handover.judge(); err != nil {
		return err
	}
	there, err := c.contents(c.id)
	if err != nil {
		return err
	}
	at := map[string]int64{}
	for o, v := range there {
		if was, ok := at[v]; ok {
			return fmt.Errorf("W6: %s is at offsets %d and %d", v, was, o)
		}
		at[v] = o
		if was, ok := c.seen[o]; ok && was != v {
			return fmt.Errorf("P3: offset %d was %s and is %s", o, was, v)
		}
		c.seen[o] = v
	}
	for o, v := range c.seen {
		if there[o] != v {
			return fmt.Errorf("P3: %s was committed at offset %d and is not there", v, o)
		}
	}
	for _, d := range c.chairs {
		pr, ok := d.pump.Progress(c.id)
		if ok && pr.HighWatermark > 0 && there[pr.HighWatermark-1] == "" {
			return fmt.Errorf("S4: %s shows %d offsets, and the last of them is not committed", d.p.name, pr.HighWatermark)
		}
		if n := d.State().Number(); n > c.state.Number() || c.mark(d.State()) != c.marks[n] {
			return fmt.Errorf("S11: %s has another state after entry %d", d.p.name, n)
		}
	}
	for session, slot := range c.fences {
		o, ok := c.w.bucket[catalog.WAL(session, slot).Name()]
		if !ok {
			return fmt.Errorf("S10: the fence of session %d is gone", session)
		}
		if h, err := object.ParseHeader(o.data); err != nil || h.Kind != object.Fence {
			return fmt.Errorf("S6: session %d is sealed at slot %d, which holds no fence", session, slot)
		}
	}
	return nil
}

// offer sends the values of an idempotent client, one behind the other, and notes what
// is acknowledged.
func (c *chair) offer(ctx context.Context, id record.Partition, values ...string) {
	var sent []*pump.Request
	for i, v := range values {
		b := record.Builder{HasProducer: true, Template: record.Header{ProducerID: 7, BaseSequence: int32(i)}}
		b.Add(1, nil, []byte(v))
		batch, err := b.Build()
		if err != nil {
			panic(err)
		}
		head, _ := record.ParseHeader(batch)
		r := &pump.Request{Request: ingest.Request{Acks: ingest.AcksAll, Items: []ingest.Item{{Partition: id, Header: head, Batch: batch}}}}
		if c.pump.Produce(ctx, r) != nil {
			break
		}
		sent = append(sent, r)
	}
	for i, r := range sent {
		c.await(ctx, r)
		x := r.Results[0]
		if x.Err != nil {
			if errors.Is(x.Err, ingest.ErrOutOfOrderSequence) {
				c.h.w.fail("W6: %s tells the client of %s: %w", c.p.name, values[i], x.Err)
			}
			continue
		}
		if was, ok := c.h.acked[id][x.Base]; ok && was != values[i] {
			c.h.w.fail("P3: offset %d is given to %s and %s", x.Base, was, values[i])
		}
		c.h.acked[id][x.Base] = values[i]
	}
}

// before is what every world of a cluster begins with.
type before struct {
	sessions      map[int32]uint64 // by node
	bucket        map[string]stored
	sums          map[string][32]byte
	marks, fences map[uint64]uint64
	state         *catalog.State
	founder       *journal.Scribe
	time          int
}

func newCluster(before *before, sc clusterScope) *small {
	w := &small{bucket: map[string]stored{}}
	w.lossy = func(name string) bool {
		return strings.HasPrefix(name, sc.at) && (strings.HasPrefix(name, catalog.PrefixWAL) || strings.HasPrefix(name, catalog.PrefixSeg) || strings.HasPrefix(name, journal.PrefixEntries))
	}
	topic := record.TopicID{1}
	id := record.Partition{Topic: topic}
	h := &handover{w: w, state: catalog.NewState(), acked: map[record.Partition]map[int64]string{id: {}}, large: 1}
	c := &cluster{handover: h, id: id, marks: map[uint64]uint64{}, fences: map[uint64]uint64{}, seen: map[int64]string{}}
	w.landed = c.landed
	if before.bucket == nil { // this is what every world begins with, once
		founder := &proc{w: w}
		h.founder = h.scribe(port{p: founder}, 1)
		if err := h.founder.Open(background, "c"); err != nil {
			panic(err)
		}
		register := func(node int32, name string) uint64 {
			return h.must(&catalog.RegisterSession{Nonce: [16]byte{10 * byte(node)}, Node: node, Advertised: name})
		}
		dead := register(9, "")
		h.must(&catalog.CreateTopic{Name: "t", ID: topic, Replicas: 1, Owners: []uint64{dead}})
		before.sessions = map[int32]uint64{}
		if sc.apart {
			before.sessions[3] = register(3, "C")
		}
		if sc.apart && sc.tidies { // C has something to commit at once: there is a session to forget
			empty := register(8, "")
			h.leave(empty, id)
			h.must(&catalog.SweepSession{Session: empty})
		}
		before.sessions[1], before.sessions[2] = register(1, "A"), register(2, "B")
		h.leave(dead, id, "old")
		h.must(&catalog.Take{Session: before.sessions[1], Items: []catalog.TakeItem{{Partition: id, Epoch: 1, Start: 1}}})
		h.founder.Housekeep(background)
		before.founder, before.state, before.bucket, before.sums, before.marks, before.fences, before.time = h.founder, h.state, w.bucket, w.sums, c.marks, c.fences, w.time
	}
	h.founder, h.enters = before.founder, before.sessions
	bs := h.enters[2]
	h.state, w.time = before.state, before.time
	w.bucket, w.sums, c.marks, c.fences = maps.Clone(before.bucket), maps.Clone(before.sums), maps.Clone(before.marks), maps.Clone(before.fences)
	h.acked[id][0] = "old"
	a, b := h.sit("A", 1, sc.a), h.sit("B", 2, sc.b)
	b.bend = sc.bend
	c.chairs = []*chair{a, b}
	if sc.apart {
		c.chairs = append(c.chairs, h.sit("C", 3, sc.c))
	}
	for _, d := range c.chairs {
		if err := d.tenure.Follow(background); err != nil {
			panic(err)
		}
	}
	// A walk tries fences at distances, too (docs/decisions/0004): all but the nearest
	// would only multiply the orders.
	w.beyond = func(name string) bool {
		ref, err := catalog.ParseRef(name)
		return err == nil && ref.Kind == catalog.KindWAL && ref.B > uint64(sc.values) && ref.A != bs
	}
	w.faults = sc.faults
	var values []string
	for i := range sc.values {
		values = append(values, fmt.Sprint("v", i))
	}
	ctx := background
	a.p.spawn(func() { a.offer(ctx, id, values...) })
	if sc.presses {
		press := h.press(a, calm{port{p: a.p}}, a)
		a.p.spawn(func() { press.Turn(ctx) })
	}
	if sc.rotates {
		a.p.spawn(func() { _, _ = a.tenure.Rotate(ctx, time.Hour, 0, time.Second); _ = a.tenure.Follow(ctx) })
	}
	press := h.press(b, calm{port{p: b.p}}, b)
	b.p.spawn(func() {
		for p, _ := b.State().Partition(id); p.Owner != bs; p, _ = b.State().Partition(id) {
			v, _ := b.State().Session(p.Owner)
			if b.tenure.Bury(ctx, v) != nil {
				return
			}
		}
		_ = b.tenure.Follow(ctx)
		b.p.spawn(func() { b.offer(ctx, id, append(values, "w")...) })
		if sc.tidies {
			b.scribe.Housekeep(ctx)
		}
		if sc.collects {
			press.Turn(ctx)
		} else if sc.tidies {
			_, _ = b.Commit(ctx, &catalog.ProducerIDs{Count: 1}) // anything
		}
		if sc.tidies {
			b.scribe.Housekeep(ctx)
		}
	})
	if sc.apart {
		d := c.chairs[2]
		press := h.press(d, calm{port{p: d.p}}, d)
		d.p.spawn(func() {
			for range 2 {
				_ = d.p.ask(ctx, &request{what: "look at the journal", do: func() error { return d.scribe.Catchup(ctx) }, digest: func() string { return fmt.Sprint(h.mark(d.State())) }})
				press.Turn(ctx)
			}
		})
	}
	w.judge, w.equal = c.judge, c.equal
	w.extra = func() string { return fmt.Sprint(h.mark(h.state), h.acked) }
	return w
}

func clusters(sc clusterScope) func() fiber.World {
	var b before
	return func() fiber.World { return newCluster(&b, sc) }
}

// Each order of everything at once, with an answer that is lost or a put that lands late.
func TestNoOrderOfEventsOfAClusterLosesARecord(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(2000))
	usual := 3
	if underRace { // one thread, and ten times as slow
		usual = 1
	}
	for _, sc := range []clusterScope{
		{values: 2, collects: true, tidies: true},
		{values: 1, collects: true, apart: true},
		{values: 1, collects: true, tidies: true, faults: 1, at: catalog.PrefixWAL},
		{values: 1, rotates: true, tidies: true},
		{values: 1, rotates: true, faults: 1},
		{values: 1, presses: true, tidies: true},
		{values: 1, collects: true, tidies: true, faults: 1},
		{values: 1, collects: true, apart: true, tidies: true},
		{values: 1, collects: true, apart: true, tidies: true, faults: 1, at: catalog.PrefixSeg},
	}[:shallow(usual, 9)] {
		visit(t, sc, clusters(sc))
	}
}

func TestEveryShortcutOfAClusterIsCaught(t *testing.T) {
	wal := func(name string) bool { return strings.HasPrefix(name, catalog.PrefixWAL) }
	boundary := func(name string) bool { return strings.HasPrefix(name, journal.PrefixBoundaries) }
	for _, v := range []struct {
		name string
		clusterScope
	}{
		{"who takes over puts no fence", clusterScope{values: 1, collects: true, b: func(s port) port { s.void = wal; return s }}},
		{"any 412 is success", clusterScope{values: 1, collects: true, a: func(s port) port { s.take = true; return s }}},
		{"no answer is success", clusterScope{values: 1, collects: true, faults: 1, a: func(s port) port { s.lose = true; return s }}},
		{"a seal describes nothing", clusterScope{values: 1, collects: true, bend: func(c catalog.Command) {
			if r, ok := c.(*catalog.SealSession); ok {
				r.Extents = nil
			}
		}}},
		{"a writer of the journal does not look at the boundary after its put", clusterScope{values: 1, presses: true, tidies: true, a: func(s port) port { s.hide = boundary; return s }}},
		{"entries are deleted before the boundary is there", clusterScope{values: 1, presses: true, tidies: true, b: func(s port) port { s.void = boundary; return s }}},
		{"who collects does not look at the boundary after its put", clusterScope{values: 1, collects: true, apart: true, tidies: true, c: func(s port) port { s.hide = boundary; return s }}},
	} {
		t.Run(v.name, func(t *testing.T) {
			notice(t, clusters(v.clusterScope))
		})
	}
}
