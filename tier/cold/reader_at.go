package cold

import (
	"context"
	"fmt"
	"io"
)

// readAhead is how much a ReaderAt asks for at once.
const readAhead = 4 << 20

// ReaderAt reads an object front to back, a few megabytes at a time, for those who
// want all of it and must not hold all of it. It is not safe for concurrent use.
type ReaderAt struct {
	ctx   context.Context
	store Store
	name  string
	size  int64

	at  int64 // of buf
	buf []byte
}

// NewReaderAt returns a reader of an object of that size. The buffer, which may be
// nil, is the reader's from now on; Buffer gives it back.
func NewReaderAt(ctx context.Context, store Store, name string, size int64, buf []byte) *ReaderAt {
	return &ReaderAt{ctx: ctx, store: store, name: name, size: size, buf: buf[:0]}
}

// Buffer is the reader's buffer, for the next reader to use.
func (r *ReaderAt) Buffer() []byte { return r.buf }

// Has tells the reader bytes of the object that are known already, instead of those
// that it holds. They are the reader's from now on.
func (r *ReaderAt) Has(at int64, b []byte) { r.at, r.buf = at, b }

// ReadAt implements io.ReaderAt.
func (r *ReaderAt) ReadAt(b []byte, off int64) (int, error) {
	n := 0
	for n < len(b) {
		at := off + int64(n)
		if at >= r.size {
			return n, io.EOF
		}
		if at < r.at || at >= r.at+int64(len(r.buf)) {
			want := min(max(int64(len(b)-n), readAhead), r.size-at)
			got, err := r.store.Get(r.ctx, r.name, Range{Offset: at, Length: want}, r.buf[:0])
			if err != nil {
				r.buf = r.buf[:0]
				return n, fmt.Errorf("read %s: %w", r.name, err)
			}
			if len(got) == 0 {
				return n, io.ErrUnexpectedEOF
			}
			r.at, r.buf = at, got
		}
		n += copy(b[n:], r.buf[at-r.at:])
	}
	return n, nil
}
