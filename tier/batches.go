package tier

import "slices"

// Source is where bytes came from, the cheapest first.
type Source uint8

// The sources of a read.
const (
	FromTail Source = iota
	FromHot
	FromBucket
	sources
)

// String names the source as metrics do.
func (s Source) String() string {
	switch s {
	case FromTail:
		return "tail"
	case FromHot:
		return "hot"
	}
	return "bucket"
}

// Batches are consecutive record batches of one partition, by reference. The
// bytes belong to a cache and must not be changed; they stay valid until Release.
type Batches struct {
	// Views are whole batches, one or more each, in order. Written one behind the
	// other they are what a Fetch response carries.
	Views [][]byte
	// Base is the base offset of the first batch, at or below the offset that was
	// asked for, and Next the offset behind the last. Equal when there is none.
	Base, Next int64
	Bytes      int

	held []held
	from [sources]int64 // bytes by source
}

// FromBucket is how many of the bytes came from the bucket, or the cache of its
// blocks.
func (b *Batches) FromBucket() int64 { return b.from[FromBucket] }

// held is what keeps views valid.
type held interface{ Release() }

// Release gives the bytes back. It may be called more than once.
func (b *Batches) Release() {
	for _, h := range b.held {
		h.Release()
	}
	b.held, b.Views, b.Bytes = nil, nil, 0
}

// From is how many of the bytes came from a source.
func (b *Batches) From(s Source) int64 { return b.from[s] }

// add appends one batch. It joins the view before it when the two are neighbours
// in one buffer.
func (b *Batches) add(base, next int64, data []byte, s Source) {
	if len(b.Views) == 0 {
		b.Base = base
	}
	b.Views = append(b.Views, data)
	b.Next = next
	b.Bytes += len(data)
	b.from[s] += int64(len(data))
}

// extend replaces the last view by a longer one, which n more bytes of the bucket
// belong to.
func (b *Batches) extend(view []byte, next int64, n int) {
	b.Views[len(b.Views)-1] = view
	b.Next = next
	b.Bytes += n
	b.from[FromBucket] += int64(n)
}

// copy makes the bytes their own, and gives back what they lay in.
func (b *Batches) copy() {
	data := slices.Concat(b.Views...)
	for _, h := range b.held {
		h.Release()
	}
	b.held, b.Views = nil, [][]byte{data}
}

// fits reports whether one more batch of so many bytes may be added. The first
// always may (KIP-74).
func (b *Batches) fits(size, maxBytes int) bool {
	return len(b.Views) == 0 || b.Bytes+size <= maxBytes
}
