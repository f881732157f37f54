package journal

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/firnlog/firn/catalog"
)

// ErrLost says that the journal lacks entries that there were: the bucket holds
// objects that only later entries can have allowed. Whoever went on from here would
// give numbers, slots and offsets away a second time.
var ErrLost = errors.New("entries of the journal are lost")

// Complete looks for objects that the journal, as far as it was read, cannot have
// allowed: an entry behind a hole, slots of a session that was never registered (S1),
// objects of a job that never began (S12). It fails with ErrLost when there are any.
// That none are listed proves nothing.
func (r *Reader) Complete(ctx context.Context) error {
	number, name, err := r.evidence(ctx)
	if err != nil || number <= r.state.Number() {
		return err
	}
	// A journal that grows while we look is no hole: what was listed was allowed
	// before it was put.
	if err := r.Catchup(ctx, nil); err != nil || number <= r.state.Number() {
		return err
	}
	return fmt.Errorf("%w: it can be read up to entry %d, but there is %s, which needs entry %d: see `firn catalog recover`", ErrLost, r.state.Number(), name, number)
}

// evidence is the largest entry that something in the bucket needs, among what lies
// above what has been read; and what needs it.
func (r *Reader) evidence(ctx context.Context) (number uint64, name string, err error) {
	const top = ^uint64(0)
	n := r.state.Number()
	for _, look := range []struct {
		prefix, after string
		needs         func(name string) (uint64, bool)
	}{
		{PrefixEntries, numbered(PrefixEntries, n), func(s string) (uint64, bool) { return parseNumber(PrefixEntries, s) }},
		{catalog.PrefixWAL, catalog.WAL(n, top).Name(), needs},
		{catalog.PrefixSeg, catalog.Seg(n<<10|1023, top).Name(), needs},
		{catalog.PrefixIndex, catalog.Index(n<<10|1023, top).Name(), needs},
	} {
		for info, err := range r.store.List(ctx, look.prefix, look.after) {
			if err != nil {
				return 0, "", fmt.Errorf("list %s: %w", strings.TrimSuffix(look.prefix, "/"), err)
			}
			if m, ok := look.needs(info.Name); ok && m > number && m > n {
				number, name = m, info.Name
			}
		}
	}
	return number, name, nil
}

// needs is the entry that must have been there before an object was put.
func needs(name string) (uint64, bool) {
	ref, err := catalog.ParseRef(name)
	if err != nil {
		return 0, false
	}
	return Needs(ref), true
}

// Needs is the number of the entry that allowed the object: it registered the session,
// or began the job, in whose name it lies.
func Needs(ref catalog.ObjectRef) uint64 {
	if ref.Kind == catalog.KindWAL {
		return ref.A
	}
	return ref.A >> 10 // catalog.BeginJob
}
