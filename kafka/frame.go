package kafka

import (
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
)

// Pool holds buffers for the frames of Produce requests, the only ones whose
// bytes outlive their request: uploads, the hot tier and the tail cache refer to
// them (protocol.md 3.7). All other frames belong to the garbage collector, so that
// nobody can read from one that was reused.
//
// Sizes come in four classes to the doubling: at most a quarter of a buffer is
// waste.
type Pool struct {
	classes [96]sync.Pool
	// Poison overwrites buffers at their last Release and never uses them again: a
	// reader that comes too late finds 0xDB instead of somebody else's records, and
	// the race detector finds it in any case. For tests.
	Poison bool
}

// NewPool returns an empty pool.
func NewPool() *Pool { return &Pool{} }

const poison = 0xDB

// minClass is the smallest buffer. The tail cache keeps the buffer for as long as a batch
// in it, which for clients that do not batch is a hundred bytes or two: a large one would
// be nearly all waste.
const minClass = 1 << minLog

const minLog = 8

// classOf returns the smallest class that holds n bytes, and its size.
func classOf(n int) (class, size int) {
	if n <= minClass {
		return 0, minClass
	}
	log := bits.Len(uint(n-1)) - 1 // 2^log < n <= 2^(log+1)
	step := 1 << (log - 2)
	quarter := (n - 1 - 1<<log) / step // 0..3
	return (log-minLog)*4 + quarter + 1, 1<<log + (quarter+1)*step
}

// get returns a buffer of n bytes with one reference.
func (p *Pool) get(n int) *buffer {
	class, size := classOf(n)
	b, _ := p.classes[class].Get().(*buffer)
	if b == nil {
		b = &buffer{pool: p, whole: make([]byte, size), class: class}
	}
	b.bytes = b.whole[:n]
	b.refs.Store(1)
	return b
}

// buffer is a Frame whose memory goes back to its pool at the last Release.
type buffer struct {
	pool  *Pool
	whole []byte
	bytes []byte
	class int
	refs  atomic.Int32
}

// Retain adds a reference. Its caller must hold one.
func (b *buffer) Retain() {
	if n := b.refs.Add(1); n <= 1 {
		panic(fmt.Sprintf("K3: frame retained with %d references", n-1))
	}
}

// Release drops a reference. The bytes must not be read afterwards.
func (b *buffer) Release() {
	switch n := b.refs.Add(-1); {
	case n < 0:
		panic("K3: frame released more often than it was retained")
	case n > 0:
		return
	}
	if b.pool.Poison {
		for i := range b.whole {
			b.whole[i] = poison
		}
		return
	}
	b.bytes = nil
	b.pool.classes[b.class].Put(b)
}
