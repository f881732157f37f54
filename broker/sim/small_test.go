package sim

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firnlog/firn/broker/sim/fiber"
	"github.com/firnlog/firn/tier/cold"
)

// small is a world for fiber.Explore: a bucket and some processes, each of them fibers
// that run the code that brokers run, and ask the bucket. An event is that one of their
// requests is carried out and answered, or carried out with the answer lost, or given up
// although it lands later, or that a fiber goes on that waits for nothing but its turn.
type small struct {
	loop   fiber.Loop
	bucket map[string]stored
	procs  []*proc
	late   []late // puts that were given up, and may land
	faults int    // that may still happen
	time   int
	broken error
	beyond func(name string) bool // puts that are out of scope
	extra  func() string          // more that decides the future
	judge  func() error
	lossy  func(name string) bool                             // whose puts may go wrong; nil: all
	landed func(name string)                                  // is told of each put that took a name
	equal  func(name string) (string, bool)                   // what stands for an object in Key instead of its bytes
	sums   map[string][32]byte                                // of objects
	more   func(add func(do func(), format string, a ...any)) // what else may happen
}

type late struct {
	name string
	data []byte
}

// visit explores a scope of a small world, all of it, and shows the order that breaks it.
func visit(t *testing.T, sc any, build func() fiber.World) {
	t.Helper()
	got := fiber.Explore(limit, build)
	t.Logf("%+v: %d worlds, all of them: %v", sc, got.Worlds, got.Whole)
	if got.Err != nil {
		t.Fatalf("%v\n%s", got.Err, strings.Join(got.Way, "\n"))
	}
}

// notice explores a world with a shortcut in it, which must break something.
func notice(t *testing.T, build func() fiber.World) {
	t.Helper()
	got := fiber.Explore(limit, build)
	if got.Err == nil {
		t.Fatalf("%d worlds, and nobody noticed", got.Worlds)
	}
	t.Logf("after %d worlds, %d events: %v", got.Worlds, len(got.Way), got.Err)
}

// proc is a process. Where its fibers are is decided by what each of them was answered,
// and by what they share: memory must say what is in that.
type proc struct {
	w      *small
	name   string
	runs   []*runner
	memory func() string
}

type runner struct {
	fiber *fiber.Fiber
	past  uint64 // of its answers
	ask   *request
	ready func() bool
	ctx   context.Context
}

// request is what a fiber asks the bucket.
type request struct {
	what     string
	put      bool
	do       func() error
	digest   func() string // of what do has brought
	err      error
	answered bool
	name     string
	data     []byte
}

// asleep is what a fiber asks that sleeps.
const asleep = "sleeps"

func mix(past uint64, s string) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, past, s)
	return h.Sum64()
}

var errLost = errors.New("no answer")

func (w *small) proc(name string) *proc {
	p := &proc{w: w, name: name}
	w.procs = append(w.procs, p)
	return p
}

// spawn adds a fiber, which begins when it is its turn.
func (p *proc) spawn(f func()) {
	p.runs = append(p.runs, &runner{fiber: p.w.loop.New(f), ready: func() bool { return true }, ctx: context.Background()})
}

func (p *proc) resume(r *runner, how string) {
	if how != "" {
		r.past = mix(r.past, how)
	}
	r.fiber.Resume()
	// Those that wait for what is in memory go on at once, in order.
	for again := true; again; {
		again = false
		for i := 0; i < len(p.runs); i++ {
			if o := p.runs[i]; o.ask == nil && o.ready != nil && !o.fiber.Done() && (o.ready() || o.ctx.Err() != nil) {
				o.ready = nil
				o.fiber.Resume()
				again = true
			} else if o.ask != nil && o.ctx.Err() != nil && !o.ask.answered {
				o.ask.answered, o.ask.err = true, o.ctx.Err()
				o.fiber.Resume()
				again = true
			}
		}
	}
}

// learn notes what the fiber that runs has learned otherwise than by an answer.
func (p *proc) learn(what string) {
	if r := p.current(); r != nil {
		r.past = mix(r.past, what)
	}
}

func (p *proc) current() *runner {
	b := p.w.loop.Current()
	for _, r := range p.runs {
		if r.fiber == b {
			return r
		}
	}
	return nil
}

// Events implements fiber.World.
func (w *small) Events() []fiber.Event {
	var out []fiber.Event
	if w.broken != nil {
		return nil
	}
	add := func(do func(), format string, a ...any) {
		out = append(out, fiber.Event{Name: fmt.Sprintf(format, a...), Do: do})
	}
	for _, p := range w.procs {
		for _, r := range p.runs {
			switch q := r.ask; {
			case r.fiber.Done():
			case q == nil && r.ready != nil && r.ready():
				add(func() { r.ready = nil; p.resume(r, "go on") }, "%s goes on", p.name)
			case q == nil:
			case w.beyond != nil && w.beyond(q.name): // never carried out
			default:
				add(func() { w.answer(p, r, q.do(), "") }, "%s: %s", p.name, q.what)
				if q.put && w.faults > 0 && (w.lossy == nil || w.lossy(q.name)) {
					add(func() { w.faults--; _ = q.do(); w.answer(p, r, errLost, "lost") }, "%s: %s, the answer is lost", p.name, q.what)
					add(func() {
						w.faults--
						w.late = append(w.late, late{q.name, q.data})
						w.answer(p, r, errLost, "late")
					}, "%s: %s is given up", p.name, q.what)
				}
			}
		}
	}
	for i, l := range w.late {
		add(func() {
			w.late = slices.Delete(slices.Clone(w.late), i, i+1)
			_ = w.put(l.name, l.data)
		}, "%s lands late", l.name)
	}
	if w.more != nil {
		w.more(add)
	}
	return out
}

func (w *small) answer(p *proc, r *runner, err error, how string) {
	q := r.ask
	q.err, q.answered = err, true
	r.ask = nil
	if q.digest != nil && err == nil {
		how += q.digest()
	}
	if q.what == asleep { // however often: it changes nothing
		p.resume(r, "")
		return
	}
	p.resume(r, fmt.Sprintf("%s %v %s", q.what, err, how))
}

func (w *small) put(name string, data []byte) error {
	if _, taken := w.bucket[name]; taken {
		return fmt.Errorf("put %s: %w", name, cold.ErrExists)
	}
	w.time++
	w.bucket[name] = stored{data, begin.Add(time.Duration(w.time) * time.Second)}
	if w.sums == nil {
		w.sums = map[string][32]byte{}
	}
	w.sums[name] = sha256.Sum256(data)
	if w.landed != nil {
		w.landed(name)
	}
	return nil
}

// Key implements fiber.World.
func (w *small) Key() string {
	h := sha256.New()
	var names []string
	for name := range w.bucket {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if w.equal != nil {
			if s, ok := w.equal(name); ok {
				fmt.Fprintf(h, "%s %s\n", name, s)
				continue
			}
		}
		fmt.Fprintf(h, "%s %x\n", name, w.sums[name])
	}
	var lates []string
	for _, l := range w.late {
		lates = append(lates, fmt.Sprintf("%s %x", l.name, sha256.Sum256(l.data)))
	}
	slices.Sort(lates)
	fmt.Fprintln(h, lates, w.faults)
	for _, p := range w.procs {
		for _, r := range p.runs {
			fmt.Fprint(h, r.past, r.fiber.Done(), r.ready != nil)
			if r.ask != nil {
				fmt.Fprintf(h, "%s %x", r.ask.what, sha256.Sum256(r.ask.data))
			}
		}
		if p.memory != nil {
			fmt.Fprintln(h, p.memory())
		}
	}
	if w.extra != nil {
		fmt.Fprintln(h, w.extra())
	}
	return string(h.Sum(nil))
}

// Check implements fiber.World.
func (w *small) Check() error {
	if w.broken == nil && w.judge != nil {
		w.broken = w.judge()
	}
	return w.broken
}

// Close implements fiber.World.
func (w *small) Close() {
	for _, p := range w.procs {
		for _, r := range p.runs {
			r.fiber.Kill()
		}
	}
}

// fault says what is broken, where code that runs finds it.
func (w *small) fail(format string, a ...any) {
	if w.broken == nil {
		w.broken = fmt.Errorf(format, a...)
	}
}

// ask makes the fiber that calls wait until its request is answered.
func (p *proc) ask(ctx context.Context, q *request) error {
	r := p.current()
	if r == nil { // the world is being made: everything happens at once
		return q.do()
	}
	r.ask, r.ctx = q, ctx
	for !q.answered {
		p.w.loop.Park()
	}
	r.ask = nil
	return q.err
}

// Now implements pump.Stage: time stands still.
func (p *proc) Now() time.Time { return begin }

// Go implements pump.Stage.
func (p *proc) Go(f func()) { p.spawn(f) }

// At implements pump.Stage. Nothing here waits for time.
func (p *proc) At(time.Time, func()) {}

// Wait implements pump.Stage.
func (p *proc) Wait(ctx context.Context, ready func() bool) error {
	for !ready() {
		if err := ctx.Err(); err != nil {
			return err
		}
		r := p.current()
		r.ready, r.ctx = ready, ctx
		p.w.loop.Park()
	}
	return nil
}

// Rand implements pump.Stage.
func (p *proc) Rand() float64 { return 0 }

// Sleep implements pump.Stage: it may take any time.
func (p *proc) Sleep(ctx context.Context, _ time.Duration) error {
	return p.ask(ctx, &request{what: asleep, do: func() error { return nil }})
}

// port is the bucket as a process sees it.
type port struct {
	p    *proc
	hide func(name string) bool // what it does not see (a planted bug)
	take bool                   // 412 is taken for success (a planted bug)
	lose bool                   // no answer is taken for success (a planted bug)
	void func(name string) bool // puts that are answered and not done (a planted bug)
	calm func(name string) bool // what is read, and deleted, at once: together with what was before it
}

// ask lets a read or a delete be done when it is its turn.
func (s port) ask(ctx context.Context, name string, q *request) error {
	if s.calm != nil && s.calm(name) {
		return q.do()
	}
	return s.p.ask(ctx, q)
}

// PutIfAbsent implements cold.Store.
func (s port) PutIfAbsent(ctx context.Context, name string, body cold.Body) error {
	data, err := read(body)
	if err != nil {
		return err
	}
	err = s.p.ask(ctx, &request{what: "put " + name, put: true, name: name, data: data, do: func() error {
		if s.void != nil && s.void(name) {
			return nil
		}
		return s.p.w.put(name, data)
	}})
	if s.take && errors.Is(err, cold.ErrExists) || s.lose && errors.Is(err, errLost) {
		return nil
	}
	return err
}

// Get implements cold.Store.
func (s port) Get(ctx context.Context, name string, r cold.Range, buf []byte) (out []byte, err error) {
	q := &request{what: "get " + name, do: func() error {
		o, ok := s.p.w.bucket[name]
		if !ok || s.hide != nil && s.hide(name) {
			return fmt.Errorf("get %s: %w", name, cold.ErrNotFound)
		}
		at, n, err := r.Within(int64(len(o.data)))
		if err == nil {
			out = o.data[at : at+n]
		}
		return err
	}}
	q.digest = func() string { h := sha256.Sum256(out); return fmt.Sprint(binary.LittleEndian.Uint64(h[:])) }
	if err := s.ask(ctx, name, q); err != nil {
		return buf, err
	}
	return append(buf, out...), nil
}

// Stat implements cold.Store.
func (s port) Stat(ctx context.Context, name string) (info cold.Info, err error) {
	err = s.ask(ctx, name, &request{what: "stat " + name, do: func() error {
		o, ok := s.p.w.bucket[name]
		if !ok {
			return fmt.Errorf("stat %s: %w", name, cold.ErrNotFound)
		}
		info = cold.Info{Name: name, Size: int64(len(o.data)), Modified: o.at}
		return nil
	}})
	return info, err
}

// List implements cold.Store.
func (s port) List(ctx context.Context, prefix, after string) iter.Seq2[cold.Info, error] {
	return func(yield func(cold.Info, error) bool) {
		var out []cold.Info
		q := &request{what: "list " + prefix, do: func() error {
			for name, o := range s.p.w.bucket {
				if strings.HasPrefix(name, prefix) && name > after {
					out = append(out, cold.Info{Name: name, Size: int64(len(o.data)), Modified: o.at})
				}
			}
			slices.SortFunc(out, func(a, b cold.Info) int { return strings.Compare(a.Name, b.Name) })
			return nil
		}}
		q.digest = func() string {
			var names []string
			for _, i := range out {
				names = append(names, i.Name)
			}
			return strings.Join(names, " ")
		}
		if err := s.ask(ctx, prefix, q); err != nil {
			yield(cold.Info{}, err)
			return
		}
		for _, i := range out {
			if !yield(i, nil) {
				return
			}
		}
	}
}

// Delete implements cold.Store.
func (s port) Delete(ctx context.Context, name string) error {
	return s.ask(ctx, name, &request{what: "delete " + name, do: func() error {
		delete(s.p.w.bucket, name)
		return nil
	}})
}
