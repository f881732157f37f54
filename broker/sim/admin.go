package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/record"
)

// topic is a name that there is to be a topic of, whatever its id.
type topic struct {
	name       string
	partitions int
	configs    map[string]string
	age, size  int64 // what retention keeps; negative: everything
	compacted  bool
	graves     time.Duration // how long tombstones stay
}

func newTopic(r *rand.Rand, i int) *topic {
	t := &topic{name: fmt.Sprint("t", i), partitions: between(r, 1, 3), configs: map[string]string{}, age: -1, size: -1}
	switch r.IntN(5) {
	case 2:
		t.compacted, t.graves = true, between(r, time.Second, 20*time.Second)
		t.configs["cleanup.policy"] = "compact"
		t.configs["min.cleanable.dirty.ratio"] = "0.1"
		t.configs["delete.retention.ms"] = strconv.FormatInt(t.graves.Milliseconds(), 10)
	case 0:
		t.size = between[int64](r, 200, 3000)
	case 1:
		t.age = between[int64](r, 1000, 10000)
	}
	t.configs["retention.bytes"] = strconv.FormatInt(t.size, 10)
	t.configs["retention.ms"] = strconv.FormatInt(t.age, 10)
	return t
}

func (w *world) newTopicID() (id record.TopicID) {
	for i := range id {
		id[i] = byte(w.rng.Uint32())
	}
	return id
}

// administer creates the topics and lets clients come. As long as it goes wrong it also
// deletes records, and topics, which are made again under the same name.
func (w *world) administer() {
	p := w.people
	for !w.complete() {
		_ = p.Sleep(background, 50*time.Millisecond)
	}
	w.arrive()
	often := pick(w.rng, 0, time.Second, 4*time.Second)
	for w.fault == nil {
		_ = p.Sleep(background, 100*time.Millisecond+time.Duration(w.rng.ExpFloat64()*float64(often)))
		if often == 0 || w.healed || w.rng.IntN(4) > 0 {
			_ = w.complete()
			if often != 0 && !w.stopped {
				w.deleteRecords()
			}
			continue
		}
		w.deleteTopic()
	}
}

// deleteTopic is DeleteTopics: what there is of that name is made again (complete).
func (w *world) deleteTopic() {
	t := w.topics[w.rng.IntN(len(w.topics))]
	if n := w.anybody(); n != nil && n.serving {
		if v, ok := n.book.State().TopicNamed(t.name); ok {
			w.count("topics deleted")
			w.trace("%s is to be deleted by %s", t.name, n)
			w.propose(n, &catalog.DeleteTopic{ID: v.ID})
		}
	}
}

// propose lets a broker commit a command that a client asks for.
func (w *world) propose(n *node, c catalog.Command) {
	book := n.book
	w.after(w.lag(), n.process, func() {
		n.process.spawn(func() { _, _ = book.Commit(background, c) })
	})
}

// named is the topic of a partition.
func (w *world) named(s *catalog.State, id record.Partition) *topic {
	t, _ := s.Topic(id.Topic)
	return w.topics[slices.IndexFunc(w.topics, func(x *topic) bool { return x.name == t.Name })]
}

// complete asks for the topics that a broker does not know; it reports whether there
// were none.
func (w *world) complete() bool {
	n := w.anybody()
	if n == nil || !n.serving || n.session() == 0 {
		return false
	}
	missing := false
	for _, t := range w.topics {
		if _, ok := n.book.State().TopicNamed(t.name); ok {
			continue
		}
		missing = true
		owners := make([]uint64, t.partitions)
		for i := range owners {
			owners[i] = n.session()
		}
		w.propose(n, &catalog.CreateTopic{Name: t.name, ID: w.newTopicID(), Replicas: 1, Configs: t.configs, Owners: owners})
	}
	if missing {
		_ = w.people.Sleep(background, time.Second)
	}
	return !missing
}

// deleteRecords is DeleteRecords, as n.trim in package kafka and broker's history do it.
func (w *world) deleteRecords() {
	id, t, ok := w.somewhere()
	if !ok || t.compacted {
		return
	}
	n := w.leader(id, epochs{})
	if n == nil {
		return
	}
	w.after(w.lag(), n.process, func() {
		pr, ok := n.pump.Progress(id)
		if !ok || !n.serving || pr.HighWatermark <= pr.LogStart {
			return
		}
		offset := pr.LogStart + w.rng.Int64N(pr.HighWatermark-pr.LogStart) + 1
		m := w.model[id]
		m.asked = max(m.asked, offset)
		w.count("records deleted")
		n.process.spawn(func() {
			r, err := n.book.Commit(background, &catalog.Trim{Items: []catalog.TrimItem{{Partition: id, LogStart: offset}}})
			if err == nil {
				err = r[0].Item(0)
			}
			if err != nil {
				n.tell("delete records", err)
				return
			}
			if c, ok := n.book.State().Partition(id); ok {
				offset = max(offset, c.LogStart)
			}
			if err := n.pump.Trim(background, id, offset); err != nil && !errors.Is(err, ingest.ErrNotLeader) {
				n.tell("trim", err)
			}
		})
	})
}

// agree holds an entry of the journal that has landed against what clients may expect.
func (w *world) agree(s *catalog.State) {
	for _, t := range s.Topics() {
		for _, p := range t.Partitions {
			if w.model[p.ID] == nil {
				w.partitions = append(w.partitions, p.ID)
				w.model[p.ID] = newModel()
			}
		}
	}
	for _, id := range w.partitions {
		p, ok := s.Partition(id)
		if !ok {
			w.gone[id.Topic] = true
			continue
		}
		if w.gone[id.Topic] {
			w.fail("D: %s was deleted and is there again", id)
		}
		m := w.model[id]
		if _, known := m.terms[p.Epoch]; !known {
			if v, ok := s.Session(p.Owner); ok {
				m.terms[p.Epoch] = tenor{w.whose(v).at, p.Next, w.now}
			}
		}
		if p.LogStart != m.start {
			w.trimmed(s, p)
		}
	}
}

// trimmed holds a log start to what was asked for and to what retention may drop.
func (w *world) trimmed(s *catalog.State, p *catalog.Partition) {
	m := w.model[p.ID]
	from, to := m.start, p.LogStart
	m.start = to
	keep := w.named(s, p.ID)
	if to < from {
		w.fail("D: the log start of %s falls from %d to %d", p.ID, from, to)
	}
	if to > m.asked {
		w.count("retention")
	}
	if to <= m.asked || keep.size >= 0 && p.Bytes >= keep.size {
		return
	}
	for o := max(from, m.asked); o < to; o++ {
		v, ok := m.acked[o]
		if !ok {
			v, ok = m.seen[o]
		}
		if ok && (keep.age < 0 || w.now.Sub(m.sentAt[v]) < time.Duration(keep.age)*time.Millisecond) {
			w.fail("D: the log start of %s moves to %d, and nobody has asked for more than %d: %s, of %v ago, is to be kept for %d ms and %d bytes, of which there are %d",
				p.ID, to, m.asked, v, w.now.Sub(m.sentAt[v]), keep.age, keep.size, p.Bytes)
			return
		}
	}
}

// arrive lets clients come.
func (w *world) arrive() {
	for i := range 2 + w.rng.IntN(3) {
		c := &producer{w: w, name: fmt.Sprintf("p%d", i), id: int64(1000 + i), pace: between(w.rng, time.Millisecond, 300*time.Millisecond), seqs: map[record.Partition]int32{}, epochs: epochs{}, acks: ingest.AcksAll}
		switch w.rng.IntN(6) {
		case 0:
			c.id = -1
		case 1, 2:
			c.id, c.acks = -1, ingest.AcksLeader
		}
		w.busy++
		w.people.spawn(c.run)
	}
	for range 1 + w.rng.IntN(2) {
		w.people.spawn((&consumer{w: w, at: map[record.Partition]int64{}, epochs: epochs{}}).run)
	}
}
