// Package cold is the bucket: a store of immutable objects with five methods,
// of which one, put-if-absent, is the only primitive that Firn's safety rests on.
//
// Drivers live in sub-packages (s3, minio, file, mem). None of them retries:
// an attempt is one request, its outcome is told as exactly as the store told
// it, and the caller decides what to send again (DESIGN S3).
package cold

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// The definite answers of a store. Every other error means "unknown": the
// request may have been applied, may be applied later, or never (S3).
var (
	// ErrExists answers PutIfAbsent when the name is taken (HTTP 412). The
	// object that is there may be the caller's own, from an earlier attempt.
	ErrExists = errors.New("object exists")
	// ErrConflict answers PutIfAbsent when nothing was decided (HTTP 409): send
	// the same bytes again.
	ErrConflict = errors.New("conflicting operation in progress")
	// ErrNotFound answers Get and Stat for a name that is not there. After a
	// put with an unknown outcome it proves nothing.
	ErrNotFound = errors.New("object not found")
	// ErrDenied says that the store refused the credentials or the permission
	// (HTTP 401, 403). Nothing was applied.
	ErrDenied = errors.New("access denied by the store")
	// ErrRange answers Get for a range that begins past the end of the object.
	ErrRange = errors.New("range outside the object")
)

// Store is a bucket, or a prefix of one. Methods may be called from many
// goroutines, block for as long as the context allows, and make one attempt.
type Store interface {
	// PutIfAbsent creates the object if no object of that name exists, and is
	// atomic: of any number of concurrent puts of one name at most one ever
	// returns nil. It reads body.Open() at most once and keeps nothing of it
	// after it returns.
	PutIfAbsent(ctx context.Context, name string, body Body) error
	// Get reads a range of the object, appends it to buf and returns the result.
	Get(ctx context.Context, name string, r Range, buf []byte) ([]byte, error)
	// Stat returns the object's size and the store's own time of writing.
	Stat(ctx context.Context, name string) (Info, error)
	// List yields the objects whose names start with prefix and are greater
	// than after. The order is the store's: callers sort. It is a hint, never
	// a proof of absence (S6).
	List(ctx context.Context, prefix, after string) iter.Seq2[Info, error]
	// Delete removes the object. A name that is not there is no error.
	Delete(ctx context.Context, name string) error
}

// Info describes a stored object.
type Info struct {
	Name     string // relative to the store's prefix
	Size     int64  // bytes
	Modified time.Time
}

// Range is a stretch of an object. The zero Range is the whole object. A
// negative Offset asks for the last Length bytes (or the whole object when it
// is shorter). Length 0 with Offset > 0 reads to the end.
type Range struct {
	Offset, Length int64
}

// Whole is the range of a whole object.
var Whole = Range{}

// Tail is the range of an object's last n bytes.
func Tail(n int64) Range { return Range{Offset: -1, Length: n} }

// Body is what a put sends. It can be opened again for another attempt and
// yields the same bytes each time (S2).
type Body interface {
	Size() int64
	Open() (io.ReadSeekCloser, error)
}
