package replay

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/firnlog/firn/record"
)

// Record is one record. Its bytes and headers belong to the History and are valid
// until the function that was given it returns.
type Record struct {
	Partition int32
	Offset    int64
	Timestamp int64  // Unix milliseconds
	Key       []byte // nil when null
	Value     []byte // nil when null
	Headers   []record.KeyValue
}

// How to replay.
type How struct {
	// Committed leaves out what was aborted. The spans should come from a Choice
	// with Committed.
	Committed bool
	// Speed is how much faster than it was written history is delivered: 1 keeps
	// the distances of the timestamps. 0 is as fast as it can be read.
	Speed float64
}

// Result is what a replay came to.
type Result struct {
	Records int64 `json:"records"`
	Gets    int64 `json:"gets"`    // for data; those for the catalog are not counted
	Fetched int64 `json:"fetched"` // bytes that they brought
	// Lost are offsets that retention took away before they were read.
	Lost []Span `json:"lost,omitempty"`
}

// Replay delivers the records of the spans to visit, by one goroutine at a time
// (H1 to H5). It returns when all are delivered, at the first error, visit's among
// them, or when ctx ends.
func (h *History) Replay(ctx context.Context, spans []Span, how How, visit func(*Record) error) (Result, error) {
	var open []Span
	for _, s := range spans {
		if s.From < s.To {
			open = append(open, s)
		}
	}
	var res Result
	if len(open) == 0 {
		return res, nil
	}
	r := h.reader(h.memory * 3 / 4)
	share := int(min(max(h.memory/4/int64(2*len(open)), 16<<10), 1<<20))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.Run(gctx) })
	streams := make([]*stream, len(open))
	for i, s := range open {
		streams[i] = &stream{history: h, reader: r, span: s, share: share, committed: how.Committed, parts: make(chan part)}
		g.Go(func() error { return streams[i].run(gctx) })
	}
	m := &merger{streams: streams, pace: pace{speed: how.Speed}}
	g.Go(func() error {
		defer cancel() // reading ahead ends with it
		return m.run(gctx, visit)
	})
	err := g.Wait()
	stats := r.Stats()
	res.Records, res.Gets, res.Fetched = m.records, stats.Gets, stats.Fetched
	for _, s := range streams {
		res.Lost = append(res.Lost, s.lost...)
	}
	return res, err
}

// pace holds records back until it is their time.
type pace struct {
	speed float64
	began time.Time
	first int64
}

func (p *pace) wait(ctx context.Context, ms int64) error {
	if p.speed <= 0 {
		return nil
	}
	if p.began.IsZero() {
		p.began, p.first = time.Now(), ms
	}
	d := time.Until(p.began.Add(time.Duration(float64(ms-p.first) / p.speed * float64(time.Millisecond))))
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
