package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/kafka"
	"github.com/firnlog/firn/record"
)

// log is kafka.Log on the pump and the tiers.
type log struct {
	pump  *pump.Pump
	read  reader
	lease lease
	// settle returns when it is known whether partitions are led here.
	settle func(ctx context.Context, ps ...record.Partition)
	// leads reports whether this broker is known to have led a partition under an epoch
	// when it was called.
	leads func(ctx context.Context, p record.Partition, epoch int32) bool
	// appended and fetched count what clients write and read, by topic.
	appended, fetched func(topic record.TopicID, records, bytes int64)
}

var _ kafka.Log = (*log)(nil)

// reader finds committed batches wherever they are cheapest to get.
type reader interface {
	Read(ctx context.Context, r kafka.Read) (kafka.Batches, error)
}

// Append implements kafka.Log.
func (l *log) Append(ctx context.Context, a kafka.Append) (kafka.Appending, error) {
	if !l.lease.held() {
		if a.Frame != nil {
			a.Frame.Release()
		}
		return nil, fmt.Errorf("%w: %s", kafka.ErrNotLeader, l.lease.why())
	}
	r := &pump.Request{Request: ingest.Request{Acks: ingest.Acks(a.Acks), Timeout: a.Timeout, Items: make([]ingest.Item, len(a.Items))}}
	if a.Frame != nil {
		r.Frame = a.Frame
	}
	for i, it := range a.Items {
		if _, led := l.pump.Progress(it.Partition); !led {
			l.settle(ctx, partitionsOf(a.Items[i:])...)
			break
		}
	}
	for i, it := range a.Items {
		l.appended(it.Partition.Topic, int64(it.Header.NumRecords), int64(len(it.Batch)))
		r.Items[i] = ingest.Item{Partition: it.Partition, Batch: it.Batch, Header: it.Header}
	}
	if err := l.pump.Produce(ctx, r); err != nil {
		return nil, wireError(err)
	}
	return &appending{r, l.leads}, nil
}

func partitionsOf(items []kafka.Item) []record.Partition {
	ps := make([]record.Partition, len(items))
	for i := range items {
		ps[i] = items[i].Partition
	}
	return ps
}

// Settle implements kafka.Log.
func (l *log) Settle(ctx context.Context, ps []record.Partition) {
	if l.lease.held() {
		l.settle(ctx, ps...)
	}
}

// appending is kafka.Appending on a request of the pump.
type appending struct {
	*pump.Request
	leads func(ctx context.Context, p record.Partition, epoch int32) bool
}

// Wait implements kafka.Appending.
//
// That a sequence is out of order ends some producers. A broker that was deposed and has
// not heard of it does not know what the new leader was sent: it makes sure first, of all
// batches together for no longer than settleWait, since others wait behind the answer.
func (a *appending) Wait(ctx context.Context) ([]kafka.Appended, error) {
	select {
	case <-a.Done():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	out := make([]kafka.Appended, len(a.Results))
	if slices.ContainsFunc(a.Results, outOfOrder) {
		var done context.CancelFunc
		ctx, done = context.WithTimeout(ctx, settleWait)
		defer done()
	}
	for i, x := range a.Results {
		if outOfOrder(x) && !a.leads(ctx, a.Items[i].Partition, x.Epoch) {
			x.Err = fmt.Errorf("%w: perhaps not any more", ingest.ErrNotLeader)
		}
		out[i] = kafka.Appended{Base: x.Base, LogAppendTime: x.LogAppendTime, LogStart: x.LogStart, Err: wireError(x.Err)}
	}
	return out, nil
}

func outOfOrder(r ingest.Result) bool { return errors.Is(r.Err, ingest.ErrOutOfOrderSequence) }

// Progress implements kafka.Log.
func (l *log) Progress(p record.Partition) (kafka.Progress, bool) {
	x, ok := l.pump.Progress(p)
	return kafka.Progress(x), ok && l.lease.held()
}

// Watch implements kafka.Log.
func (l *log) Watch(ps []record.Partition) kafka.Watch { return l.pump.Watch(ps...) }

// Read implements kafka.Log.
func (l *log) Read(ctx context.Context, r kafka.Read) (kafka.Batches, error) {
	if !l.lease.held() {
		return kafka.Batches{}, fmt.Errorf("%w: %s", kafka.ErrNotLeader, l.lease.why())
	}
	b, err := l.read.Read(ctx, r)
	if n := b.Next - r.From; n > 0 {
		size := 0
		for _, v := range b.Bytes {
			size += len(v)
		}
		l.fetched(r.Partition.Topic, n, int64(size))
	}
	return b, wireError(err)
}

// wireError translates what the write path and the catalog fail with into what
// package kafka has codes for.
func wireError(err error) error {
	for _, t := range []struct{ from, to error }{
		{ingest.ErrNotLeader, kafka.ErrNotLeader},
		{ingest.ErrTimedOut, kafka.ErrTimedOut},
		{ingest.ErrOutOfOrderSequence, kafka.ErrOutOfOrderSequence},
		{ingest.ErrInvalidProducerEpoch, kafka.ErrProducerEpoch},
		{ingest.ErrInvalidTxnState, kafka.ErrInvalidTxnState},
		{pump.ErrClosed, kafka.ErrClosing},
		{pump.ErrSession, kafka.ErrNotLeader},
		{journal.ErrClosed, kafka.ErrClosing},
	} {
		if err != nil && errors.Is(err, t.from) {
			return fmt.Errorf("%w: %w", t.to, err)
		}
	}
	return err
}

// cluster is kafka.Cluster: what the catalog and, with several brokers, gossip say.
type cluster struct {
	journal *journal.Journal
	self    int32
	brokers func(listener string) []kafka.Broker
	hear    func(ctx context.Context)
}

var _ kafka.Cluster = (*cluster)(nil)

// State implements kafka.Cluster.
func (c *cluster) State() *catalog.State { return c.journal.State() }

// Hear implements kafka.Cluster.
func (c *cluster) Hear(ctx context.Context) { c.hear(ctx) }

// Self implements kafka.Cluster.
func (c *cluster) Self() int32 { return c.self }

// Brokers implements kafka.Cluster.
func (c *cluster) Brokers(listener string) []kafka.Broker { return c.brokers(listener) }
