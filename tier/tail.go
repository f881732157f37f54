package tier

import (
	"sync"

	"github.com/firnlog/firn/record"
)

// Frame is a buffer that is shared by reference: what a Produce request arrived
// in. Both methods may be called from any goroutine.
type Frame interface {
	Retain()
	Release()
}

// Batch is one committed batch, for the tail cache.
type Batch struct {
	Base, Next   int64
	Epoch        int32
	MaxTimestamp int64
	Bytes        []byte
	Frame        Frame // what Bytes lies in; nil when nothing has to be retained
}

// DefaultTail is how many bytes of batches the tail cache holds: a few seconds of
// a busy broker, which is what consumers that keep up are behind.
const DefaultTail = 64 << 20

// perBatch is the memory that a batch takes beside its bytes, about: its entry here, and
// the frame around it.
const perBatch = 256

// Tail is the newest committed batches of all partitions, in memory, under one
// budget: when it is exceeded the oldest go first, whichever partition's they
// are. Nothing is copied. It may be used by many goroutines; no call blocks.
type Tail struct {
	budget int64

	mu    sync.Mutex
	rings map[record.Partition]*ring
	order fifo // the ring of each batch, oldest batch first
	bytes int64
	held  int64 // batches
}

// ring is the cached batches of one partition, without a gap.
type ring struct {
	partition record.Partition
	batches   []Batch // [head:] are live
	head      int
	dead      int // entries in order that refer to batches which are gone already
}

// NewTail makes a tail cache of so many bytes of memory; 0 is DefaultTail.
func NewTail(budget int64) *Tail {
	if budget <= 0 {
		budget = DefaultTail
	}
	return &Tail{budget: budget, rings: make(map[record.Partition]*ring)}
}

// Add takes consecutive committed batches of one partition and retains their
// frames. Batches that do not follow what is cached replace it. The slice is not
// kept.
func (t *Tail) Add(p record.Partition, batches []Batch) {
	if len(batches) == 0 {
		return
	}
	for i := range batches {
		if f := batches[i].Frame; f != nil {
			f.Retain()
		}
	}
	var gone []Frame
	t.mu.Lock()
	r := t.rings[p]
	if r == nil {
		r = &ring{partition: p}
		t.rings[p] = r
	}
	for _, b := range batches {
		if n := len(r.batches); n > r.head && r.batches[n-1].Next != b.Base {
			gone = t.empty(r, gone)
		}
		r.push(b)
		t.order.push(r)
		t.bytes += int64(len(b.Bytes))
		t.held++
	}
	for t.bytes+t.held*perBatch > t.budget {
		gone = t.evict(gone)
	}
	t.mu.Unlock()
	for _, f := range gone {
		f.Release()
	}
}

// evict drops the oldest batch of all.
func (t *Tail) evict(gone []Frame) []Frame {
	r := t.order.pop()
	if r.dead > 0 {
		r.dead--
		return gone
	}
	gone = t.drop(r, gone)
	if r.head == len(r.batches) && t.rings[r.partition] == r {
		delete(t.rings, r.partition)
	}
	return gone
}

func (t *Tail) drop(r *ring, gone []Frame) []Frame {
	b := &r.batches[r.head]
	t.bytes -= int64(len(b.Bytes))
	t.held--
	if b.Frame != nil {
		gone = append(gone, b.Frame)
	}
	*b = Batch{}
	r.head++
	return gone
}

// empty drops all batches of a ring; their places in the order are skipped later.
func (t *Tail) empty(r *ring, gone []Frame) []Frame {
	for r.head < len(r.batches) {
		gone = t.drop(r, gone)
		r.dead++
	}
	return gone
}

// Forget drops a partition: it was deleted, or belongs to another broker now.
func (t *Tail) Forget(p record.Partition) {
	var gone []Frame
	t.mu.Lock()
	if r := t.rings[p]; r != nil {
		gone = t.empty(r, nil)
		delete(t.rings, p)
	}
	t.mu.Unlock()
	for _, f := range gone {
		f.Release()
	}
}

// Span returns the offsets [from, to) that are cached of a partition; equal when
// there are none.
func (t *Tail) Span(p record.Partition) (from, to int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.rings[p]
	if r == nil || r.head == len(r.batches) {
		return 0, 0
	}
	return r.batches[r.head].Base, r.batches[len(r.batches)-1].Next
}

// Bytes is the sum of the lengths of the batches that are cached.
func (t *Tail) Bytes() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bytes
}

// read adds batches from the offset on. Frames are retained under the lock, so
// that no batch is evicted between being found and being held.
func (t *Tail) read(out *Batches, p record.Partition, offset, upto int64, maxBytes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.rings[p]
	if r == nil {
		return
	}
	i := r.find(offset)
	if i == len(r.batches) || len(out.Views) > 0 && r.batches[i].Base != offset {
		return
	}
	for ; i < len(r.batches); i++ {
		b := &r.batches[i]
		if b.Next > upto || b.Base > offset || !out.fits(len(b.Bytes), maxBytes) {
			return
		}
		if b.Frame != nil {
			b.Frame.Retain()
			out.held = append(out.held, b.Frame)
		}
		out.add(b.Base, b.Next, b.Bytes, FromTail)
		offset = b.Next
	}
}

// find returns the position of the first batch that ends behind the offset.
func (r *ring) find(offset int64) int {
	lo, hi := r.head, len(r.batches)
	for lo < hi {
		if mid := (lo + hi) / 2; r.batches[mid].Next <= offset {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// push appends a batch, and moves the live ones to the front when half of the
// slice is dead.
func (r *ring) push(b Batch) {
	if r.head > 16 && r.head > len(r.batches)/2 {
		n := copy(r.batches, r.batches[r.head:])
		clear(r.batches[n:])
		r.batches, r.head = r.batches[:n], 0
	}
	r.batches = append(r.batches, b)
}

// fifo is a queue of rings.
type fifo struct {
	rings []*ring
	head  int
}

func (q *fifo) push(r *ring) {
	if q.head > 64 && q.head > len(q.rings)/2 {
		n := copy(q.rings, q.rings[q.head:])
		clear(q.rings[n:])
		q.rings, q.head = q.rings[:n], 0
	}
	q.rings = append(q.rings, r)
}

func (q *fifo) pop() *ring {
	r := q.rings[q.head]
	q.rings[q.head] = nil
	q.head++
	return r
}
