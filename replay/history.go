package replay

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier"
	"github.com/firnlog/firn/tier/cold"
)

// DefaultMemory is what a History may hold of what it fetched.
const DefaultMemory = 128 << 20

// leastMemory is what a few GETs under way need.
const leastMemory = 16 << 20

// Options of a History.
type Options struct {
	// Memory bounds the bytes held of what was fetched. Default DefaultMemory, at
	// least 16 MiB.
	Memory int64
}

// History is one topic in a bucket. Its methods may be called from many
// goroutines.
type History struct {
	store  cold.Store
	topic  record.TopicID
	name   string
	memory int64

	turn    chan struct{}   // whoever holds the token owns journal
	journal *journal.Reader // S11: follows, never writes
	seen    atomic.Pointer[view]
}

// view is what is known at a moment. Immutable.
type view struct {
	state *catalog.State
	topic *catalog.Topic
	tails map[int32][]catalog.Extent
	// torn are the sessions of which a slot cannot be read, and why. What their partitions
	// hold from there on is not known, the rest is history like any other.
	torn map[uint64]error
}

// Open reads the catalog and what live sessions have put since. It blocks for the
// bucket. The store is the caller's, who closes it afterwards.
func Open(ctx context.Context, store cold.Store, topic string, o Options) (*History, error) {
	if o.Memory <= 0 {
		o.Memory = DefaultMemory
	}
	store = cold.Patient(store, cold.Patience)
	h := &History{store: store, name: topic, memory: max(o.Memory, leastMemory), turn: make(chan struct{}, 1), journal: journal.NewReader(store)}
	if err := h.Refresh(ctx); err != nil {
		return nil, err
	}
	return h, nil
}

// Name is the topic's name.
func (h *History) Name() string { return h.name }

// Topic is the topic's id: one that was deleted and created again has another.
func (h *History) Topic() record.TopicID { return h.topic }

// Cluster is the id of the cluster whose bucket this is.
func (h *History) Cluster() string { return h.seen.Load().state.ClusterID() }

// Entry is the number of the newest journal entry that was read.
func (h *History) Entry() uint64 { return h.seen.Load().state.Number() }

// State is the catalog as of that entry. It must not be changed.
func (h *History) State() *catalog.State { return h.seen.Load().state }

// Refresh reads what is new in the bucket.
func (h *History) Refresh(ctx context.Context) error { return h.refresh(ctx, nil) }

// refresh makes a view that is newer than the one that did not suffice, unless
// somebody else has meanwhile.
func (h *History) refresh(ctx context.Context, old *view) error {
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if old != nil && h.seen.Load() != old {
		return nil
	}
	if err := h.journal.Catchup(ctx, nil); err != nil {
		return fmt.Errorf("read the catalog: %w", err)
	}
	for looks := 1; ; looks++ {
		before := h.journal.State()
		v, err := h.look(ctx)
		if err != nil {
			return err
		}
		// A session that was sealed meanwhile may have lost slots to garbage
		// collection while we walked: what it held is in the catalog now (S10).
		if err := h.journal.Catchup(ctx, nil); err != nil {
			return fmt.Errorf("read the catalog: %w", err)
		}
		after := h.journal.State()
		if len(v.torn) > 0 && after != before && looks < mostLooks {
			// A partition that was given up and taken back while we walked goes on in an
			// epoch that we had not read of.
			continue
		}
		if settled(v.state, after) {
			h.seen.Store(v)
			return nil
		}
	}
}

// mostLooks is how often slots are read that do not fit the catalog, while that changes.
const mostLooks = 8

// settled reports whether the sessions that were alive still are.
func settled(before, after *catalog.State) bool {
	for _, s := range before.Sessions() {
		if now, ok := after.Session(s.ID); !s.Sealed && (!ok || now.Sealed) {
			return false
		}
	}
	return true
}

// look makes a view of the state that the journal has been read to.
func (h *History) look(ctx context.Context) (*view, error) {
	v := &view{state: h.journal.State(), tails: make(map[int32][]catalog.Extent), torn: make(map[uint64]error)}
	if v.state.Number() == 0 {
		return nil, fmt.Errorf("%w: it has no journal; is it the right bucket and prefix?", ErrNoCluster)
	}
	var ok bool
	if h.topic.IsZero() {
		v.topic, ok = v.state.TopicNamed(h.name)
	} else {
		v.topic, ok = v.state.Topic(h.topic)
	}
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrNoTopic, h.name)
	}
	if h.topic.IsZero() {
		h.topic = v.topic.ID // before Open returns: nobody reads it yet
	}
	owners := map[uint64]bool{}
	for _, p := range v.topic.Partitions {
		owners[p.Owner] = true
	}
	for _, s := range v.state.Sessions() {
		if s.Sealed || !owners[s.ID] {
			continue
		}
		if err := h.walk(ctx, v, s); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// partition returns what the catalog says of one.
func (v *view) partition(i int32) (*catalog.Partition, error) {
	if i < 0 || int(i) >= len(v.topic.Partitions) {
		return nil, fmt.Errorf("%w: %s has no partition %d, it has %d", ErrNoPartition, v.topic.Name, i, len(v.topic.Partitions))
	}
	return v.topic.Partitions[i], nil
}

// end is the offset behind the last committed record, as far as slots can be read; see
// torn.
func (v *view) end(p *catalog.Partition) int64 {
	if t := v.tails[p.ID.Index]; len(t) > 0 {
		return t[len(t)-1].Next
	}
	return p.Next
}

// place says where an offset is.
func (v *view) place(p *catalog.Partition, offset int64) (tier.Place, bool) {
	if place, ok := tier.In(p, offset); ok {
		return place, true
	}
	t := v.tails[p.ID.Index]
	i, _ := slices.BinarySearchFunc(t, offset, func(e catalog.Extent, o int64) int {
		if e.Next <= o {
			return -1
		}
		return 1
	})
	if i < len(t) && t[i].Base <= offset {
		return tier.Place{Extents: t[i:]}, true
	}
	return tier.Place{}, false
}

// upto is the end of the run, or of the line of runs, that holds the last offset
// before to: batches may reach over to, runs do not.
func (v *view) upto(p *catalog.Partition, to int64) int64 {
	switch place, ok := v.place(p, to-1); {
	case !ok:
		return v.end(p)
	case len(place.Extents) > 0:
		return place.Extents[0].Next
	default:
		return place.Index.Next
	}
}

// Extents implements tier.Locator.
func (h *History) Extents(p record.Partition, offset int64) (tier.Place, bool) {
	v := h.seen.Load()
	part, err := v.partition(p.Index)
	if err != nil || p.Topic != v.topic.ID {
		return tier.Place{}, false
	}
	return v.place(part, offset)
}

// reader makes a reader within so many bytes: half of them are its cache, half are
// GETs under way, of 4 MiB and two kinds.
func (h *History) reader(memory int64) *tier.Reader {
	return tier.NewReader(tier.ReaderOptions{
		Store: h.store, Locator: h, BlockBytes: memory / 2, Parallel: int(max(1, memory/2/(8<<20))),
	})
}
