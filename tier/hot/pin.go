package hot

import (
	"fmt"
	"slices"
	"time"

	"github.com/firnlog/firn/record"
)

// Info describes a generation.
type Info struct {
	ID      uint64 // names it until the tier is closed; ascends with age
	Session Session
	// First and Next are the slots [First, Next) that it holds, every one.
	First, Next  uint64
	Bytes        int64 // of values
	DiskBytes    int64 // with overhead, as the quota counts
	Batches      int
	MaxTimestamp int64 // -1 when empty
	Opened       time.Time
	Ended        time.Time // zero while it is filled
	// Filling is the one that takes appends. Sealed was set by MarkSealed.
	Filling, Sealed bool
	// Settled is false for what an earlier life left, until Settle. Kept is true while it
	// holds leftovers that nobody has dealt with (Forget): it is no mere cache.
	Settled, Kept bool
}

// Generations describes all generations, oldest first.
func (t *Tier) Generations() []Info {
	gens := t.list()
	out := make([]Info, len(gens))
	for i, g := range gens {
		out[i] = g.info()
	}
	return out
}

func (g *generation) info() Info {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return Info{
		ID: g.id, Session: g.origin.session, First: g.first, Next: g.next, Bytes: g.bytes, DiskBytes: g.disk,
		Batches: g.batches, MaxTimestamp: g.maxTs, Opened: g.opened, Ended: g.ended,
		Filling: g.state == filling, Sealed: g.state == sealed, Settled: g.settled, Kept: g.keep,
	}
}

// Share is what one partition has in a generation.
type Share struct {
	Partition    record.Partition
	Bytes        int64
	Base, Next   int64 // of the first and behind the last record
	MaxTimestamp int64
	Batches      int
}

// Shares says what each partition has in the generation, in the order of
// partitions: what retention of hot bytes per topic decides by.
func (t *Tier) Shares(id uint64) ([]Share, error) {
	g := t.generation(id)
	if g == nil {
		return nil, fmt.Errorf("%w: generation %d", ErrNotHeld, id)
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	out := make([]Share, 0, len(g.index))
	for p, lines := range g.index {
		s := Share{Partition: p, Base: lines[0].base, Next: lines[len(lines)-1].last() + 1, MaxTimestamp: -1, Batches: len(lines)}
		for _, l := range lines {
			s.Bytes += int64(l.size)
			s.MaxTimestamp = max(s.MaxTimestamp, l.maxTs)
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Share) int { return a.Partition.Compare(b.Partition) })
	return out, nil
}

func (t *Tier) generation(id uint64) *generation {
	for _, g := range t.list() {
		if g.id == id {
			return g
		}
	}
	return nil
}

// Pin keeps a generation on disk and its bytes valid until Release.
type Pin struct {
	tier *Tier
	gen  *generation
}

// Pin pins a generation. One that was dropped is ErrNotHeld.
func (t *Tier) Pin(id uint64) (*Pin, error) {
	g := t.generation(id)
	if g == nil || !g.acquire() {
		return nil, fmt.Errorf("%w: generation %d", ErrNotHeld, id)
	}
	return &Pin{tier: t, gen: g}, nil
}

// Info describes the pinned generation.
func (p *Pin) Info() Info { return p.gen.info() }

// Release ends the pin. It may be called more than once.
func (p *Pin) Release() {
	if p.gen != nil {
		p.tier.release(p.gen)
		p.gen = nil
	}
}

// Scan gives fn every entry below the limit of H2, in the order of partition and
// offset, as objects want them. Values stay valid until the pin is released. An
// entry that fails its checksum ends the scan with ErrDamaged, before fn sees it:
// the slots of this generation have to be read from the bucket.
func (p *Pin) Scan(fn func(Entry) error) error {
	g := p.gen
	g.mu.RLock()
	parts := make([]record.Partition, 0, len(g.index))
	for part := range g.index {
		parts = append(parts, part)
	}
	g.mu.RUnlock()
	slices.SortFunc(parts, record.Partition.Compare)
	for _, part := range parts {
		lines, _ := g.find(part, 0)
		for _, l := range lines {
			v, err := g.value(part, l)
			if err != nil {
				p.tier.stats.damaged.Add(1)
				return fmt.Errorf("scan generation %d: %w", g.id, err)
			}
			if err := fn(Entry{Partition: part, Base: l.base, Last: l.last(), Epoch: l.epoch, MaxTimestamp: l.maxTs, Value: v}); err != nil {
				return err
			}
		}
	}
	return nil
}
