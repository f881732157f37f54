package kafka

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// kmsg, the codec, believes what a request says of itself: a count of 2³² tags in
// seven bytes keeps it busy for 40 s, and arrays are allocated before their
// elements are seen. So every body is walked by its shape before kmsg decodes it.
// The walk allocates nothing and takes time in proportion to the bytes that are
// really there; what passes it is complete and within the bounds below.

const (
	// maxElements bounds the elements of all arrays of a request together, unless it has
	// elementBytes for each. A decoded element takes up to 64 bytes or so, one on the wire
	// as little as two: with this, what a request decodes to stays under 16 times its size
	// plus 1 MiB. What asks for every partition of a broker with 100,000 has sixteen bytes
	// for each, or four in an array of numbers, which are not more when they are decoded
	// and do not count.
	maxElements  = 50_000
	elementBytes = 8
	// maxTags bounds the tagged fields of one struct, of which each that kmsg does
	// not know costs a map entry, and structTags those of a whole request.
	maxTags     = 64
	requestTags = 1_000
)

type kind uint8

const (
	fixed  kind = iota // size bytes
	text               // int16 length, or compact
	blob               // int32 length, or compact
	array              // int32 count, or compact
	object             // its fields; when nullable, behind an int8 that is -1 for null
)

// shape is one field of a request, in the versions that have it.
type shape struct {
	name     string
	kind     kind
	size     int   // of fixed
	from, to int16 // versions
	nullable int16 // from this version on, null is legal
	tag      int   // number of a tagged field, or -1
	fields   []shape
}

// body is the shape of one API's requests.
type body struct {
	fields   []shape
	flexible int16 // first version with compact lengths and tags (KIP-482)
}

// parseShape reads the shape of a request:
//
//	field    = [tag "~"] name ":" type ["?" [version "+"]] ["@" from ("+" | "-" to)]
//	type     = "i8" | "i16" | "i32" | "i64" | "f64" | "bool" | "uuid" | "str" | "bytes"
//	         | "[" type "]" | "[" field… "]" | "(" field… ")"
//
// "?" allows null, from a version on if one is given. "@" says which versions have
// the field. A tag makes it a tagged field. It panics on a mistake: shapes are
// constants.
func parseShape(flexible int16, s string) body {
	p := shapeParser{words: strings.Fields(strings.NewReplacer("[", " [ ", "]", " ] ", "(", " ( ", ")", " ) ").Replace(s))}
	fields := p.fields("")
	return body{fields: fields, flexible: flexible}
}

type shapeParser struct{ words []string }

func (p *shapeParser) peek() string {
	if len(p.words) == 0 {
		return ""
	}
	return p.words[0]
}

func (p *shapeParser) next() string {
	w := p.peek()
	if w == "" {
		panic("shape ends early")
	}
	p.words = p.words[1:]
	return w
}

func (p *shapeParser) fields(end string) []shape {
	var fs []shape
	for p.peek() != end {
		fs = append(fs, p.field())
	}
	if end != "" {
		p.next()
	}
	return fs
}

func (p *shapeParser) field() shape {
	f := shape{to: math.MaxInt16, nullable: math.MaxInt16, tag: -1}
	name, rest, ok := strings.Cut(p.next(), ":")
	if !ok {
		panic("shape: no type for " + name)
	}
	if tag, n, ok := strings.Cut(name, "~"); ok {
		f.tag, name = number(tag), n
	}
	f.name = name
	if rest != "" {
		f.suffix(f.primitive(rest))
		return f
	}
	open := p.next()
	f.kind = array
	if open == "(" {
		f.kind = object
		f.fields = p.fields(")")
	} else if strings.Contains(p.peek(), ":") {
		f.fields = []shape{{name: "element", kind: object, to: math.MaxInt16, nullable: math.MaxInt16, tag: -1, fields: p.fields("]")}}
	} else {
		e := shape{name: "element", to: math.MaxInt16, nullable: math.MaxInt16, tag: -1}
		e.suffix(e.primitive(p.next()))
		f.fields = []shape{e}
		p.next()
	}
	if w := p.peek(); strings.HasPrefix(w, "?") || strings.HasPrefix(w, "@") {
		f.suffix(p.next())
	}
	return f
}

// primitive sets the kind that w begins with and returns the rest.
func (f *shape) primitive(w string) string {
	end := strings.IndexAny(w, "?@")
	if end < 0 {
		end = len(w)
	}
	switch w[:end] {
	case "bool", "i8":
		f.size = 1
	case "i16":
		f.size = 2
	case "i32":
		f.size = 4
	case "i64", "f64":
		f.size = 8
	case "uuid":
		f.size = 16
	case "str":
		f.kind = text
	case "bytes":
		f.kind = blob
	default:
		panic("shape: unknown type " + w)
	}
	return w[end:]
}

func (f *shape) suffix(s string) {
	null, versions, ranged := strings.Cut(s, "@")
	if strings.HasPrefix(null, "?") {
		f.nullable = 0
		if v := strings.TrimSuffix(null[1:], "+"); v != "" {
			f.nullable = int16(number(v))
		}
	}
	if !ranged {
		return
	}
	if from, ok := strings.CutSuffix(versions, "+"); ok {
		f.from = int16(number(from))
		return
	}
	from, to, _ := strings.Cut(versions, "-")
	f.from, f.to = int16(number(from)), int16(number(to))
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic("shape: " + err.Error())
	}
	return n
}

// check says whether b begins with a whole body of this shape. What lies behind it
// is nobody's: Kafka does not look at it, and clients do send it. librdkafka 2.12
// leaves three bytes behind a Metadata of v13, kafka-go one behind a DescribeAcls.
// The error wraps ErrMalformed.
func (s body) check(b []byte, version int16) error {
	w := walk{rest: b, elements: max(maxElements, len(b)/elementBytes), left: requestTags}
	return w.object(s.fields, version, s.flexible >= 0 && version >= s.flexible)
}

// walk is a walk through a body.
type walk struct {
	rest     []byte
	elements int // of arrays, that may still come
	left     int // tags that may still come
}

func (w *walk) skip(n int, what string) error {
	if n < 0 || n > len(w.rest) {
		return fmt.Errorf("%w: %s of %d bytes, %d are left", ErrMalformed, what, n, len(w.rest))
	}
	w.rest = w.rest[n:]
	return nil
}

// uvarint reads an unsigned varint of 32 bits.
func (w *walk) uvarint(what string) (int, error) {
	v, n := binary.Uvarint(w.rest)
	if n <= 0 || n > 5 || v > math.MaxUint32 {
		return 0, fmt.Errorf("%w: length of %s", ErrMalformed, what)
	}
	w.rest = w.rest[n:]
	return int(v), nil
}

// length reads the length or count of a field, -1 for null. width is that of the
// length in versions that are not flexible.
func (w *walk) length(f *shape, width int, version int16, flexible bool) (n int, err error) {
	switch {
	case flexible:
		if n, err = w.uvarint(f.name); err != nil {
			return 0, err
		}
		n--
	case len(w.rest) < width:
		return 0, fmt.Errorf("%w: no length of %s", ErrMalformed, f.name)
	case width == 2:
		n = int(int16(binary.BigEndian.Uint16(w.rest)))
		w.rest = w.rest[2:]
	default:
		n = int(int32(binary.BigEndian.Uint32(w.rest)))
		w.rest = w.rest[4:]
	}
	if n < -1 || n == -1 && version < f.nullable {
		return 0, fmt.Errorf("%w: length %d of %s", ErrMalformed, n, f.name)
	}
	return n, nil
}

func (w *walk) object(fields []shape, version int16, flexible bool) error {
	for i := range fields {
		f := &fields[i]
		if f.tag >= 0 || version < f.from || version > f.to {
			continue
		}
		if err := w.field(f, version, flexible); err != nil {
			return err
		}
	}
	if flexible {
		return w.tags(fields, version, true)
	}
	return nil
}

func (w *walk) field(f *shape, version int16, flexible bool) error {
	switch f.kind {
	case fixed:
		return w.skip(f.size, f.name)
	case text:
		n, err := w.length(f, 2, version, flexible)
		if err != nil || n <= 0 {
			return err
		}
		if n > math.MaxInt16 {
			return fmt.Errorf("%w: %s of %d bytes", ErrMalformed, f.name, n)
		}
		return w.skip(n, f.name)
	case blob:
		n, err := w.length(f, 4, version, flexible)
		if err != nil || n <= 0 {
			return err
		}
		return w.skip(n, f.name)
	case array:
		return w.array(f, version, flexible)
	}
	if version >= f.nullable {
		if len(w.rest) == 0 {
			return fmt.Errorf("%w: no %s", ErrMalformed, f.name)
		}
		null := int8(w.rest[0]) == -1
		w.rest = w.rest[1:]
		if null {
			return nil
		}
	}
	return w.object(f.fields, version, flexible)
}

func (w *walk) array(f *shape, version int16, flexible bool) error {
	n, err := w.length(f, 4, version, flexible)
	if err != nil || n <= 0 {
		return err
	}
	e := &f.fields[0]
	if e.kind == fixed {
		return w.skip(n*e.size, f.name)
	}
	if w.elements -= n; w.elements < 0 {
		return fmt.Errorf("%w: with %s it has more elements than it may", ErrMalformed, f.name)
	}
	for range n {
		if err := w.field(e, version, flexible); err != nil {
			return err
		}
	}
	return nil
}

// tags walks the tagged fields at the end of a struct. Those with a shape are
// walked too: kmsg decodes them.
func (w *walk) tags(fields []shape, version int16, flexible bool) error {
	n, err := w.uvarint("tags")
	if err != nil {
		return err
	}
	if w.left -= n; n > maxTags || w.left < 0 {
		return fmt.Errorf("%w: %d tags", ErrMalformed, n)
	}
	last := -1
	for range n {
		tag, err := w.uvarint("tag")
		if err != nil {
			return err
		}
		if tag <= last {
			return fmt.Errorf("%w: tag %d after tag %d", ErrMalformed, tag, last)
		}
		last = tag
		size, err := w.uvarint("tag")
		if err != nil {
			return err
		}
		if size > len(w.rest) {
			return fmt.Errorf("%w: tag %d of %d bytes, %d are left", ErrMalformed, tag, size, len(w.rest))
		}
		for i := range fields {
			f := &fields[i]
			if f.tag != tag || version < f.from || version > f.to {
				continue
			}
			inner := walk{rest: w.rest[:size], elements: w.elements, left: w.left}
			if err := inner.field(f, version, flexible); err != nil {
				return err
			}
			if len(inner.rest) > 0 {
				return fmt.Errorf("%w: %d bytes behind %s", ErrMalformed, len(inner.rest), f.name)
			}
			w.elements, w.left = inner.elements, inner.left
		}
		w.rest = w.rest[size:]
	}
	return nil
}
