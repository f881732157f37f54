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
//
// What it is given out of order is a fault of the caller and panics with the
// number of the invariant. It is not safe for concurrent use.
type Encoder struct {
	w        io.Writer
	err      error
	kind     Kind
	header   []byte
	segments [][]byte
	pos      int64
	runs     []Run
	index    []IndexEntry // of all runs: one array that grows
	first    int          // of the current run in index
	indexed  int64        // position in the run of its last index entry
	nowMs    int64
	trailer  Trailer
	finished bool
}

// NewEncoder begins an object. nowMs is the wall clock that its runs say they
// were written at. w may be nil.
func NewEncoder(h Header, nowMs int64, w io.Writer) *Encoder {
	e := &Encoder{w: w, kind: h.Kind, header: h.Encode(), nowMs: nowMs}
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
// offsets (O1), and a segment has one partition (O4).
func (e *Encoder) Begin(p record.Partition, epoch int32, base int64) {
	if !e.kind.hasRuns() {
		panic(fmt.Sprintf("object: O4: a run in a %s", e.kind))
	}
	e.end()
	if n := len(e.runs); n > 0 {
		last := &e.runs[n-1]
		if c := last.Partition.Compare(p); c > 0 || c == 0 && last.Next > base {
			panic(fmt.Sprintf("object: O1: a run of %s at offset %d behind one of %s that ends at %d", p, base, last.Partition, last.Next))
		} else if c != 0 && e.kind == Segment {
			panic(fmt.Sprintf("object: O4: %s in a segment of %s", p, last.Partition))
		}
	}
	e.runs = append(e.runs, Run{Partition: p, Epoch: epoch, Base: base, Next: base, Pos: e.pos, MaxTimestamp: -1, WrittenMs: e.nowMs})
	e.first, e.indexed = len(e.index), -IndexEvery
}

// end drops a run that got no batch.
func (e *Encoder) end() {
	n := len(e.runs)
	if n == 0 || !e.kind.hasRuns() {
		return
	}
	if r := &e.runs[n-1]; r.Len == 0 {
		e.runs = e.runs[:n-1]
	} else if r.Index == nil {
		r.Index = e.index[e.first:len(e.index):len(e.index)]
	}
}

func (e *Encoder) run() *Run {
	if len(e.runs) == 0 {
		panic("object: O2: no run was begun")
	}
	return &e.runs[len(e.runs)-1]
}

// Append adds a batch, whose header is h, to the run. Batches are dense and have
// the run's epoch (O2). Whoever made or read the batch has seen that its CRC holds: the
// run's is made of it.
func (e *Encoder) Append(h record.Header, batch []byte) {
	r := e.run()
	if h.BaseOffset != r.Next || h.Size() != len(batch) || h.LeaderEpoch != r.Epoch {
		panic(fmt.Sprintf("object: O2: batch [%d, %d] of %d bytes and epoch %d, its header says %d, behind offset %d of epoch %d",
			h.BaseOffset, h.LastOffset(), len(batch), h.LeaderEpoch, h.Size(), r.Next, r.Epoch))
	}
	// The header is what the broker thinks, the bytes are what is stored: a batch
	// that was changed in between must not become durable.
	if base, crc := int64(binary.BigEndian.Uint64(batch)), binary.BigEndian.Uint32(batch[17:]); base != h.BaseOffset || crc != h.CRC {
		panic(fmt.Sprintf("object: O2: the bytes of the batch at offset %d and of CRC %08x say %d and %08x", h.BaseOffset, h.CRC, base, crc))
	}
	if r.Len+int64(len(batch)) > math.MaxUint32 {
		e.fail(errors.New("object: a run is larger than 4 GiB"))
		return
	}
	if r.Len-e.indexed >= IndexEvery {
		e.indexed = r.Len
		e.index = append(e.index, IndexEntry{h.BaseOffset, r.Len, r.MaxTimestamp})
	}
	r.CRC = record.Extend(r.CRC, batch)
	r.Len += int64(len(batch))
	r.Next = h.NextOffset()
	r.Records += int64(h.NumRecords)
	if h.NumRecords > 0 {
		r.MaxTimestamp = max(r.MaxTimestamp, h.MaxTimestamp)
	}
	e.emit(batch)
}

// Producers says what is known of producers at the end of the current run.
func (e *Encoder) Producers(p []Producer) { e.run().Producers = p }

// Complete says that the producers of the current run are all that the partition
// knows.
func (e *Encoder) Complete() { e.run().Complete = true }

// Aborted says which transactions that the run overlaps were aborted.
func (e *Encoder) Aborted(a []Aborted) { e.run().Aborted = a }

// Payload makes b the payload of an index object (O4).
func (e *Encoder) Payload(b []byte) {
	if e.kind != Index || len(e.runs) > 0 {
		panic(fmt.Sprintf("object: O4: a payload in a %s with %d runs", e.kind, len(e.runs)))
	}
	if len(b) > math.MaxUint32 {
		e.fail(errors.New("object: a payload is larger than 4 GiB"))
		return
	}
	e.runs = append(e.runs, Run{Pos: e.pos, Len: int64(len(b)), CRC: crc32.Checksum(b, castagnoli), MaxTimestamp: -1, WrittenMs: e.nowMs})
	e.emit(b)
}

func (e *Encoder) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

// Finish writes footer and trailer and returns the object's runs. The error is
// the writer's, or says that the object became too large.
func (e *Encoder) Finish() ([]Run, error) {
	if e.finished {
		panic("object: finished twice")
	}
	e.finished = true
	e.end()
	footer := make([]byte, 0, len(e.runs)*(runLen+32))
	var details []byte
	for i := range e.runs {
		details = appendDetails(details, e.runs[i])
		footer = appendRun(footer, &e.runs[i], len(details))
	}
	footer = append(footer, details...)
	if len(footer) > math.MaxUint32 {
		e.fail(errors.New("object: a footer is larger than 4 GiB"))
		return e.runs, e.err
	}
	e.trailer = Trailer{FooterPos: e.pos, FooterLen: int64(len(footer)), Runs: len(e.runs)}
	trailer := e.trailer.encode(e.header, footer)
	e.emit(footer)
	e.emit(trailer)
	return e.runs, e.err
}

// Segments are the finished object's bytes, when it was not streamed.
func (e *Encoder) Segments() [][]byte { return e.segments }

// Size is the bytes of the object so far.
func (e *Encoder) Size() int64 { return e.pos }

// Identity is the finished object's identity.
func (e *Encoder) Identity() uint32 { return e.trailer.Identity }

// EncodeFence returns the bytes of a fence (S6).
func EncodeFence(session, slot uint64, nonce, fencer [16]byte, nowMs int64) []byte {
	e := NewEncoder(Header{Kind: Fence, Session: session, Slot: slot, Nonce: nonce, Fencer: fencer}, nowMs, nil)
	_, _ = e.Finish() // no writer, no batches: nothing can fail
	return join(e.segments)
}

// EncodeIndex returns the bytes of an index object.
func EncodeIndex(job, n uint64, nonce [16]byte, nowMs int64, payload []byte) []byte {
	e := NewEncoder(Header{Kind: Index, Session: job, Slot: n, Nonce: nonce}, nowMs, nil)
	e.Payload(payload)
	_, _ = e.Finish() // no writer, and side objects are some MB at most
	return join(e.segments)
}

func join(segments [][]byte) []byte {
	n := 0
	for _, s := range segments {
		n += len(s)
	}
	b := make([]byte, 0, n)
	for _, s := range segments {
		b = append(b, s...)
	}
	return b
}
