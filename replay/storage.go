package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/tier/cold"
)

// Amount is how much lies somewhere.
type Amount struct {
	Runs  int64 `json:"runs"`
	Bytes int64 `json:"bytes"`
}

func (a *Amount) add(n, bytes int64) { a.Runs += n; a.Bytes += bytes }

// Storage is where the records of a partition lie.
type Storage struct {
	Partition int32 `json:"partition"`
	LogStart  int64 `json:"log_start"`
	End       int64 `json:"end"`
	// Session owns the partition; 0 for none. Node is its broker. Only it may hold
	// records in a hot tier, as copies.
	Session uint64 `json:"session,omitempty"`
	Node    int32  `json:"node,omitempty"`

	Unrecorded Amount `json:"unrecorded"` // in WAL objects that the catalog does not know yet
	WAL        Amount `json:"wal"`        // in WAL objects that it does
	Shared     Amount `json:"sealed"`     // in sealed objects that other partitions are in, too
	Own        Amount `json:"segments"`   // in objects of this partition alone
	Pressed    Amount `json:"pressed"`    // of Own: what index objects list

	// LastUpload is when the object with the newest records was written; zero when
	// there is none.
	LastUpload time.Time `json:"last_upload,omitzero"`
}

// Storage says where the records of each partition lie. It asks for the age of one
// object of each.
func (h *History) Storage(ctx context.Context, partitions []int32) ([]Storage, error) {
	v := h.seen.Load()
	if len(partitions) == 0 {
		for _, p := range v.topic.Partitions {
			partitions = append(partitions, p.ID.Index)
		}
	}
	var out []Storage
	for _, i := range partitions {
		p, err := v.partition(i)
		if err != nil {
			return nil, err
		}
		if err := v.torn[p.Owner]; err != nil {
			return nil, err
		}
		s := Storage{Partition: i, LogStart: p.LogStart, End: v.end(p)}
		if o, ok := v.state.Session(p.Owner); ok && !o.Sealed {
			s.Session, s.Node = o.ID, o.Node
		}
		here := map[catalog.ObjectRef]int{}
		for _, e := range p.Extents {
			here[e.Object]++
		}
		var last catalog.ObjectRef
		for _, x := range p.Index {
			s.Own.add(int64(x.Extents), x.Bytes)
			s.Pressed.add(int64(x.Extents), x.Bytes)
			last = x.Object
		}
		for _, e := range p.Extents {
			last = e.Object
			switch {
			case e.Object.Kind == catalog.KindWAL:
				s.WAL.add(1, e.Len)
			case v.state.Refs(e.Object) > here[e.Object]:
				s.Shared.add(1, e.Len)
			default:
				s.Own.add(1, e.Len)
			}
		}
		for _, e := range v.tails[i] {
			s.Unrecorded.add(1, e.Len)
			last = e.Object
		}
		if !last.IsZero() {
			info, err := h.store.Stat(ctx, last.Name())
			switch {
			case err == nil:
				s.LastUpload = info.Modified
			case !errors.Is(err, cold.ErrNotFound): // replaced since the catalog was read
				return nil, fmt.Errorf("stat %s: %w", last, err)
			}
		}
		out = append(out, s)
	}
	return out, nil
}
