package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/kafka"
	"github.com/firnlog/firn/record"
)

// topics is kafka.Topics on the journal.
type topics struct {
	journal *journal.Journal
	// owners chooses the sessions that own new partitions from the start.
	owners func([]wanted) [][]uint64
	// settle waits until this broker serves what the state gives it.
	settle func(ctx context.Context) error
}

var _ kafka.Topics = (*topics)(nil)

// newTopicID is a random id (version 4 UUID), as Kafka's are.
func newTopicID() record.TopicID {
	var id record.TopicID
	_, _ = rand.Read(id[:])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// Create implements kafka.Topics.
func (t *topics) Create(ctx context.Context, ts []kafka.NewTopic) []error {
	return t.commit(ctx, t.create(ts, false))
}

// create are the commands that create topics, with owners chosen for all of them
// together.
func (t *topics) create(ts []kafka.NewTopic, internal bool) []catalog.Command {
	cmds := make([]catalog.Command, len(ts))
	want := make([]wanted, len(ts))
	for i, n := range ts {
		want[i] = wanted{newTopicID(), int(n.Partitions)}
	}
	owners := t.owners(want)
	for i, n := range ts {
		cmds[i] = &catalog.CreateTopic{
			Name: n.Name, ID: want[i].topic, Replicas: n.Replicas, Configs: n.Configs, Owners: owners[i], Internal: internal,
		}
	}
	return cmds
}

// Delete implements kafka.Topics.
func (t *topics) Delete(ctx context.Context, ids []record.TopicID) []error {
	cmds := make([]catalog.Command, len(ids))
	for i, id := range ids {
		cmds[i] = &catalog.DeleteTopic{ID: id}
	}
	return t.commit(ctx, cmds)
}

// Grow implements kafka.Topics.
func (t *topics) Grow(ctx context.Context, id record.TopicID, from, add int32) error {
	owners := t.owners([]wanted{{id, int(add)}})[0]
	return t.commit(ctx, []catalog.Command{&catalog.AddPartitions{ID: id, From: from, Owners: owners}})[0]
}

// Alter implements kafka.Topics.
func (t *topics) Alter(ctx context.Context, id record.TopicID, set map[string]*string, replace bool) error {
	return t.commit(ctx, []catalog.Command{&catalog.AlterTopic{ID: id, Replace: replace, Set: set}})[0]
}

// commit commits commands and returns what became of each.
func (t *topics) commit(ctx context.Context, cmds []catalog.Command) []error {
	errs := make([]error, len(cmds))
	results, err := t.journal.Commit(ctx, cmds...)
	if err == nil {
		err = t.settle(ctx)
		// The change is agreed on. Who leaves or was fenced serves nothing: others do.
		if errors.Is(err, pump.ErrSession) {
			err = nil
		}
	}
	for i := range errs {
		if err != nil {
			errs[i] = fmt.Errorf("change the catalog: %w", err)
		} else {
			errs[i] = results[i].Err
		}
	}
	return errs
}

// producerIDs gives out producer ids, a block of the catalog's at a time.
type producerIDs struct {
	journal *journal.Journal
	turn    chan struct{} // cap 1: held by who looks at the block
	next    int64
	end     int64
}

// producerBlock is how many ids one command takes: a restart wastes at most so
// many of 2⁶³.
const producerBlock = 1000

func newProducerIDs(j *journal.Journal) *producerIDs {
	return &producerIDs{journal: j, turn: make(chan struct{}, 1)}
}

// NewID implements kafka.Producers.
func (p *producerIDs) NewID(ctx context.Context) (int64, error) {
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { <-p.turn }()
	if p.next == p.end {
		r, err := p.journal.Commit(ctx, &catalog.ProducerIDs{Count: producerBlock})
		if err != nil {
			return 0, fmt.Errorf("allocate producer ids: %w", err)
		}
		if r[0].Err != nil {
			return 0, fmt.Errorf("allocate producer ids: %w", r[0].Err)
		}
		p.next = int64(r[0].ID)
		p.end = p.next + producerBlock
	}
	p.next++
	return p.next - 1, nil
}
