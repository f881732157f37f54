package sim

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/replay/audit"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// model is what is known of a partition from outside.
type model struct {
	seen  map[int64]string // P3: whoever acknowledged or showed it
	acked map[int64]string
	by    map[string]*producer
	shown map[int32]int64 // the highest watermark under each epoch
	first map[shower]int64
}

type shower struct {
	process *process
	epoch   int32
}

func newModel() *model {
	return &model{seen: map[int64]string{}, acked: map[int64]string{}, by: map[string]*producer{}, shown: map[int32]int64{}, first: map[shower]int64{}}
}

func (m *model) sent(c *producer, values []string) {
	for _, v := range values {
		m.by[v] = c
	}
}

// acked is P1's record: it must be there for ever.
func (w *world) acked(id record.Partition, offset int64, v string) {
	w.model[id].acked[offset] = v
	w.read(id, offset, v, "an acknowledgement")
}

// read is P3: an offset names one record.
func (w *world) read(id record.Partition, offset int64, v string, who any) {
	m := w.model[id]
	if was, ok := m.seen[offset]; ok && was != v {
		w.fail("P3: offset %d of %s is %s, and %s by %v", offset, id, was, v, who)
	}
	m.seen[offset] = v
}

// shown is S6, as readers see it: what was under the high watermark stays in the log.
func (w *world) shown(n *node, id record.Partition, pr pump.Progress) {
	m := w.model[id]
	m.shown[pr.Epoch] = max(m.shown[pr.Epoch], pr.HighWatermark)
	k := shower{n.process, pr.Epoch}
	if last, ok := m.first[k]; ok && pr.HighWatermark < last {
		w.fail("S6: the high watermark of %s under epoch %d falls from %d to %d on %s", id, pr.Epoch, last, pr.HighWatermark, n)
	}
	m.first[k] = pr.HighWatermark
}

// watch looks at everything now and then.
func (w *world) watch() {
	for _, n := range w.order {
		if !n.alive() || !n.serving || n.asleep() {
			continue
		}
		for _, id := range w.partitions {
			if pr, ok := n.pump.Progress(id); ok {
				w.shown(n, id, pr)
			}
		}
		if err := n.pump.Fault(); err != nil {
			w.fail("S3: %s stops: %w", n, err)
		}
	}
	s := w.newest()
	for _, err := range s.Check() {
		w.fail("C: %w", err)
	}
	w.bounds(s)
	w.after(500*time.Millisecond, nil, w.watch)
}

// bounds holds the watermarks that were shown to where the next epoch began.
func (w *world) bounds(s *catalog.State) {
	for _, id := range w.partitions {
		p, ok := s.Partition(id)
		if !ok {
			continue
		}
		for epoch, hw := range w.model[id].shown {
			for _, e := range p.Epochs {
				if e.Epoch > epoch {
					if hw > e.Start {
						w.fail("S6: %s was shown up to %d under epoch %d, and epoch %d began at %d", id, hw, epoch, e.Epoch, e.Start)
					}
					break
				}
			}
		}
	}
}

// judge is the end: the bucket alone has to have everything.
func (w *world) judge() {
	s := w.truth()
	for range 100 { // between two entries, when everybody knows who owns what
		if s == nil || w.newest().Number() == s.Number() && w.orphans() == "" {
			break
		}
		w.until(w.now.Add(50*time.Millisecond), func() bool { return false })
		s = w.truth()
	}
	if s == nil {
		return
	}
	for _, err := range s.Check() {
		w.fail("C: %w", err)
	}
	for _, n := range w.order {
		if b := n.book; b.State().Number() == s.Number() && !bytes.Equal(b.State().Encode(), s.Encode()) {
			w.fail("C: %s has another state at entry %d", n, s.Number())
		}
	}
	w.bounds(s)
	for _, id := range w.partitions {
		w.whole(s, id)
	}
	rep, err := audit.Run(context.Background(), still{w.bucket, nil}, audit.Options{})
	if err != nil {
		w.fail("fsck: %w", err)
	}
	for _, f := range rep.Findings {
		w.fail("fsck: %s: %s", f.Where, f.What)
	}
}

// truth is what the bucket says.
func (w *world) truth() *catalog.State {
	r := journal.NewReader(still{w.bucket, nil}).OneByOne()
	if err := r.Catchup(context.Background(), nil); err != nil {
		w.fail("C: the journal cannot be read: %w", err)
		return nil
	}
	return r.State()
}

// whole reads a partition from its start to its end.
func (w *world) whole(s *catalog.State, id record.Partition) {
	p, ok := s.Partition(id)
	if !ok {
		w.fail("%s is gone", id)
		return
	}
	i := slices.IndexFunc(w.order, func(n *node) bool { return n.alive() && n.session() == p.Owner })
	if i < 0 {
		w.fail("L: nobody alive owns %s", id)
		return
	}
	next := int64(0)
	once := map[string]int64{}
	for _, x := range w.order[i].extents(id, 0) {
		if x.Base != next {
			w.fail("P1: %s has a gap from %d to %d", id, next, x.Base)
			return
		}
		next = x.Next
		b, err := w.bucket.get(x.Object.Name(), cold.Range{Offset: x.Pos, Length: x.Len})
		if err != nil {
			w.fail("P1: offset %d of %s: %w", x.Base, id, err)
			return
		}
		for r := range values(b) {
			w.read(id, r.offset, r.value, "the bucket")
			if o, ok := once[r.value]; ok {
				w.fail("P1: %s is at offsets %d and %d of %s", r.value, o, r.offset, id)
			}
			once[r.value] = r.offset
		}
	}
	for o, v := range w.model[id].acked {
		if at, ok := once[v]; !ok || at != o {
			w.fail("P1: %s was acknowledged at offset %d of %s, whose log ends at %d: it is not there", v, o, id, next)
		}
	}
	for o, v := range w.model[id].seen {
		if at, ok := once[v]; !ok || at != o {
			w.fail("P3: %s was seen at offset %d of %s, whose log ends at %d: it is not there", v, o, id, next)
		}
	}
}

// listed are the extents that an index object holds.
func (w *world) listed(l catalog.IndexRef) []catalog.Extent {
	b, err := w.bucket.get(l.Object.Name(), cold.Whole)
	if err != nil {
		return nil
	}
	payload, err := object.DecodeIndex(b)
	if err != nil {
		w.fail("%s: %w", l.Object, err)
		return nil
	}
	xs, err := catalog.DecodeExtents(payload)
	if err != nil {
		w.fail("%s: %w", l.Object, err)
	}
	return xs
}

type value struct {
	offset int64
	value  string
}

// values are the records of a run.
func values(b []byte) iter.Seq[value] {
	return func(yield func(value) bool) {
		for len(b) > 0 {
			h, batch, rest, err := record.Next(b)
			if err != nil {
				panic(fmt.Sprintf("sim: %v", err))
			}
			b = rest
			it := record.Iterate(h, batch, new(record.Decoder))
			for it.Next() {
				if !yield(value{it.Offset(), string(it.Record.Value)}) {
					return
				}
			}
		}
	}
}
