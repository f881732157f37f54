package replay

import (
	"container/heap"
	"context"

	"github.com/firnlog/firn/record"
)

// merger delivers the records of all streams: of those that come next, the oldest
// (H2).
type merger struct {
	streams []*stream
	pace    pace
	records int64
	heads   heads
}

func (m *merger) run(ctx context.Context, visit func(*Record) error) error {
	for _, s := range m.streams {
		s.dec = record.BorrowDecoder()
		defer s.dec.Return()
	}
	for _, s := range m.streams {
		ok, err := s.next(ctx)
		if err != nil {
			return err
		}
		if ok {
			m.heads = append(m.heads, s)
		}
	}
	heap.Init(&m.heads)
	var r Record
	for len(m.heads) > 0 {
		s := m.heads[0]
		x := s.it.Record
		r = Record{
			Partition: s.span.Partition, Offset: s.it.Offset(), Timestamp: s.it.Timestamp(),
			Key: x.Key, Value: x.Value, Headers: r.Headers[:0],
		}
		x.Headers(func(k string, v []byte) { r.Headers = append(r.Headers, record.KeyValue{Key: k, Value: v}) })
		if err := m.pace.wait(ctx, r.Timestamp); err != nil {
			return err
		}
		if err := visit(&r); err != nil {
			return err
		}
		m.records++
		ok, err := s.next(ctx)
		switch {
		case err != nil:
			return err
		case ok:
			heap.Fix(&m.heads, 0)
		default:
			heap.Pop(&m.heads)
		}
	}
	return ctx.Err()
}

// heads are the streams that have a record, the one with the oldest first.
type heads []*stream

func (h heads) Len() int { return len(h) }
func (h heads) Less(i, j int) bool {
	if a, b := h[i].it.Timestamp(), h[j].it.Timestamp(); a != b {
		return a < b
	}
	return h[i].span.Partition < h[j].span.Partition
}
func (h heads) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *heads) Push(x any)   { *h = append(*h, x.(*stream)) }
func (h *heads) Pop() any {
	s := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return s
}
