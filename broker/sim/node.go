package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"strconv"
	"time"

	"github.com/firnlog/firn/broker"
	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
	"github.com/firnlog/firn/tier/press"
)

// node is one broker: one life of its process after another.
type node struct {
	w       *world
	at      int   // where it is reached
	id      int32 // its node id, which a clone has, too
	disk    *disk
	process *process
	life    int
	cut     time.Time     // until then the bucket is out of reach
	ahead   time.Duration // of the machine's clock
	book    *book
	pump    *pump.Pump
	tenure  *broker.Tenure
	press   *press.Press
	serving bool
	stop    context.CancelFunc // ends maintain, once it serves
	gone    []uint64           // sessions that gossip said are dead
	hears   map[int]bool       // whom gossip says to be alive
	sees    map[int32]bool     // as which nodes
	retired bool               // it does not start again
}

func (n *node) String() string { return fmt.Sprintf("broker %d.%d", n.at, n.life) }

// background is a context that does not end: a life ends by its process.
var background = context.Background()

func (n *node) alive() bool { return n.process != nil && !n.process.dead }

func (n *node) asleep() bool { return n.process.asleep.After(n.w.now) }

// session is what the broker serves; 0 when nothing.
func (n *node) session() uint64 {
	if s, ok := n.pump.Session(); ok {
		return s.ID
	}
	return 0
}

func (w *world) nonce() (b [16]byte) {
	for i := range b {
		b[i] = byte(w.rng.Uint32())
	}
	return b
}

// boot begins a life.
func (n *node) boot() {
	w := n.w
	n.life++
	w.count("boots")
	w.trace("%s boots", n)
	n.process = &process{clock: &w.clock, rng: w.rng}
	n.serving, n.gone, n.hears, n.sees = false, nil, map[int]bool{}, map[int32]bool{}
	p, store := n.process, link{w.bucket, n}
	held := n.disk.mount(p)
	b := &book{n: n, met: w.now}
	n.book = b
	b.scribe = journal.NewScribe(store, w.nonce(), journal.Options{
		SnapshotEvery: w.snapshotEvery, Keep: w.keep, Sleep: p.Sleep, Rand: p.Rand, Now: p.Now, Current: func(at time.Time) { b.met = at },
	})
	calendar := func() time.Time { return n.tenure.Calendar() }
	settler := cold.NewSettler(store, cold.SettlerOptions{Rand: p.Rand, Sleep: p.Sleep})
	n.pump = pump.New(pump.Options{
		Store: store, Settler: settler, Catalog: n.book, Hot: held, Wall: calendar, Stage: p, Behind: w.behind,
		Ingest: ingest.Config{Window: w.window, Large: w.large, Max: 2 * w.large},
	})
	me := catalog.RegisterSession{Nonce: w.nonce(), Node: n.id, Advertised: strconv.Itoa(n.at)}
	n.tenure = broker.NewTenure(broker.TenureOptions{
		Store: store, Journal: n.book, Pump: n.pump, Stage: p, Me: me,
		Renew: func(r *catalog.RegisterSession) { r.Nonce, r.StartedMs = w.nonce(), w.now.UnixMilli() },
		Reach: n.reach, Alive: func() map[int32]bool { return maps.Clone(n.sees) }, Producers: n.producers, Hot: held,
		Wall: func() time.Time { return w.now.Add(n.ahead) }, Lease: w.lease, Contact: func() time.Duration { return w.now.Sub(b.met) },
		Replaces: func(ctx context.Context, v *catalog.Session) bool { return n.reach(ctx, v.Advertised) },
	})
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	n.press = press.New(press.Options{
		Store: still{w.bucket, n}, Settler: settler, Journal: n.book, Writer: writer{n.pump}, Nonce: me.Nonce, Logger: logger,
		SealEvery: time.Second, RetainEvery: time.Second, Grace: w.grace,
		Setting: func(string) (string, bool) { return "", false }, Now: func() time.Time { return w.now }, Wall: calendar,
		Limits: press.Limits{Budget: 4000, Own: 1500, Small: 3, Extents: 8, Keep: 3, Fewest: 3, Lines: 2, Keys: 16},
	})
	p.spawn(func() { n.live(context.Background()) })
}

// live is the life of a broker, from its begin to its death.
func (n *node) live(ctx context.Context) {
	p, w := n.process, n.w
	for n.book.scribe.Open(ctx, "simulation-of-a-cluste") != nil {
		_ = p.Sleep(ctx, 100*time.Millisecond)
	}
	p.spawn(func() { n.book.run(ctx) })
	w.beside(n)
	for {
		err := n.tenure.Start(ctx)
		if err == nil {
			break
		}
		w.trace("%s cannot take over: %v", n, err)
		if errors.Is(err, broker.ErrNode) {
			n.yield()
			return
		}
		_ = p.Sleep(ctx, 100*time.Millisecond)
	}
	w.trace("%s serves as session %d", n, n.session())
	n.serving = true
	p.spawn(func() { n.follow(ctx) })
	mctx, stop := context.WithCancel(ctx)
	n.stop = stop
	p.spawn(func() { n.maintain(mctx) })
	p.spawn(func() { n.succeed(ctx) })
	p.spawn(func() { n.patrol(ctx) })
	p.spawn(func() { n.tidy(ctx) })
}

// yield ends the process because another one lives under its node id. Whoever looks
// after it starts it again.
func (n *node) yield() {
	n.w.count("yields")
	n.w.after(0, nil, func() { n.crash(false) })
	n.w.after(between(n.w.rng, time.Second, 5*time.Second), nil, n.start)
}

// leads is settling.leads: it looks at the journal first.
func (n *node) leads(ctx context.Context, id record.Partition, epoch int32) bool {
	b, began := n.book, n.w.now
	late := began.Add(3 * time.Second)
	n.w.at(late, n.process, func() {})
	b.grew = true
	_ = n.process.Wait(ctx, func() bool { return !b.met.Before(began) || !n.w.now.Before(late) })
	p, ok := b.State().Partition(id)
	return ok && !b.met.Before(began) && p.Owner == n.session() && p.Epoch == epoch
}

// follow is Broker.followAll.
func (n *node) follow(ctx context.Context) {
	var last *catalog.State
	for {
		_ = n.process.Wait(ctx, func() bool { return n.book.State() != last })
		last = n.book.State()
		n.tell("follow", n.tenure.Follow(ctx))
	}
}

// maintain is Broker.maintain.
func (n *node) maintain(ctx context.Context) {
	p, w := n.process, n.w
	began, since := n.session(), w.now
	due := w.now
	for {
		if !due.After(w.now) {
			due = w.now.Add(time.Second)
			w.at(due, p, func() {})
		}
		if p.Wait(ctx, func() bool {
			return len(n.pump.Uncovered()) > 0 || len(n.pump.Over()) > 0 || !w.now.Before(due)
		}) != nil {
			return
		}
		switch {
		case len(n.pump.Uncovered()) > 0:
			<-n.pump.Uncovered()
			n.tell("index", n.pump.Index(ctx))
		case len(n.pump.Over()) > 0:
			<-n.pump.Over()
			w.count("fenced alive")
			w.beside(n)
			err := n.tenure.TakeOver(ctx)
			n.tell("take over again", err)
			if errors.Is(err, broker.ErrNode) {
				n.yield()
				return
			}
		default:
			s := n.session()
			if s == 0 {
				continue
			}
			if s != began {
				began, since = s, w.now
			}
			n.tell("read the bucket's clock", n.tenure.Date(ctx))
			if ps := n.tenure.Excess(); len(ps) > 0 {
				w.count("releases")
				w.beside(n)
				if w.rng.IntN(10) == 0 { // it is told to leave before the answer has come
					w.after(between(w.rng, 0, 100*time.Millisecond), p, func() { n.leave(between(w.rng, time.Second, 10*time.Second)) })
				}
				n.tell("release", n.pump.Release(ctx, n.tenure.Bequeath, ps...))
			}
			if _, slots := n.pump.Committed(); slots >= w.rotateSlots {
				w.beside(n)
			}
			rotated, err := n.tenure.Rotate(ctx, w.now.Sub(since), w.rotateSlots, w.rotateAge)
			if rotated {
				w.count("rotations")
				n.tell("rotate", err)
				n.tell("follow", n.tenure.Follow(ctx))
			}
		}
	}
}

func (n *node) tell(what string, err error) {
	if err != nil {
		n.w.trace("%s cannot %s: %v", n, what, err)
	}
}

// succeed is Broker.succeed.
func (n *node) succeed(ctx context.Context) {
	p := n.process
	for {
		last := n.book.State()
		if n.session() != 0 && n.turn() == 0 {
			n.tell("find owners", n.tenure.Take(ctx))
		}
		_ = p.Wait(ctx, func() bool { return len(n.gone) > 0 || n.book.State() != last })
		if len(n.gone) > 0 {
			id := n.gone[0]
			n.gone = n.gone[1:]
			p.spawn(func() { n.tell("bury", n.bury(ctx, id)) })
		}
	}
}

// bury is Broker.bury: brokers take turns.
func (n *node) bury(ctx context.Context, id uint64) error {
	limit := n.w.now.Add(time.Duration(n.turn()) * 250 * time.Millisecond)
	n.w.at(limit, n.process, func() {})
	var v *catalog.Session
	_ = n.process.Wait(ctx, func() bool {
		var ok bool
		v, ok = n.book.State().Session(id)
		if !ok || v.Sealed {
			v = nil
		}
		return v == nil || !n.w.now.Before(limit)
	})
	if v == nil {
		return nil
	}
	n.w.count("burials")
	n.w.beside(n)
	n.w.trace("%s fences session %d", n, id)
	return n.tenure.Bury(ctx, v)
}

// patrol is Broker.patrol.
func (n *node) patrol(ctx context.Context) {
	for {
		_ = n.process.Sleep(ctx, time.Second)
		n.tell("adopt", n.tenure.Adopt(ctx))
	}
}

// turn is how many live brokers have a lower node id, as gossip says.
func (n *node) turn() int {
	k := 0
	for id, alive := range n.sees {
		if alive && id < n.id {
			k++
		}
	}
	return k
}

// tidy is the loop of press.Press.
func (n *node) tidy(ctx context.Context) {
	for {
		_ = n.process.Sleep(ctx, n.w.pressEvery)
		n.press.Turn(ctx)
		n.press.Retain(ctx)
	}
}

// reach is a dial and a request.
func (n *node) reach(ctx context.Context, advertised string) bool {
	_ = n.process.Sleep(ctx, n.w.lag())
	id, _ := strconv.Atoi(advertised)
	other := n.w.nodes[id]
	return other != nil && other.alive() && other.serving && !other.asleep() && !n.w.split(n, other)
}

// producers is pump.LoadProducers, whose reads are all at one instant.
func (n *node) producers(ctx context.Context, _ cold.Store, state *catalog.State, ps ...record.Partition) (map[record.Partition][]ingest.Producer, error) {
	for {
		if err := n.process.Sleep(ctx, n.w.lag()+n.w.lag()); err != nil {
			return nil, err
		}
		if (still{n.w.bucket, n}).away() == nil {
			return pump.LoadProducers(ctx, present{still{n.w.bucket, nil}}, state, ps...)
		}
	}
}

// present is a bucket in which what is not there is damage: it will not come.
type present struct{ still }

// Get implements cold.Store.
func (s present) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	b, err := s.still.Get(ctx, name, r, buf)
	if err != nil {
		err = fmt.Errorf("%w: %w", object.ErrCorrupt, err)
	}
	return b, err
}

// Stat implements cold.Store.
func (s present) Stat(ctx context.Context, name string) (cold.Info, error) {
	i, err := s.still.Stat(ctx, name)
	if err != nil {
		err = fmt.Errorf("%w: %w", object.ErrCorrupt, err)
	}
	return i, err
}

// writer is press.Writer on the pump.
type writer struct{ *pump.Pump }

// Producers implements press.Writer.
func (w writer) Producers(ctx context.Context, p record.Partition) ([]object.Producer, error) {
	ps, err := w.Pump.Producers(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", press.ErrNotLed, err)
	}
	return pump.ProducersOut(ps), nil
}

// crash kills the process, or the machine.
func (n *node) crash(power bool) {
	if !n.alive() {
		return
	}
	n.w.count("crashes")
	n.w.trace("%s is killed, with the machine: %v", n, power)
	n.process.kill()
	n.serving = false
	if power {
		n.w.count("blackouts")
		n.disk.blackout()
	}
}

// owns reports whether the broker believes that it leads the partition.
func (n *node) owns(p record.Partition) bool {
	if !n.alive() || !n.serving {
		return false
	}
	_, ok := n.pump.Progress(p)
	return ok && n.tenure.Held()
}
