package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/tier/cold"
)

// ErrTaken says that the journal cannot begin anew where it should: somebody else's
// object is there. Look again.
var ErrTaken = errors.New("the place is taken")

// Begin makes a journal that lost entries go on from a state, whose number is larger
// than any that ever was: a boundary gives up all entries up to it, and a snapshot
// holds the state. Nothing is overwritten or deleted.
//
// The boundary comes first, unlike J5: from then on nobody can commit an entry of the
// old journal, and whoever reads it waits for the snapshot. When Begin fails in
// between, it is done again with the same number.
func Begin(ctx context.Context, store cold.Store, state *catalog.State, nonce [16]byte, opts Options) error {
	n := state.Number()
	sv, err := Look(ctx, store, 8)
	if err != nil {
		return err
	}
	s := NewScribe(store, nonce, opts)
	next := uint64(1)
	begun := false
	var holes []uint64 // of a chain that lost some: who slept must not find its end there
	for _, b := range sv.Boundaries {
		for ; next < b.Number; next++ {
			holes = append(holes, next)
		}
		next = b.Number + 1
		begun = begun || b.Err == nil && b.Floor == n && b.Snapshot == n
	}
	if floor, _ := sv.Floor(); floor >= n && !begun || sv.Newest() > n {
		return fmt.Errorf("begin the journal at %d: %w: it is at %d", n, ErrTaken, max(floor, sv.Newest()))
	}
	put := func(name string, kind byte, number uint64, payload []byte) error {
		won, err := s.settle(ctx, s.reader, name, frame{kind, number, s.writer(), payload})
		if err == nil && !won {
			err = ErrTaken
		}
		if err != nil {
			return fmt.Errorf("begin the journal at %d: %s: %w", n, name, err)
		}
		return nil
	}
	if !begun {
		holes = append([]uint64{next}, holes...)
	}
	for _, k := range holes {
		b := binary.AppendUvarint(binary.AppendUvarint(nil, n), n)
		if err := put(numbered(PrefixBoundaries, k), kindBoundary, k, b); err != nil {
			return err
		}
	}
	return put(numbered(PrefixSnapshots, n), kindSnapshot, n, state.Encode())
}
