package coord

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/firnlog/firn/coord/group"
)

// Log is the internal topic, as the coordinator needs it.
type Log interface {
	// Append appends a batch to a partition and returns when it is in the bucket, however
	// long that takes. After an error it may be there or not, but must not arrive any
	// more, unless ctx has ended.
	Append(ctx context.Context, partition int32, batch []byte) error
	// Read gives fn every committed batch of a partition, in order. fn does not keep
	// them.
	Read(ctx context.Context, partition int32, fn func(batch []byte) error) error
}

// Coordinator is this broker's share of group coordination. Its methods may be
// called from many goroutines; requests for groups that it does not coordinate
// fail with group.ErrNotCoordinator.
type Coordinator struct {
	log    Log
	logger *slog.Logger
	config func() group.Config
	wall   func() time.Time
	topics group.Topics

	mu     sync.Mutex
	shards map[int32]*shard
	left   map[int32]*shard // the last shard of a partition that was given up
	n      int32            // partitions of the topic; 0 before it exists
	early  []Led            // named before Run
	ctx    context.Context  // of Run, which the shards live in
	loops  sync.WaitGroup
}

// New makes a coordinator. config is asked for the limits now and then, wall for the time
// by the calendar, by which offsets are kept, and topics for what there is to commit for: it
// must know every topic that the log of a partition led here has an offset for, unless it
// was deleted. All are called from any goroutine.
func New(log Log, logger *slog.Logger, config func() group.Config, wall func() time.Time, topics group.Topics) *Coordinator {
	return &Coordinator{log: log, logger: logger, config: config, wall: wall, topics: topics, shards: map[int32]*shard{}, left: map[int32]*shard{}}
}

// Run lets the coordinator work until ctx ends, from what Own has named before.
func (c *Coordinator) Run(ctx context.Context) error {
	c.mu.Lock()
	c.ctx = ctx
	c.own(c.early)
	c.early = nil
	c.mu.Unlock()
	<-ctx.Done()
	c.Own(0, nil)
	c.loops.Wait()
	return nil
}

// Led is a partition of the topic that this broker leads.
type Led struct {
	Partition int32
	// Epoch changes whenever another broker may have written to the partition since
	// it was last named: the leader epoch will do.
	Epoch int32
}

// Own says which partitions of the topic, of n, this broker leads now: it loads
// those that are new or have another epoch, and lets go of the others (C3).
func (c *Coordinator) Own(n int32, led []Led) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n = n
	if c.ctx == nil {
		c.early = slices.Clone(led)
		return
	}
	c.own(led)
}

// own is Own, of a coordinator that runs or has run.
func (c *Coordinator) own(led []Led) {
	if c.ctx.Err() != nil {
		led = nil
	}
	for p, s := range c.shards {
		if !slices.Contains(led, Led{p, s.epoch}) {
			s.stop()
			delete(c.shards, p)
			c.left[p] = s
		}
	}
	for _, l := range led {
		if c.shards[l.Partition] != nil {
			continue
		}
		ctx, stop := context.WithCancel(c.ctx)
		s := newShard(l, c, stop)
		before := c.left[l.Partition]
		delete(c.left, l.Partition)
		c.shards[l.Partition] = s
		life := c.ctx
		c.loops.Go(func() { s.run(ctx, life, before) })
	}
}

// of is the shard that coordinates a group.
func (c *Coordinator) of(id string) (*shard, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == 0 {
		return nil, group.ErrNotCoordinator
	}
	if s := c.shards[Partition(id, c.n)]; s != nil {
		return s, nil
	}
	return nil, group.ErrNotCoordinator
}

// all are the shards in order.
func (c *Coordinator) all() []*shard {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]*shard, 0, len(c.shards))
	for _, s := range c.shards {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *shard) int { return cmp.Compare(a.partition, b.partition) })
	return out
}
