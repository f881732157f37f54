package s3wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/firnlog/firn/tier/cold"
)

// Answer is a get that the store agreed to.
type Answer struct {
	Body   io.Reader
	Length int64  // Content-Length, -1 when absent
	Range  string // Content-Range, "" when absent
}

// Tail gets the tail of an object through get, which makes one request. Stores
// disagree about a tail that is longer than the object: the RFC and S3 say the
// whole object, some say 416. After that answer the object is at most that long,
// so the whole of it is asked for.
func Tail(r cold.Range, buf []byte, get func(cold.Range) ([]byte, error)) ([]byte, error) {
	got, err := get(r)
	if r.Offset >= 0 || r.Length <= 0 || !errors.Is(err, cold.ErrRange) {
		return got, err
	}
	got, err = get(cold.Whole)
	if n := int64(len(got) - len(buf)); err == nil && n > r.Length {
		return buf, fmt.Errorf("%w: the store refuses %s of %d bytes", cold.ErrGarbled, r, n)
	}
	return got, err
}

// Read appends the answer to buf and holds it against what was asked (C4): a
// store or a cache in between that ignores ranges, or sends another one, or ends
// early, gives an error. With an error it returns buf as it was.
func Read(ctx context.Context, buf []byte, r cold.Range, a Answer) ([]byte, error) {
	length, err := expect(r, a)
	if err != nil {
		return buf, err
	}
	have := len(buf)
	got := buf
	if need := have + int(length); need > cap(buf) {
		got = make([]byte, need)
		copy(got, buf)
	}
	got = got[:have+int(length)]
	if n, err := io.ReadFull(a.Body, got[have:]); err != nil {
		if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return buf, fmt.Errorf("the answer ended after %d bytes of %d: %w", n, length, err)
	}
	if n, _ := io.ReadFull(a.Body, make([]byte, 1)); n > 0 {
		return buf, fmt.Errorf("%w: longer than the %d bytes it announced", cold.ErrGarbled, length)
	}
	return got, nil
}

// expect returns how many bytes must follow.
func expect(r cold.Range, a Answer) (int64, error) {
	if a.Length < 0 {
		return 0, fmt.Errorf("%w: no Content-Length", cold.ErrGarbled)
	}
	if r == cold.Whole {
		return a.Length, nil
	}
	if r.Offset < 0 && a.Length == 0 && (a.Range == "" || strings.HasSuffix(a.Range, "/0")) {
		return 0, nil // the tail of an empty object: versitygw sends the whole, MinIO "bytes 0--1/0"
	}
	if a.Range == "" {
		return 0, fmt.Errorf("%w: asked for %s, got the whole object: this store, or a cache before it, ignores ranges", cold.ErrGarbled, r)
	}
	first, last, size, err := contentRange(a.Range)
	if err != nil {
		return 0, err
	}
	at, length, err := r.Within(size)
	if err != nil {
		return 0, fmt.Errorf("%w: asked for %s, got %s: %w", cold.ErrGarbled, r, a.Range, err)
	}
	if first != at || last-first+1 != length || a.Length != length {
		return 0, fmt.Errorf("%w: asked for %s, got %s in %d bytes", cold.ErrGarbled, r, a.Range, a.Length)
	}
	return length, nil
}

// contentRange parses "bytes 0-99/1234".
func contentRange(s string) (first, last, size int64, err error) {
	fail := func() (int64, int64, int64, error) {
		return 0, 0, 0, fmt.Errorf("%w: unreadable Content-Range %.64q", cold.ErrGarbled, s)
	}
	spec, ok := strings.CutPrefix(s, "bytes ")
	if !ok {
		return fail()
	}
	span, total, ok := strings.Cut(spec, "/")
	from, to, ok2 := strings.Cut(span, "-")
	if !ok || !ok2 {
		return fail()
	}
	for _, n := range []struct {
		text string
		into *int64
	}{{from, &first}, {to, &last}, {total, &size}} {
		v, err := strconv.ParseUint(n.text, 10, 63)
		if err != nil {
			return fail()
		}
		*n.into = int64(v)
	}
	if first > last || last >= size {
		return fail()
	}
	return first, last, size, nil
}
