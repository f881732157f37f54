package fiber

import (
	"hash/maphash"
)

// World is one small world, whose future is decided by which of its events happens
// next. It is made anew for every order, so that making it must be cheap and always
// give the same.
type World interface {
	// Events are what may happen next, always in the same order for the same past.
	Events() []Event
	// Key is all that decides what may happen from here on: worlds with the same key are
	// explored once.
	Key() string
	// Check says what is wrong.
	Check() error
	// Close ends the fibers.
	Close()
}

// Event is something that may happen.
type Event struct {
	Name string
	Do   func()
}

// Explored is what Explore has found.
type Explored struct {
	Worlds int      // that differ
	Whole  bool     // all of them were seen
	Err    error    // what was wrong in the first that was wrong
	Way    []string // the events that led there
}

// Explore visits every world that some order of events leads to, up to a limit.
func Explore(limit int, build func() World) Explored {
	var out Explored
	seed := maphash.MakeSeed()
	known := map[uint64]struct{}{}
	type path struct {
		parent *path
		choice int
	}
	choices := func(p *path) (out []int) {
		for ; p != nil && p.parent != nil; p = p.parent {
			out = append(out, p.choice)
		}
		return out
	}
	todo := []*path{{}}
	for len(todo) > 0 {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		w := build()
		var way []string
		step := func(choice int) {
			e := w.Events()[choice]
			way = append(way, e.Name)
			e.Do()
		}
		order := choices(p)
		for i := len(order) - 1; i >= 0; i-- {
			step(order[i])
		}
		for {
			key := maphash.String(seed, w.Key())
			if _, ok := known[key]; ok {
				break
			}
			known[key] = struct{}{}
			out.Worlds++
			if err := w.Check(); err != nil {
				out.Err, out.Way = err, way
				w.Close()
				return out
			}
			if out.Worlds >= limit {
				w.Close()
				return out
			}
			events := w.Events()
			if len(events) == 0 {
				break
			}
			for i := len(events) - 1; i > 0; i-- {
				todo = append(todo, &path{p, i})
			}
			p = &path{p, 0}
			step(0)
		}
		w.Close()
	}
	out.Whole = true
	return out
}
