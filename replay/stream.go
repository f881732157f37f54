package replay

import (
	"context"
	"errors"
	"fmt"

	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier"
)

// part is some whole batches of one partition, back to back, of which the records
// from an offset on are wanted. Its bytes are its own.
type part struct {
	from int64
	data []byte
}

// stream reads one span, a part ahead of the merger.
type stream struct {
	history   *History
	reader    *tier.Reader
	span      Span
	share     int
	committed bool
	parts     chan part // closed at the end of the span

	aborted aborted // set before the first part is sent
	lost    []Span  // the goroutine of run's until it returns

	// The merger's.
	from  int64  // of the part
	rest  []byte // batches that were not begun
	batch record.Header
	dec   *record.Decoder
	it    record.Records
	in    bool // within a batch
}

// run reads the span to its end.
func (s *stream) run(ctx context.Context) error {
	if s.committed {
		var err error
		if s.aborted, err = s.history.abortedIn(ctx, s.span); err != nil {
			return err
		}
	}
	at, missed := s.span.From, int64(-1)
	for at < s.span.To {
		v := s.history.seen.Load()
		p, err := v.partition(s.span.Partition)
		if err != nil {
			return err
		}
		if at < p.LogStart {
			s.lost = append(s.lost, Span{s.span.Partition, at, min(p.LogStart, s.span.To)})
			at = p.LogStart
			continue
		}
		b, err := s.reader.Read(ctx, p.ID, at, v.upto(p, s.span.To), s.share)
		switch {
		case errors.Is(err, tier.ErrGone) || errors.Is(err, tier.ErrNowhere):
			// H4: replaced or deleted since the catalog was read. What the newest
			// one still refers to is missing.
			entry := v.state.Number()
			if err := s.history.refresh(ctx, v); err != nil {
				return err
			}
			if missed == at && s.history.Entry() == entry {
				return fmt.Errorf("%w: %w", ErrMissing, err)
			}
			missed = at
			continue
		case err != nil:
			return err
		case len(b.Views) == 0 && s.history.seen.Load() != v:
			continue // the runs are others by now
		case len(b.Views) == 0 && v.torn[p.Owner] != nil:
			return v.torn[p.Owner]
		case len(b.Views) == 0:
			return fmt.Errorf("%w: %s: no batch at offset %d", ErrDamaged, p.ID, at)
		}
		data := make([]byte, 0, b.Bytes)
		for _, view := range b.Views {
			data = append(data, view...)
		}
		x := part{at, data}
		at = b.Next
		b.Release() // the cache's memory is not ours to sit on
		select {
		case s.parts <- x:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	close(s.parts)
	return nil
}

// next moves to the next record that is to be delivered; false at the end of the
// span.
func (s *stream) next(ctx context.Context) (bool, error) {
	for {
		for s.in && s.it.Next() {
			if o := s.it.Offset(); o >= s.from && o < s.span.To {
				return true, nil
			}
		}
		if s.in {
			if err := s.it.Err(); err != nil {
				return false, fmt.Errorf("partition %d, batch at offset %d: %w", s.span.Partition, s.batch.BaseOffset, err)
			}
			s.in = false
		}
		if len(s.rest) == 0 {
			select {
			case p, ok := <-s.parts:
				if !ok {
					return false, nil
				}
				s.from, s.rest = p.from, p.data
			case <-ctx.Done():
				return false, ctx.Err()
			}
		}
		h, batch, rest, err := record.Next(s.rest)
		if err != nil {
			return false, fmt.Errorf("partition %d: %w", s.span.Partition, err)
		}
		s.rest = rest
		if h.Control() || s.committed && h.Transactional() && s.aborted.covers(h.ProducerID, h.BaseOffset) {
			continue
		}
		s.batch, s.it, s.in = h, record.Iterate(h, batch, s.dec), true
	}
}
