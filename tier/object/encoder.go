package object

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"github.com/firnlog/firn/record"
)

// Encoder writes one object: Begin a run, Append its batches, Begin the next …,
// Finish. Without a writer it copies nothing: Segments are the header, the
// batches as they were given, footer and trailer, and the batches must not change
// until the segments are not used any more. With a writer it streams.
type Encoder struct {
	w        io.Writer
	err      error
	header   []byte
	segments [][]byte
	pos      int64
	runs     []Run
	indexed  int64 // position in the run of its last index entry
	nowMs    int64
	identity uint32
	finished bool
}

// NewEncoder begins an object. nowMs is the wall clock that its runs say they
// were written at. w may be nil.
func NewEncoder(h Header, nowMs int64, w io.Writer) *Encoder {
	e := &Encoder{w: w, header: h.Encode(), nowMs: nowMs}
	e.emit(e.header)
	return e
}

func (e *Encoder) emit(b []byte) {
	e.pos += int64(len(b))
	if e.w == nil {
		e.segments = append(e.segments, b)
		return
	}
	if e.err == nil {
		_, e.err = e.w.Write(b)
	}
}

// Begin starts a run at an offset. Runs come in order of partitions, then of
// offsets (O1); anything else is a fault of the caller and panics.
func (e *Encoder) Begin(p record.Partition, epoch int32, base int64) {
	e.end()
	if n := len(e.runs); n > 0 {
		if c := e.runs[n-1].Partition.Compare(p); c > 0 || c == 0 && e.runs[n-1].Next > base {
			panic("object: O1: runs are written in order")
		}
	}
	e.runs = append(e.runs, Run{Partition: p, Epoch: epoch, Base: base, Next: base, Pos: e.pos, MaxTimestamp: -1, WrittenMs: e.nowMs})
	e.indexed = -IndexEvery
}

// end drops a run that got no batch.
func (e *Encoder) end() {
	if n := len(e.runs); n > 0 && e.runs[n-1].Len == 0 && e.runs[n-1].Next == e.runs[n-1].Base {
		e.runs = e.runs[:n-1]
	}
}

// Append adds a batch, whose header is h, to the run. Batches are dense (O2);
// anything else panics.
func (e *Encoder) Append(h record.Header, batch []byte) {
	r := &e.runs[len(e.runs)-1]
	if h.BaseOffset != r.Next || h.Size() != len(batch) {
		panic(fmt.Sprintf("object: O2: batch [%d, %d] of %d bytes behind offset %d", h.BaseOffset, h.LastOffset(), len(batch), r.Next))
	}
	if r.Len+int64(len(batch)) > math.MaxUint32 {
		e.fail(errors.New("a run is larger than 4 GiB"))
		return
	}
	if r.Len-e.indexed >= IndexEvery {
		e.indexed = r.Len
		r.Index = append(r.Index, IndexEntry{h.BaseOffset, r.Len, r.MaxTimestamp})
	}
	r.CRC = crc32.Update(r.CRC, castagnoli, batch)
	r.Len += int64(len(batch))
	r.Next = h.NextOffset()
	r.Records += int64(h.NumRecords)
	if h.NumRecords > 0 {
		r.MaxTimestamp = max(r.MaxTimestamp, h.MaxTimestamp)
	}
	e.emit(batch)
}

// Producers says what is known of producers at the end of the current run.
func (e *Encoder) Producers(p []Producer) { e.runs[len(e.runs)-1].Producers = p }

// Aborted says which transactions that the run overlaps were aborted.
func (e *Encoder) Aborted(a []Aborted) { e.runs[len(e.runs)-1].Aborted = a }

// Payload makes b the payload of an object that has no runs of batches.
func (e *Encoder) Payload(b []byte) {
	e.runs = append(e.runs, Run{Next: 0, Pos: e.pos, Len: int64(len(b)), CRC: crc32.Checksum(b, castagnoli), MaxTimestamp: -1, WrittenMs: e.nowMs})
	e.emit(b)
}

func (e *Encoder) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

// Finish writes footer and trailer and returns the object's runs. The error is
// the writer's.
func (e *Encoder) Finish() ([]Run, error) {
	if e.finished {
		panic("object: finished twice")
	}
	e.finished = true
	e.end()
	footerPos := e.pos
	table := make([]byte, 0, len(e.runs)*(runLen+32))
	var details []byte
	for _, r := range e.runs {
		details = appendDetails(details, r)
		table = append(table, r.Partition.Topic[:]...)
		table = binary.LittleEndian.AppendUint32(table, uint32(r.Partition.Index))
		table = binary.LittleEndian.AppendUint32(table, uint32(r.Epoch))
		table = binary.LittleEndian.AppendUint64(table, uint64(r.Base))
		table = binary.LittleEndian.AppendUint64(table, uint64(r.Next))
		table = binary.LittleEndian.AppendUint64(table, uint64(r.Pos))
		table = binary.LittleEndian.AppendUint32(table, uint32(r.Len))
		table = binary.LittleEndian.AppendUint32(table, r.CRC)
		table = binary.LittleEndian.AppendUint64(table, uint64(r.MaxTimestamp))
		table = binary.LittleEndian.AppendUint64(table, uint64(r.Records))
		table = binary.LittleEndian.AppendUint64(table, uint64(r.WrittenMs))
		table = binary.LittleEndian.AppendUint32(table, uint32(len(details)))
	}
	footer := append(table, details...)
	trailer := make([]byte, TrailerLen)
	binary.LittleEndian.PutUint64(trailer, uint64(footerPos))
	binary.LittleEndian.PutUint32(trailer[8:], uint32(len(footer)))
	binary.LittleEndian.PutUint32(trailer[12:], uint32(len(e.runs)))
	binary.LittleEndian.PutUint32(trailer[16:], crc32.Checksum(footer, castagnoli))
	e.identity = identity(e.header, footer, trailer)
	binary.LittleEndian.PutUint32(trailer[20:], e.identity)
	copy(trailer[28:], magicTrailer)
	e.emit(footer)
	e.emit(trailer)
	return e.runs, e.err
}

// Segments are the finished object's bytes, when it was not streamed.
func (e *Encoder) Segments() [][]byte { return e.segments }

// Size is the bytes of the object so far.
func (e *Encoder) Size() int64 { return e.pos }

// Identity is the finished object's identity.
func (e *Encoder) Identity() uint32 { return e.identity }

// EncodeFence returns the bytes of a fence (S6).
func EncodeFence(session, slot uint64, nonce, fencer [16]byte, nowMs int64) []byte {
	e := NewEncoder(Header{Kind: Fence, Session: session, Slot: slot, Nonce: nonce, Fencer: fencer}, nowMs, nil)
	_, _ = e.Finish()
	return join(e.segments)
}

// EncodeIndex returns the bytes of an index object.
func EncodeIndex(job, n uint64, nonce [16]byte, nowMs int64, payload []byte) []byte {
	e := NewEncoder(Header{Kind: Index, Session: job, Slot: n, Nonce: nonce}, nowMs, nil)
	e.Payload(payload)
	_, _ = e.Finish()
	return join(e.segments)
}

// DecodeIndex returns the payload of an index object.
func DecodeIndex(b []byte) ([]byte, error) {
	h, f, err := Open(b)
	if err != nil {
		return nil, err
	}
	if h.Kind != Index || f.Len() != 1 {
		return nil, fmt.Errorf("%w: a %s with %d runs, want an index object", ErrCorrupt, h.Kind, f.Len())
	}
	r, err := f.Run(0)
	if err != nil {
		return nil, err
	}
	p := b[r.Pos : r.Pos+r.Len]
	if got := crc32.Checksum(p, castagnoli); got != r.CRC {
		return nil, fmt.Errorf("%w: payload: CRC-32C is %08x", ErrCorrupt, got)
	}
	return p, nil
}

func join(segments [][]byte) []byte {
	var b []byte
	for _, s := range segments {
		b = append(b, s...)
	}
	return b
}
