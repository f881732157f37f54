package cold

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Patience is the first pause that a reader of hours makes before it asks again.
const Patience = 100 * time.Millisecond

// patientTries is how often it asks before it believes that the store is away: with the
// pauses doubled each time, for a dozen seconds.
const patientTries = 8

// Patient returns a store that is asked again, after a pause that doubles, while Get, Stat
// and List get no definite answer: who reads a bucket for hours shall not end with one 503.
// Puts and deletes are the store's own, and so is [Close].
func Patient(s Store, pause time.Duration) Store {
	if p, ok := s.(patient); ok { // patience with patience is for ever
		return p
	}
	return patient{s, pause}
}

type patient struct {
	Store
	pause time.Duration
}

func (p patient) insist(ctx context.Context, do func() error) error {
	pause := p.pause
	for try := 1; ; try++ {
		err := do()
		if err == nil || Definite(err) || try == patientTries {
			return err
		}
		if end := rest(ctx, pause); end != nil {
			return errors.Join(end, err)
		}
		pause *= 2
	}
}

// rest pauses; the error is the context's.
func rest(ctx context.Context, pause time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pause):
		return nil
	}
}

// Get implements Store.
func (p patient) Get(ctx context.Context, name string, r Range, buf []byte) (b []byte, err error) {
	err = p.insist(ctx, func() (err error) {
		b, err = p.Store.Get(ctx, name, r, buf)
		return err
	})
	return b, err
}

// Stat implements Store.
func (p patient) Stat(ctx context.Context, name string) (info Info, err error) {
	err = p.insist(ctx, func() (err error) {
		info, err = p.Store.Stat(ctx, name)
		return err
	})
	return info, err
}

// List implements Store. It goes on behind the last name that came, and gives up where
// names did not come in order: then nobody can tell which are left.
func (p patient) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		ordered := true
		for pause, try := p.pause, 1; ; try++ {
			var err error
			for info, bad := range p.Store.List(ctx, prefix, after) {
				if err = bad; err != nil {
					break
				}
				ordered = ordered && info.Name > after
				after, pause, try = info.Name, p.pause, 1 // it gets on
				if !yield(info, nil) {
					return
				}
			}
			if err == nil {
				return
			}
			if !Definite(err) && ordered && try < patientTries && rest(ctx, pause) == nil {
				pause *= 2
				continue
			}
			yield(Info{}, err)
			return
		}
	}
}
