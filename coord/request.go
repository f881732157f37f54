package coord

import (
	"context"
	"errors"

	"github.com/firnlog/firn/coord/group"
	"github.com/firnlog/firn/record"
)

// act is what a request does on its shard's loop. It passes token on to the
// machine, whose answer comes back with it, or answers by reply.
type act func(m *group.Machine, now, wall int64, token any)

// request is an act and where its answer goes: one value, an error of type failure
// or what the act was asked for.
type request struct {
	do     act
	answer chan any
}

type failure struct{ err error }

func reply(token, response any) { token.(chan any) <- response }

// ask runs do on the loop of a shard and waits for the answer (C4).
func ask[T any](ctx context.Context, s *shard, do act) (T, error) {
	var none T
	r := request{do, make(chan any, 1)}
	select {
	case s.inbox <- r:
	case <-s.ended:
		return none, group.ErrNotCoordinator
	case <-ctx.Done():
		return none, ctx.Err()
	}
	select {
	case a := <-r.answer:
		if f, ok := a.(failure); ok {
			return none, f.err
		}
		return a.(T), nil
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// tell is ask for the group's shard.
func tell[T any](ctx context.Context, c *Coordinator, id string, do act) (T, error) {
	s, err := c.of(id)
	if err != nil {
		var none T
		return none, err
	}
	return ask[T](ctx, s, do)
}

// Join answers a JoinGroup request. It blocks until the group has gathered. When
// ctx ends the group goes on waiting for the member until its timeouts.
func (c *Coordinator) Join(ctx context.Context, r *group.JoinRequest) (group.JoinResponse, error) {
	return tell[group.JoinResponse](ctx, c, r.Group, func(m *group.Machine, now, wall int64, t any) { m.Join(now, wall, r, t) })
}

// Sync answers a SyncGroup request. It blocks until the leader has assigned.
func (c *Coordinator) Sync(ctx context.Context, r *group.SyncRequest) (group.SyncResponse, error) {
	return tell[group.SyncResponse](ctx, c, r.Group, func(m *group.Machine, now, wall int64, t any) { m.Sync(now, wall, r, t) })
}

// outcome makes an error an answer.
type outcome struct{ err error }

// Heartbeat answers a Heartbeat request. It waits for nothing, so that members
// stay alive while the bucket is slow.
func (c *Coordinator) Heartbeat(ctx context.Context, r *group.HeartbeatRequest) error {
	o, err := tell[outcome](ctx, c, r.Group, func(m *group.Machine, now, _ int64, t any) { reply(t, outcome{m.Heartbeat(now, r)}) })
	if err != nil {
		return err
	}
	return o.err
}

// Leave answers a LeaveGroup request.
func (c *Coordinator) Leave(ctx context.Context, r *group.LeaveRequest) (group.LeaveResponse, error) {
	return tell[group.LeaveResponse](ctx, c, r.Group, func(m *group.Machine, now, wall int64, t any) { m.AnswerFor(r.Group, t, m.Leave(now, wall, r)) })
}

// CommitOffsets answers an OffsetCommit request once the offsets are durable. It takes r
// over.
func (c *Coordinator) CommitOffsets(ctx context.Context, r *group.CommitRequest) (group.CommitResponse, error) {
	return tell[group.CommitResponse](ctx, c, r.Group, func(m *group.Machine, now, wall int64, t any) {
		c.outlived(r.Offsets)
		m.AnswerFor(r.Group, t, m.Commit(now, wall, r))
	})
}

// outlived refuses offsets of topics that were deleted since the sender looked. Called by
// the loop, which prunes too: what comes after the last Prune would stay for ever, and be
// taken for an offset of the next topic of that name.
func (c *Coordinator) outlived(offsets []group.Offset) {
	for i := range offsets {
		o := &offsets[i]
		id, there := c.topics(o.Topic)
		if o.Err == nil && (!there || o.TopicID != record.TopicID{} && o.TopicID != id) {
			o.Err = group.ErrUnknownTopic
		}
	}
}

// FetchOffsets answers one group of an OffsetFetch request, with durable offsets.
func (c *Coordinator) FetchOffsets(ctx context.Context, r *group.FetchRequest) (group.FetchResponse, error) {
	return tell[group.FetchResponse](ctx, c, r.Group, func(m *group.Machine, _, _ int64, t any) { m.AnswerFor(r.Group, t, m.Fetch(r)) })
}

// DeleteOffsets answers an OffsetDelete request once that is durable.
func (c *Coordinator) DeleteOffsets(ctx context.Context, r *group.DeleteOffsetsRequest) (group.DeleteOffsetsResponse, error) {
	return tell[group.DeleteOffsetsResponse](ctx, c, r.Group, func(m *group.Machine, _, _ int64, t any) { m.AnswerFor(r.Group, t, m.DeleteOffsets(r)) })
}

// Describe describes a group. A group that is not there has Err set.
func (c *Coordinator) Describe(ctx context.Context, id string) (group.Description, error) {
	return tell[group.Description](ctx, c, id, func(m *group.Machine, _, _ int64, t any) { m.AnswerFor(id, t, m.Describe(id)) })
}

// Delete deletes a group once that is durable.
func (c *Coordinator) Delete(ctx context.Context, id string) error {
	o, err := tell[outcome](ctx, c, id, func(m *group.Machine, _, _ int64, t any) { m.AnswerFor(id, t, outcome{m.Delete(id)}) })
	if err != nil {
		return err
	}
	return o.err
}

// List lists the groups coordinated here, in the given states; all when none are
// given. While a partition is loading it fails with group.ErrLoading. A partition
// that is being given up is left out: another broker lists it.
func (c *Coordinator) List(ctx context.Context, states []string) ([]group.Listed, error) {
	return gather(ctx, c.all(), func(m *group.Machine) []group.Listed { return m.List(states) })
}

// Committed is what metrics show: all groups with their offsets. It fails with
// group.ErrLoading while a partition is loading.
func (c *Coordinator) Committed(ctx context.Context) ([]group.Committed, error) {
	return gather(ctx, c.all(), (*group.Machine).Committed)
}

// Prune forgets the offsets of topics that were deleted, in the partitions that are
// loaded; the others do so when they are (shard.go). It waits until that is durable.
func (c *Coordinator) Prune(ctx context.Context) error {
	_, err := gather(ctx, c.all(), func(m *group.Machine) []struct{} { m.Prune(c.topics); return nil })
	if errors.Is(err, group.ErrLoading) {
		return nil
	}
	return err
}
