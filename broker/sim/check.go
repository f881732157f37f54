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
	seen   map[int64]string // P3: whoever acknowledged or showed it
	acked  map[int64]string
	sentAt map[string]time.Time
	keys   map[string]string      // of values, in compacted topics
	graves map[string][]time.Time // when tombstones of a key were sent
	shown  map[int32]int64        // the highest watermark under each epoch
	first  map[shower]int64
	loose  []loose         // acknowledged with acks=1
	terms  map[int32]tenor // by epoch
	start  int64           // of the log, as agreed
	asked  int64           // DeleteRecords wants it to be, at most
}

// loose is a record that was acknowledged with acks=1 (P2).
type loose struct {
	offset int64
	value  string
	epoch  int32
	at     int // which broker
	disk   int
}

// tenor is one epoch of a partition: who owned it, from which offset on.
type tenor struct {
	at    int
	start int64
	since time.Time
}

type shower struct {
	process *process
	epoch   int32
}

func newModel() *model {
	return &model{seen: map[int64]string{}, acked: map[int64]string{}, sentAt: map[string]time.Time{}, keys: map[string]string{}, graves: map[string][]time.Time{}, shown: map[int32]int64{}, first: map[shower]int64{}, terms: map[int32]tenor{}}
}

func (m *model) sent(now time.Time, values []string) {
	for _, v := range values {
		if _, again := m.sentAt[v]; !again { // tombstones of a key are alike
			m.sentAt[v] = now
		}
		if key := m.keys[v]; key != "" && v == tombstone([]byte(key)) {
			m.graves[key] = append(m.graves[key], now)
		}
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
	if _, ok := m.sentAt[v]; !ok {
		w.fail("P3: offset %d of %s is %s by %v, which nobody has sent there", offset, id, v, who)
	}
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

// served is S13: who serves as a leader has heard of the journal not long ago. A broker
// whose own next session was named as the heir goes on with what it has.
func (w *world) served(n *node, id record.Partition, pr pump.Progress) {
	for e := pr.Epoch + 1; ; e++ {
		t, ok := w.model[id].terms[e]
		if !ok {
			return
		}
		if late := w.now.Sub(t.since); t.at != n.at && late >= w.lease {
			w.fail("S13: %s serves %s under epoch %d, %v after epoch %d of another broker; its lease is %v", n, id, pr.Epoch, late, e, w.lease)
		}
	}
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
	for range 400 { // between two entries, when everybody knows who owns what, and where it is
		if s == nil || w.newest().Number() == s.Number() && w.orphans() == "" && w.heard(s) {
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
		if b := n.book; b != nil && b.State().Number() == s.Number() && !bytes.Equal(b.State().Encode(), s.Encode()) {
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

// heard reports whether all that serve know a state. One whose command was on its way to the
// bucket when all was healed may hear of nothing for some seconds more, serve nothing for
// want of its lease, and know objects that are swept.
func (w *world) heard(s *catalog.State) bool {
	for _, n := range w.order {
		if n.alive() && n.session() != 0 && n.book.State().Number() < s.Number() {
			return false
		}
	}
	return true
}

// excused reports whether a record of acks=1 may be gone: another broker came first, or
// the disk is lost.
func (w *world) excused(id record.Partition, l loose) bool {
	if n := w.nodes[l.at]; n.disk.id != l.disk || n.retired {
		return true
	}
	m := w.model[id]
	for epoch := l.epoch + 1; ; epoch++ {
		t, ok := m.terms[epoch]
		switch {
		case !ok:
			return false
		case t.at != l.at:
			return t.start <= l.offset
		case t.start > l.offset:
			return false
		}
	}
}

// agreed is told of each entry of the journal when it lands: what everybody agrees on
// from then on.
func (w *world) agreed(name string) {
	n := w.agreement.Number() + 1
	if name != journal.Name(n) {
		return // of somebody who slept (S11)
	}
	e, err := journal.ReadEntry(background, still{w.bucket, nil}, n)
	if err != nil {
		w.fail("C: %s: %w", name, err)
		return
	}
	s := w.agreement.Clone()
	s.Apply(n, e.Commands)
	w.agreement = s
	w.agree(s)
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
		if !w.gone[id.Topic] {
			w.fail("%s is gone", id)
		}
		return
	}
	i := slices.IndexFunc(w.order, func(n *node) bool { return n.alive() && n.session() == p.Owner })
	if i < 0 {
		w.fail("L: nobody alive owns %s", id)
		return
	}
	next := p.LogStart
	once := map[string]int64{}
	at := map[int64]string{}
	for k, x := range w.order[i].extents(id, p.LogStart) {
		if x.Base != next && (k > 0 || x.Base > next) {
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
			at[r.offset] = r.value
			if o, ok := once[r.value]; ok && w.model[id].keys[r.value] == "" {
				w.fail("P1: %s is at offsets %d and %d of %s", r.value, o, r.offset, id)
			}
			once[r.value] = r.offset
		}
	}
	if next < p.LogStart {
		w.fail("P1: the log of %s starts at %d, behind its end at %d", id, p.LogStart, next)
	}
	for o, v := range w.model[id].acked {
		if at[o] != v && o >= p.LogStart && !w.superseded(s, id, at, o, v) {
			w.fail("P1: %s was acknowledged at offset %d of %s, whose log ends at %d: it is not there", v, o, id, next)
		}
	}
	for _, l := range w.model[id].loose {
		if at[l.offset] != l.value && l.offset >= p.LogStart && !w.excused(id, l) && !w.superseded(s, id, at, l.offset, l.value) {
			w.fail("P2: %s was acknowledged with acks=1 at offset %d of %s by broker %d, which came back before others took the partition, whose log ends at %d: it is not there", l.value, l.offset, id, l.at, next)
		}
	}
	for o, v := range w.model[id].seen {
		if at[o] != v && o >= p.LogStart && !w.superseded(s, id, at, o, v) {
			w.fail("P3: %s was seen at offset %d of %s, whose log ends at %d: it is not there", v, o, id, next)
		}
	}
}

// tombstone stands for a record that has a key alone.
func tombstone(key []byte) string { return "no more " + string(key) }

// superseded is Kafka's rule of compaction, for a record that is not there: of a key the
// newest record stays; when that says that there is none any more, it may go when it is
// old enough, after all that is older.
func (w *world) superseded(s *catalog.State, id record.Partition, at map[int64]string, o int64, v string) bool {
	m := w.model[id]
	key, ok := m.keys[v]
	if !ok || at[o] != "" { // what is there instead is another record
		return false
	}
	for _, known := range [...]map[int64]string{at, m.acked, m.seen} {
		for o2, v2 := range known {
			if o2 > o && m.keys[v2] == key {
				w.count("compacted away")
				return true // and that one is looked for, too
			}
		}
	}
	for _, l := range m.loose {
		if l.offset > o && m.keys[l.value] == key {
			return true
		}
	}
	for o2, v2 := range at {
		if o2 < o && m.keys[v2] == key {
			return false
		}
	}
	stay := w.named(s, id).graves
	if v == tombstone([]byte(key)) && w.now.Sub(m.sentAt[v]) >= stay {
		w.count("tombstones gone")
		return true
	}
	return w.buried(s, id, at, o, m.sentAt[v], m.graves[key], stay)
}

// buried reports whether a tombstone that nobody was told of can have been above an offset,
// and gone by now: one was sent after the record, so long ago that it may be gone, and of
// some offset above nobody knows what it was.
func (w *world) buried(s *catalog.State, id record.Partition, at map[int64]string, o int64, sent time.Time, graves []time.Time, stay time.Duration) bool {
	if !slices.ContainsFunc(graves, func(t time.Time) bool { return t.After(sent) && w.now.Sub(t) >= stay }) {
		return false
	}
	m := w.model[id]
	p, _ := s.Partition(id)
	for o++; o < p.Next; o++ {
		if at[o] == "" && m.seen[o] == "" && !slices.ContainsFunc(m.loose, func(l loose) bool { return l.offset == o && !w.excused(id, l) }) {
			w.count("buried unseen")
			return true
		}
	}
	return false
}

// listed are the extents that an index object holds.
func (w *world) listed(l catalog.IndexRef) []catalog.Extent {
	b, err := w.bucket.get(l.Object.Name(), cold.Whole)
	if err != nil {
		return nil
	}
	payload, err := object.DecodeIndex(b, l.Object.A, l.Object.B)
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
				v := string(it.Record.Value)
				if it.Record.Value == nil {
					v = tombstone(it.Record.Key)
				}
				if !yield(value{it.Offset(), v}) {
					return
				}
			}
		}
	}
}
