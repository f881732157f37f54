package object

import (
	"fmt"
	"hash/crc32"

	"github.com/firnlog/firn/record"
)

// Verify checks a whole object that lies in memory: header, footer, every run
// and every batch (O1 to O3). It returns all that it found wrong, each with the
// run and the byte.
func Verify(b []byte) (Header, []Run, []error) {
	h, f, err := Open(b)
	if err != nil {
		return h, nil, []error{err}
	}
	runs, err := f.Runs()
	if err != nil {
		return h, nil, []error{err}
	}
	if h.Kind == Index {
		if _, err := DecodeIndex(b); err != nil {
			return h, runs, []error{err}
		}
		return h, runs, nil
	}
	var bad []error
	end := int64(HeaderLen)
	for i, r := range runs {
		if r.Pos != end {
			bad = append(bad, fmt.Errorf("%w: run %d begins at byte %d, want %d", ErrCorrupt, i, r.Pos, end))
		}
		end = r.Pos + r.Len
		if i > 0 {
			if c := runs[i-1].Partition.Compare(r.Partition); c > 0 || c == 0 && runs[i-1].Next > r.Base {
				bad = append(bad, fmt.Errorf("%w: O1: run %d is out of order", ErrCorrupt, i))
			}
		}
		if err := VerifyRun(r, b[r.Pos:r.Pos+r.Len]); err != nil {
			bad = append(bad, fmt.Errorf("run %d (%s, offsets [%d, %d)): %w", i, r.Partition, r.Base, r.Next, err))
		}
	}
	if end != f.Trailer.FooterPos {
		bad = append(bad, fmt.Errorf("%w: runs end at byte %d, the footer begins at %d", ErrCorrupt, end, f.Trailer.FooterPos))
	}
	return h, runs, bad
}

// VerifyRun checks the bytes of a run against what the footer or the catalog
// says of it.
func VerifyRun(r Run, b []byte) error {
	if int64(len(b)) != r.Len {
		return fmt.Errorf("%w: %d bytes of %d", ErrCorrupt, len(b), r.Len)
	}
	if got := crc32.Checksum(b, castagnoli); got != r.CRC {
		return fmt.Errorf("%w: CRC-32C is %08x, want %08x", ErrCorrupt, got, r.CRC)
	}
	at := r.Base
	for rest := b; len(rest) > 0; {
		h, batch, more, err := record.Next(rest)
		if err != nil {
			return fmt.Errorf("byte %d: %w", len(b)-len(rest), err)
		}
		if h.BaseOffset != at {
			return fmt.Errorf("%w: byte %d: O2: batch begins at offset %d, want %d", ErrCorrupt, len(b)-len(rest), h.BaseOffset, at)
		}
		if crc := record.CRC(batch); crc != h.CRC {
			return fmt.Errorf("%w: byte %d: batch CRC-32C is %08x, its header says %08x", ErrCorrupt, len(b)-len(rest), crc, h.CRC)
		}
		at, rest = h.NextOffset(), more
	}
	if at != r.Next {
		return fmt.Errorf("%w: O2: batches end at offset %d, want %d", ErrCorrupt, at, r.Next)
	}
	return nil
}
