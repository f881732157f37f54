package hot

import (
	"github.com/firnlog/firn/record"
)

// Views are batches of one partition, in the order of their offsets, without a
// gap. The bytes belong to the tier and stay valid until Release.
type Views struct {
	Entries []Entry
	// Bytes is the sum of the lengths of the values.
	Bytes int

	tier *Tier
	pins []*generation
}

// Release gives the bytes back. It may be called more than once.
func (v *Views) Release() {
	for _, g := range v.pins {
		v.tier.release(g)
	}
	v.pins, v.Entries, v.Bytes = nil, nil, 0
}

// Read returns the entry that holds the offset, and those that follow it without
// a gap as long as they end below upto and add up to maxBytes at most; the first
// may be larger. An empty result is a miss: the records are elsewhere. Nothing is
// copied.
func (t *Tier) Read(p record.Partition, offset, upto int64, maxBytes int) Views {
	v := Views{tier: t}
	gens := t.list()
	for at := offset; at < upto; {
		next, more := t.readOne(gens, &v, p, at, upto, maxBytes)
		if next <= at {
			break
		}
		if at = next; !more {
			break
		}
	}
	if len(v.Entries) == 0 {
		t.stats.misses.Add(1)
		v.Release()
		return v
	}
	t.stats.hits.Add(1)
	return v
}

// readOne adds what one generation holds from the offset on. It returns where to
// go on, and whether to.
func (t *Tier) readOne(gens []*generation, v *Views, p record.Partition, offset, upto int64, maxBytes int) (next int64, more bool) {
	next = offset
	for i := len(gens) - 1; i >= 0; i-- {
		g := gens[i]
		lines, at := g.find(p, next)
		if at == len(lines) || !follows(lines[at], next, len(v.Entries) == 0) || !g.acquire() {
			continue
		}
		had := len(v.Entries)
		more = true
		for ; at < len(lines) && more; at++ {
			l := lines[at]
			first := len(v.Entries) == 0
			if !follows(l, next, first) {
				break
			}
			if more = l.last() < upto && (first || v.Bytes+int(l.size) <= maxBytes); !more {
				break
			}
			b, err := g.value(p, l)
			if err != nil {
				t.stats.damaged.Add(1)
				t.log.Debug("hot tier batch is damaged", "generation", g.path, "error", err)
				more = false
				break
			}
			v.Entries = append(v.Entries, Entry{Partition: p, Base: l.base, Last: l.last(), Epoch: l.epoch, MaxTimestamp: l.maxTs, Value: b})
			v.Bytes += len(b)
			next = l.last() + 1
			more = v.Bytes < maxBytes
		}
		if len(v.Entries) == had {
			t.release(g)
			continue // an older generation may hold the same offsets unharmed
		}
		v.pins = append(v.pins, g)
		return next, more
	}
	return next, false
}

// follows reports whether the entry is what is wanted at the offset: the one that
// holds it to begin with, the next one later.
func follows(l line, offset int64, first bool) bool {
	if first {
		return l.base <= offset
	}
	return l.base == offset
}

// Next returns the first offset at or above the given one that the tier holds and
// may serve; false when there is none. Whoever reads elsewhere need not read past
// it.
func (t *Tier) Next(p record.Partition, offset int64) (int64, bool) {
	next, ok := int64(0), false
	for _, g := range t.list() {
		if lines, i := g.find(p, offset); i < len(lines) {
			if at := max(lines[i].base, offset); !ok || at < next {
				next, ok = at, true
			}
		}
	}
	return next, ok
}

// Span is a stretch of offsets [From, To).
type Span struct{ From, To int64 }

// Spans returns the stretches of offsets of a partition that the tier holds and
// may serve, oldest first, merged where they touch.
func (t *Tier) Spans(p record.Partition) []Span {
	var out []Span
	for _, g := range t.list() {
		lines, _ := g.find(p, 0)
		for _, l := range lines {
			if n := len(out); n > 0 && out[n-1].From <= l.base && l.base <= out[n-1].To {
				out[n-1].To = max(out[n-1].To, l.last()+1)
				continue
			}
			out = append(out, Span{From: l.base, To: l.last() + 1})
		}
	}
	return out
}
