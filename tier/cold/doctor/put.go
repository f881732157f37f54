package doctor

import (
	"context"
	"errors"
	"fmt"

	"github.com/firnlog/firn/tier/cold"
)

const adviceCondition = "Two brokers would fill one slot of the log, each believing that it owns it, and acknowledged records would be overwritten. Use a store whose conditional puts (If-None-Match: *) are atomic, or a version of this one that has them."

// refusesSecondPut creates objects and tries to create them again, small ones and
// ones large enough for a store to answer before it has read the body.
func (p *patient) refusesSecondPut(ctx context.Context) {
	const check = "refuses a second put"
	sizes := []int{100, 3 << 20}
	for i, size := range sizes {
		name := p.name("twice/%d", i)
		first := p.noise[:size]
		if err := p.put(ctx, name, first); err != nil {
			p.unreached(check, err)
			return
		}
		for _, second := range [][]byte{p.noise[1 : size+1], first, nil} {
			err := persist(ctx, func(ctx context.Context, _ error) error {
				return p.store.PutIfAbsent(ctx, name, cold.Bytes(second))
			})
			switch {
			case err == nil:
				p.fail(check, Fatal, fmt.Sprintf("a second put of %d bytes to a name that was taken succeeded: the condition is ignored", len(second)), adviceCondition)
				return
			case errors.Is(err, cold.ErrUnsupported):
				p.fail(check, Fatal, err.Error(), adviceCondition)
				return
			case !errors.Is(err, cold.ErrExists):
				p.unreached(check, err)
				return
			}
		}
		got, err := p.get(ctx, name, cold.Whole)
		switch {
		case err != nil && !errors.Is(err, cold.ErrNotFound):
			p.unreached(check, err)
			return
		case err != nil || !equal(got, [][]byte{first}):
			p.fail(check, Fatal, fmt.Sprintf("the second put was refused, and yet the object of %d bytes is no longer what was put first", size), adviceCondition)
			return
		}
	}
	p.pass(check, fmt.Sprintf("%d attempts refused, bodies unchanged", 3*len(sizes)))
}
