package doctor

import (
	"context"
	"errors"
	"fmt"

	"github.com/firnlog/firn/tier/cold"
)

const adviceStale = "A broker that takes over would not see what was acknowledged before it, and go on without it. Use a store with strong consistency; some have it as a setting of the bucket (Tigris: a single-region bucket; StorageGRID: strong-global), and a cache between Firn and the store has to go."

// readsAfterWrite reads objects right after their puts, and twice again.
func (p *patient) readsAfterWrite(ctx context.Context) {
	const check = "reads after a write"
	n := p.times(6, 30)
	for i := range n {
		size := []int{1, 4 << 10, 1 << 20}[i%3]
		name, body := p.name("read/%d", i), p.noise[i:i+size]
		if err := p.put(ctx, name, body); err != nil {
			p.badPut(check, err)
			return
		}
		for range 2 {
			got, err := p.get(ctx, name, cold.Whole)
			switch {
			case errors.Is(err, cold.ErrNotFound):
				p.fail(check, Fatal, fmt.Sprintf("an object of %d bytes was not found right after its put was answered", size), adviceStale)
				return
			case err != nil:
				p.unreached(check, err)
				return
			case !equal(got, [][]byte{body}):
				p.fail(check, Fatal, fmt.Sprintf("an object of %d bytes came back with other bytes (%d of them)", size, len(got)), "The store, its disks or something between damages data. Firn would notice by its checksums and could not repair it. Find the cause before you use it.")
				return
			}
		}
	}
	p.pass(check, fmt.Sprintf("%d objects, the same bytes each time", n))
}

// badPut is for a put of a new name that did not succeed.
func (p *patient) badPut(check string, err error) {
	if errors.Is(err, cold.ErrExists) {
		p.fail(check, Fatal, "a new name was refused: "+err.Error(), "The store refuses to create an object that is not there (MinIO RELEASE.2025-09-06 does). Use another version of it.")
		return
	}
	if cold.Definite(err) && !errors.Is(err, cold.ErrConflict) {
		p.fail(check, Fatal, err.Error(), "Some puts are allowed and others are not: look at policies and quotas of the bucket.")
		return
	}
	p.unreached(check, err)
}

// readsRanges reads pieces of an object.
func (p *patient) readsRanges(ctx context.Context) {
	const check = "reads ranges"
	const size = 100_000
	name, body := p.name("ranges"), p.noise[:size]
	if err := p.put(ctx, name, body); err != nil {
		p.badPut(check, err)
		return
	}
	const advice = "Firn reads footers and runs by ranges and would take the wrong bytes or pay for whole objects. A proxy or cache between Firn and the store may be what drops them; else use another store."
	for _, r := range []struct {
		r        cold.Range
		from, to int
	}{
		{cold.Range{Length: 64}, 0, 64},
		{cold.Range{Offset: 1000, Length: 5000}, 1000, 6000},
		{cold.Range{Offset: size - 10}, size - 10, size},
		{cold.Range{Offset: size - 10, Length: 100}, size - 10, size},
		{cold.Tail(64), size - 64, size},
		{cold.Tail(2 * size), 0, size},
	} {
		got, err := p.get(ctx, name, r.r)
		switch {
		case err != nil && !cold.Definite(err) && !errors.Is(err, cold.ErrGarbled):
			p.unreached(check, err)
			return
		case errors.Is(err, cold.ErrGarbled): // by a driver that looks closely
			p.fail(check, Fatal, fmt.Sprintf("range %s of %d bytes: %v", r.r, size, err), advice)
			return
		case err != nil || !equal(got, [][]byte{body[r.from:r.to]}):
			p.fail(check, Fatal, fmt.Sprintf("range %s of %d bytes gave %d bytes that are not it (error: %v)", r.r, size, len(got), err), advice)
			return
		}
	}
	if _, err := p.get(ctx, name, cold.Range{Offset: size + 1, Length: 1}); !errors.Is(err, cold.ErrRange) {
		p.fail(check, Warning, fmt.Sprintf("a range past the end was answered with %v", err), "Firn never asks for one; other errors may be told as vaguely.")
		return
	}
	p.pass(check, "prefix, middle, rest and tail")
}
