package sim

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
)

// anybody is a broker that runs.
func (w *world) anybody() *node {
	n := w.order[w.rng.IntN(len(w.order))]
	if !n.alive() || n.asleep() {
		return nil
	}
	return n
}

// somewhere is a partition of what a broker that is asked says that there is.
func (w *world) somewhere() (record.Partition, *topic, bool) {
	n := w.anybody()
	if n == nil {
		return record.Partition{}, nil, false
	}
	of := w.topics[w.rng.IntN(len(w.topics))]
	t, ok := n.book.State().TopicNamed(of.name)
	if !ok {
		return record.Partition{}, nil, false
	}
	return t.Partitions[w.rng.IntN(len(t.Partitions))].ID, of, true
}

// epochs are the newest leader epochs that a client has heard of. Like real ones it
// does not go back to a leader of an older epoch (KIP-320).
type epochs map[record.Partition]int32

// leader is whom a broker that is asked names as the leader; nil when it knows none.
func (w *world) leader(id record.Partition, known epochs) *node {
	n := w.anybody()
	if n == nil {
		return nil
	}
	p, ok := n.book.State().Partition(id)
	if !ok || p.Epoch < known[id] {
		return nil
	}
	known[id] = p.Epoch
	v, ok := n.book.State().Session(p.Owner)
	if !ok || v.Sealed {
		return nil
	}
	if m := w.whose(v); m.alive() {
		return m
	}
	return nil
}

// whose is the broker of a session.
func (w *world) whose(v *catalog.Session) *node {
	at, _ := strconv.Atoi(v.Advertised)
	return w.nodes[at]
}

// producer is a client that writes, one batch after another. With an id it is
// idempotent and sends a batch until it is acknowledged; without it sends once.
type producer struct {
	w    *world
	name string
	id   int64
	acks ingest.Acks
	pace time.Duration
	seqs map[record.Partition]int32
	epochs
	n int
}

func (c *producer) run() {
	w, p := c.w, c.w.people
	ctx := context.Background()
	defer func() { w.busy-- }()
	for !w.stopped && w.fault == nil {
		_ = p.Sleep(ctx, time.Duration(w.rng.ExpFloat64()*float64(c.pace)))
		id, of, ok := w.somewhere()
		if !ok {
			continue
		}
		var values []string
		b := record.Builder{}
		if c.id >= 0 {
			b.HasProducer, b.Template = true, record.Header{ProducerID: c.id, BaseSequence: c.seqs[id]}
		}
		for range 1 + w.rng.IntN(3) {
			c.n++
			v := fmt.Sprintf("%s-%d", c.name, c.n)
			key, value := []byte(nil), []byte(v)
			if of.compacted {
				key = []byte{'a' + byte(w.rng.IntN(8))}
				if w.rng.IntN(5) == 0 {
					v, value = tombstone(key), nil
				}
				w.model[id].keys[v] = string(key)
			}
			values = append(values, v)
			b.Add(w.now.UnixMilli(), key, value)
		}
		batch, err := b.Build()
		if err != nil {
			panic(err)
		}
		w.model[id].sent(w.now, values)
		for !c.send(ctx, id, batch, values) && c.id >= 0 && w.fault == nil && !w.gone[id.Topic] {
			_ = p.Sleep(ctx, 20*time.Millisecond+w.lag())
		}
		c.seqs[id] += int32(len(values))
	}
}

// send sends a batch once; it reports whether it was acknowledged.
func (c *producer) send(ctx context.Context, id record.Partition, batch []byte, values []string) bool {
	w := c.w
	n := w.leader(id, c.epochs)
	if n == nil {
		return false
	}
	bytes := append([]byte(nil), batch...)
	h, err := record.ParseHeader(bytes)
	if err != nil {
		panic(err)
	}
	r := &pump.Request{Request: ingest.Request{Acks: c.acks, Timeout: 3 * time.Second, Items: []ingest.Item{{Partition: id, Header: h, Batch: bytes}}}}
	answered := false
	var res ingest.Result
	var epoch int32
	answer := func(x ingest.Result) {
		if x.Err == nil && c.acks == ingest.AcksLeader {
			for i, v := range values {
				w.model[id].loose = append(w.model[id].loose, loose{offset: x.Base + int64(i), value: v, epoch: epoch, at: n.at, disk: n.disk.id})
			}
		}
		if !w.healed && w.chance(w.loss) {
			return
		}
		w.after(w.lag(), w.people, func() { answered, res = true, x })
	}
	if w.healed || !w.chance(w.loss) {
		w.after(w.lag(), n.process, func() {
			if !n.serving || !n.tenure.Held() {
				answer(ingest.Result{Err: ingest.ErrNotLeader})
				return
			}
			n.process.spawn(func() {
				pr, _ := n.pump.Progress(id)
				epoch = pr.Epoch
				if err := n.pump.Produce(ctx, r); err != nil {
					answer(ingest.Result{Err: err})
					return
				}
				_ = n.process.Wait(ctx, func() bool {
					select {
					case <-r.Done():
						return true
					default:
						return false
					}
				})
				x := r.Results[0]
				if errors.Is(x.Err, ingest.ErrOutOfOrderSequence) && !n.leads(ctx, id, x.Epoch) {
					w.count("would have judged by an old log")
					x.Err = ingest.ErrNotLeader
				}
				answer(x)
			})
		})
	}
	late := w.now.Add(5 * time.Second)
	w.at(late, w.people, func() {})
	_ = w.people.Wait(ctx, func() bool { return answered || !w.now.Before(late) })
	switch {
	case !answered:
		w.count("unanswered")
		return false
	case res.Err == nil:
		w.count("acknowledged")
		w.trace("%s: %v acknowledged at %d of %s by %s", c.name, values, res.Base, id, n)
		if c.acks == ingest.AcksAll {
			for i, v := range values {
				w.acked(id, res.Base+int64(i), v)
			}
		}
		return true
	case errors.Is(res.Err, ingest.ErrNotLeader), errors.Is(res.Err, ingest.ErrTimedOut):
		w.count("refused")
		return false
	case errors.Is(res.Err, ingest.ErrOutOfOrderSequence) && w.gone[id.Topic]:
		return false // it has given up batches before this one
	}
	w.fail("P1: %s sends %v to %s on %s and is told: %w", c.name, values, id, n, res.Err)
	return false
}

// consumer reads all partitions from whoever leads them.
type consumer struct {
	w  *world
	at map[record.Partition]int64
	epochs
}

func (c *consumer) run() {
	w, p := c.w, c.w.people
	for w.fault == nil {
		_ = p.Sleep(context.Background(), time.Duration(w.rng.Int64N(int64(200*time.Millisecond))))
		id, _, ok := w.somewhere()
		if !ok {
			continue
		}
		n := w.leader(id, c.epochs)
		if w.rng.IntN(8) == 0 { // by an old view of who leads
			n = w.anybody()
		}
		if n == nil {
			continue
		}
		w.after(w.lag(), n.process, func() {
			if n.owns(id) {
				c.at[id] = w.fetch(n, id, c.at[id])
			}
		})
		if w.rng.IntN(30) == 0 {
			c.at[id] = 0 // another one begins at the start
		}
	}
}

// fetch reads what a broker shows of a partition from an offset on, and returns where
// it ends.
func (w *world) fetch(n *node, id record.Partition, from int64) int64 {
	pr, ok := n.pump.Progress(id)
	if !ok {
		return from
	}
	w.shown(n, id, pr)
	w.served(n, id, pr)
	for _, x := range n.extents(id, max(from, pr.LogStart)) {
		if x.Base >= pr.HighWatermark {
			break
		}
		b, err := w.bucket.get(x.Object.Name(), cold.Range{Offset: x.Pos, Length: x.Len})
		if err != nil {
			w.count("gone before they were read")
			return from
		}
		for r := range values(b) {
			w.read(id, r.offset, r.value, n)
		}
		from = x.Next
	}
	return from
}

// extents are what a reader on the broker is told of a partition from an offset on.
func (n *node) extents(id record.Partition, from int64) []catalog.Extent {
	recent := n.pump.Recent(id, from) // first
	p, ok := n.book.State().Partition(id)
	if !ok {
		return nil
	}
	var out []catalog.Extent
	next := from
	for _, l := range p.Index {
		if l.Next > from {
			out = append(out, n.w.listed(l)...)
			next = l.Next
		}
	}
	for _, x := range p.Extents[p.Find(from):] {
		out, next = append(out, x), x.Next
	}
	for _, x := range recent {
		if x.Next > next {
			out, next = append(out, x), x.Next
		}
	}
	return out
}
