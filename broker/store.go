package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/doctor"
	"github.com/firnlog/firn/tier/cold/open"
)

// OpenStore opens the bucket at a URL and returns it with its place: the URL
// as people may see it.
func OpenStore(ctx context.Context, url string) (cold.Store, open.Location, error) {
	s, place, err := open.Open(ctx, url, open.Options{})
	if err != nil {
		return nil, open.Location{}, fmt.Errorf("store: %w", err)
	}
	return s, place, nil
}

// RedactURL is a store's URL without what could be a secret.
func RedactURL(url string) string {
	l, err := open.Parse(url)
	if err != nil {
		return "an unreadable URL"
	}
	return l.String()
}

// approved is the object that says that the doctor has examined the bucket and
// found it fit. Its name ends with the version of the examination.
const approved = "catalog/approved/2" // 2 cuts puts in their middle

// impatience is how often it is told that a store does not answer.
const impatience = 10 * time.Second

// examine has the doctor look at a bucket that it has not approved before, and
// refuses a store without atomic put-if-absent, a bucket that does not exist and
// credentials that may not use it. A store that does not answer is asked again until ctx
// ends: what it did not say is no reason to refuse it.
func examine(ctx context.Context, store cold.Store, place open.Location, log *slog.Logger) error {
	var told time.Time // when it was last told that the store does not answer; zero until it was
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		_, err := store.Stat(ctx, approved)
		if err == nil {
			return nil
		}
		if errors.Is(err, cold.ErrNotFound) {
			r := doctor.Examine(ctx, store, doctor.Options{Quick: true})
			err = r.Err()
			if errors.Is(err, doctor.ErrRefused) {
				return fmt.Errorf("store %s: %w", place, err)
			}
			if err == nil {
				for _, w := range r.Warnings() {
					log.Warn("the store works, but "+w.Detail, "check", w.Name, "advice", w.Advice)
				}
				err = store.PutIfAbsent(ctx, approved, cold.Bytes([]byte(r.String())))
				if err == nil || errors.Is(err, cold.ErrExists) {
					return nil
				}
			}
		}
		switch {
		case errors.Is(err, cold.ErrNoBucket):
			return fmt.Errorf("store %s: %w: make it, with the store's own tools or with firn doctor storage URL --create", place, err)
		case errors.Is(err, cold.ErrDenied):
			return fmt.Errorf("store %s: %w: check the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, profile or role) and that they may get, put, list and delete there", place, err)
		}
		if now := time.Now(); ctx.Err() == nil && (told.IsZero() || now.Sub(told) >= impatience) {
			told = now
			log.Warn("the store does not answer yet: is the endpoint right and reachable?", "store", place.String(), "err", err)
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(pause):
		}
	}
}
