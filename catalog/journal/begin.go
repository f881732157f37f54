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
	for _, b := range sv.Boundaries {
		next = max(next, b.Number+1)
		begun = begun || b.Err == nil && b.Floor == n && b.Snapshot == n
	}
	if floor, _ := sv.Floor(); floor >= n && !begun || sv.Newest() > n {
		return fmt.Errorf("begin the journal at %d: %w: it is at %d", n, ErrTaken, max(floor, sv.Newest()))
	}
	if !begun {
		s.seq++
		b := binary.AppendUvarint(binary.AppendUvarint(nil, n), n)
		won, err := s.settle(ctx, numbered(PrefixBoundaries, next), frame{kindBoundary, next, writer{s.nonce, s.seq}, b})
		if err == nil && !won {
			err = fmt.Errorf("boundary %d: %w", next, ErrTaken)
		}
		if err != nil {
			return fmt.Errorf("begin the journal at %d: %w", n, err)
		}
	}
	s.seq++
	won, err := s.settle(ctx, numbered(PrefixSnapshots, n), frame{kindSnapshot, n, writer{s.nonce, s.seq}, state.Encode()})
	if err == nil && !won {
		err = fmt.Errorf("snapshot %d: %w", n, ErrTaken)
	}
	if err != nil {
		return fmt.Errorf("begin the journal at %d: %w", n, err)
	}
	return nil
}
