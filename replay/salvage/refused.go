package salvage

import (
	"context"
	"errors"
	"fmt"

	"github.com/firnlog/firn/tier/cold"
)

// strict is a store for somebody who waits at a terminal: what brokers wait out, since it
// is mended from outside, ends him with the reason.
type strict struct {
	cold.Store
	end context.CancelCauseFunc
}

// strictly returns a context that ends when the store refuses, and the store to use with
// it. err says why a call that was given both has failed.
func strictly(ctx context.Context, store cold.Store) (_ context.Context, _ cold.Store, err func(error) error) {
	ctx, end := context.WithCancelCause(ctx)
	return ctx, strict{store, end}, func(err error) error {
		why := context.Cause(ctx)
		end(nil)
		if err != nil && refused(why) {
			return fmt.Errorf("%w; what was written until then does no harm: mend it, and do the same again", why)
		}
		return err
	}
}

// refused reports whether an answer stays the same until somebody changes something.
func refused(err error) bool {
	return errors.Is(err, cold.ErrDenied) || errors.Is(err, cold.ErrNoBucket)
}

// PutIfAbsent implements cold.Store.
func (s strict) PutIfAbsent(ctx context.Context, name string, body cold.Body) error {
	err := s.Store.PutIfAbsent(ctx, name, body)
	if refused(err) {
		s.end(fmt.Errorf("put %s: %w", name, err))
	}
	return err
}

// Get implements cold.Store.
func (s strict) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	b, err := s.Store.Get(ctx, name, r, buf)
	if refused(err) {
		s.end(fmt.Errorf("get %s: %w", name, err))
	}
	return b, err
}
