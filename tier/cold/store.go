package cold

import (
	"context"
	"io"
	"iter"
	"time"
)

// Store is a bucket, or a prefix of one. Methods may be called from many
// goroutines, block for as long as the context allows, and make one attempt.
// A store that holds connections or descriptors is also an [io.Closer]; see [Close].
type Store interface {
	// PutIfAbsent creates the object if no object of that name exists, and is
	// atomic: of any number of concurrent puts of one name at most one ever
	// returns nil (C1). It reads body.Open() at most once and keeps nothing of it
	// after it returns (C3).
	PutIfAbsent(ctx context.Context, name string, body Body) error
	// Get reads a range of the object, appends it to buf and returns the result.
	// With an error it returns buf as it was, though the capacity behind it may
	// have been written to.
	Get(ctx context.Context, name string, r Range, buf []byte) ([]byte, error)
	// Stat returns the object's size and the store's own time of writing.
	Stat(ctx context.Context, name string) (Info, error)
	// List yields the objects whose names start with prefix and are greater
	// than after. The order is the store's: callers sort. It is a hint, never
	// a proof of absence (S6). An error is the last thing that it yields.
	List(ctx context.Context, prefix, after string) iter.Seq2[Info, error]
	// Delete removes the object. A name that is not there is no error.
	Delete(ctx context.Context, name string) error
}

// Info describes a stored object.
type Info struct {
	Name     string    // relative to the store's prefix
	Size     int64     // bytes
	Modified time.Time // by the store's clock, to the second or better
}

// Close releases what the store holds, if it holds anything. Calls in flight
// must have returned.
func Close(s Store) error {
	if c, ok := s.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
