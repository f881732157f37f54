package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
)

// Location is where an offset lies.
type Location struct {
	Partition record.Partition
	Offset    int64
	catalog.Extent
	// Index is the index object that lists the extent; zero when the catalog does
	// itself.
	Index catalog.ObjectRef
	// Unrecorded says that the catalog does not know the extent yet: it lies in a
	// slot above its session's covered mark.
	Unrecorded bool
}

// ErrNotInLog says that an offset is not in a log: retention took it, or it is not
// committed yet.
var ErrNotInLog = errors.New("offset is not in the log")

// Locate finds the run that holds an offset, as of the last Refresh.
func (h *History) Locate(ctx context.Context, partition int32, offset int64) (Location, error) {
	v := h.seen.Load()
	p, err := v.partition(partition)
	if err != nil {
		return Location{}, err
	}
	if err := v.torn[p.Owner]; err != nil && offset >= v.end(p) {
		return Location{}, err
	}
	if end := v.end(p); offset < p.LogStart || offset >= end {
		return Location{}, fmt.Errorf("%w: %s partition %d holds [%d, %d), not %d", ErrNotInLog, h.name, partition, p.LogStart, end, offset)
	}
	l := Location{Partition: p.ID, Offset: offset, Unrecorded: offset >= p.Next}
	if place, ok := v.place(p, offset); ok && len(place.Extents) == 0 {
		l.Index = place.Index.Object
	}
	l.Extent, err = h.extent(ctx, v, p, offset)
	return l, err
}

// Origin is what the journal says of how an object came into the catalog.
type Origin struct {
	// Entries are those whose commands list the object, oldest first: more than one
	// when its runs were recorded in parts, or a command was refused and given again.
	Entries []uint64 `json:"entries"`
	// Before, when not 0, is the oldest entry that is left: older ones, which may
	// have listed the object, were collected.
	Before uint64 `json:"before,omitempty"`
}

// FindOrigin searches the journal, as far as the state was read, for the entries
// that list an object; with a partition, runs of it in the object. It begins where
// the object's session or job was registered.
func FindOrigin(ctx context.Context, store cold.Store, s *catalog.State, ref catalog.ObjectRef, only *record.Partition) (Origin, error) {
	low, oldest := journal.Needs(ref), s.Number()+1
	var numbers []uint64 // a journal that was begun anew leaves many out
	for info, err := range store.List(ctx, journal.PrefixEntries, "") {
		if err != nil {
			return Origin{}, fmt.Errorf("list the journal: %w", err)
		}
		n, err := strconv.ParseUint(strings.TrimPrefix(info.Name, journal.PrefixEntries), 10, 64)
		if err != nil || n > s.Number() {
			continue
		}
		if oldest = min(oldest, n); n >= low {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	var out Origin
	if oldest > low {
		out.Before = oldest
	}
	for some := range slices.Chunk(numbers, 16) {
		hits := make([]bool, len(some))
		g, gctx := errgroup.WithContext(ctx)
		for i, n := range some {
			g.Go(func() error {
				e, err := journal.ReadEntry(gctx, store, n)
				if errors.Is(err, cold.ErrNotFound) || errors.Is(err, catalog.ErrCorrupt) {
					return nil // collected meanwhile; or a recovery passed over it
				}
				for _, c := range e.Commands {
					hits[i] = hits[i] || lists(c, ref, only)
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return out, err
		}
		for i, hit := range hits {
			if hit {
				out.Entries = append(out.Entries, some[i])
			}
		}
	}
	if len(out.Entries) > 0 {
		out.Before = 0
	}
	return out, nil
}

// lists reports whether a command puts an object into the catalog.
func lists(c catalog.Command, ref catalog.ObjectRef, only *record.Partition) bool {
	var xs []catalog.Located
	switch c := c.(type) {
	case *catalog.Cover:
		xs = c.Extents
	case *catalog.SealSession:
		xs = c.Extents
	case *catalog.Release:
		xs = c.Extents
	case *catalog.Move:
		xs = c.Extents
	case *catalog.GiveUp:
		xs = c.Fillers
	case *catalog.CommitJob:
		xs = c.Extents
		for _, p := range c.Presses {
			if p.Line.Object == ref && (only == nil || *only == p.Partition) {
				return true
			}
		}
	}
	for _, x := range xs {
		if x.Object == ref && (only == nil || *only == x.Partition) {
			return true
		}
	}
	return false
}
