package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/kafka"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier"
	"github.com/firnlog/firn/tier/hot"
)

// locator is tier.Locator: the catalog's extents, and behind them those of
// committed slots that it does not describe yet.
type locator struct {
	journal *journal.Journal
	pump    *pump.Pump
}

// Extents implements tier.Locator.
func (l locator) Extents(p record.Partition, offset int64) (tier.Place, bool) {
	recent := l.pump.Recent(p, offset) // before the state, so that nothing is missed
	c, ok := l.journal.State().Partition(p)
	if !ok {
		return tier.Place{}, false
	}
	if offset < c.Next {
		return tier.In(c, offset)
	}
	for len(recent) > 0 && recent[0].Next <= offset {
		recent = recent[1:]
	}
	if len(recent) == 0 || recent[0].Base > offset {
		return tier.Place{}, false
	}
	return tier.Place{Extents: recent}, true
}

// epoch is tier.ReaderOptions.Epoch.
func (l locator) epoch(p record.Partition, offset int64) (epoch int32, until int64, ok bool) {
	c, ok := l.journal.State().Partition(p)
	if !ok {
		return 0, offset, false
	}
	return c.EpochAt(offset)
}

// starts is reads.starts.
func (l locator) starts(p record.Partition) (int64, bool) {
	c, ok := l.journal.State().Partition(p)
	if !ok {
		return 0, false
	}
	return c.LogStart, true
}

// tail feeds the tail cache with what the pump commits.
type tail struct {
	cache   *tier.Tail
	scratch []tier.Batch // of the pump's loop, the only caller
}

// Add implements pump.Tail.
func (t *tail) Add(p record.Partition, batches []pump.Batch) {
	t.scratch = t.scratch[:0]
	for _, b := range batches {
		x := tier.Batch{Base: b.Base, Next: b.Next, Epoch: b.Epoch, MaxTimestamp: b.MaxTimestamp, Bytes: b.Bytes}
		if b.Frame != nil {
			x.Frame = b.Frame
		}
		t.scratch = append(t.scratch, x)
	}
	t.cache.Add(p, t.scratch)
	clear(t.scratch)
}

// reads is how the wire reads committed batches.
type reads struct {
	tiers *tier.Reader
	// starts is where a log begins, by the newest state; false when there is no such log.
	starts func(p record.Partition) (int64, bool)
	// cold is told of bytes that came from the bucket.
	cold func(topic record.TopicID, bytes int64)
}

// Read implements reader.
func (r reads) Read(ctx context.Context, q kafka.Read) (kafka.Batches, error) {
	b, err := r.tiers.Read(ctx, q.Partition, q.From, q.End, q.MaxBytes)
	switch {
	case errors.Is(err, tier.ErrNowhere):
		return kafka.Batches{}, fmt.Errorf("%w: %w", r.nowhere(q), err)
	case err != nil:
		return kafka.Batches{}, fmt.Errorf("%w: %w", kafka.ErrStorage, err)
	case b.Bytes > q.MaxBytes && !q.Whole, b.Bytes == 0:
		b.Release()
		return kafka.Batches{Next: q.From}, nil
	}
	if n := b.FromBucket(); n > 0 {
		r.cold(q.Partition.Topic, n)
	}
	return kafka.Batches{Bytes: b.Views, Next: b.Next, Release: b.Release}, nil
}

// nowhere is why nothing is known of an offset that was in the log when the client was
// told how far it goes. Retention may have taken it since. Or a fence has ended the session
// and with it what was known of its slots, which the catalog does not describe yet: the
// records are there, and a consumer that heard OFFSET_OUT_OF_RANGE would pass over them.
func (r reads) nowhere(q kafka.Read) error {
	if start, ok := r.starts(q.Partition); ok && q.From < start {
		return kafka.ErrOutOfRange
	}
	return kafka.ErrNotLeader
}

// history is kafka.History.
type history struct {
	journal *journal.Journal
	pump    *pump.Pump
	hot     *hot.Tier // may be nil
	tiers   *tier.Reader
	lease   lease
}

var _ kafka.History = (*history)(nil)

// look returns what is known of a partition that this broker leads.
func (h *history) look(p record.Partition) (kafka.Progress, *catalog.Partition, error) {
	pr, led := h.pump.Progress(p)
	c, ok := h.journal.State().Partition(p)
	if !led || !ok || !h.lease.held() {
		return kafka.Progress{}, nil, kafka.ErrNotLeader
	}
	pr.LogStart = max(pr.LogStart, c.LogStart)
	return kafka.Progress(pr), c, nil
}

// Find implements kafka.History.
func (h *history) Find(ctx context.Context, p record.Partition, f kafka.Find) (kafka.Found, error) {
	none := kafka.Found{Offset: -1, Timestamp: -1, Epoch: -1}
	pr, c, err := h.look(p)
	if err != nil {
		return none, err
	}
	var found tier.Found
	var ok bool
	switch f.Kind {
	case kafka.EarliestLocal:
		at := f.End
		if h.hot != nil {
			for _, s := range h.hot.Spans(p) {
				at = min(at, s.From)
			}
		}
		return offsetAt(c, max(at, pr.LogStart)), nil
	case kafka.LatestTiered:
		return offsetAt(c, min(c.Next, f.End)-1), nil
	case kafka.EarliestPendingSealed:
		return offsetAt(c, max(min(c.Next, f.End), pr.LogStart)), nil
	case kafka.MaxTimestamp:
		found, ok, err = h.tiers.MaxAt(ctx, p, pr.LogStart, f.End)
	default:
		found, ok, err = h.tiers.FirstAt(ctx, p, pr.LogStart, f.End, f.Time)
	}
	if err != nil {
		return none, fmt.Errorf("%w: %w", kafka.ErrStorage, err)
	}
	if !ok {
		return none, nil
	}
	x := offsetAt(c, found.Offset)
	x.Timestamp = found.Timestamp
	return x, nil
}

// offsetAt is an offset with the leader epoch that it was written under.
func offsetAt(c *catalog.Partition, offset int64) kafka.Found {
	f := kafka.Found{Offset: offset, Timestamp: -1, Epoch: -1}
	if e, _, ok := c.EpochAt(offset); ok {
		f.Epoch = e
	}
	return f
}

// EpochEnd implements kafka.History.
func (h *history) EpochEnd(_ context.Context, p record.Partition, epoch int32) (int32, int64, error) {
	pr, c, err := h.look(p)
	if err != nil {
		return -1, -1, err
	}
	e, end := c.EpochEnd(epoch, pr.HighWatermark)
	return e, end, nil
}

// Trim implements kafka.History.
func (h *history) Trim(ctx context.Context, p record.Partition, offset int64) (int64, error) {
	r, err := h.journal.Commit(ctx, &catalog.Trim{Items: []catalog.TrimItem{{Partition: p, LogStart: offset}}})
	if err == nil {
		err = r[0].Item(0)
	}
	if err != nil {
		return -1, fmt.Errorf("trim: %w", wireError(err))
	}
	if c, ok := h.journal.State().Partition(p); ok {
		offset = max(offset, c.LogStart)
	}
	return offset, wireError(h.pump.Trim(ctx, p, offset))
}
