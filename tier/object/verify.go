package object

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/firnlog/firn/record"
)

// Verify checks a whole object that lies in memory: header, footer, every run
// and every batch (O1 to O4). It returns all that it found wrong, each with the
// run and the byte.
func Verify(b []byte) (Header, []Run, []error) {
	return VerifyAt(bytes.NewReader(b), int64(len(b)))
}

// VerifyAt is Verify for an object of that size that is read from r, from its
// start to its end after its footer. It holds the footer and one batch at a time,
// so that a segment of a gigabyte takes no more memory than a WAL object. What it
// cannot read is among what it found.
func VerifyAt(r io.ReaderAt, size int64) (Header, []Run, []error) {
	header, f, err := OpenAt(r, size)
	if err != nil {
		return header, nil, []error{err}
	}
	if header.Kind == Index {
		run, err := f.payload()
		if err == nil {
			err = verifyPayload(r, run)
		}
		if err != nil {
			return header, nil, []error{err}
		}
		return header, []Run{run}, nil
	}
	var bad []error
	fault := func(format string, args ...any) { bad = append(bad, fmt.Errorf(format, args...)) }
	if header.Kind == Fence && f.Len() > 0 {
		fault("%w: O4: a fence with %d runs", ErrCorrupt, f.Len())
	}
	var runs []Run
	end := int64(HeaderLen)
	for i := range f.Len() {
		run, err := f.Whole(i)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		if run.Pos != end {
			fault("run %d: %w: begins at byte %d, want %d", i, ErrCorrupt, run.Pos, end)
		}
		end = run.Pos + run.Len
		if len(runs) > 0 {
			last := &runs[len(runs)-1]
			if c := last.Partition.Compare(run.Partition); c > 0 || c == 0 && last.Next > run.Base {
				fault("run %d: %w: O1: %s at offset %d behind %s up to %d", i, ErrCorrupt, run.Partition, run.Base, last.Partition, last.Next)
			} else if c != 0 && header.Kind == Segment {
				fault("run %d: %w: O4: %s in a segment of %s", i, ErrCorrupt, run.Partition, last.Partition)
			}
		}
		runs = append(runs, run)
		if err := ReadRun(run, io.NewSectionReader(r, run.Pos, run.Len), nil); err != nil {
			fault("run %d (%s, offsets [%d, %d), bytes [%d, %d)): %w", i, run.Partition, run.Base, run.Next, run.Pos, end, err)
		}
	}
	if end != f.Trailer.FooterPos {
		fault("%w: runs end at byte %d, the footer begins at %d", ErrCorrupt, end, f.Trailer.FooterPos)
	}
	return header, runs, bad
}

// OpenAt is Open for an object of that size that is read from r: the header, then
// the trailer, then the footer.
func OpenAt(r io.ReaderAt, size int64) (Header, *Footer, error) {
	if size < HeaderLen+TrailerLen {
		return Header{}, nil, fmt.Errorf("%w: %d bytes are too few", ErrCorrupt, size)
	}
	header, trailer := make([]byte, HeaderLen), make([]byte, TrailerLen)
	if err := readAt(r, header, 0); err != nil {
		return Header{}, nil, err
	}
	h, err := ParseHeader(header)
	if err != nil {
		return h, nil, err
	}
	if err := readAt(r, trailer, size-TrailerLen); err != nil {
		return h, nil, err
	}
	t, err := ParseTrailer(trailer, size)
	if err != nil {
		return h, nil, err
	}
	footer := make([]byte, t.FooterLen) // the trailer fits the size: no more than the object has
	if err := readAt(r, footer, t.FooterPos); err != nil {
		return h, nil, err
	}
	f, err := ParseFooter(footer, t)
	if err != nil {
		return h, nil, err
	}
	return h, f, whole(header, f, trailer)
}

func readAt(r io.ReaderAt, b []byte, pos int64) error {
	if n, err := r.ReadAt(b, pos); n < len(b) {
		return fmt.Errorf("read bytes [%d, %d): %w", pos, pos+int64(len(b)), err)
	}
	return nil
}

func verifyPayload(r io.ReaderAt, run Run) error {
	crc := crc32.New(castagnoli)
	if _, err := io.Copy(crc, io.NewSectionReader(r, run.Pos, run.Len)); err != nil {
		return fmt.Errorf("read payload: %w", err)
	}
	if got := crc.Sum32(); got != run.CRC {
		return fmt.Errorf("%w: payload: CRC-32C is %08x, want %08x", ErrCorrupt, got, run.CRC)
	}
	return nil
}

// VerifyRun checks the bytes of a run against what the footer says of it: its
// CRC, that batches are whole and dense, and that the index points at them.
// Bytes in errors count from the start of the run.
func VerifyRun(r Run, b []byte) error {
	if int64(len(b)) != r.Len {
		return fmt.Errorf("%w: %d bytes of %d", ErrCorrupt, len(b), r.Len)
	}
	return ReadRun(r, bytes.NewReader(b), nil)
}

// ReadRun is VerifyRun for a run that is read batch by batch, of which it holds one at
// a time; each, if not nil, is shown every batch that is whole, and must not keep it.
// The first fault that says where it is comes before the CRC of the whole, which
// does not.
func ReadRun(r Run, in io.Reader, each func(h record.Header, batch []byte)) error {
	var crc uint32
	var buf []byte
	pos, offset, records, newest, index := int64(0), r.Base, int64(0), int64(-1), r.Index
	for pos < r.Len {
		h, batch, err := readBatch(in, r.Len-pos, &buf)
		if err != nil {
			return fmt.Errorf("byte %d, offset %d: %w", pos, offset, err)
		}
		switch {
		case h.BaseOffset != offset:
			return fmt.Errorf("%w: byte %d: O2: batch begins at offset %d, want %d", ErrCorrupt, pos, h.BaseOffset, offset)
		case h.LeaderEpoch != r.Epoch:
			return fmt.Errorf("%w: byte %d, offset %d: O2: batch of epoch %d, want %d", ErrCorrupt, pos, offset, h.LeaderEpoch, r.Epoch)
		}
		if len(index) > 0 && index[0].Pos == pos {
			if x := index[0]; x.Base != offset || x.MaxTimestamp != newest {
				return fmt.Errorf("%w: byte %d: index says offset %d after timestamp %d, batches say %d after %d", ErrCorrupt, pos, x.Base, x.MaxTimestamp, offset, newest)
			}
			index = index[1:]
		}
		crc = crc32.Update(crc, castagnoli, batch)
		if each != nil {
			each(h, batch)
		}
		pos += int64(len(batch))
		offset = h.NextOffset()
		records += int64(h.NumRecords)
		if h.NumRecords > 0 {
			newest = max(newest, h.MaxTimestamp)
		}
	}
	switch {
	case crc != r.CRC:
		return fmt.Errorf("%w: CRC-32C is %08x, want %08x", ErrCorrupt, crc, r.CRC)
	case offset != r.Next:
		return fmt.Errorf("%w: O2: batches end at offset %d, want %d", ErrCorrupt, offset, r.Next)
	case len(index) > 0:
		return fmt.Errorf("%w: index points at byte %d, where no batch begins", ErrCorrupt, index[0].Pos)
	case records != r.Records || newest != r.MaxTimestamp:
		return fmt.Errorf("%w: %d records up to timestamp %d, want %d up to %d", ErrCorrupt, records, newest, r.Records, r.MaxTimestamp)
	}
	return nil
}

// readBatch reads one batch of at most that many bytes into a buffer that it
// reuses, and checks it by itself.
func readBatch(in io.Reader, most int64, buf *[]byte) (record.Header, []byte, error) {
	b := append((*buf)[:0], make([]byte, record.Overhead)...)
	if most < record.HeaderLen {
		return record.Header{}, nil, fmt.Errorf("%w: %d bytes are too few for a batch", ErrCorrupt, most)
	}
	if _, err := io.ReadFull(in, b); err != nil {
		return record.Header{}, nil, fmt.Errorf("read batch: %w", err)
	}
	length := int64(int32(binary.BigEndian.Uint32(b[8:])))
	if length < record.HeaderLen-record.Overhead || length > most-record.Overhead {
		return record.Header{}, nil, fmt.Errorf("%w: batch length %d, but %d bytes are left of the run", ErrCorrupt, length, most-record.Overhead)
	}
	b = append(b, make([]byte, length)...)
	*buf = b
	if _, err := io.ReadFull(in, b[record.Overhead:]); err != nil {
		return record.Header{}, nil, fmt.Errorf("read batch: %w", err)
	}
	h, err := record.CheckStored(b)
	if err != nil {
		return h, nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return h, b, nil
}
