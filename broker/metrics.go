package broker

import (
	"context"
	"net"
	"strconv"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/web"
)

// source is web.Source: what a scrape shows.
type source struct{ b *Broker }

var _ web.Source = source{}

// State implements web.Source.
func (s source) State() *catalog.State { return s.b.journal.State() }

// Brokers implements web.Source.
func (s source) Brokers() ([]web.Broker, int32) {
	var out []web.Broker
	loads := s.b.gossip.Loads()
	for _, b := range s.b.liveBrokers("") {
		out = append(out, web.Broker{Node: b.Node, Address: net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))), Load: loads[b.Node]})
	}
	return out, s.b.node
}

// Span implements web.Source.
func (s source) Span(p record.Partition) (start, end int64, ok bool) {
	pr, ok := s.b.pump.Progress(p)
	return pr.LogStart, pr.HighWatermark, ok
}

// scrapePatience is how long a scrape waits for a coordinator's loop, which
// answers from memory unless it is loading.
const scrapePatience = 200 * time.Millisecond

// end is the end of a partition: where another broker leads it, what the catalog knows of it,
// which is behind by what is not sealed yet. It is negative for a partition that is not there.
func (s source) end(state *catalog.State, p record.Partition) int64 {
	if _, end, ok := s.Span(p); ok {
		return end
	}
	if c, ok := state.Partition(p); ok {
		return c.Next
	}
	return -1
}

// Groups implements web.Source.
func (s source) Groups() []web.Group {
	ctx, cancel := context.WithTimeout(context.Background(), scrapePatience)
	defer cancel()
	state := s.b.journal.State()
	var out []web.Group
	groups, _ := s.b.groups.Committed(ctx) // one that is loading shows at the next scrape
	for _, g := range groups {
		w := web.Group{ID: g.Group, Members: g.Members}
		for _, o := range g.Offsets {
			c := web.Committed{Topic: o.Topic, Partition: o.Partition, Offset: o.Offset, End: -1}
			if t, ok := state.TopicNamed(o.Topic); ok {
				c.End = s.end(state, record.Partition{Topic: t.ID, Index: o.Partition})
			}
			w.Offsets = append(w.Offsets, c)
		}
		out = append(out, w)
	}
	return out
}

// Readings implements web.Source.
func (s source) Readings() web.Readings {
	r := s.b.tiers.Stats()
	out := web.Readings{
		Caches: []web.Cache{
			{Tier: "tail", Hits: r.TailHits, Misses: r.TailMisses, Served: r.Tail, Bytes: s.b.tail.Bytes()},
			{Tier: "block", Hits: r.BlockHits, Misses: r.BlockMisses, Bytes: r.BlockBytes},
		},
		FromBucket: r.Bucket, Gets: r.Gets, ReadAhead: r.Ahead, ReadAheadSkipped: r.Skipped, ReadAheadWasted: r.Wasted, Damaged: r.Damaged,
	}
	if s.b.hot != nil {
		h := s.b.hot.Stats()
		out.Caches = append(out.Caches, web.Cache{Tier: "hot", Hits: h.Hits, Misses: h.Misses, Served: r.Hot, Bytes: h.Bytes})
		out.HotState, out.HotDamaged, out.HotGenerations = h.State.String(), h.Damaged, h.Generations
	}
	return out
}
