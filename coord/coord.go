package coord

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"slices"
	"sync"
	"time"
	"unicode/utf16"

	"github.com/firnlog/firn/coord/group"
)

// Log is the internal topic, as the coordinator needs it.
type Log interface {
	// Append appends a batch to a partition and returns when it is in the bucket.
	Append(ctx context.Context, partition int32, batch []byte) error
	// Read gives fn every committed batch of a partition, in order.
	Read(ctx context.Context, partition int32, fn func(batch []byte) error) error
}

// Coordinator is this broker's share of group coordination. Its methods may be
// called from many goroutines; requests for groups that it does not coordinate
// fail with group.ErrNotCoordinator.
type Coordinator struct {
	log    Log
	logger *slog.Logger
	config func() group.Config

	mu     sync.Mutex
	shards map[int32]*shard
	n      int32   // partitions of the topic; 0 before it exists
	led    []int32 // as last told
	ctx    context.Context
	loops  sync.WaitGroup
}

// New makes a coordinator. config is asked for the limits now and then.
func New(log Log, logger *slog.Logger, config func() group.Config) *Coordinator {
	return &Coordinator{log: log, logger: logger, config: config, shards: map[int32]*shard{}}
}

// Run lets the coordinator work until ctx ends.
func (c *Coordinator) Run(ctx context.Context) error {
	c.mu.Lock()
	c.ctx = ctx
	n, led := c.n, c.led
	c.mu.Unlock()
	c.Lead(n, led)
	<-ctx.Done()
	c.Lead(0, nil)
	c.loops.Wait()
	return nil
}

// Lead says which partitions of the topic, of n, this broker leads now: it loads
// new ones and lets go of the others.
func (c *Coordinator) Lead(n int32, led []int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n, c.led = n, led
	if c.ctx == nil { // Run begins with them
		return
	}
	if c.ctx.Err() != nil {
		led = nil
	}
	for p, s := range c.shards {
		if !slices.Contains(led, p) {
			s.stop()
			delete(c.shards, p)
		}
	}
	for _, p := range led {
		if c.shards[p] == nil {
			s := newShard(p, c.log, c.logger.With("partition", p), c.config)
			c.shards[p] = s
			ctx, cancel := context.WithCancel(c.ctx)
			s.stop = cancel
			c.loops.Go(func() { s.run(ctx) })
		}
	}
}

// Partition is the partition of a topic with n partitions that coordinates a
// group: Java's String.hashCode, made positive, modulo n, as Kafka's tools expect.
func Partition(groupID string, n int32) int32 {
	var h int32
	for _, u := range utf16.Encode([]rune(groupID)) {
		h = 31*h + int32(u)
	}
	return h & 0x7fffffff % n
}

func (c *Coordinator) shard(groupID string) (*shard, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == 0 {
		return nil, group.ErrNotCoordinator
	}
	s := c.shards[Partition(groupID, c.n)]
	if s == nil {
		return nil, group.ErrNotCoordinator
	}
	return s, nil
}

func (c *Coordinator) all() []*shard {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]*shard, 0, len(c.shards))
	for _, s := range c.shards {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *shard) int { return int(a.partition) - int(b.partition) })
	return out
}

// ask runs f on the loop of a group's shard and returns the answer that comes with
// its token.
func ask[T any](ctx context.Context, c *Coordinator, groupID string, f func(m *group.Machine, now, wall int64, token any)) (T, error) {
	var zero T
	if groupID == "" {
		return zero, group.ErrInvalidGroupID
	}
	s, err := c.shard(groupID)
	if err != nil {
		return zero, err
	}
	r, err := s.ask(ctx, f)
	if err != nil {
		return zero, err
	}
	return r.(T), nil
}

// now calls a method that answers at once; its answer still waits for what it
// tells to be durable.
func now[T any](ctx context.Context, c *Coordinator, groupID string, f func(m *group.Machine, now, wall int64) T) (T, error) {
	var zero T
	if groupID == "" {
		return zero, group.ErrInvalidGroupID
	}
	s, err := c.shard(groupID)
	if err != nil {
		return zero, err
	}
	r, err := s.tell(ctx, func(m *group.Machine, now, wall int64) any { return f(m, now, wall) })
	if err != nil {
		return zero, err
	}
	return r.(T), nil
}

// Join answers a JoinGroup request. It blocks until the group has gathered.
func (c *Coordinator) Join(ctx context.Context, r *group.JoinRequest) (group.JoinResponse, error) {
	return ask[group.JoinResponse](ctx, c, r.Group, func(m *group.Machine, now, wall int64, t any) { m.Join(now, wall, r, t) })
}

// Sync answers a SyncGroup request. It blocks until the leader has assigned.
func (c *Coordinator) Sync(ctx context.Context, r *group.SyncRequest) (group.SyncResponse, error) {
	return ask[group.SyncResponse](ctx, c, r.Group, func(m *group.Machine, now, wall int64, t any) { m.Sync(now, wall, r, t) })
}

// Heartbeat answers a Heartbeat request.
func (c *Coordinator) Heartbeat(ctx context.Context, r *group.HeartbeatRequest) error {
	type answer struct{ err error }
	a, err := now(ctx, c, r.Group, func(m *group.Machine, now, _ int64) answer { return answer{m.Heartbeat(now, r)} })
	if err != nil {
		return err
	}
	return a.err
}

// Leave answers a LeaveGroup request.
func (c *Coordinator) Leave(ctx context.Context, r *group.LeaveRequest) (group.LeaveResponse, error) {
	return now(ctx, c, r.Group, func(m *group.Machine, now, wall int64) group.LeaveResponse { return m.Leave(now, wall, r) })
}

// CommitOffsets answers an OffsetCommit request once the offsets are durable.
func (c *Coordinator) CommitOffsets(ctx context.Context, r *group.CommitRequest) (group.CommitResponse, error) {
	return now(ctx, c, r.Group, func(m *group.Machine, now, wall int64) group.CommitResponse { return m.Commit(now, wall, r) })
}

// FetchOffsets answers one group of an OffsetFetch request.
func (c *Coordinator) FetchOffsets(ctx context.Context, r *group.FetchRequest) (group.FetchResponse, error) {
	return now(ctx, c, r.Group, func(m *group.Machine, _, _ int64) group.FetchResponse { return m.Fetch(r) })
}

// DeleteOffsets answers an OffsetDelete request.
func (c *Coordinator) DeleteOffsets(ctx context.Context, r *group.DeleteOffsetsRequest) (group.DeleteOffsetsResponse, error) {
	return now(ctx, c, r.Group, func(m *group.Machine, _, _ int64) group.DeleteOffsetsResponse { return m.DeleteOffsets(r) })
}

// Describe describes a group. A group that is not there has Err set.
func (c *Coordinator) Describe(ctx context.Context, id string) (group.Description, error) {
	return now(ctx, c, id, func(m *group.Machine, _, _ int64) group.Description { return m.Describe(id) })
}

// Delete deletes a group.
func (c *Coordinator) Delete(ctx context.Context, id string) error {
	type answer struct{ err error }
	a, err := now(ctx, c, id, func(m *group.Machine, _, _ int64) answer { return answer{m.Delete(id)} })
	if err != nil {
		return err
	}
	return a.err
}

// List lists the groups coordinated here, in the given states; all when none are
// given. While a partition is loading it fails with group.ErrLoading.
func (c *Coordinator) List(ctx context.Context, states []string) ([]group.Listed, error) {
	var out []group.Listed
	for _, s := range c.all() {
		l, err := s.tell(ctx, func(m *group.Machine, _, _ int64) any { return m.List(states) })
		if err != nil {
			return nil, err
		}
		out = append(out, l.([]group.Listed)...)
	}
	return out, nil
}

// Committed is what metrics show: all groups with their offsets. Partitions that
// are loading are left out.
func (c *Coordinator) Committed(ctx context.Context) []group.Committed {
	var out []group.Committed
	for _, s := range c.all() {
		if l, err := s.tell(ctx, func(m *group.Machine, _, _ int64) any { return m.Committed() }); err == nil {
			out = append(out, l.([]group.Committed)...)
		}
	}
	return out
}

// DropTopics forgets the offsets of deleted topics.
func (c *Coordinator) DropTopics(ctx context.Context, gone func(topic string) bool) {
	for _, s := range c.all() {
		_, _ = s.tell(ctx, func(m *group.Machine, _, _ int64) any { m.DropTopics(gone); return nil })
	}
}

// memberID is a member id as Kafka makes them: the client id and a random UUID.
func memberID(prefix string) string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return prefix + "-" + h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// clock is milliseconds since the shard began, which only grow, and of the wall.
type clock struct{ began time.Time }

func (c clock) now() int64  { return 1 + time.Since(c.began).Milliseconds() }
func (c clock) wall() int64 { return time.Now().UnixMilli() }
