package object

import (
	"fmt"
	"hash/crc32"

	"github.com/firnlog/firn/record"
)

// TailLen is how many bytes of an object's end are worth asking for at first:
// enough for the footer of most objects.
const TailLen = 64 << 10

// Footer is an object's run table. Runs are decoded one at a time, so that one
// of ten thousand costs no more than one. It is immutable.
type Footer struct {
	Trailer Trailer
	b       []byte
}

// ParseFooter reads the footer; b is exactly its bytes and stays referenced.
func ParseFooter(b []byte, t Trailer) (*Footer, error) {
	if int64(len(b)) != t.FooterLen || int64(t.Runs)*runLen > t.FooterLen {
		return nil, fmt.Errorf("%w: %d bytes of a footer of %d with %d runs", ErrCorrupt, len(b), t.FooterLen, t.Runs)
	}
	if got := crc32.Checksum(b, castagnoli); got != t.FooterCRC {
		return nil, fmt.Errorf("%w: footer: CRC-32C is %08x, the trailer says %08x", ErrCorrupt, got, t.FooterCRC)
	}
	f := &Footer{t, b}
	end := 0
	if n := f.Len(); n > 0 {
		end = detailsEnd(f.line(n - 1))
	}
	if details := len(b) - f.Len()*runLen; end != details {
		return nil, fmt.Errorf("%w: footer: details end at %d of %d bytes", ErrCorrupt, end, details)
	}
	return f, nil
}

// OpenFooter reads a footer given the object's end: tail holds its last bytes.
// When the footer begins before them, it returns nil and how many bytes of the
// end are needed. The footer refers to tail.
func OpenFooter(tail []byte, size int64) (*Footer, int64, error) {
	t, err := ParseTrailer(tail, size)
	if err != nil {
		return nil, 0, err
	}
	need := t.FooterLen + TrailerLen
	if need > int64(len(tail)) {
		return nil, need, nil
	}
	end := len(tail) - TrailerLen
	f, err := ParseFooter(tail[end-int(t.FooterLen):end], t)
	return f, need, err
}

// Len is the number of runs.
func (f *Footer) Len() int { return f.Trailer.Runs }

// Size is the bytes that the footer keeps in memory.
func (f *Footer) Size() int { return len(f.b) }

func (f *Footer) line(i int) []byte { return f.b[i*runLen : (i+1)*runLen] }

// Run returns the i-th run without its details.
func (f *Footer) Run(i int) (Run, error) {
	r, err := parseRun(f.line(i), f.Trailer.FooterPos)
	if err != nil {
		return r, fmt.Errorf("run %d: %w", i, err)
	}
	return r, nil
}

// Find returns the index of the run that holds the offset of a partition; -1
// when there is none.
func (f *Footer) Find(p record.Partition, offset int64) int {
	lo, hi := 0, f.Len()
	for lo < hi {
		mid := (lo + hi) / 2
		b := f.line(mid)
		if c := partitionAt(b).Compare(p); c < 0 || c == 0 && nextAt(b) <= offset {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < f.Len() {
		if r, err := f.Run(lo); err == nil && r.Partition == p && r.Base <= offset {
			return lo
		}
	}
	return -1
}

// Whole returns the i-th run with its details.
func (f *Footer) Whole(i int) (Run, error) {
	r, err := f.Run(i)
	if err != nil {
		return r, err
	}
	details := f.b[f.Len()*runLen:]
	from, to := 0, detailsEnd(f.line(i))
	if i > 0 {
		from = detailsEnd(f.line(i - 1))
	}
	if from > to || to > len(details) {
		return r, fmt.Errorf("run %d: %w: details [%d, %d) of %d bytes", i, ErrCorrupt, from, to, len(details))
	}
	if r.Details, err = decodeDetails(details[from:to], r); err != nil {
		return r, fmt.Errorf("run %d: %w", i, err)
	}
	return r, nil
}

// Runs returns all runs with their details.
func (f *Footer) Runs() ([]Run, error) {
	runs := make([]Run, f.Len())
	for i := range runs {
		var err error
		if runs[i], err = f.Whole(i); err != nil {
			return nil, err
		}
	}
	return runs, nil
}
