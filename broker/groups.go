package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/coord"
	"github.com/firnlog/firn/coord/group"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/kafka"
	"github.com/firnlog/firn/record"
)

// offsetsTopic is where groups live.
const offsetsTopic = "__consumer_offsets"

// coordinator is embedded under this name, since Coordinator is a method.
type coordinator = coord.Coordinator

// groups is kafka.Groups: the coordinator, and who coordinates what.
type groups struct {
	*coordinator
	b      *Broker
	topics *topics

	leading sync.Mutex // one lead at a time: the later one sees what is later
}

// Coordinator is the node that leads a group's partition of __consumer_offsets,
// which is created when it is first asked for.
func (g *groups) Coordinator(ctx context.Context, id string) (int32, error) {
	t, err := g.topic(ctx)
	if err != nil {
		return -1, fmt.Errorf("%w: %w", kafka.ErrCoordinatorNotAvailable, err)
	}
	state := g.b.journal.State()
	p := t.Partitions[coord.Partition(id, int32(len(t.Partitions)))]
	s, ok := state.Session(p.Owner)
	if !ok || s.Sealed {
		return -1, kafka.ErrCoordinatorNotAvailable
	}
	return s.Node, nil
}

// topic returns __consumer_offsets, and creates it when there is none.
func (g *groups) topic(ctx context.Context) (*catalog.Topic, error) {
	if t, ok := g.b.journal.State().TopicNamed(offsetsTopic); ok {
		return t, nil
	}
	create := g.topics.create([]kafka.NewTopic{{
		Name: offsetsTopic, Partitions: int32(g.b.values.Int("offsets.topic.num.partitions")), Replicas: 1,
		Configs: map[string]string{"cleanup.policy": "compact", "compression.type": "producer", "segment.bytes": "104857600"},
	}}, true)
	if err := g.topics.commit(ctx, create)[0]; err != nil && !errors.Is(err, catalog.ErrExists) {
		return nil, err
	}
	t, ok := g.b.journal.State().TopicNamed(offsetsTopic)
	if !ok {
		return nil, catalog.ErrNoTopic
	}
	return t, nil
}

// lead tells the coordinator which partitions this broker leads: none while it has no
// lease (S13).
func (g *groups) lead() {
	g.leading.Lock()
	defer g.leading.Unlock()
	t, ok := g.b.journal.State().TopicNamed(offsetsTopic)
	if !ok {
		return
	}
	var led []coord.Led
	for i, p := range t.Partitions {
		if pr, ok := g.b.pump.Progress(p.ID); ok && g.b.lease.held() {
			led = append(led, coord.Led{Partition: int32(i), Epoch: pr.Epoch})
		}
	}
	g.Own(int32(len(t.Partitions)), led)
}

// FetchOffsets implements kafka.Offsets. Who was stopped for long and goes on may be asked
// before lead has told the coordinator that the lease is over.
func (g *groups) FetchOffsets(ctx context.Context, r *group.FetchRequest) (group.FetchResponse, error) {
	if !g.b.lease.held() {
		return group.FetchResponse{}, group.ErrNotCoordinator
	}
	return g.coordinator.FetchOffsets(ctx, r)
}

// List implements kafka.GroupAdmin. Without a lease nobody may lead the groups that were
// led here: that there are none would be wrong. Lead may not have been told yet that the
// lease is held again.
func (g *groups) List(ctx context.Context, states []string) ([]group.Listed, error) {
	if !g.b.lease.held() {
		return nil, group.ErrNotAvailable
	}
	g.lead()
	return g.coordinator.List(ctx, states)
}

// groupConfig are the limits of groups as they are set now.
func (b *Broker) groupConfig() group.Config {
	return group.Config{
		MinSessionMs: b.values.Int("group.min.session.timeout.ms"), MaxSessionMs: b.values.Int("group.max.session.timeout.ms"),
		InitialDelayMs: b.values.Int("group.initial.rebalance.delay.ms"), MaxSize: int(b.values.Int("group.max.size")),
		MetadataMax: int(b.values.Int("offset.metadata.max.bytes")), RetentionMs: b.values.Int("offsets.retention.minutes") * 60000,
		CheckMs: b.values.Int("offsets.retention.check.interval.ms"),
	}
}

// offsetsLog is coord.Log on the write path and the tiers.
type offsetsLog struct{ b *Broker }

func (l offsetsLog) partition(i int32) (record.Partition, error) {
	t, ok := l.b.journal.State().TopicNamed(offsetsTopic)
	if !ok || int(i) >= len(t.Partitions) {
		return record.Partition{}, catalog.ErrNoPartition
	}
	return t.Partitions[i].ID, nil
}

// Append implements coord.Log. It has no time limit: a batch that is appended arrives, as
// late as it may be, unless the session ends.
func (l offsetsLog) Append(ctx context.Context, i int32, batch []byte) error {
	p, err := l.partition(i)
	if err != nil {
		return err
	}
	h, err := record.ParseHeader(batch)
	if err != nil {
		return err
	}
	r := &pump.Request{Request: ingest.Request{
		Acks: ingest.AcksAll, Items: []ingest.Item{{Partition: p, Batch: batch, Header: h}},
	}}
	if err := l.b.pump.Produce(ctx, r); err != nil {
		return err
	}
	select {
	case <-r.Done():
		return r.Results[0].Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Read implements coord.Log.
func (l offsetsLog) Read(ctx context.Context, i int32, fn func(batch []byte) error) error {
	p, err := l.partition(i)
	if err != nil {
		return err
	}
	pr, ok := l.b.pump.Progress(p)
	if !ok {
		return kafka.ErrNotLeader
	}
	c, ok := l.b.journal.State().Partition(p)
	if !ok {
		return catalog.ErrNoPartition
	}
	for at := max(pr.LogStart, c.LogStart); at < pr.HighWatermark; {
		b, err := l.b.tiers.Read(ctx, p, at, pr.HighWatermark, 4<<20)
		if err != nil {
			return err
		}
		next := b.Next
		for _, v := range b.Views {
			for len(v) > 0 && err == nil {
				var batch []byte
				if _, batch, v, err = record.Next(v); err == nil {
					err = fn(batch)
				}
			}
		}
		b.Release()
		if err != nil {
			return err
		}
		if next <= at {
			return fmt.Errorf("read %s at %d: nothing there", p, at)
		}
		at = next
	}
	return nil
}
