package cold

import (
	"fmt"
	"math"
)

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

// Within places the range in an object of size bytes. A range that begins at or
// past the end is ErrRange, as HTTP has it; the tail of an empty object is empty,
// which HTTP stores disagree about.
func (r Range) Within(size int64) (offset, length int64, err error) {
	switch {
	case r == Whole:
		return 0, size, nil
	case r.Length < 0 || r.Offset < 0 && r.Length == 0:
		return 0, 0, fmt.Errorf("%s of %d bytes: %w", r, size, ErrRange)
	case r.Offset < 0:
		n := min(r.Length, size)
		return size - n, n, nil
	case r.Offset >= size:
		return 0, 0, fmt.Errorf("%s of %d bytes: %w", r, size, ErrRange)
	case r.Length == 0 || r.Length > size-r.Offset:
		return r.Offset, size - r.Offset, nil
	}
	return r.Offset, r.Length, nil
}

// Header is the range as the value of an HTTP Range header, "" for the whole
// object. A range that no object satisfies is ErrRange.
func (r Range) Header() (string, error) {
	switch {
	case r == Whole:
		return "", nil
	case r.Length < 0 || r.Offset < 0 && r.Length == 0:
		return "", fmt.Errorf("%s: %w", r, ErrRange)
	case r.Offset < 0:
		return fmt.Sprintf("bytes=-%d", r.Length), nil
	case r.Length == 0 || r.Length > math.MaxInt64-r.Offset:
		return fmt.Sprintf("bytes=%d-", r.Offset), nil
	}
	return fmt.Sprintf("bytes=%d-%d", r.Offset, r.Offset+r.Length-1), nil
}

// String is the range for people and for traces.
func (r Range) String() string {
	switch {
	case r == Whole:
		return "whole"
	case r.Offset < 0:
		return fmt.Sprintf("last %d", r.Length)
	case r.Length == 0:
		return fmt.Sprintf("from %d", r.Offset)
	}
	return fmt.Sprintf("%d+%d", r.Offset, r.Length)
}
