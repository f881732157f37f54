package doctor

import (
	"context"
	"fmt"
)

// listsAfterWrite lists objects right after their puts.
func (p *patient) listsAfterWrite(ctx context.Context) {
	const check = "lists after a write"
	n := p.times(4, 20)
	for i := range n {
		name := p.name("list/%03d", i)
		if err := p.put(ctx, name, p.noise[:i]); err != nil {
			p.badPut(check, err)
			return
		}
		found, err := p.list(ctx, p.name("list/"))
		if err != nil {
			p.unreached(check, err)
			return
		}
		if size, ok := found[name]; !ok || size != int64(i) || len(found) != i+1 {
			p.fail(check, Fatal, fmt.Sprintf("after %d puts the list has %d objects, and the newest is missing or has a wrong size", i+1, len(found)),
				"Brokers that start find the end of the journal by a list, and would start in the past. Use a store whose lists are consistent with its puts.")
			return
		}
	}
	p.pass(check, fmt.Sprintf("%d puts, each in the next list", n))
}
