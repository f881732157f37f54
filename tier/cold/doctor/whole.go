package doctor

import (
	"context"
	"errors"
	"fmt"

	"github.com/firnlog/firn/tier/cold"
)

const adviceWhole = "A broker that is killed in the middle of a put would leave a piece of it under a name that belongs to it for ever: nobody could say what was acknowledged there, and its partitions would stand still. Use a store that creates objects whole or not at all."

// storesWhole begins puts whose sender dies in the middle of the body: the name is free
// afterwards. What arrives late is seen too, by keepsEverything.
func (p *patient) storesWhole(ctx context.Context) {
	const check = "stores whole bodies"
	const size = 300 << 10 // more than a server reads before it begins
	n := p.times(8, 24)
	for i := range n {
		name, body := p.name("whole/%d", i), p.noise[:size]
		// Drivers go over a body once, or twice: to sum it, and to send it.
		limited, cancel := context.WithTimeout(ctx, attemptLimit)
		err := p.store.PutIfAbsent(limited, name, cold.Cut(cold.Bytes(body), 1+i%2))
		cancel()
		if err != nil {
			err = p.put(ctx, name, body)
		} else {
			p.remember(name, body) // the driver went over it once
		}
		if errors.Is(err, cold.ErrExists) {
			got, gerr := p.get(ctx, name, cold.Whole)
			if gerr != nil {
				p.unreached(check, gerr)
				return
			}
			if equal(got, [][]byte{body}) { // the same, and its answer was lost
				p.remember(name, body)
				continue
			}
			p.fail(check, Fatal, fmt.Sprintf("the sender of %d bytes died in the middle, and the name is taken by the %d that had arrived", size, len(got)), adviceWhole)
			return
		}
		if err != nil {
			p.unreached(check, err)
			return
		}
	}
	p.pass(check, fmt.Sprintf("%d puts cut in the middle left nothing", n))
}
