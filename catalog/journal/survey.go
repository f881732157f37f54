package journal

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/tier/cold"
)

// PrefixAll is what the names of all objects of the catalog begin with.
const PrefixAll = "catalog/"

// Part is one object of the journal, as a survey found it.
type Part struct {
	cold.Info
	Number uint64
	// Err says why it cannot be used; nil when it can.
	Err error
	// Side is the side object that an entry's commands lie in, if they do.
	Side string
	// Floor and Snapshot are what a boundary names.
	Floor, Snapshot uint64
}

// Survey is every object of the journal, read by itself and not as a chain: what is
// left when the chain is broken. Its lists are in the order of their numbers.
type Survey struct {
	Entries, Snapshots, Boundaries, Sides []Part
	// Others are objects below catalog/ that are none of the journal's.
	Others []cold.Info
}

// Look surveys the journal, reading so many objects at once. Objects that are deleted
// meanwhile are not in it. The error is the store's.
func Look(ctx context.Context, store cold.Store, parallel int) (Survey, error) {
	var s Survey
	kinds := []struct {
		prefix string
		into   *[]Part
		read   func(*Reader, context.Context, *Part) error
	}{
		{PrefixEntries, &s.Entries, surveyEntry}, {PrefixSnapshots, &s.Snapshots, surveySnapshot},
		{PrefixBoundaries, &s.Boundaries, surveyBoundary}, {PrefixSide, &s.Sides, surveySide},
	}
	for info, err := range store.List(ctx, PrefixAll, "") {
		if err != nil {
			return s, fmt.Errorf("list the catalog: %w", err)
		}
		known := false
		for _, k := range kinds {
			n, ok := parseNumber(k.prefix, info.Name)
			if ok = ok || k.prefix == PrefixSide && strings.HasPrefix(info.Name, PrefixSide); ok {
				*k.into, known = append(*k.into, Part{Info: info, Number: n}), true
			}
		}
		if !known {
			s.Others = append(s.Others, info)
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(max(parallel, 1))
	var mu sync.Mutex
	gone := map[*Part]bool{}
	for _, k := range kinds {
		for i := range *k.into {
			p := &(*k.into)[i]
			g.Go(func() error {
				err := k.read(&Reader{store: store}, gctx, p)
				switch {
				case errors.Is(err, cold.ErrNotFound) && p.Side == "":
					mu.Lock()
					gone[p] = true
					mu.Unlock()
				case err == nil, errors.Is(err, catalog.ErrCorrupt), errors.Is(err, catalog.ErrVersion), errors.Is(err, cold.ErrNotFound):
					p.Err = err
				default:
					return err
				}
				return nil
			})
		}
	}
	if err := g.Wait(); err != nil {
		return s, err
	}
	for _, k := range kinds {
		kept := (*k.into)[:0]
		for i := range *k.into {
			if p := &(*k.into)[i]; !gone[p] {
				kept = append(kept, *p)
			}
		}
		*k.into = kept
		slices.SortFunc(*k.into, func(a, b Part) int {
			return cmp.Or(cmp.Compare(a.Number, b.Number), strings.Compare(a.Name, b.Name))
		})
	}
	return s, nil
}

func surveyEntry(r *Reader, ctx context.Context, p *Part) error {
	f, err := r.get(ctx, p.Name, kindEntry, p.Number)
	if err == nil && len(f.payload) > 0 && f.payload[0] == 1 {
		p.Side = string(f.payload[1:])
	}
	if err == nil {
		_, _, err = r.entry(ctx, p.Number)
	}
	return err
}

func surveySnapshot(r *Reader, ctx context.Context, p *Part) error {
	return r.loadSnapshot(ctx, p.Number)
}

func surveyBoundary(r *Reader, ctx context.Context, p *Part) (err error) {
	p.Floor, p.Snapshot, err = r.readBoundary(ctx, p.Number)
	return err
}

func surveySide(r *Reader, ctx context.Context, p *Part) error {
	b, err := r.store.Get(ctx, p.Name, cold.Whole, nil)
	if err != nil {
		return fmt.Errorf("read %s: %w", p.Name, err)
	}
	f, err := decodeFrame(b, kindSide, frameNumber(b))
	if err == nil {
		p.Number = f.number
		_, err = catalog.DecodeCommands(f.payload)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	return nil
}

// Floor is what the newest boundary that can be read names: entries up to it count no
// more, whatever lies there.
func (s Survey) Floor() (floor, snapshot uint64) {
	for _, b := range s.Boundaries {
		if b.Err == nil {
			floor, snapshot = b.Floor, max(snapshot, b.Snapshot)
		}
	}
	return floor, snapshot
}

// Newest is the largest number of an entry that counts; 0 when there is none.
func (s Survey) Newest() uint64 {
	floor, _ := s.Floor()
	if n := len(s.Entries); n > 0 && s.Entries[n-1].Number > floor {
		return s.Entries[n-1].Number
	}
	return 0
}

// Missing are the numbers, at most so many, under which an entry should lie and none
// does: above the floor, and below one that is there.
func (s Survey) Missing(most int) []uint64 {
	floor, _ := s.Floor()
	var out []uint64
	want := floor + 1
	for _, e := range s.Entries {
		if e.Number <= floor {
			continue
		}
		for ; want < e.Number && len(out) < most; want++ {
			out = append(out, want)
		}
		want = e.Number + 1
	}
	return out
}

// Replay applies the entries behind a state one after the other, up to the first one
// that is not there or cannot be read, and shows visit every state on the way, the
// first one among them. The state that it is given stays as it is.
func Replay(ctx context.Context, store cold.Store, s *catalog.State, visit func(*catalog.State, Entry, []catalog.Result)) error {
	const window = 32
	visit(s, Entry{}, nil)
	for {
		var entries [window]Entry
		var errs [window]error
		g, gctx := errgroup.WithContext(ctx)
		for i := range window {
			g.Go(func() error {
				r := Reader{store: store}
				entries[i], _, errs[i] = r.entry(gctx, s.Number()+1+uint64(i))
				return nil
			})
		}
		_ = g.Wait() // none fails: an error counts only when its entry's turn comes
		for i := range window {
			switch err := errs[i]; {
			case errors.Is(err, cold.ErrNotFound), errors.Is(err, catalog.ErrCorrupt), errors.Is(err, catalog.ErrVersion):
				return nil
			case err != nil:
				return err
			}
			next := s.Clone()
			results := next.Apply(entries[i].Number, entries[i].Commands)
			s = next
			visit(s, entries[i], results)
		}
	}
}

// ReadSnapshot reads the state that a snapshot holds.
func ReadSnapshot(ctx context.Context, store cold.Store, n uint64) (*catalog.State, error) {
	r := Reader{store: store}
	if err := r.loadSnapshot(ctx, n); err != nil {
		return nil, err
	}
	return r.state, nil
}

// readBoundary reads the k-th boundary.
func (r *Reader) readBoundary(ctx context.Context, k uint64) (floor, snapshot uint64, err error) {
	name := numbered(PrefixBoundaries, k)
	f, err := r.get(ctx, name, kindBoundary, k)
	if err != nil {
		return 0, 0, err
	}
	floor, n := binary.Uvarint(f.payload)
	snapshot, m := binary.Uvarint(f.payload[max(n, 0):])
	if n <= 0 || m <= 0 || snapshot < floor {
		return 0, 0, fmt.Errorf("%s: %w: bad numbers", name, catalog.ErrCorrupt)
	}
	return floor, snapshot, nil
}
