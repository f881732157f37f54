package sim

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firnlog/firn/broker/sim/fiber"
	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/record"
)

// departure is the small world of what a session with two partitions does beside what it
// has given up. Maintenance of A moves the covered mark, gives one of its partitions to B
// and rotates, one after another; whenever A is told to leave, it stops waiting for what it
// has proposed, and leaves (S9). What is proposed lands all the same, some time: its
// journal is a clerk's. B, which serves what it is given, may fence A at any time, and A
// may die at any time, with puts and an entry on their way (S6 to S8). Topics may be
// deleted meanwhile. Pumps and tenures are the brokers' own, and the journal is an agreed
// state (S11).
type departure struct {
	*handover
	a, b *chair
	ids  []record.Partition
	dead bool                                  // A is
	late [][]catalog.Command                   // entries of a dead broker
	seen map[record.Partition]map[int64]string // what was committed at some time
	told []string                              // what A was told of what it did
	stop func()                                // tells A's maintenance to stop
}

type departureScope struct {
	values   int  // that clients send to each partition of A
	together bool // they are one request, and one slot
	indexes  bool // A moves the covered mark
	releases bool // then it gives the second partition to B
	again    bool // and stops waiting some time, and tries again
	rotates  bool // then it rotates its session
	leaves   bool // A is told to leave, at any time
	dies     bool // A dies at any time
	fences   bool // B fences A at any time
	writes   bool // clients send to B what it serves
	returns  bool // B gives A's second partition back, at any time
	makes    bool // a topic is made, and given to A, at any time
	deletes  bool // the topic of the second partition is deleted, at any time
	faults   int  // of puts of slots

	split func(*chair, catalog.Command) []catalog.Command // planted: what A commits instead
}

// String says what there is.
func (sc departureScope) String() string {
	out := fmt.Sprintf("%d values, %d faults", sc.values, sc.faults)
	for _, x := range []struct {
		has  bool
		what string
	}{
		{sc.together, "in one slot"}, {sc.indexes, "A indexes"}, {sc.releases, "A releases"}, {sc.again, "A releases again"}, {sc.rotates, "A rotates"}, {sc.leaves, "A leaves"},
		{sc.dies, "A dies"}, {sc.fences, "B fences"}, {sc.writes, "B writes"}, {sc.returns, "B gives it back"}, {sc.makes, "a topic is made"}, {sc.deletes, "a topic is deleted"},
	} {
		if x.has {
			out += ", " + x.what
		}
	}
	return out
}

// clerk is a broker's end of the journal, as journal.Journal is: what is proposed is
// gathered into one entry at a time, which lands whether or not anybody still waits. What
// has landed is answered when the broker has looked.
type clerk struct {
	inbox []*proposal
	air   []catalog.Command // the entry that is on its way
	split func(*chair, catalog.Command) []catalog.Command
}

func (c *chair) propose(ctx context.Context, cmds []catalog.Command) ([]catalog.Result, error) {
	q := &proposal{cmds: cmds}
	if c.clerk.split != nil {
		q.cmds = append(c.clerk.split(c, cmds[0]), cmds[1:]...)
	}
	c.clerk.inbox = append(c.clerk.inbox, q)
	if err := c.p.Wait(ctx, func() bool { return q.done }); err != nil {
		return nil, err
	}
	c.p.learn(fmt.Sprint(q.results))
	return q.results, nil
}

// keep is the loop of a clerk.
func (c *chair) keep(ctx context.Context) {
	k := c.clerk
	for {
		_ = c.p.Wait(ctx, func() bool { return len(k.inbox) > 0 })
		batch := k.inbox
		k.inbox = nil
		for _, q := range batch {
			k.air = append(k.air, q.cmds...)
		}
		var res []catalog.Result
		_ = c.p.ask(ctx, &request{what: "land " + kinds(k.air), do: func() error { res = c.h.apply(k.air...); return nil }})
		k.air = nil
		landed := c.h.state.Number()
		_ = c.p.Wait(ctx, func() bool { return c.State().Number() >= landed })
		for _, q := range batch {
			q.results, res = res[:len(q.cmds)], res[len(q.cmds):]
			q.done = true
		}
		c.p.learn("answered")
	}
}

// turn lets the fiber go on when it is its turn: anything may happen before.
func (p *proc) turn(what string) {
	_ = p.ask(context.Background(), &request{what: what, do: func() error { return nil }})
}

func kinds(cmds []catalog.Command) string {
	var out []string
	for _, c := range cmds {
		out = append(out, strings.TrimPrefix(fmt.Sprintf("%T", c), "*catalog."))
	}
	return strings.Join(out, "+")
}

// watch has a broker look at the journal whenever it grew, and follow it.
func (c *chair) watch(ctx context.Context) {
	if !c.prompt {
		c.p.spawn(func() {
			for {
				_ = c.p.Wait(ctx, func() bool { return c.view != c.h.state })
				c.look(ctx)
			}
		})
	}
	var last *catalog.State
	c.p.spawn(func() {
		for {
			_ = c.p.Wait(ctx, func() bool { return c.State() != last })
			last = c.State()
			_ = c.tenure.Follow(ctx)
		}
	})
}

func newDeparture(sc departureScope) *small {
	w := &small{bucket: map[string]stored{}, faults: sc.faults, lossy: func(name string) bool { return strings.HasPrefix(name, catalog.PrefixWAL) }}
	h := &handover{w: w, state: catalog.NewState(), acked: map[record.Partition]map[int64]string{}}
	d := &departure{handover: h, seen: map[record.Partition]map[int64]string{}}
	ctx := context.Background()
	h.must(&catalog.CreateCluster{ID: "c"})
	reads := func(s port) port { // at once: the walk itself is the world of a handover
		s.calm = func(string) bool { return true }
		return s
	}
	a, b := h.sit("A", 1, nil), h.sit("B", 2, reads)
	d.a, d.b = a, b
	as, _ := a.pump.Session()
	for i := range byte(2) {
		id := record.Partition{Topic: record.TopicID{i + 1}}
		d.ids = append(d.ids, id)
		h.acked[id], d.seen[id] = map[int64]string{}, map[int64]string{}
		h.must(&catalog.CreateTopic{Name: fmt.Sprint("t", i), ID: id.Topic, Replicas: 1, Owners: []uint64{as.ID}})
	}
	slots := uint64(2 * sc.values)
	if sc.together {
		slots = 1
	}
	w.beyond = func(name string) bool {
		ref, err := catalog.ParseRef(name)
		return err == nil && ref.Kind == catalog.KindWAL && ref.B > slots
	}
	b.prompt = true // what it does waits for its turn all the same
	for _, c := range []*chair{a, b} {
		c.clerk = &clerk{}
		c.view = h.state
		c.p.spawn(func() { c.keep(ctx) })
		c.watch(ctx)
		memory := c.p.memory
		c.p.memory = func() string { return memory() + c.clerk.String() }
	}
	a.clerk.split = sc.split
	if a.tenure.Follow(ctx) != nil || b.tenure.Follow(ctx) != nil {
		panic("sim: nobody follows")
	}
	for i, id := range d.ids {
		for k := range sc.values {
			if sc.together {
				break
			}
			v := fmt.Sprintf("a%d.%d", i, k)
			a.p.spawn(func() {
				if k > 0 {
					a.p.turn("send " + v)
				}
				a.produce(ctx, id, v)
			})
		}
		if sc.writes {
			b.p.spawn(func() {
				_ = b.p.Wait(ctx, func() bool { _, ok := b.pump.Progress(id); return ok })
				b.produce(ctx, id, fmt.Sprintf("b%d", i))
			})
		}
	}
	if sc.together {
		a.p.spawn(func() { d.together(ctx) })
	}
	mctx, stop := context.WithCancel(ctx)
	d.stop = stop
	a.p.spawn(func() { d.maintain(mctx, sc) })
	if sc.leaves {
		a.p.spawn(func() {
			a.p.turn("leave")
			d.stop()
			d.tell("leave", a.pump.Leave(ctx, a.tenure.Bequeath))
			s, ok := h.state.Session(as.ID)
			if d.told[len(d.told)-1] == "leave" && ok && !s.Sealed && !sc.fences { // by whom else the seal may be on its way
				w.fail("S9: A has left, and its session is not sealed")
			}
		})
	}
	b.p.spawn(func() {
		if !sc.fences {
			_ = b.p.Wait(ctx, func() bool { return d.dead })
		}
		b.p.turn("fence A")
		for {
			i := slices.IndexFunc(b.State().Sessions(), func(v *catalog.Session) bool { return v.Node == 1 && !v.Sealed })
			if i < 0 {
				return
			}
			_ = b.tenure.Bury(ctx, b.State().Sessions()[i])
			if !d.dead {
				return
			}
		}
	})
	b.p.spawn(func() { // Broker.succeed
		for {
			_ = b.p.Wait(ctx, func() bool { return b.State().Orphaned() })
			_ = b.tenure.Take(ctx)
		}
	})
	if sc.returns {
		id := d.ids[1]
		b.p.spawn(func() {
			_ = b.p.Wait(ctx, func() bool { _, ok := b.pump.Progress(id); return ok })
			b.p.turn("give back")
			_ = b.pump.Release(ctx, back(id), id)
		})
		a.p.spawn(func() {
			_ = a.p.Wait(ctx, func() bool { pr, _ := a.pump.Progress(id); return pr.Epoch > 1 })
			a.produce(ctx, id, "late")
		})
	}
	if sc.makes {
		id := record.Partition{Topic: record.TopicID{3}}
		h.acked[id], d.seen[id] = map[int64]string{}, map[int64]string{}
		w.proc("C").spawn(func() {
			h.apply(&catalog.CreateTopic{Name: "t2", ID: id.Topic, Replicas: 1, Owners: []uint64{as.ID}})
		})
		a.p.spawn(func() {
			_ = a.p.Wait(ctx, func() bool { _, ok := a.pump.Progress(id); return ok })
			a.produce(ctx, id, "new")
		})
	}
	if sc.deletes {
		w.proc("C").spawn(func() { h.apply(&catalog.DeleteTopic{ID: d.ids[1].Topic}) })
	}
	w.more = func(add func(do func(), format string, a ...any)) {
		if sc.dies && !d.dead {
			add(d.die, "A dies")
		}
		for i, cmds := range d.late {
			add(func() {
				d.late = slices.Delete(slices.Clone(d.late), i, i+1)
				h.apply(cmds...)
			}, "%s of A lands late", kinds(cmds))
		}
	}
	w.judge = d.judge
	w.extra = func() string {
		out := fmt.Sprint(h.mark(h.state), h.acked, d.dead, d.told)
		for _, cmds := range d.late {
			out += string(catalog.EncodeCommands(cmds))
		}
		return out
	}
	return w
}

// together sends one request with a record for each partition.
func (d *departure) together(ctx context.Context) {
	r := &pump.Request{Request: ingest.Request{Acks: ingest.AcksAll, Items: []ingest.Item{item(d.ids[0], "a0"), item(d.ids[1], "a1")}}}
	if d.a.pump.Produce(ctx, r) != nil {
		return
	}
	d.a.await(ctx, r)
	for i, id := range d.ids {
		if x := r.Results[i]; x.Err == nil {
			d.a.acknowledged(id, x.Base, fmt.Sprint("a", i))
		}
	}
}

// String is all that decides what a clerk does.
func (k *clerk) String() string {
	out := fmt.Sprintf("%x", catalog.EncodeCommands(k.air))
	for _, q := range k.inbox {
		out += fmt.Sprintf(" %x", catalog.EncodeCommands(q.cmds))
	}
	return out
}

// maintain is what A's maintenance does until it is told to stop.
func (d *departure) maintain(ctx context.Context, sc departureScope) {
	a := d.a
	a.p.turn("maintain")
	if sc.indexes && ctx.Err() == nil {
		d.tell("index", a.pump.Index(ctx))
	}
	if sc.again && ctx.Err() == nil {
		once, stop := context.WithCancel(ctx)
		a.p.spawn(func() { a.p.turn("give up"); stop() })
		d.tell("release", a.pump.Release(once, a.tenure.Bequeath, d.ids[1]))
	}
	if sc.releases && ctx.Err() == nil {
		d.tell("release", a.pump.Release(ctx, a.tenure.Bequeath, d.ids[1]))
	}
	if sc.rotates && ctx.Err() == nil {
		_, err := a.tenure.Rotate(ctx, time.Hour, 0, time.Second)
		d.tell("rotate", err)
		_ = a.tenure.Follow(ctx)
	}
}

// tell notes what A was told.
func (d *departure) tell(what string, err error) {
	if err != nil {
		what += " failed"
	}
	d.told = append(d.told, what)
}

// die kills A. What it has on its way may land.
func (d *departure) die() {
	w, p := d.w, d.a.p
	d.dead = true
	if len(d.a.clerk.air) > 0 {
		d.late = append(d.late, d.a.clerk.air)
	}
	for i := 0; i < len(p.runs); i++ { // also those that begin while others end
		r := p.runs[i]
		if q := r.ask; q != nil && q.put && !r.fiber.Done() {
			w.late = append(w.late, late{q.name, q.data})
		}
		r.fiber.Kill()
	}
}

// judge is P1 and P3, and S4 and S8 of every state.
func (d *departure) judge() error {
	for id := range d.acked {
		if _, ok := d.state.Partition(id); !ok {
			clear(d.acked[id])
			clear(d.seen[id])
		}
	}
	if err := d.handover.judge(); err != nil {
		return err
	}
	for id, seen := range d.seen {
		if _, ok := d.state.Partition(id); !ok {
			continue
		}
		there, err := d.contents(id)
		if err != nil {
			return err
		}
		for o, v := range seen {
			if there[o] != v {
				return fmt.Errorf("P3: %s was committed at offset %d of %s, where there is %q", v, o, id, there[o])
			}
		}
		for o, v := range there {
			seen[o] = v
		}
		for _, c := range []*chair{d.a, d.b} {
			if pr, ok := c.pump.Progress(id); ok && pr.HighWatermark > 0 && there[pr.HighWatermark-1] == "" {
				return fmt.Errorf("S4: %s shows %d offsets of %s, and the last of them is not committed", c.p.name, pr.HighWatermark, id)
			}
		}
	}
	if len(d.w.Events()) > 0 {
		return nil
	}
	for id := range d.seen {
		p, ok := d.state.Partition(id)
		if !ok {
			continue
		}
		v, ok := d.state.Session(p.Owner)
		if !ok || v.Sealed || v.Node == 1 && d.dead {
			return fmt.Errorf("L: nobody leads %s in the end", id)
		}
	}
	return nil
}

func departures(sc departureScope) func() fiber.World {
	return func() fiber.World { return newDeparture(sc) }
}

// Each order of a session of two partitions: what it does in its maintenance, what of that
// it has given up and lands later, that it leaves, dies, or is fenced (P1, P3, S6 to S9).
func TestNoOrderOfEventsLosesWhatIsLeftBehind(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(2000))
	usual := 2
	if underRace {
		usual = 1
	}
	for _, sc := range []departureScope{
		{values: 1, releases: true, leaves: true},
		{values: 1, releases: true, again: true, rotates: true},
		{values: 1, releases: true, rotates: true, leaves: true},
		{values: 1, indexes: true, releases: true, leaves: true},
		{values: 1, releases: true, again: true, leaves: true},
		{values: 1, releases: true, leaves: true, writes: true},
		{values: 1, releases: true, leaves: true, deletes: true},
		{values: 1, releases: true, leaves: true, makes: true},
		{values: 1, releases: true, leaves: true, returns: true},
		{values: 1, releases: true, rotates: true, returns: true},
		{values: 1, releases: true, leaves: true, dies: true},
		{values: 1, releases: true, leaves: true, faults: 1},
		{values: 1, releases: true, again: true, rotates: true, leaves: true},
		{values: 1, indexes: true, releases: true, rotates: true, leaves: true},
		{values: 2, releases: true, leaves: true},
		{values: 1, together: true, releases: true, leaves: true, fences: true},
		{values: 1, together: true, releases: true, rotates: true, fences: true},
		{values: 1, together: true, releases: true, leaves: true, dies: true, faults: 1},
		{values: 1, together: true, indexes: true, releases: true, leaves: true, fences: true},
	}[:shallow(usual, 19)] {
		t.Run(sc.String(), func(t *testing.T) { visit(t, sc, departures(sc)) })
	}
}

// byTwo has a broker leave by two commands, of which the journal may reject one and take
// the other.
func byTwo(c *chair, cmd catalog.Command) []catalog.Command {
	s, ok := cmd.(*catalog.SealSession)
	if !ok {
		return []catalog.Command{cmd}
	}
	return []catalog.Command{
		&catalog.Release{Session: s.Session, Partitions: c.view.Owned(s.Session), Extents: s.Extents},
		&catalog.SealSession{Session: s.Session, Covered: s.Covered, Fence: s.Fence},
	}
}

func TestEveryShortcutOfADepartureIsCaught(t *testing.T) {
	for _, v := range []struct {
		name string
		departureScope
	}{
		{"a broker leaves by two commands", departureScope{values: 1, releases: true, leaves: true, split: byTwo}},
	} {
		t.Run(v.name, func(t *testing.T) {
			notice(t, departures(v.departureScope))
		})
	}
}
