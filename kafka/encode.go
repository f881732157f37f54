package kafka

import (
	"encoding/binary"
	"net"
)

// encode appends the answer in the wire format of a version to dst, and returns
// it as parts to be written one after the other: slices of dst and, between them,
// the batches themselves. It is what kmsg's FetchResponse.AppendTo would write, for
// versions 4 to 16, without copying a payload byte.
//
//	throttle i32, code i16@7+, session i32@7+
//	topics: name str@4-12, id uuid@13+
//	  partitions: index i32, code i16, hw i64, lso i64, start i64@5+,
//	    aborted [producer i64, first i64]?, preferred i32@11+, records bytes?,
//	    tags: 0 diverging (epoch i32, end i64), 1 leader (node i32, epoch i32)
//	tags: 0 brokers [node i32, host str, port i32, rack str?]
func (f *fetched) encode(dst []byte, version int16) ([]byte, net.Buffers) {
	e := encoder{b: dst, flexible: version >= 12}
	e.i32(0) // throttle
	if version >= 7 {
		e.i16(int16(f.code))
		e.i32(0) // session: none
	}
	e.count(len(f.topics), false)
	for i := range f.topics {
		t := &f.topics[i]
		if version >= 13 {
			e.b = append(e.b, t.id[:]...)
		} else {
			e.str(t.name)
		}
		e.count(len(t.partitions), false)
		for j := range t.partitions {
			e.partition(&t.partitions[j], version)
		}
		e.noTags()
	}
	if e.flexible {
		e.brokers(f.brokers)
	}
	e.cut(nil)
	return e.b, e.parts()
}

// encoder builds parts. cuts say where in b views belong.
type encoder struct {
	b        []byte
	flexible bool
	cuts     []cut
}

type cut struct {
	at    int // in encoder.b
	views [][]byte
}

func (e *encoder) i16(v int16) { e.b = binary.BigEndian.AppendUint16(e.b, uint16(v)) }
func (e *encoder) i32(v int32) { e.b = binary.BigEndian.AppendUint32(e.b, uint32(v)) }
func (e *encoder) i64(v int64) { e.b = binary.BigEndian.AppendUint64(e.b, uint64(v)) }
func (e *encoder) uvarint(v int) {
	e.b = binary.AppendUvarint(e.b, uint64(v))
}

// count writes the count of an array, or the length of bytes.
func (e *encoder) count(n int, null bool) {
	switch {
	case null && e.flexible:
		e.uvarint(0)
	case null:
		e.i32(-1)
	case e.flexible:
		e.uvarint(n + 1)
	default:
		e.i32(int32(n))
	}
}

func (e *encoder) str(s string) {
	if e.flexible {
		e.uvarint(len(s) + 1)
	} else {
		e.i16(int16(len(s)))
	}
	e.b = append(e.b, s...)
}

func (e *encoder) noTags() {
	if e.flexible {
		e.b = append(e.b, 0)
	}
}

// cut notes that views belong here.
func (e *encoder) cut(views [][]byte) { e.cuts = append(e.cuts, cut{len(e.b), views}) }

// parts returns b with the views in their places.
func (e *encoder) parts() net.Buffers {
	n := 0
	for _, c := range e.cuts {
		n += 1 + len(c.views)
	}
	parts := make(net.Buffers, 0, n)
	from := 0
	for _, c := range e.cuts {
		if c.at > from {
			parts = append(parts, e.b[from:c.at:c.at])
		}
		parts = append(parts, c.views...)
		from = c.at
	}
	return parts
}

func (e *encoder) partition(p *fetchedPartition, version int16) {
	e.i32(p.index)
	e.i16(int16(p.code))
	e.i64(p.hw)
	e.i64(p.lso)
	if version >= 5 {
		e.i64(p.start)
	}
	e.count(len(p.found.Aborted), !p.committed)
	if p.committed {
		for _, a := range p.found.Aborted {
			e.i64(a.ProducerID)
			e.i64(a.FirstOffset)
			e.noTags()
		}
	}
	if version >= 11 {
		e.i32(p.nearest)
	}
	size := p.size()
	// Empty, not null: kafka-python and others read the length before they look.
	e.count(size, false)
	if size > 0 {
		e.cut(p.found.Bytes)
	}
	if !e.flexible {
		return
	}
	tags := 0
	if p.divergingEpoch >= 0 {
		tags++
	}
	if p.leader >= 0 {
		tags++
	}
	e.uvarint(tags)
	if p.divergingEpoch >= 0 {
		e.uvarint(0)
		e.uvarint(4 + 8 + 1)
		e.i32(p.divergingEpoch)
		e.i64(p.divergingEnd)
		e.noTags()
	}
	if p.leader >= 0 {
		e.uvarint(1)
		e.uvarint(4 + 4 + 1)
		e.i32(p.leader)
		e.i32(p.epoch)
		e.noTags()
	}
}

func (e *encoder) brokers(bs []Broker) {
	if len(bs) == 0 {
		e.noTags()
		return
	}
	tag := encoder{flexible: true}
	tag.count(len(bs), false)
	for _, b := range bs {
		tag.i32(b.Node)
		tag.str(b.Host)
		tag.i32(b.Port)
		if b.Rack == "" {
			tag.count(0, true)
		} else {
			tag.str(b.Rack)
		}
		tag.noTags()
	}
	e.uvarint(1)
	e.uvarint(0)
	e.uvarint(len(tag.b))
	e.b = append(e.b, tag.b...)
}
