package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

// world is everything there is in one run.
type world struct {
	clock
	rng    *rand.Rand
	bucket *bucket
	nodes  map[int]*node
	order  []*node
	people *process // the clients

	// What the seed has chosen.
	base          time.Duration // of the way to anything
	trouble       float64       // of each request to the bucket
	loss          float64       // of each message between client and broker
	lease         time.Duration
	jumps         bool // of clocks
	window        int
	large         int64
	behind        uint64
	snapshotEvery uint64
	keep, grace   time.Duration
	rotateSlots   uint64
	rotateAge     time.Duration
	pressEvery    time.Duration
	chaos         time.Duration // how long it goes wrong
	faultEvery    time.Duration
	topics        []*topic
	born          int // so many brokers at first

	partitions []record.Partition // that ever were
	gone       map[record.TopicID]bool

	healed  bool
	stopped bool // clients send nothing new
	busy    int  // producers with something to send
	groups  map[int]int
	splits  time.Time
	knows   map[[2]int]uint64 // the last session that one knows of another
	disks   int

	agreement *catalog.State // what has landed in the journal

	model  map[record.Partition]*model
	log    func(string)
	lines  int
	digest uint64
	counts map[string]int
	fault  error
}

func between[T int | int64 | uint64 | time.Duration](r *rand.Rand, lo, hi T) T {
	return lo + T(r.Int64N(int64(hi-lo)+1))
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// begin is when virtual time begins.
var begin = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func newWorld(seed uint64) *world {
	r := rand.New(rand.NewPCG(seed, 0x6669726e))
	w := &world{
		clock: clock{now: begin}, rng: r, nodes: map[int]*node{},
		base: between(r, time.Millisecond, 12*time.Millisecond), trouble: pick(r, 0, 0.003, 0.02), loss: pick(r, 0, 0.01, 0.05),
		window: between(r, 1, 4), large: pick[int64](r, 200, 1000, 4000), behind: pick[uint64](r, 4, 20, 100),
		snapshotEvery: pick[uint64](r, 3, 12, 40), keep: between(r, time.Second, 30*time.Second), grace: between(r, 2*time.Second, 15*time.Second),
		rotateSlots: pick[uint64](r, 5, 30, 200), rotateAge: between(r, 2*time.Second, 60*time.Second), pressEvery: between(r, 300*time.Millisecond, 5*time.Second),
		chaos: between(r, 3*time.Second, 15*time.Second), faultEvery: between(r, 200*time.Millisecond, 4*time.Second),
		groups: map[int]int{}, knows: map[[2]int]uint64{}, model: map[record.Partition]*model{}, counts: map[string]int{}, agreement: catalog.NewState(), gone: map[record.TopicID]bool{},
	}
	w.bucket = &bucket{w: w, objects: map[string]stored{}}
	w.people = &process{clock: &w.clock, rng: r}
	for i := range pick(r, 1, 2, 2, 3, 3, 4) {
		n := &node{w: w, at: i + 1, id: int32(i + 1), disk: &disk{w: w}}
		w.nodes[i+1] = n
		w.order = append(w.order, n)
	}
	w.born = len(w.order)
	w.lease, w.jumps = between(r, 1500*time.Millisecond, 8*time.Second), r.IntN(2) == 0
	for t := range between(r, 1, 2) {
		w.topics = append(w.topics, newTopic(r, t))
	}
	return w
}

func (w *world) count(what string) { w.counts[what]++ }

func (w *world) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

// lag is one way to anywhere.
func (w *world) lag() time.Duration {
	d := w.base/2 + time.Duration(w.rng.ExpFloat64()*float64(w.base)/2)
	if !w.healed && w.rng.IntN(50) == 0 {
		d *= 20
	}
	return min(d, 2*time.Second)
}

// trace notes what happens. Its digest tells runs apart.
func (w *world) trace(format string, a ...any) {
	line := fmt.Sprintf("%9.4f ", w.now.Sub(begin).Seconds()) + fmt.Sprintf(format, a...)
	w.lines++
	for i := range len(line) {
		w.digest = (w.digest ^ uint64(line[i])) * 1099511628211
	}
	if w.log != nil {
		w.log(line)
	}
}

func (w *world) fail(format string, a ...any) {
	if w.fault == nil {
		w.fault = fmt.Errorf(format, a...)
		w.trace("FAULT %v", w.fault)
	}
}

// grew is the hint that the journal grew.
func (w *world) grew(by *node) {
	for _, n := range w.order {
		if n != by && n.alive() && !w.split(by, n) {
			b := n.book
			w.after(w.lag(), n.process, func() { b.grew = true })
		}
	}
}

func (w *world) split(a, b *node) bool {
	return w.now.Before(w.splits) && w.groups[a.at] != w.groups[b.at]
}

// gossip lets every broker look at every other one.
func (w *world) gossip() {
	for _, n := range w.order {
		if !n.alive() {
			continue
		}
		for _, m := range w.order {
			if m == n {
				continue
			}
			alive := m.alive() && !m.asleep() && m.serving && m.session() != 0 && !w.split(n, m)
			key := [2]int{n.at, m.at}
			if alive {
				w.knows[key] = m.session()
			}
			if n.hears[m.at] == alive {
				continue
			}
			m, session := m, w.knows[key]
			w.after(w.lag(), n.process, func() {
				n.hears[m.at] = alive
				n.sees[m.id] = slices.ContainsFunc(w.order, func(o *node) bool { return o.id == m.id && n.hears[o.at] })
				if !alive && session != 0 {
					n.gone = append(n.gone, session)
				}
			})
		}
	}
	w.after(200*time.Millisecond, nil, w.gossip)
}

// misfortune is one fault.
func (w *world) misfortune() {
	if w.healed {
		return
	}
	n := w.order[w.rng.IntN(len(w.order))]
	long := func(hi time.Duration) time.Duration { return between(w.rng, 100*time.Millisecond, hi) }
	switch w.rng.IntN(11) {
	case 0, 1:
		n.crash(w.rng.IntN(2) == 0)
		if !n.alive() && w.rng.IntN(10) == 0 {
			n.disk = w.disk()
			w.trace("%s loses its disk", n)
		}
		w.after(long(10*time.Second), nil, n.start)
	case 2:
		if n.alive() && !n.asleep() {
			w.count("sleeps")
			n.process.asleep = w.now.Add(long(pick(w.rng, 3*time.Second, 3*time.Minute)))
			w.trace("%s sleeps until %v", n, n.process.asleep.Sub(begin))
			w.at(n.process.asleep, n.process, func() { w.trace("%s wakes up", n) })
		}
	case 3:
		w.count("cuts")
		n.cut = w.now.Add(long(15 * time.Second))
		w.trace("%s is cut off from the bucket until %v", n, n.cut.Sub(begin))
	case 4:
		if w.rng.IntN(3) == 0 {
			w.count("outages")
			w.bucket.outage = w.now.Add(long(6 * time.Second))
			w.trace("the bucket is away until %v", w.bucket.outage.Sub(begin))
			if w.rng.IntN(2) == 0 { // and a broker dies with what only its disk has
				again := long(time.Second)
				w.after(long(2*time.Second), nil, func() {
					if !w.healed {
						n.crash(w.rng.IntN(2) == 0)
						w.after(again, nil, n.start)
					}
				})
			}
		}
	case 5:
		w.count("splits")
		for _, m := range w.order {
			w.groups[m.at] = w.rng.IntN(2)
		}
		w.splits = w.now.Add(long(15 * time.Second))
		w.trace("gossip is split: %v until %v", w.groups, w.splits.Sub(begin))
	case 6: // suspected for nothing
		w.suspect(n, w.order[w.rng.IntN(len(w.order))])
	case 7:
		n.leave(long(5 * time.Second))
	case 8: // a whole outage of brokers
		if w.rng.IntN(4) == 0 {
			power := w.rng.IntN(2) == 0
			for _, m := range w.order {
				m.crash(power)
				w.after(long(3*time.Second), nil, m.start)
			}
		}
	case 10: // its clock jumps
		if w.jumps {
			w.count("jumps")
			n.ahead = pick(w.rng, 0, time.Duration(w.rng.Int64N(int64(10*365*24*time.Hour)))+40*time.Second) * pick[time.Duration](w.rng, 1, -1)
			w.trace("the clock of %s is %v ahead", n, n.ahead)
		}
	case 9: // a machine is cloned, with all that its disk holds
		if w.rng.IntN(3) == 0 && len(w.order) == w.born {
			n.clone()
		}
	}
	w.after(w.faultEvery/2+time.Duration(w.rng.Int64N(int64(w.faultEvery))), nil, w.misfortune)
}

// beside lets something else happen within a moment of what a broker has begun: what goes
// well by itself has to go well beside anything.
func (w *world) beside(n *node) {
	if w.healed || w.rng.IntN(12) > 0 {
		return
	}
	w.after(between(w.rng, 0, 100*time.Millisecond), nil, func() {
		if w.healed || !n.alive() {
			return
		}
		w.count("at once")
		long := between(w.rng, 100*time.Millisecond, 10*time.Second)
		switch w.rng.IntN(8) {
		case 0:
			n.crash(w.rng.IntN(2) == 0)
			w.after(long, nil, n.start)
		case 1:
			n.leave(long)
		case 2:
			n.cut = w.now.Add(long)
			w.trace("%s is cut off from the bucket until %v", n, n.cut.Sub(begin))
		case 3:
			w.bucket.outage = w.now.Add(long / 2)
			w.trace("the bucket is away until %v", w.bucket.outage.Sub(begin))
		case 4:
			w.suspect(w.order[w.rng.IntN(len(w.order))], n)
		case 5, 6:
			w.deleteTopic()
		case 7:
			w.deleteRecords()
		}
	})
}

// suspect lets one broker take another for dead.
func (w *world) suspect(n, m *node) {
	if n == m || !n.alive() || !m.alive() || m.session() == 0 {
		return
	}
	w.count("suspicions")
	session := m.session()
	w.trace("%s suspects %s", n, m)
	w.after(w.lag(), n.process, func() { n.gone = append(n.gone, session) })
}

// disk is a new one.
func (w *world) disk() *disk {
	w.disks++
	w.count("disks lost")
	return &disk{w: w, id: w.disks}
}

// clone starts another machine with what this one has on its disk, its node id as well.
func (n *node) clone() {
	w := n.w
	w.count("clones")
	w.disks++
	m := &node{w: w, at: len(w.order) + 1, id: n.id, disk: n.disk.copied(w.disks)}
	if w.rng.IntN(2) == 0 { // by somebody who gave it a node id of its own
		m.id = int32(m.at)
	}
	w.nodes[m.at] = m
	w.order = append(w.order, m)
	w.trace("%s is cloned as node %d at %d", n, m.id, m.at)
	w.after(time.Duration(w.rng.Int64N(int64(2*time.Second))), nil, m.start)
}

// start boots the broker if it is dead.
func (n *node) start() {
	if !n.alive() && !n.retired {
		n.boot()
	}
}

// leave is SIGTERM.
func (n *node) leave(again time.Duration) {
	if !n.alive() || !n.serving || n.asleep() {
		return
	}
	w, p := n.w, n.process
	w.count("leaves")
	w.trace("%s leaves", n)
	w.beside(n)
	n.serving = false
	n.stop() // what it has proposed may be committed all the same
	over := func() {
		w.after(0, nil, func() {
			if n.process == p && !p.dead {
				n.crash(false)
			}
		})
		w.after(again, nil, n.start)
	}
	p.spawn(func() {
		if err := n.pump.Leave(context.Background(), n.tenure.Bequeath); err != nil {
			w.trace("%s left badly: %v", n, err)
		}
		over()
	})
	w.after(20*time.Second, nil, over)
}

// heal ends all that goes wrong.
func (w *world) heal() {
	w.healed = true
	w.trace("all is healed")
	w.bucket.outage, w.splits = time.Time{}, time.Time{}
	if m := w.order[len(w.order)-1]; len(w.order) > w.born && m.id != int32(m.at) { // somebody sees to it that there is one of them
		n := w.nodes[int(m.id)]
		if w.rng.IntN(2) == 0 {
			m = n
		}
		m.crash(false)
		m.retired = true
	}
	for _, n := range w.order {
		n.cut = time.Time{}
		if n.alive() && n.asleep() {
			n.process.rouse(w.now.Add(time.Duration(w.rng.Int64N(int64(10 * time.Second)))))
		}
		n.start()
	}
}

// run is a whole run.
func run(seed uint64, log func(string)) *world {
	w := newWorld(seed)
	w.log = log
	w.trace("%d brokers, %d topics, %v to the bucket, trouble %v, loss %v", len(w.order), len(w.topics), w.base, w.trouble, w.loss)
	defer func() {
		for _, n := range w.order {
			if n.alive() {
				n.process.kill()
			}
		}
		w.people.kill()
	}()
	for _, n := range w.order {
		w.after(time.Duration(w.rng.Int64N(int64(2*time.Second))), nil, n.start)
	}
	w.people.spawn(w.administer)
	w.gossip()
	w.after(w.faultEvery, nil, w.misfortune)
	w.after(w.chaos, nil, w.heal)
	w.watch()
	end := begin.Add(w.chaos)
	w.until(end, func() bool { return false })
	w.stopped = true
	end = end.Add(90 * time.Second)
	w.until(end, w.calm)
	if w.fault == nil && (w.busy > 0 || w.orphans() != "") {
		w.fail("L: a minute and a half after all has healed %d producers wait, and %s", w.busy, w.orphans())
	}
	w.until(w.now.Add(3*time.Second), func() bool { return false })
	if w.fault == nil {
		w.judge()
	}
	w.trace("the end: %d entries, %d objects, %d records", w.newest().Number(), len(w.bucket.objects), w.records())
	return w
}

func (w *world) until(end time.Time, over func() bool) {
	for w.fault == nil && !over() && w.step(end) {
	}
}

// calm is what there must be in the end.
func (w *world) calm() bool {
	return w.busy == 0 && w.orphans() == "" && !w.pending()
}

// pending reports whether the bucket lacks something that acks=1 has acknowledged.
func (w *world) pending() bool {
	for _, n := range w.order {
		if !n.alive() || n.asleep() {
			continue
		}
		for _, id := range w.partitions {
			pr, ok := n.pump.Progress(id)
			if !ok || w.gone[id.Topic] {
				continue
			}
			for _, l := range w.model[id].loose {
				if l.offset >= pr.HighWatermark && !w.excused(id, l) {
					return true
				}
			}
		}
	}
	return false
}

// orphans are the partitions whose owner does not live, or does not know that it is.
func (w *world) orphans() string {
	s := w.newest()
	for _, t := range w.topics {
		if _, ok := s.TopicNamed(t.name); !ok {
			return fmt.Sprintf("%s is not there", t.name)
		}
	}
	for _, id := range w.partitions {
		p, ok := s.Partition(id)
		if !ok && w.gone[id.Topic] {
			if i := slices.IndexFunc(w.order, func(n *node) bool { return n.owns(id) && !n.asleep() }); i >= 0 {
				return fmt.Sprintf("%s is deleted, and led by %s", id, w.order[i])
			}
			continue
		}
		if !ok {
			return fmt.Sprintf("%s is not there", id)
		}
		if !slices.ContainsFunc(w.order, func(n *node) bool { return n.alive() && !n.asleep() && n.session() == p.Owner && n.owns(id) }) {
			return fmt.Sprintf("%s has no owner that lives: session %d", id, p.Owner)
		}
	}
	return ""
}

var nothing = catalog.NewState()

// newest is the newest state that a broker knows.
func (w *world) newest() *catalog.State {
	s := nothing
	for _, n := range w.order {
		if n.book != nil && n.book.State().Number() > s.Number() {
			s = n.book.State()
		}
	}
	return s
}

func (w *world) records() (n int) {
	for _, m := range w.model {
		n += len(m.seen)
	}
	return n
}
