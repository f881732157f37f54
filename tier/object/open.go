package object

import (
	"fmt"
	"hash/crc32"
)

// Open reads header and footer of an object that lies in memory as a whole. It
// does not read the runs: Verify does.
func Open(b []byte) (Header, *Footer, error) {
	h, err := ParseHeader(b)
	if err != nil {
		return h, nil, err
	}
	f, need, err := OpenFooter(b, int64(len(b)))
	if err != nil {
		return h, nil, err
	}
	if f == nil || need+HeaderLen > int64(len(b)) {
		return h, nil, fmt.Errorf("%w: a footer of %d bytes in %d", ErrCorrupt, need, len(b))
	}
	return h, f, whole(b[:HeaderLen], f, b[len(b)-TrailerLen:])
}

// OpenEnds is Open for an object of that size of which only the ends lie in memory:
// head is its first HeaderLen bytes, tail its last ones. When the footer begins before
// tail, it returns a nil footer and how many bytes of the end are needed. A footer that
// is whole is returned also when the header is not, or belongs to another object.
func OpenEnds(head, tail []byte, size int64) (Header, *Footer, int64, error) {
	f, need, err := OpenFooter(tail, size)
	if err != nil || f == nil {
		return Header{}, nil, need, err
	}
	h, err := ParseHeader(head)
	if err == nil {
		err = whole(head, f, tail[len(tail)-TrailerLen:])
	}
	return h, f, need, err
}

// whole checks that header, footer and trailer belong together (O3).
func whole(header []byte, f *Footer, trailer []byte) error {
	if got := identity(header, f.b, trailer[len(trailer)-TrailerLen:]); got != f.Trailer.Identity {
		return fmt.Errorf("%w: identity is %08x, the trailer says %08x", ErrCorrupt, got, f.Trailer.Identity)
	}
	return nil
}

// Identity is the identity of an object that lies in memory as a whole: its
// header and trailer, which cover everything (O3).
func Identity(b []byte) (Header, uint32, error) {
	h, err := ParseHeader(b)
	if err != nil {
		return h, 0, err
	}
	t, err := ParseTrailer(b, int64(len(b)))
	return h, t.Identity, err
}

// DecodeIndex returns the payload of an index object, which refers to b: of the one that
// has this number of this job in its name. Another one that lies in its place is corrupt:
// what it lists belongs to another partition, and all of that is well formed.
func DecodeIndex(b []byte, job, n uint64) ([]byte, error) {
	h, f, err := Open(b)
	if err != nil {
		return nil, err
	}
	if h.Kind != Index {
		return nil, fmt.Errorf("%w: a %s, want an index object", ErrCorrupt, h.Kind)
	}
	if h.Session != job || h.Slot != n {
		return nil, fmt.Errorf("%w: index object %d of job %d, want %d of %d", ErrCorrupt, h.Slot, h.Session, n, job)
	}
	r, err := f.payload()
	if err != nil {
		return nil, err
	}
	p := b[r.Pos : r.Pos+r.Len]
	if got := crc32.Checksum(p, castagnoli); got != r.CRC {
		return nil, fmt.Errorf("%w: payload: CRC-32C is %08x, want %08x", ErrCorrupt, got, r.CRC)
	}
	return p, nil
}

// payload is the one pseudo run of an index object, which spans it.
func (f *Footer) payload() (Run, error) {
	if f.Len() != 1 {
		return Run{}, fmt.Errorf("%w: an index object with %d runs, want 1", ErrCorrupt, f.Len())
	}
	r, err := f.Whole(0)
	if err != nil {
		return r, err
	}
	if r.Pos != HeaderLen || r.Pos+r.Len != f.Trailer.FooterPos {
		return r, fmt.Errorf("%w: a payload of %d bytes at %d, but the footer begins at %d", ErrCorrupt, r.Len, r.Pos, f.Trailer.FooterPos)
	}
	return r, nil
}
