package sim

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/firnlog/firn/broker/sim/fiber"
	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
	"github.com/firnlog/firn/tier/press"
)

// calm is a port whose reads happen at once: a press reads on goroutines of its own, and
// what it reads does not change.
type calm struct{ port }

// Get implements cold.Store.
func (c calm) Get(_ context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	o, ok := c.p.w.bucket[name]
	if !ok {
		return buf, fmt.Errorf("get %s: %w", name, cold.ErrNotFound)
	}
	at, n, err := r.Within(int64(len(o.data)))
	if err != nil {
		return buf, err
	}
	return append(buf, o.data[at:at+n]...), nil
}

// List implements cold.Store.
func (c calm) List(ctx context.Context, prefix, after string) iter.Seq2[cold.Info, error] {
	return c.port.List(ctx, prefix, after)
}

// rewriteScope is a small world of S10 and S12: A presses what a dead session left into
// segments; B may fence A, take its partition, press and collect, while A goes on; a
// sweeper deletes what no job that is open can have put, and nothing refers to.
type rewriteScope struct {
	fences bool
	sweeps bool
	writes bool // A writes meanwhile, and so does B when it has the partition
	faults int

	unregistered bool // planted: A's job is registered when it is committed
	eager        bool // planted: the sweeper does not ask for jobs
	first        bool // planted: what is replaced is deleted before the journal says so
}

// presser is a chair whose press may have bugs planted.
type presser struct {
	*chair
	sc   rewriteScope
	jobs uint64
}

// Commit implements press.Journal.
func (p *presser) Commit(ctx context.Context, cmds ...catalog.Command) ([]catalog.Result, error) {
	switch c := cmds[0].(type) {
	case *catalog.BeginJob:
		if p.sc.unregistered {
			p.jobs++
			return []catalog.Result{{ID: 1<<30 + p.jobs}}, nil
		}
	case *catalog.CommitJob:
		if p.sc.unregistered {
			d := *c
			d.Job = p.h.apply(&catalog.BeginJob{Session: p.h.first})[0].ID
			return p.chair.Commit(ctx, &d)
		}
		if p.sc.first {
			for _, x := range c.Extents {
				q, _ := p.view.Partition(x.Partition)
				for _, e := range q.Extents {
					if e.Base >= x.Base && e.Next <= x.Next {
						delete(p.h.w.bucket, e.Object.Name())
					}
				}
			}
		}
	}
	return p.chair.Commit(ctx, cmds...)
}

// leave lets a session leave values behind, one in each of its slots, and ends it.
func (h *handover) leave(dead uint64, id record.Partition, values ...string) {
	var left []catalog.Located
	nonce, fence := [16]byte{9}, uint64(len(values))
	for slot, v := range values {
		b := record.Builder{}
		b.Add(1, nil, []byte(v))
		batch, _ := b.Build()
		record.Rebase(batch, int64(slot), 0)
		head, _ := record.ParseHeader(batch)
		e := object.NewEncoder(object.Header{Kind: object.WAL, Session: dead, Slot: uint64(slot), Nonce: nonce}, 0, nil)
		e.Begin(id, 0, int64(slot))
		e.Append(head, batch)
		runs, err := e.Finish()
		if err != nil {
			panic(err)
		}
		var data []byte
		for _, s := range e.Segments() {
			data = append(data, s...)
		}
		ref := catalog.WAL(dead, uint64(slot))
		_ = h.w.put(ref.Name(), data)
		left = append(left, catalog.Located{Partition: id, Extent: pump.Extent(&runs[0], ref)})
		h.acked[id][int64(slot)] = v
	}
	_ = h.w.put(catalog.WAL(dead, fence).Name(), object.EncodeFence(dead, fence, nonce, [16]byte{8}, 0))
	h.must(&catalog.SealSession{Session: dead, Fence: fence, Extents: left})
}

// press is the press of a broker.
func (h *handover) press(c *chair, store cold.Store, j press.Journal) *press.Press {
	return press.New(press.Options{
		Store: store, Settler: cold.NewSettler(store, cold.SettlerOptions{Rand: c.p.Rand, Sleep: c.p.Sleep}),
		Journal: j, Writer: writer{c.pump}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		SealEvery: time.Second, RetainEvery: time.Second, Now: func() time.Time { return begin },
		Setting: func(string) (string, bool) { return "", false },
		Limits:  press.Limits{Budget: 4000, Own: 1500, Small: 3, Extents: 8, Keep: 3, Fewest: 3, Lines: 2, Keys: 16},
	})
}

func newRewrite(sc rewriteScope) *small {
	w := &small{bucket: map[string]stored{}, faults: sc.faults, lossy: func(name string) bool { return strings.HasPrefix(name, catalog.PrefixSeg) }}
	w.beyond = func(name string) bool {
		ref, err := catalog.ParseRef(name)
		return err == nil && ref.Kind == catalog.KindWAL && ref.B > 3
	}
	h := &handover{w: w, state: catalog.NewState(), acked: map[record.Partition]map[int64]string{}}
	ctx := context.Background()
	h.must(&catalog.CreateCluster{ID: "c"})
	dead := h.must(&catalog.RegisterSession{Nonce: [16]byte{9}, Node: 9})
	topic := record.TopicID{1}
	id := record.Partition{Topic: topic}
	h.must(&catalog.CreateTopic{Name: "t", ID: topic, Replicas: 1, Owners: []uint64{dead}})
	h.acked[id] = map[int64]string{}
	h.leave(dead, id, "old0", "old1")
	a := h.sit("A", 1, nil)
	as, _ := a.pump.Session()
	h.first = as.ID
	h.must(&catalog.Take{Session: as.ID, Items: []catalog.TakeItem{{Partition: id, Epoch: 1, Start: 2}}})
	b := h.sit("B", 2, nil)
	a.view, b.view = h.state, h.state
	if a.tenure.Follow(ctx) != nil || b.tenure.Follow(ctx) != nil {
		panic("sim: nobody follows")
	}
	work := func(c *chair, sc rewriteScope) *press.Press {
		return h.press(c, calm{port{p: c.p}}, &presser{chair: c, sc: sc})
	}
	pa, pb := work(a, sc), work(b, rewriteScope{})
	a.p.spawn(func() { pa.Turn(ctx) })
	if sc.writes {
		a.p.spawn(func() { a.produce(ctx, id, "a") })
	}
	if sc.fences {
		b.p.spawn(func() {
			v, _ := b.view.Session(as.ID)
			_ = b.tenure.Bury(ctx, v)
			_ = b.tenure.Follow(ctx)
			if sc.writes {
				b.p.spawn(func() { b.produce(ctx, id, "b") })
			}
			pb.Turn(ctx)
			pb.Turn(ctx)
		})
	}
	if sc.sweeps {
		p := w.proc("sweeper")
		p.spawn(func() {
			store := port{p: p}
			var state *catalog.State
			_ = p.ask(ctx, &request{what: "look at the journal", do: func() error { state = h.state; return nil }, digest: func() string { return fmt.Sprint(h.mark(state)) }})
			for info := range store.List(ctx, catalog.PrefixSeg, "") {
				ref, err := catalog.ParseRef(info.Name)
				open := false
				for _, j := range state.Jobs() {
					open = open || j.ID == ref.A
				}
				// Jobs are numbered as entries are: one behind this state is not known to it.
				if err == nil && state.Refs(ref) == 0 && (sc.eager || !open && (ref.A>>10 <= state.Number() || ref.A >= 1<<30)) {
					_ = store.Delete(ctx, info.Name)
				}
			}
		})
	}
	w.judge = h.judge
	w.extra = func() string { return fmt.Sprint(h.mark(h.state)) }
	return w
}

func rewrites(sc rewriteScope) func() fiber.World {
	return func() fiber.World { return newRewrite(sc) }
}

// Each order of a rewrite, a fence in its midst, another rewrite of the same, collection
// and sweeping (S10, S12).
func TestNoOrderOfEventsLosesWhatIsRewritten(t *testing.T) {
	for _, sc := range []rewriteScope{
		{fences: true},
		{sweeps: true},
		{fences: true, sweeps: true},
		{fences: true, faults: 1},
		{fences: true, sweeps: true, faults: 1},
		{fences: true, writes: true},
	}[:shallow(2, 6)] {
		visit(t, sc, rewrites(sc))
	}
}

func TestEveryShortcutOfARewriteIsCaught(t *testing.T) {
	for _, v := range []struct {
		name string
		rewriteScope
	}{
		{"a rewrite is registered when it is done", rewriteScope{sweeps: true, unregistered: true}},
		{"orphans are deleted before their job is cancelled", rewriteScope{sweeps: true, eager: true}},
		{"what is replaced is deleted before the journal says so", rewriteScope{fences: true, first: true}},
	} {
		t.Run(v.name, func(t *testing.T) {
			notice(t, rewrites(v.rewriteScope))
		})
	}
}
