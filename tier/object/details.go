package object

import (
	"encoding/binary"
	"fmt"
	"math"
)

func appendDetails(b []byte, r Run) []byte {
	u := func(v uint64) { b = binary.AppendUvarint(b, v) }
	i := func(v int64) { b = binary.AppendVarint(b, v) }
	u(uint64(len(r.Index)))
	base, pos, ts := r.Base, int64(0), int64(-1)
	for _, x := range r.Index {
		i(x.Base - base)
		u(uint64(x.Pos - pos))
		i(x.MaxTimestamp - ts)
		base, pos, ts = x.Base, x.Pos, x.MaxTimestamp
	}
	u(uint64(len(r.Producers)))
	for _, p := range r.Producers {
		i(p.ID)
		u(uint64(uint16(p.Epoch)))
		i(p.TimestampMs)
		i(p.TxnStart)
		u(uint64(len(p.Batches)))
		at := r.Base
		for _, x := range p.Batches {
			u(uint64(uint32(x.FirstSequence)))
			u(uint64(uint32(x.LastSequence)))
			i(x.Base - at)
			i(x.Last - x.Base)
			at = x.Last
		}
	}
	u(uint64(len(r.Aborted)))
	for _, a := range r.Aborted {
		i(a.Producer)
		i(a.First - r.Base)
		i(a.Last - a.First)
	}
	if r.Complete {
		u(flagComplete)
	}
	return b
}

// flagComplete is the one flag of a run. Flags are left out when there are none.
const flagComplete = 1

// reader reads varints; the first fault sticks. Lists are bounded by the bytes
// that are left.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) u() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) i() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// i32 is an unsigned varint that holds the bits of an int32; i16 those of an int16.
func (r *reader) i32() int32 {
	v := r.u()
	r.bad = r.bad || v > math.MaxUint32
	return int32(uint32(v))
}

func (r *reader) i16() int16 {
	v := r.u()
	r.bad = r.bad || v > math.MaxUint16
	return int16(uint16(v))
}

// list is the length of a list whose entries take that many bytes at least.
func (r *reader) list(least int) int {
	n := r.u()
	if n > uint64(len(r.b)/least) {
		r.bad, r.b = true, nil
		return 0
	}
	return int(n)
}

func decodeDetails(b []byte, run Run) (Details, error) {
	r := reader{b: b}
	var d Details
	if n := r.list(3); n > 0 {
		d.Index = make([]IndexEntry, n)
	}
	base, pos, ts := run.Base, int64(0), int64(-1)
	for k := range d.Index {
		before, at := base, pos
		base, pos, ts = base+r.i(), pos+int64(r.u()), ts+r.i()
		if base < run.Base || base >= run.Next || pos < 0 || pos >= run.Len || k > 0 && (base <= before || pos <= at) {
			r.bad = true // entries grow, and lie in the run
		}
		d.Index[k] = IndexEntry{base, pos, ts}
	}
	if n := r.list(5); n > 0 {
		d.Producers = make([]Producer, n)
	}
	for k := range d.Producers {
		p := Producer{ID: r.i(), Epoch: r.i16(), TimestampMs: r.i(), TxnStart: r.i()}
		if m := r.list(4); m > 0 {
			p.Batches = make([]Produced, m)
		}
		at := run.Base
		for j := range p.Batches {
			x := Produced{FirstSequence: r.i32(), LastSequence: r.i32(), Base: at + r.i()}
			x.Last = x.Base + r.i()
			at = x.Last
			p.Batches[j] = x
		}
		d.Producers[k] = p
	}
	if n := r.list(3); n > 0 {
		d.Aborted = make([]Aborted, n)
	}
	for k := range d.Aborted {
		a := Aborted{Producer: r.i(), First: run.Base + r.i()}
		a.Last = a.First + r.i()
		d.Aborted[k] = a
	}
	if !r.bad && len(r.b) > 0 {
		flags := r.u()
		d.Complete = flags&flagComplete != 0
		r.bad = r.bad || flags != flagComplete
	}
	if r.bad || len(r.b) > 0 {
		return Details{}, fmt.Errorf("%w: details of a run are malformed", ErrCorrupt)
	}
	return d, nil
}
