package fault

import (
	"hash/fnv"
	"math/rand/v2"
	"path"
	"sync"
	"time"

	"github.com/firnlog/firn/tier/cold/trace"
)

// Kind is a way to fail.
type Kind uint8

// The kinds, with the operations that they apply to. To others they do nothing.
const (
	None        Kind = iota
	RequestLost      // all: nothing reaches the store, the answer is unknown
	AnswerLost       // put, delete: applied, but the answer is unknown
	LandsLater       // put: the answer is unknown, and it is applied when the test says so
	Conflict         // put: HTTP 409, nothing decided
	Unavailable      // all: HTTP 503, not applied
	Denied           // all: HTTP 403, not applied
	Hang             // all: not applied, no answer before the context ends
	Truncated        // get: the last byte, or more, is missing
	Corrupt          // get: one bit is wrong
	Stale            // get, stat: not found, as if the object had not been put yet
	Missing          // list: some names are left out
	Duplicate        // list: some names come twice
	Unordered        // list: the order is random
	kinds
)

// String names the kind.
func (k Kind) String() string {
	return [...]string{
		"none", "request lost", "answer lost", "lands later", "conflict", "unavailable", "denied", "hang",
		"truncated", "corrupt", "stale", "missing", "duplicate", "unordered", "?",
	}[min(k, kinds)]
}

// applies reports whether the kind means anything for the operation.
func (k Kind) applies(op trace.Op) bool {
	switch k {
	case RequestLost, Unavailable, Denied, Hang:
		return true
	case AnswerLost:
		return op == trace.Put || op == trace.Delete
	case LandsLater, Conflict:
		return op == trace.Put
	case Truncated, Corrupt:
		return op == trace.Get
	case Stale:
		return op == trace.Get || op == trace.Stat
	case Missing, Duplicate, Unordered:
		return op == trace.List
	}
	return false
}

// Fault is what happens to one call.
type Fault struct {
	Kind Kind
	// Before is how long the request takes to arrive, After how long the answer.
	Before, After time.Duration
	// Landing, for LandsLater, is when the put lands by itself. Zero leaves it to
	// Store.Land.
	Landing time.Duration
	// Seed decides which bit, which byte, which names.
	Seed uint64
}

// Call is what a plan decides about.
type Call struct {
	Op   trace.Op
	Name string // the prefix of a list
	Nth  int    // how many calls of this op and name came before, from 0
}

// Plan decides what happens to each call. It is called from many goroutines.
type Plan func(Call) Fault

// Healthy is the plan of a store that works.
func Healthy(Call) Fault { return Fault{} }

// Always is a plan that does the same to every call of the ops, all when none is named.
func Always(f Fault, ops ...trace.Op) Plan {
	return func(c Call) Fault {
		for _, op := range ops {
			if op == c.Op {
				return f
			}
		}
		if len(ops) == 0 {
			return f
		}
		return Fault{}
	}
}

// Step is a line of a script.
type Step struct {
	Op    trace.Op
	Name  string // a pattern of path.Match; empty is any
	Skip  int    // how many matching calls pass unharmed before
	Times int    // how many are then hit; 0 is one, negative is all
	Fault Fault
}

// Script is a plan that goes by the first of its steps that matches the call and
// is neither still skipping nor used up.
func Script(steps ...Step) Plan {
	s := &script{left: make([]Step, len(steps))}
	copy(s.left, steps)
	for i := range s.left {
		if s.left[i].Times == 0 {
			s.left[i].Times = 1
		}
	}
	return s.next
}

type script struct {
	mu   sync.Mutex
	left []Step
}

func (s *script) next(c Call) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.left {
		step := &s.left[i]
		if step.Op != c.Op || step.Times == 0 {
			continue
		}
		if step.Name != "" {
			if ok, err := path.Match(step.Name, c.Name); err != nil || !ok {
				continue
			}
		}
		if step.Skip > 0 {
			step.Skip--
			continue
		}
		if step.Times > 0 {
			step.Times--
		}
		return step.Fault
	}
	return Fault{}
}

// Odds are the probabilities of a seeded plan.
type Odds struct {
	Kinds   map[Kind]float64 // for each call that the kind applies to; at most one happens
	Slow    float64          // of a delay before and of one after
	Delay   time.Duration    // the longest
	Landing time.Duration    // the longest, of puts that land later
}

// Seeded is a plan that draws by the odds. The same seed does the same to the nth
// call of an operation and name, whatever else happens in between.
func Seeded(seed uint64, o Odds) Plan {
	return func(c Call) Fault {
		h := fnv.New64a()
		h.Write([]byte{byte(c.Op)})
		h.Write([]byte(c.Name))
		r := rand.New(rand.NewPCG(seed, h.Sum64()+uint64(c.Nth)*0x9e3779b97f4a7c15))
		f := Fault{Seed: r.Uint64()}
		if r.Float64() < o.Slow {
			f.Before = time.Duration(r.Float64() * float64(o.Delay))
		}
		if r.Float64() < o.Slow {
			f.After = time.Duration(r.Float64() * float64(o.Delay))
		}
		draw, landing := r.Float64(), r.Float64()
		for k := None; k < kinds; k++ {
			p := o.Kinds[k]
			if p == 0 || !k.applies(c.Op) {
				continue
			}
			if draw < p {
				f.Kind = k
				break
			}
			draw -= p
		}
		if f.Kind == LandsLater {
			f.Landing = time.Duration(landing * float64(o.Landing))
		}
		return f
	}
}
