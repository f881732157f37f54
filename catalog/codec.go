package catalog

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/firnlog/firn/record"
)

// encoder appends the catalog's compact encoding: unsigned and zig-zag varints,
// strings and lists with their length in front.
type encoder struct{ b []byte }

func (e *encoder) u(v uint64)      { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) i(v int64)       { e.b = binary.AppendVarint(e.b, v) }
func (e *encoder) byte(v byte)     { e.b = append(e.b, v) }
func (e *encoder) u32(v uint32)    { e.b = binary.LittleEndian.AppendUint32(e.b, v) }
func (e *encoder) raw(v [16]byte)  { e.b = append(e.b, v[:]...) }
func (e *encoder) string(v string) { e.u(uint64(len(v))); e.b = append(e.b, v...) }
func (e *encoder) ref(r ObjectRef) { e.byte(byte(r.Kind)); e.u(r.A); e.u(r.B) }
func (e *encoder) bool(v bool) {
	if v {
		e.byte(1)
	} else {
		e.byte(0)
	}
}

func (e *encoder) partition(p record.Partition) {
	e.raw(p.Topic)
	e.u(uint64(uint32(p.Index)))
}

func (e *encoder) configs(m map[string]string) {
	e.u(uint64(len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		e.string(k)
		e.string(m[k])
	}
}

func (e *encoder) settings(m map[string]*string) {
	e.u(uint64(len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		e.string(k)
		e.bool(m[k] != nil)
		if m[k] != nil {
			e.string(*m[k])
		}
	}
}

// extents encodes runs of one partition; offsets as differences to the one before.
func (e *encoder) extents(xs []Extent) {
	e.u(uint64(len(xs)))
	var at int64
	for _, x := range xs {
		e.i(x.Base - at)
		e.u(uint64(x.Next - x.Base))
		e.u(uint64(uint32(x.Epoch)))
		e.ref(x.Object)
		e.u(uint64(x.Pos))
		e.u(uint64(x.Len))
		e.i(x.MaxTimestamp)
		e.u32(x.CRC)
		e.u(uint64(x.Records))
		at = x.Next
	}
}

func (e *encoder) located(xs []Located) {
	groups := 0
	for i := range xs {
		if i == 0 || xs[i].Partition != xs[i-1].Partition {
			groups++
		}
	}
	e.u(uint64(groups))
	for len(xs) > 0 {
		n := 1
		for n < len(xs) && xs[n].Partition == xs[0].Partition {
			n++
		}
		e.partition(xs[0].Partition)
		run := make([]Extent, n)
		for i, x := range xs[:n] {
			run[i] = x.Extent
		}
		e.extents(run)
		xs = xs[n:]
	}
}

func (e *encoder) tips(ts []Tip) {
	e.u(uint64(len(ts)))
	for _, t := range ts {
		e.partition(t.Partition)
		e.i(t.Next)
	}
}

func (d *decoder) tips() []Tip {
	if d.version < 2 {
		return nil
	}
	var out []Tip
	for range d.count(18) {
		out = append(out, Tip{d.partition(), d.i()})
	}
	return out
}

func (e *encoder) line(l IndexRef) {
	e.i(l.Base)
	e.u(uint64(l.Next - l.Base))
	e.ref(l.Object)
	e.u(uint64(l.Extents))
	e.u(uint64(l.Bytes))
	e.i(l.MaxTimestamp)
}

// decoder reads what encoder wrote. The first fault sticks; lists are bounded by
// the bytes that are left, so that lying counts cost nothing.
type decoder struct {
	b       []byte
	version byte // of a journal entry
	err     error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrCorrupt, what)
	}
	d.b = nil
}

func (d *decoder) u() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail("a number is cut short")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) i() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail("a number is cut short")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.fail("a field is cut short")
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if v := d.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if v := d.take(4); v != nil {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

func (d *decoder) raw() (v [16]byte) { copy(v[:], d.take(16)); return v }
func (d *decoder) bool() bool        { return d.byte() != 0 }

// count reads a list's length; every element takes at least min bytes.
func (d *decoder) count(min int) int {
	n := d.u()
	if n > uint64(len(d.b)/min) {
		d.fail("a list is longer than its bytes")
		return 0
	}
	return int(n)
}

func (d *decoder) string() string { return string(d.take(d.count(1))) }

func (d *decoder) ref() ObjectRef {
	return ObjectRef{Kind: Kind(d.byte()), A: d.u(), B: d.u()}
}

func (d *decoder) partition() record.Partition {
	return record.Partition{Topic: d.raw(), Index: int32(d.u())}
}

func (d *decoder) configs() map[string]string {
	n := d.count(2)
	m := make(map[string]string, n)
	for range n {
		k := d.string()
		m[k] = d.string()
	}
	return m
}

func (d *decoder) settings() map[string]*string {
	n := d.count(2)
	m := make(map[string]*string, n)
	for range n {
		k := d.string()
		m[k] = nil
		if d.bool() {
			v := d.string()
			m[k] = &v
		}
	}
	return m
}

const extentMin = 14 // bytes of the smallest encoded extent

func (d *decoder) extents() []Extent {
	n := d.count(extentMin)
	if n == 0 {
		return nil
	}
	xs := make([]Extent, n)
	var at int64
	for i := range xs {
		x := &xs[i]
		x.Base = at + d.i()
		x.Next = x.Base + int64(d.u())
		x.Epoch = int32(d.u())
		x.Object = d.ref()
		x.Pos = int64(d.u())
		x.Len = int64(d.u())
		x.MaxTimestamp = d.i()
		x.CRC = d.u32()
		x.Records = int64(d.u())
		at = x.Next
	}
	return xs
}

func (d *decoder) located() []Located {
	var out []Located
	for range d.count(18) {
		p := d.partition()
		for _, x := range d.extents() {
			out = append(out, Located{p, x})
		}
	}
	return out
}

func (d *decoder) line() IndexRef {
	l := IndexRef{Base: d.i()}
	l.Next = l.Base + int64(d.u())
	l.Object = d.ref()
	l.Extents = int32(d.u())
	l.Bytes = int64(d.u())
	l.MaxTimestamp = d.i()
	return l
}

func (e *encoder) ids(v []uint64) {
	e.u(uint64(len(v)))
	for _, x := range v {
		e.u(x)
	}
}

func (d *decoder) ids() []uint64 {
	v := make([]uint64, d.count(1))
	for i := range v {
		v[i] = d.u()
	}
	return v
}

func (e *encoder) refs(v []ObjectRef) {
	e.u(uint64(len(v)))
	for _, x := range v {
		e.ref(x)
	}
}

func (d *decoder) refs() []ObjectRef {
	v := make([]ObjectRef, d.count(3))
	for i := range v {
		v[i] = d.ref()
	}
	return v
}

const extentsVersion = 1

// EncodeExtents is the payload of an index object: a version byte and the
// extents of one partition.
func EncodeExtents(xs []Extent) []byte {
	e := encoder{b: []byte{extentsVersion}}
	e.extents(xs)
	return e.b
}

// DecodeExtents reads the payload of an index object.
func DecodeExtents(b []byte) ([]Extent, error) {
	d := decoder{b: b}
	if v := d.byte(); d.err == nil && v != extentsVersion {
		return nil, fmt.Errorf("index object: %w: version %d, this program knows %d", ErrVersion, v, extentsVersion)
	}
	xs := d.extents()
	if d.err == nil && len(d.b) > 0 {
		d.fail("bytes are left over")
	}
	return xs, d.err
}
