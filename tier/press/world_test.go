package press

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/hot"
	"github.com/firnlog/firn/tier/object"
)

// errCrash is what a broker that is dead gets from everything.
var errCrash = errors.New("crash")

// world is a bucket, an agreed state and two brokers, on one thread and one random
// number generator: the same seed gives the same run. Everything that a Press does
// to the bucket or the journal is a point at which its broker may die, before or
// after, or at which the other broker acts: fences it, takes its partitions, merges,
// compacts, deletes; then the first one goes on as a zombie.
type world struct {
	rng     *rand.Rand
	bucket  *mem.Store
	state   *catalog.State
	now     time.Time
	grace   time.Duration
	nonces  byte
	brokers [2]*node
	model   map[record.Partition]*model
	old     []seen // states that readers may still hold
	checked map[catalog.Located]bool
	depth   int
	calm    bool // nobody dies
	// restless: the mark moves at each put of a sealed object
	restless bool
	plant    plant
	trace    []string
	fault    error
	counts   map[string]int
}

// plant is a shortcut that loses data or leaves rubbish.
type plant int

const (
	sound plant = iota
	deleteFirst
	noGrace
	unregistered
	fencesGo
	gapHidden // the catalog refuses it
	gapUntold // and is not told of the tips
)

type seen struct {
	at    time.Time
	state *catalog.State
}

// model is what was acknowledged of a partition.
type model struct {
	compact bool
	keysAt  *catalog.Partition // when its keys were checked
	records []rec              // by offset
}

type rec struct {
	key, value []byte
	ts         int64
}

// node is one broker process after another.
type node struct {
	w       *world
	n       int
	session uint64
	nonce   [16]byte
	slot    uint64
	view    *catalog.State
	overlay []catalog.Located
	led     map[record.Partition]int64 // next offset
	gens    []*gen
	press   *Press
	ctx     context.Context
	cancel  context.CancelFunc
	die     int // operations left; negative: for ever
	asleep  int // so many turns
	dead    bool
}

func newWorld(seed uint64, pl plant) *world {
	w := &world{
		rng: rand.New(rand.NewPCG(seed, 9)), bucket: mem.New(), state: catalog.NewState(), now: time.UnixMilli(1_000_000),
		grace: 10 * time.Second, model: map[record.Partition]*model{}, checked: map[catalog.Located]bool{}, plant: pl, counts: map[string]int{},
	}
	w.must(&catalog.CreateCluster{ID: "w"})
	for i, policy := range []string{"delete", "compact", "delete"} {
		id := record.TopicID{byte(i + 1)}
		w.must(&catalog.CreateTopic{Name: fmt.Sprint("t", i), ID: id, Replicas: 1, Owners: make([]uint64, 2), Configs: map[string]string{
			"cleanup.policy": policy, "segment.bytes": "1500", "delete.retention.ms": "5000", "retention.bytes": "40000",
		}})
		for p := range int32(2) {
			w.model[record.Partition{Topic: id, Index: p}] = &model{compact: policy == "compact"}
		}
	}
	for i := range w.brokers {
		w.brokers[i] = &node{w: w, n: i, dead: true}
	}
	return w
}

func (w *world) say(format string, a ...any) { w.trace = append(w.trace, fmt.Sprintf(format, a...)) }

func (w *world) fail(format string, a ...any) {
	if w.fault == nil {
		w.fault = fmt.Errorf(format, a...)
	}
}

func (w *world) apply(cmds ...catalog.Command) []catalog.Result {
	next := w.state.Clone()
	res := next.Apply(next.Number()+1, cmds)
	w.old = append(w.old, seen{w.now, w.state})
	w.state = next
	return res
}

func (w *world) must(c catalog.Command) catalog.Result {
	r := w.apply(c)[0]
	if r.Err != nil {
		w.fail("%T: %w", c, r.Err)
	}
	return r
}

// op is one operation of a broker: it may die before it, after it, or have the
// other one act first.
func (n *node) op(what string, do func() error) error {
	if n.dead {
		return errCrash
	}
	w := n.w
	w.counts["ops"]++
	if w.depth == 0 && !w.calm && w.rng.IntN(12) == 0 {
		w.depth++
		w.counts["interleaved"]++
		w.brokers[1-n.n].act()
		w.depth--
	}
	if w.depth == 0 && (w.restless && strings.HasPrefix(what, "put of seg/") || !w.calm && w.rng.IntN(12) == 0) { // its own write path goes on meanwhile
		w.depth++
		switch w.rng.IntN(8) {
		case 0:
			n.release()
		case 1:
			n.take()
		}
		if n.append(); n.Index(n.ctx) == nil {
			w.counts["indexed meanwhile"]++
		}
		w.depth--
	}
	if n.die--; n.die == 0 {
		before := w.rng.IntN(2) == 0
		w.say("broker %d dies at %s, before it: %v", n.n, what, before)
		w.counts["crashes"]++
		if !before {
			_ = do()
		}
		n.dead = true
		n.cancel()
		return errCrash
	}
	return do()
}

// State implements Journal.
func (n *node) State() *catalog.State { return n.view }

// Commit implements Journal: like the real one it learns what others did.
func (n *node) Commit(_ context.Context, cmds ...catalog.Command) (res []catalog.Result, err error) {
	err = n.op(fmt.Sprintf("commit of %T", cmds[0]), func() error {
		w := n.w
		if c, ok := cmds[0].(*catalog.CommitJob); ok && w.plant == deleteFirst {
			w.replaced(c)
			if w.rng.IntN(4) == 0 {
				return errCrash
			}
		}
		if b, ok := cmds[0].(*catalog.BeginJob); ok && w.plant == unregistered {
			_ = b
			res = []catalog.Result{{ID: w.state.Number() << 20}}
			return nil
		}
		if c, ok := cmds[0].(*catalog.CommitJob); ok && w.plant == unregistered {
			j := w.apply(&catalog.BeginJob{Session: n.session})[0]
			d := *c
			d.Job = j.ID
			cmds[0] = &d
		}
		res = w.apply(cmds...)
		n.view = w.state
		w.tally(cmds[0], res[0])
		return nil
	})
	return res, err
}

// tally counts what was done, to see that all of it was.
func (w *world) tally(cmd catalog.Command, r catalog.Result) {
	c, ok := cmd.(*catalog.CommitJob)
	switch {
	case !ok:
	case r.Err != nil:
		w.counts["jobs refused"]++
	case len(c.Presses) > 0:
		w.counts["pressed lines"] += len(c.Presses)
		for _, p := range c.Presses {
			if q, ok := w.state.Partition(p.Partition); ok && len(q.Index) > 1 {
				w.counts["more than one line"]++
			}
		}
	case c.To > c.From:
		w.counts["sealed"]++
	case len(c.Extents) > 0 && c.Extents[0].Object.IsCompacted():
		w.counts["compacted"]++
	default:
		w.counts["merged"]++
	}
}

// replaced deletes what a job is going to replace: a planted bug.
func (w *world) replaced(c *catalog.CommitJob) {
	for _, x := range c.Extents {
		p, ok := w.state.Partition(x.Partition)
		if !ok {
			continue
		}
		for _, e := range p.Extents {
			if e.Base >= x.Base && e.Next <= x.Next && w.state.Refs(e.Object) == 1 {
				_ = w.bucket.Delete(context.Background(), e.Object.Name())
			}
		}
	}
}

// bucketOf is the bucket as one broker sees it.
type bucketOf struct {
	*mem.Store
	n *node
}

func (b bucketOf) PutIfAbsent(ctx context.Context, name string, body cold.Body) error {
	return b.n.op("put of "+name, func() error { return b.Store.PutIfAbsent(ctx, name, body) })
}

func (b bucketOf) Delete(ctx context.Context, name string) error {
	return b.n.op("delete of "+name, func() error {
		b.n.w.counts["deletes"]++
		if b.n.w.plant == fencesGo && strings.HasPrefix(name, catalog.PrefixWAL) {
			ref, _ := catalog.ParseRef(name)
			if v, ok := b.n.w.state.Session(ref.A); ok && v.Sealed {
				_ = b.Store.Delete(ctx, catalog.WAL(ref.A, v.Fence).Name())
			}
		}
		return b.Store.Delete(ctx, name)
	})
}

func (b bucketOf) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	if b.n.dead {
		return nil, errCrash
	}
	return b.Store.Get(ctx, name, r, buf)
}

// Committed implements Writer.
func (n *node) Committed() (uint64, uint64) { return n.session, n.slot }

// Producers implements Writer.
func (n *node) Producers(_ context.Context, p record.Partition) ([]object.Producer, error) {
	if n.dead {
		return nil, errCrash
	}
	if _, ok := n.led[p]; !ok {
		return nil, ErrNotLed
	}
	return nil, nil
}

// Trim implements Writer.
func (n *node) Trim(context.Context, record.Partition, int64) error { return nil }

// Index implements Writer.
func (n *node) Index(ctx context.Context) error {
	s, ok := n.view.Session(n.session)
	if !ok || s.Covered >= n.slot {
		return nil
	}
	xs := slices.Clone(n.overlay)
	sortLocated(xs)
	res, err := n.Commit(ctx, &catalog.Cover{Session: n.session, From: s.Covered, To: n.slot, Extents: xs})
	if err != nil {
		return err
	}
	if res[0].Err != nil {
		return res[0].Err
	}
	return n.Covered(ctx)
}

// Tips implements Writer.
func (n *node) Tips(_ context.Context, session, to uint64) ([]catalog.Tip, error) {
	if n.w.plant == gapUntold {
		return nil, nil
	}
	ends := map[record.Partition]int64{}
	for _, x := range n.overlay {
		if x.Object.A == session && x.Object.B < to {
			ends[x.Partition] = max(ends[x.Partition], x.Next)
		}
	}
	var out []catalog.Tip
	for p, next := range ends {
		out = append(out, catalog.Tip{Partition: p, Next: next})
	}
	slices.SortFunc(out, func(a, b catalog.Tip) int { return a.Partition.Compare(b.Partition) })
	return out, nil
}

// Covered implements Writer.
func (n *node) Covered(context.Context) error {
	if s, ok := n.view.Session(n.session); ok {
		n.overlay = slices.DeleteFunc(n.overlay, func(x catalog.Located) bool { return x.Object.B < s.Covered })
	}
	return nil
}

// add is a batch that is produced to a partition.
type add struct {
	id     record.Partition
	recs   []rec
	codec  record.Codec
	dedupe bool // of an idempotent producer
}

// append puts one slot with batches of some partitions.
func (n *node) append() {
	if n.dead || len(n.led) == 0 {
		return
	}
	w := n.w
	var adds []add
	few := 0
	if !w.calm {
		few = 6 * w.rng.IntN(2) // what a slot has to itself is missed by no later one
	}
	for _, id := range n.partitions() {
		if w.rng.IntN(3+few) <= few {
			continue
		}
		a := add{id: id, codec: record.Codec(2 * w.rng.IntN(2)), dedupe: w.rng.IntN(4) == 0}
		for range 1 + w.rng.IntN(4) {
			r := rec{key: fmt.Appendf(nil, "k%d", w.rng.IntN(9)), ts: w.now.UnixMilli()}
			if w.rng.IntN(5) > 0 {
				r.value = fmt.Appendf(nil, "v%d-%d", w.state.Number(), w.rng.IntN(1000))
			}
			a.recs = append(a.recs, r)
		}
		adds = append(adds, a)
	}
	n.produce(adds)
}

// produce puts one slot. What is in it is acknowledged when the put succeeds.
func (n *node) produce(adds []add) {
	w := n.w
	e := object.NewEncoder(object.Header{Kind: object.WAL, Session: n.session, Slot: n.slot, Nonce: n.nonce}, w.now.UnixMilli(), nil)
	var entries []hot.Entry
	for _, a := range adds {
		c, _ := n.view.Partition(a.id)
		b := record.Builder{Codec: a.codec, HasProducer: a.dedupe}
		if a.dedupe {
			b.Template = record.Header{ProducerID: 5, BaseSequence: int32(n.led[a.id])}
		}
		for _, r := range a.recs {
			b.Add(r.ts, r.key, r.value)
		}
		bytes, err := b.Build()
		if err != nil {
			w.fail("build: %w", err)
			return
		}
		record.Rebase(bytes, n.led[a.id], c.Epoch)
		h, _ := record.ParseHeader(bytes)
		e.Begin(a.id, c.Epoch, n.led[a.id])
		e.Append(h, bytes)
		entries = append(entries, hot.Entry{Partition: a.id, Base: h.BaseOffset, Last: h.LastOffset(), Epoch: c.Epoch, MaxTimestamp: h.MaxTimestamp, Value: bytes})
	}
	runs, err := e.Finish()
	if err != nil {
		w.fail("finish: %w", err)
		return
	}
	ref := catalog.WAL(n.session, n.slot)
	if err := w.bucket.PutIfAbsent(context.Background(), ref.Name(), cold.Bytes(e.Segments()...)); err != nil {
		w.say("broker %d finds that session %d is fenced", n.n, n.session)
		n.dead = true
		n.cancel()
		return
	}
	w.counts["slots"]++
	n.slot++
	for i := range runs {
		r := &runs[i]
		n.overlay = append(n.overlay, catalog.Located{Partition: r.Partition, Extent: pump.Extent(r, ref)})
		n.led[r.Partition] = r.Next
	}
	for _, a := range adds {
		m := w.model[a.id]
		m.records = append(m.records, a.recs...)
	}
	if !w.calm && w.rng.IntN(6) == 0 { // the hot tier does not take it, and has no generation with a gap
		w.counts["slots refused"]++
		if w.plant != gapHidden && w.plant != gapUntold {
			n.Rotate()
		}
		return
	}
	if len(n.gens) == 0 || !n.gens[len(n.gens)-1].Filling {
		n.gens = append(n.gens, &gen{Info: hot.Info{
			ID: uint64(len(n.gens) + 1), Session: hot.Session{ID: n.session, Nonce: n.nonce}, First: n.slot - 1, Filling: true, Opened: w.now,
		}})
	}
	g := n.gens[len(n.gens)-1]
	g.Next, g.Batches, g.entries = n.slot, g.Batches+len(entries), append(g.entries, entries...)
}

// release gives a partition up, as pump.Release does (S9).
func (n *node) release() {
	ids := n.partitions()
	if len(ids) == 0 {
		return
	}
	w, id := n.w, ids[n.w.rng.IntN(len(ids))]
	n.view = w.state
	if v, ok := n.view.Session(n.session); !ok || v.Sealed {
		return
	}
	_ = n.Covered(n.ctx)
	var xs []catalog.Located
	for _, x := range n.overlay {
		if c, _ := n.view.Partition(id); x.Partition == id && x.Base >= c.Next {
			xs = append(xs, x)
		}
	}
	sortLocated(xs)
	w.must(&catalog.Release{Session: n.session, Partitions: []record.Partition{id}, Extents: xs})
	w.counts["released"]++
	n.view = w.state
	n.overlay = slices.DeleteFunc(n.overlay, func(x catalog.Located) bool { return x.Partition == id })
	delete(n.led, id)
}

// take takes what nobody owns.
func (n *node) take() {
	w := n.w
	n.view = w.state
	if v, ok := n.view.Session(n.session); !ok || v.Sealed {
		return
	}
	for id := range w.model {
		if p, _ := w.state.Partition(id); p.Owner == 0 {
			w.must(&catalog.Take{Session: n.session, Items: []catalog.TakeItem{{Partition: id, Epoch: p.Epoch + 1, Start: p.Next}}})
			w.counts["taken"]++
			n.led[id] = p.Next
		}
	}
	n.view = w.state
}

func (n *node) partitions() []record.Partition {
	var out []record.Partition
	for id := range n.led {
		out = append(out, id)
	}
	slices.SortFunc(out, record.Partition.Compare)
	return out
}

// boot starts the broker anew: it seals its former session, and the other one's if
// it believes that one dead, and takes what nobody owns.
func (n *node) boot(everything bool) {
	w := n.w
	w.nonces++
	w.counts["boots"]++
	for _, v := range w.state.Sessions() {
		if v.Sealed || v.Node != int32(n.n) && !everything {
			continue
		}
		f, err := pump.Fence(context.Background(), pump.FenceOptions{
			Store: w.bucket, Session: pump.Session{ID: v.ID, Nonce: v.Nonce}, From: v.Covered, Nonce: [16]byte{w.nonces},
		})
		if err != nil {
			w.fail("fence: %w", err)
			return
		}
		w.say("broker %d seals session %d at slot %d", n.n, v.ID, f.Slot)
		w.must(&catalog.SealSession{Session: v.ID, Covered: v.Covered, Fence: f.Slot, Extents: f.Extents(v.ID)})
	}
	n.nonce = [16]byte{w.nonces}
	n.session = w.must(&catalog.RegisterSession{Nonce: n.nonce, Node: int32(n.n)}).ID
	n.slot, n.overlay, n.led, n.dead = 0, nil, map[record.Partition]int64{}, false
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.die = -1
	if !w.calm && w.rng.IntN(3) > 0 {
		n.die = 1 + w.rng.IntN(60)
	}
	if w.rng.IntN(2) == 0 {
		n.gens = nil // another disk
	}
	for _, g := range n.gens {
		g.Settled = true
		g.Filling = false
	}
	var items []catalog.TakeItem
	for _, t := range w.state.Topics() {
		for _, p := range t.Partitions {
			if v, ok := w.state.Session(p.Owner); ok && !v.Sealed {
				continue
			}
			items = append(items, catalog.TakeItem{Partition: p.ID, Epoch: p.Epoch + 1, Start: p.Next})
		}
	}
	w.must(&catalog.Take{Session: n.session, Items: items})
	n.view = w.state
	for _, id := range w.state.Owned(n.session) {
		p, _ := w.state.Partition(id)
		n.led[id] = p.Next
	}
	settler := cold.NewSettler(bucketOf{w.bucket, n}, cold.SettlerOptions{})
	grace := w.grace + time.Second
	if w.plant == noGrace {
		grace = 0
	}
	n.press = New(Options{
		Store: bucketOf{w.bucket, n}, Settler: settler, Journal: n, Writer: n, Hot: n, Nonce: n.nonce,
		Logger: slog.New(slog.DiscardHandler), SealEvery: time.Second, RetainEvery: time.Second, Grace: grace,
		Setting: func(string) (string, bool) { return "", false }, Now: func() time.Time { return w.now },
		Limits: Limits{Budget: 2500, Own: 700, Small: 3, Extents: 3, Keep: 1, Fewest: 1, Lines: 1 + 7*n.n, Keys: 6},
	})
}

// act is one thing that a broker does, or that is done to it.
func (n *node) act() {
	w := n.w
	if n.dead {
		if w.depth == 0 || w.rng.IntN(3) == 0 {
			n.boot(w.brokers[1-n.n].dead || w.rng.IntN(3) == 0)
		}
		return
	}
	if n.asleep > 0 {
		n.asleep--
		return
	}
	ctx := n.ctx
	switch k := w.rng.IntN(26); k {
	case 24:
		n.release()
	case 25:
		n.take()
	case 0, 1, 2, 3, 4, 5, 6:
		n.append()
	case 7, 8, 9:
		n.press.try(ctx, "seal", n.press.seal)
	case 10:
		_ = n.Index(ctx)
	case 11, 12:
		n.press.try(ctx, "linger", n.press.linger)
	case 13, 14:
		n.press.try(ctx, "merge", n.press.merge)
	case 15, 16:
		n.press.try(ctx, "compact", n.press.compact)
	case 17:
		n.press.try(ctx, "index", n.press.index)
	case 18, 19:
		n.press.try(ctx, "collect", n.press.collect)
	case 20:
		n.press.try(ctx, "retain", n.press.retain)
	case 21:
		n.view = w.state // it polls
	case 22:
		id := n.partitions()
		if len(id) > 0 && w.rng.IntN(3) == 0 {
			p := id[w.rng.IntN(len(id))]
			if c, _ := w.state.Partition(p); c.Next > c.LogStart {
				w.must(&catalog.Trim{Items: []catalog.TrimItem{{Partition: p, LogStart: c.LogStart + w.rng.Int64N(c.Next-c.LogStart+1)}}})
			}
		}
	case 23:
		switch {
		case w.depth > 0: // the other one, in the middle of something, is believed dead
			if w.rng.IntN(2) == 0 {
				n.cancel()
				n.boot(true)
			}
		case w.rng.IntN(4) == 0: // this one is believed dead, and is not: a zombie
			if w.rng.IntN(2) == 0 && !w.calm { // and wakes up late
				n.asleep = w.rng.IntN(150)
			}
			w.brokers[1-n.n].boot(true)
		}
	}
}

// check verifies the invariants: all that was acknowledged is there, for those who
// know the newest state and for those who are behind by less than the grace period.
func (w *world) check() {
	for _, err := range w.state.Check() {
		w.fail("catalog: %w", err)
	}
	first := w.now.Add(-w.grace)
	w.old = slices.DeleteFunc(w.old, func(s seen) bool { return s.at.Before(first) })
	for _, id := range slices.SortedFunc(mapKeys(w.model), record.Partition.Compare) {
		w.checkPartition(id)
	}
	for i, s := range w.old {
		if i%7 == int(w.state.Number()%7) {
			look := func(ref catalog.ObjectRef) {
				if !w.there(ref.Name()) {
					w.fail("%s is gone, %v after entry %d referred to it", ref, w.now.Sub(s.at), s.state.Number())
				}
			}
			for ref := range s.state.Referenced() {
				look(ref)
			}
			for t := range s.state.AllTopics() {
				for _, p := range t.Partitions {
					for _, l := range p.Index {
						look(l.Object)
					}
				}
			}
		}
	}
}

func (w *world) there(name string) bool {
	_, err := w.bucket.Stat(context.Background(), name)
	return err == nil
}

func (w *world) checkPartition(id record.Partition) {
	c, _ := w.state.Partition(id)
	m := w.model[id]
	// What the owner's slots hold beyond is acknowledged, too.
	extents, err := all(w.bucket, c)
	if err != nil {
		w.fail("%s: %w", id, err)
		return
	}
	next := c.Next
	if v, ok := w.state.Session(c.Owner); ok && !v.Sealed {
		for _, n := range w.brokers {
			if n.session == v.ID {
				for _, x := range n.overlay {
					if x.Partition == id && x.Base >= next {
						extents, next = append(extents, x.Extent), x.Next
					}
				}
			}
		}
	}
	if next < int64(len(m.records)) {
		w.fail("%s ends at offset %d, but %d were acknowledged", id, next, len(m.records))
	}
	at := int64(-1)
	for _, x := range extents {
		if x.Next <= c.LogStart {
			continue
		}
		if at >= 0 && x.Base != at || at < 0 && x.Base > c.LogStart {
			w.fail("%s: a gap before offset %d", id, x.Base)
		}
		at = x.Next
		key := catalog.Located{Partition: id, Extent: x}
		if w.checked[key] {
			if !w.there(x.Object.Name()) {
				w.fail("%s: offset %d is gone: %s", id, x.Base, x.Object)
			}
			continue
		}
		w.checked[key] = true
		w.checkBytes(id, m, x)
	}
	if m.compact && m.keysAt != c {
		m.keysAt = c
		w.checkKeys(id, m, c, extents)
	}
}

func (w *world) checkBytes(id record.Partition, m *model, x catalog.Extent) {
	b, err := w.bucket.Get(context.Background(), x.Object.Name(), cold.Range{Offset: x.Pos, Length: x.Len}, nil)
	if err == nil {
		err = object.VerifyRun(runOf(id, x), b)
	}
	if err != nil {
		w.fail("%s, offset %d, %s: %w", id, x.Base, x.Object, err)
		return
	}
	n := int64(0)
	for r := range recordsOf(b) {
		want := m.records[r.offset]
		if !bytes.Equal(want.key, r.key) || !bytes.Equal(want.value, r.value) || (want.value == nil) != (r.value == nil) || want.ts != r.ts {
			w.fail("%s, offset %d is %q=%q, want %q=%q", id, r.offset, r.key, r.value, want.key, want.value)
		}
		n++
	}
	if !m.compact && n != x.Next-x.Base {
		w.fail("%s: %d records at offsets [%d, %d)", id, n, x.Base, x.Next)
	}
}

// checkKeys: of each key the newest record that is described is there, unless it is
// an old tombstone; then nothing is there that it deleted.
func (w *world) checkKeys(id record.Partition, m *model, c *catalog.Partition, extents []catalog.Extent) {
	newest, older := map[string]int64{}, map[string]int64{}
	for o := c.LogStart; o < min(c.Next, int64(len(m.records))); o++ {
		newest[string(m.records[o].key)] = o
	}
	for _, x := range extents {
		b, err := w.bucket.Get(context.Background(), x.Object.Name(), cold.Range{Offset: x.Pos, Length: x.Len}, nil)
		if err != nil {
			return // told above
		}
		for r := range recordsOf(b) {
			if r.offset < c.LogStart {
				continue
			}
			switch o, missed := newest[string(r.key)]; {
			case missed && r.offset == o:
				delete(newest, string(r.key))
			case missed && r.offset < o:
				older[string(r.key)] = r.offset
			}
		}
	}
	for k, o := range newest {
		if r := m.records[o]; r.value != nil || r.ts >= w.now.UnixMilli()-5000 {
			w.fail("%s: the newest record of %s, offset %d, is gone", id, k, o)
		} else if at, there := older[k]; there {
			w.fail("%s: the tombstone of %s, offset %d, is gone, and what it deleted, offset %d, is there", id, k, o, at)
		}
	}
}

type found struct {
	offset     int64
	ts         int64
	key, value []byte
}

func recordsOf(b []byte) func(func(found) bool) {
	return func(yield func(found) bool) {
		for len(b) > 0 {
			h, batch, rest, err := record.Next(b)
			if err != nil {
				return
			}
			b = rest
			it := record.Iterate(h, batch, new(record.Decoder))
			for it.Next() {
				if !yield(found{it.Offset(), it.Timestamp(), it.Record.Key, it.Record.Value}) {
					return
				}
			}
		}
	}
}

// all are a partition's extents, those of index objects included.
func all(store cold.Store, c *catalog.Partition) ([]catalog.Extent, error) {
	var out []catalog.Extent
	for _, l := range c.Index {
		b, err := store.Get(context.Background(), l.Object.Name(), cold.Whole, nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.Object, err)
		}
		payload, err := object.DecodeIndex(b, l.Object.A, l.Object.B)
		if err != nil {
			return nil, err
		}
		xs, err := catalog.DecodeExtents(payload)
		if err != nil {
			return nil, err
		}
		if len(xs) != int(l.Extents) || xs[0].Base != l.Base || xs[len(xs)-1].Next != l.Next {
			return nil, fmt.Errorf("%s lists %d extents, its line says %+v", l.Object, len(xs), l)
		}
		out = append(out, xs...)
	}
	return append(out, c.Extents...), nil
}

// settle lets both brokers recover and work in peace, and then looks for rubbish.
func (w *world) settle() {
	if w.peace(); w.fault != nil {
		return
	}
	used := map[string]bool{}
	for ref := range w.state.Referenced() {
		used[ref.Name()] = true
	}
	for _, t := range w.state.Topics() {
		for _, p := range t.Partitions {
			xs, err := all(w.bucket, p)
			if err != nil {
				w.fail("%w", err)
			}
			for _, x := range xs {
				used[x.Object.Name()] = true
			}
			for _, l := range p.Index {
				used[l.Object.Name()] = true
			}
		}
	}
	for info := range w.bucket.List(context.Background(), "", "") {
		ref, err := catalog.ParseRef(info.Name)
		if err != nil || used[info.Name] || w.state.IsGarbage(ref) {
			continue
		}
		if ref.Kind == catalog.KindWAL {
			b, _ := w.bucket.Get(context.Background(), info.Name, cold.Whole, nil)
			h, _ := object.ParseHeader(b)
			if v, ok := w.state.Session(ref.A); h.Kind == object.Fence || ok && (!v.Sealed || hasWAL(w.state, ref.A)) {
				continue
			}
		}
		w.fail("rubbish stays: %s", info.Name)
	}
	if n := w.state.GarbageCount(); n > 40 {
		w.fail("%d objects of garbage stay", n)
	}
}

// peace is a minute and a half in which nobody dies.
func (w *world) peace() {
	w.calm = true
	for _, n := range w.brokers {
		if n.dead {
			n.boot(false)
		}
		n.die, n.asleep = -1, 0
	}
	for range 30 {
		w.now = w.now.Add(3 * time.Second)
		for _, n := range w.brokers {
			if n.dead {
				n.boot(false)
			}
			n.view = w.state
			for _, g := range n.gens {
				g.Filling = false
			}
			n.press.try(n.ctx, "seal", n.press.seal)
			n.press.Turn(n.ctx)
		}
		w.check()
		if w.fault != nil {
			return
		}
	}
}

func hasWAL(s *catalog.State, session uint64) bool {
	for ref := range s.Referenced() {
		if ref.Kind == catalog.KindWAL && ref.A == session {
			return true
		}
	}
	return false
}

func mapKeys[K comparable, V any](m map[K]V) func(func(K) bool) {
	return func(yield func(K) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// gen is a generation of a hot tier in memory.
type gen struct {
	hot.Info
	entries []hot.Entry
}

func (n *node) find(id uint64) (*gen, error) {
	for _, g := range n.gens {
		if g.ID == id {
			return g, nil
		}
	}
	return nil, hot.ErrNotHeld
}

// Generations implements Generations.
func (n *node) Generations() []hot.Info {
	var out []hot.Info
	for _, g := range n.gens {
		if len(g.entries) > 0 || g.Filling {
			out = append(out, g.Info)
		}
	}
	return out
}

// Shares implements Generations.
func (n *node) Shares(id uint64) ([]hot.Share, error) {
	g, err := n.find(id)
	if err != nil {
		return nil, err
	}
	var out []hot.Share
	for _, e := range g.sorted() {
		if k := len(out); k == 0 || out[k-1].Partition != e.Partition {
			out = append(out, hot.Share{Partition: e.Partition, Base: e.Base, MaxTimestamp: -1})
		}
		s := &out[len(out)-1]
		s.Bytes, s.Next, s.Batches = s.Bytes+int64(len(e.Value)), e.Last+1, s.Batches+1
		s.MaxTimestamp = max(s.MaxTimestamp, e.MaxTimestamp)
	}
	return out, nil
}

func (g *gen) sorted() []hot.Entry {
	return slices.SortedFunc(slices.Values(g.entries), func(a, b hot.Entry) int {
		return cmp.Or(a.Partition.Compare(b.Partition), cmp.Compare(a.Base, b.Base))
	})
}

// Hold implements Generations.
func (n *node) Hold(id uint64) (Held, error) { return n.find(id) }

// Scan implements Held.
func (g *gen) Scan(fn func(hot.Entry) error) error {
	for _, e := range g.sorted() {
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

// Release implements Held.
func (g *gen) Release() {}

// Retired implements Generations.
func (n *node) Retired() <-chan struct{} { return nil }

// Rotate implements Generations.
func (n *node) Rotate() {
	if k := len(n.gens); k > 0 {
		n.gens[k-1].Filling = false
	}
}

// MarkSealed implements Generations.
func (n *node) MarkSealed(id uint64) error {
	g, err := n.find(id)
	if err == nil {
		g.Sealed = true
	}
	return err
}

// Drop implements Generations.
func (n *node) Drop(id uint64) error {
	g, err := n.find(id)
	if err == nil {
		g.entries, g.Sealed = nil, true
	}
	return err
}
