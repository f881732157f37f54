package pump

import (
	"slices"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/tier/object"
)

// encoded is a slot as an object: the segments refer to the batches where they
// lie, extents are its runs in the order of the slot's parts.
type encoded struct {
	segments [][]byte
	size     int64
	extents  []catalog.Extent
}

// encode makes a slot's object. It is made once, so that every attempt sends the
// same bytes (S2).
func encode(s *ingest.Slot, session Session, now time.Time) (*encoded, error) {
	order := make([]int, len(s.Parts))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return s.Parts[a].Partition.Compare(s.Parts[b].Partition) })
	e := object.NewEncoder(object.Header{Kind: object.WAL, Session: session.ID, Slot: s.Seq, Nonce: session.Nonce}, now.UnixMilli(), nil)
	for _, i := range order {
		p := &s.Parts[i]
		e.Begin(p.Partition, p.Epoch, p.Base)
		for j := range p.Batches {
			e.Append(p.Batches[j].Header, p.Batches[j].Bytes)
		}
		if len(p.Producers) > 0 {
			e.Producers(ProducersOut(p.Producers))
		}
		if p.Complete {
			e.Complete()
		}
	}
	runs, err := e.Finish()
	if err != nil {
		return nil, err
	}
	o := &encoded{segments: e.Segments(), size: e.Size(), extents: make([]catalog.Extent, len(s.Parts))}
	ref := catalog.WAL(session.ID, s.Seq)
	for k, i := range order {
		o.extents[i] = Extent(&runs[k], ref)
	}
	return o, nil
}

// Extent is the catalog's line for a run of an object.
func Extent(r *object.Run, ref catalog.ObjectRef) catalog.Extent {
	return catalog.Extent{
		Base: r.Base, Next: r.Next, Epoch: r.Epoch, Object: ref, Pos: r.Pos, Len: r.Len,
		MaxTimestamp: r.MaxTimestamp, CRC: r.CRC, Records: r.Records,
	}
}

// ProducersOut is what a footer says of producers.
func ProducersOut(in []ingest.Producer) []object.Producer {
	out := make([]object.Producer, len(in))
	for i := range in {
		p := &in[i]
		out[i] = object.Producer{ID: p.ID, Epoch: p.Epoch, TimestampMs: p.LastMs, TxnStart: p.TxnStart}
		for _, s := range p.Sent() {
			out[i].Batches = append(out[i].Batches, object.Produced{
				FirstSequence: s.FirstSeq, LastSequence: s.LastSeq, Base: s.Base, Last: s.Last,
			})
		}
	}
	return out
}

// ProducersIn is what ingest makes of a footer's producers. Of more than five
// batches the newest count.
func ProducersIn(in []object.Producer) []ingest.Producer {
	out := make([]ingest.Producer, len(in))
	for i := range in {
		p := &in[i]
		out[i] = ingest.Producer{ID: p.ID, Epoch: p.Epoch, LastMs: p.TimestampMs, TxnStart: p.TxnStart}
		for _, b := range p.Batches[max(0, len(p.Batches)-ingest.WindowBatches):] {
			out[i].Window[out[i].N] = ingest.Sent{FirstSeq: b.FirstSequence, LastSeq: b.LastSequence, Base: b.Base, Last: b.Last}
			out[i].N++
		}
	}
	return out
}

// owner says whose object was found in a slot of a session.
func owner(found []byte, s Session, slot uint64) ingest.Owner {
	h, err := object.ParseHeader(found)
	if err != nil {
		return ingest.Stranger
	}
	return ownerOf(h, s, slot)
}

// ownerOf is owner of an object with this header. Ours says that it is data of
// the session, whether it is what somebody wanted to put or not.
func ownerOf(h object.Header, s Session, slot uint64) ingest.Owner {
	switch {
	case h.Session != s.ID || h.Slot != slot || h.Nonce != s.Nonce:
		return ingest.Stranger
	case h.Kind == object.Fence:
		return ingest.AFence
	case h.Kind == object.WAL:
		return ingest.Ours
	}
	return ingest.Stranger
}
