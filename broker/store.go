package broker

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/open"
)

// OpenStore opens the bucket at a URL and returns it with its place: the URL
// as people may see it.
func OpenStore(ctx context.Context, url string, _ *slog.Logger) (cold.Store, open.Location, error) {
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
