package salvage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// End fences the sessions that the plan names (S6): from the first empty slot up, until
// a fence is there. Whose it is does not matter. Afterwards the inventory is taken anew.
func End(ctx context.Context, store cold.Store, fences []Fence) error {
	var me [16]byte
	_, _ = rand.Read(me[:])
	for _, f := range fences {
		for slot := f.Slot; ; slot++ {
			done, err := fence(ctx, store, f, slot, me)
			if err != nil {
				return fmt.Errorf("fence session %d: %w", f.Session, err)
			}
			if done {
				break
			}
		}
	}
	return nil
}

func fence(ctx context.Context, store cold.Store, f Fence, slot uint64, me [16]byte) (done bool, err error) {
	name := catalog.WAL(f.Session, slot).Name()
	body := cold.Bytes(object.EncodeFence(f.Session, slot, f.Nonce, me, time.Now().UnixMilli()))
	for {
		err := store.PutIfAbsent(ctx, name, body)
		if err == nil {
			return true, nil
		}
		if errors.Is(err, cold.ErrExists) {
			b, err := store.Get(ctx, name, cold.Range{Length: object.HeaderLen}, nil)
			if err != nil {
				return false, fmt.Errorf("read %s: %w", name, err)
			}
			h, err := object.ParseHeader(b)
			return err == nil && h.Kind == object.Fence, nil
		}
		if cold.Definite(err) && !errors.Is(err, cold.ErrConflict) {
			return false, fmt.Errorf("put %s: %w", name, err)
		}
		select { // unknown: the same again (S3)
		case <-ctx.Done():
			return false, errors.Join(ctx.Err(), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Write makes the plan come true: the fillers, then the journal that goes on from its
// state (journal.Begin). Nothing is overwritten. Done again after an interruption it
// comes to the same.
//
// It goes on while the store does not answer, until ctx ends, and ends with cold.ErrDenied
// or cold.ErrNoBucket as soon as the store says that.
func Write(ctx context.Context, store cold.Store, p Plan) error {
	if p.State == nil {
		return errors.New("the plan is not complete: sessions have not ended")
	}
	ctx, store, why := strictly(ctx, store)
	return why(write(ctx, store, p))
}

func write(ctx context.Context, store cold.Store, p Plan) error {
	settler := cold.NewSettler(store, cold.SettlerOptions{})
	for _, f := range p.Fillers {
		_, want, err := object.Identity(f.Bytes)
		if err != nil {
			return err
		}
		err = settler.Put(ctx, f.Ref.Name(), cold.Bytes(f.Bytes), func(existing []byte) bool {
			_, got, err := object.Identity(existing)
			return err == nil && got == want
		})
		if err != nil {
			return fmt.Errorf("put %s: %w", f.Ref, err)
		}
	}
	var me [16]byte
	_, _ = rand.Read(me[:])
	return journal.Begin(ctx, store, p.State, me, journal.Options{})
}
