package salvage

import (
	"cmp"
	"errors"
	"slices"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/object"
)

// Held is a batch of a slot that the disk of the slot's broker still has.
type Held struct {
	Partition  record.Partition
	Epoch      int32
	Base, Next int64
	Batch      []byte // nil: it is damaged
}

// errHeld says that batches are not those of one slot.
var errHeld = errors.New("the batches on the broker's disk do not follow each other")

// stretches makes runs of the batches of a slot: of those that follow each other and are
// whole, and of those that are not, which are lost.
func stretches(held []Held) ([]piece, error) {
	held = slices.Clone(held)
	slices.SortStableFunc(held, func(a, b Held) int {
		return cmp.Or(a.Partition.Compare(b.Partition), cmp.Compare(a.Base, b.Base))
	})
	var out []piece
	for i, x := range held {
		h, err := record.CheckStored(x.Batch)
		whole := err == nil && h.BaseOffset == x.Base && h.NextOffset() == x.Next && h.LeaderEpoch == x.Epoch
		var p *piece
		if n := len(out); i > 0 && held[i-1].Partition == x.Partition {
			if held[i-1].Next != x.Base {
				return nil, errHeld
			}
			if p = &out[n-1]; (p.run != nil) != whole || p.Epoch != x.Epoch {
				p = nil
			}
		}
		if x.Next <= x.Base {
			return nil, errHeld
		}
		if p == nil {
			out = append(out, piece{Located: catalog.Located{Partition: x.Partition, Extent: catalog.Extent{Base: x.Base, Epoch: x.Epoch, MaxTimestamp: -1}}})
			if p = &out[len(out)-1]; whole {
				p.run = &object.Run{Partition: x.Partition, Epoch: x.Epoch, Base: x.Base, MaxTimestamp: -1}
			}
		}
		p.Next = x.Next
		if !whole {
			continue
		}
		p.bytes, p.sent = append(p.bytes, x.Batch...), append(p.sent, h)
		r := p.run
		r.CRC, r.Len, r.Next = record.Extend(r.CRC, x.Batch), int64(len(p.bytes)), x.Next
		if r.Records += int64(h.NumRecords); h.NumRecords > 0 {
			r.MaxTimestamp = max(r.MaxTimestamp, h.MaxTimestamp)
		}
		p.Records, p.MaxTimestamp, p.Len, p.CRC = r.Records, r.MaxTimestamp, r.Len, r.CRC
	}
	return out, nil
}

// remembered is how many batches of a producer a footer names.
const remembered = 5

// appended is what is known of producers behind batches (ingest.Producers decides by it).
func appended(before []object.Producer, sent []record.Header, nowMs int64) []object.Producer {
	all := slices.Clone(before)
	for _, h := range sent {
		if h.ProducerID < 0 {
			continue
		}
		i := slices.IndexFunc(all, func(p object.Producer) bool { return p.ID == h.ProducerID })
		if i < 0 {
			i, all = len(all), append(all, object.Producer{ID: h.ProducerID, Epoch: h.ProducerEpoch, TxnStart: -1})
		}
		p := all[i]
		if p.Epoch != h.ProducerEpoch {
			p.Epoch, p.Batches = h.ProducerEpoch, nil
		}
		p.TimestampMs = nowMs
		switch {
		case h.Control():
			p.TxnStart = -1
		default:
			p.Batches = append(slices.Clone(p.Batches), object.Produced{FirstSequence: h.BaseSequence, LastSequence: h.LastSequence(), Base: h.BaseOffset, Last: h.LastOffset()})
			p.Batches = p.Batches[max(0, len(p.Batches)-remembered):]
			if h.Transactional() && p.TxnStart < 0 {
				p.TxnStart = h.BaseOffset
			}
		}
		all = append(slices.Delete(all, i, i+1), p) // in the order of last use
	}
	return all
}
