package doctor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/firnlog/firn/tier/cold"
)

// oneWinner lets many clients create the same name at the same moment, again and
// again. Small bodies find stores that look before they write; bodies of 1 MiB
// find those that look while the body is still on its way.
func (p *patient) oneWinner(ctx context.Context) {
	for _, r := range []struct {
		check           string
		size            int
		clients, rounds int
	}{
		{"one winner, small bodies", 1 << 10, p.times(24, 64), p.times(6, 50)},
		{"one winner, large bodies", 1 << 20, p.times(20, 24), p.times(2, 8)},
	} {
		var sum outcome
		for round := range r.rounds {
			o := p.race(ctx, p.name("race/%d/%d", r.size, round), r.clients, r.size)
			if o.fatal != "" {
				p.fail(r.check, Fatal, o.fatal+fmt.Sprintf(" (round %d of %d clients, %d bytes)", round+1, r.clients, r.size), adviceCondition)
				return
			}
			if o.unreached != nil {
				p.unreached(r.check, o.unreached)
				return
			}
			sum.unknown += o.unknown
			sum.conflicts += o.conflicts
		}
		figures := []Figure{
			{"creators", float64(r.clients * r.rounds), ""},
			{"answers unknown", float64(sum.unknown), ""},
			{"conflicts", float64(sum.conflicts), ""},
		}
		p.pass(r.check, fmt.Sprintf("%d rounds of %d clients, one winner each, its bytes are stored", r.rounds, r.clients), figures...)
	}
}

// outcome is what a race showed.
type outcome struct {
	fatal     string // what went wrong, for a person
	unreached error  // why nothing can be said
	unknown   int    // answers that told nothing
	conflicts int
}

// contender is one client of a race.
type contender struct {
	header []byte // tells its body from the others'
	told   error  // its last answer
	outcome
}

// race is one round. Each client sends until its answer is definite, as a broker
// would, and then what they were told is held against what is stored.
func (p *patient) race(ctx context.Context, name string, clients, size int) outcome {
	stores := append([]cold.Store{p.store}, p.options.Others...)
	contenders := make([]contender, clients)
	body := p.noise[:size]
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range contenders {
		c := &contenders[i]
		c.header = fmt.Appendf(nil, "contender %06d|", i)
		all.Go(func() {
			<-start
			c.contend(ctx, stores[i%len(stores)], name, cold.Bytes(c.header, body))
		})
	}
	close(start)
	all.Wait()
	o := p.judge(ctx, name, contenders, body)
	for i := range contenders {
		o.unknown += contenders[i].unknown
		o.conflicts += contenders[i].conflicts
	}
	return o
}

func (c *contender) contend(ctx context.Context, s cold.Store, name string, body cold.Body) {
	for n := range 8 {
		if n > 0 && pause(ctx, time.Duration(rand.Float64()*float64(50*time.Millisecond<<n))) != nil {
			return
		}
		limited, cancel := context.WithTimeout(ctx, attemptLimit)
		c.told = s.PutIfAbsent(limited, name, body)
		cancel()
		switch {
		case errors.Is(c.told, cold.ErrConflict):
			c.conflicts++
		case cold.Definite(c.told):
			return
		default:
			c.unknown++
		}
	}
}

// judge compares what the contenders were told with what is there.
func (p *patient) judge(ctx context.Context, name string, contenders []contender, body []byte) outcome {
	winner, refused := -1, 0
	for i := range contenders {
		switch {
		case contenders[i].told == nil && winner >= 0:
			return outcome{fatal: "two creators of one name were both told that they had created it: the condition is checked, but not atomically"}
		case contenders[i].told == nil:
			winner = i
		case errors.Is(contenders[i].told, cold.ErrExists):
			refused++
		}
	}
	got, err := p.get(ctx, name, cold.Whole)
	absent := errors.Is(err, cold.ErrNotFound)
	switch {
	case err != nil && !absent:
		return outcome{unreached: err}
	case absent && winner >= 0:
		return outcome{fatal: "a creator was told that it had created the object, and the object is not there"}
	case absent && refused > 0:
		return outcome{fatal: "creators were told that somebody else had created the object, and nobody had"}
	case absent:
		return outcome{unreached: fmt.Errorf("nobody of %d creators got a definite answer, such as: %w", len(contenders), contenders[0].told)}
	case winner >= 0 && !equal(got, [][]byte{contenders[winner].header, body}):
		return outcome{fatal: "a creator was told that it had created the object, and the bytes of another are stored"}
	}
	for i := range contenders {
		if equal(got, [][]byte{contenders[i].header, body}) {
			p.remember(name, contenders[i].header, body)
			return outcome{}
		}
	}
	return outcome{fatal: "what is stored after a race is none of the bodies: they were mixed or damaged"}
}
