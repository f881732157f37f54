package ingest

import (
	"cmp"
	"slices"
	"time"

	"github.com/firnlog/firn/record"
)

// WindowBatches is how many batches of a producer are remembered per partition:
// as many as a client may have in flight (kafka.md 25).
const WindowBatches = 5

// Sent is one batch of a producer: its sequence numbers and its offsets.
type Sent struct {
	FirstSeq, LastSeq int32
	Base, Last        int64
}

// Producer is what a partition remembers of one producer id. It is a value:
// copies do not share anything.
type Producer struct {
	ID       int64
	Epoch    int16
	LastMs   int64 // wall clock of its last batch, for expiry alone
	TxnStart int64 // first offset of its open transaction; -1 when none is open
	N        uint8 // batches in Window
	Window   [WindowBatches]Sent
}

// Sent returns the batches that are remembered, oldest first.
func (p *Producer) Sent() []Sent { return p.Window[:p.N] }

// push remembers one more batch, and forgets the oldest when there are five.
func (p *Producer) push(s Sent) {
	if p.N == WindowBatches {
		copy(p.Window[:], p.Window[1:])
		p.N--
	}
	p.Window[p.N] = s
	p.N++
}

// node is a Producer in the list that is ordered by last use.
type node struct {
	Producer
	older, newer *node
}

// Producers is the producer state of one partition: who may append what next,
// and what was appended already. It is bounded in number and in time. The zero
// value is not usable; NewProducers makes one.
type Producers struct {
	max            int
	expire         time.Duration
	byID           map[int64]*node
	oldest, newest *node
	open           int // transactions
}

// NewProducers returns an empty state that holds at most limit producers (the
// ones that appended last) and forgets those that have not appended for expire
// (producer.id.expiration.ms). A producer with an open transaction is kept.
func NewProducers(limit int, expire time.Duration) *Producers {
	return &Producers{max: limit, expire: expire}
}

// Len is the number of producers remembered.
func (s *Producers) Len() int { return len(s.byID) }

// Lookup returns what is remembered of a producer.
func (s *Producers) Lookup(id int64) (Producer, bool) {
	if n := s.byID[id]; n != nil {
		return n.Producer, true
	}
	return Producer{}, false
}

// Check decides whether a batch from a client may be appended (kafka.md 25-29).
// When it is one of the last five of its producer, it returns that one and true:
// answer with its offset, append nothing.
func (s *Producers) Check(h *record.Header, now time.Time) (Sent, bool, error) {
	if h.ProducerID < 0 {
		return Sent{}, false, nil
	}
	if h.ProducerEpoch < 0 || h.BaseSequence < 0 && !h.Control() {
		return Sent{}, false, record.ErrInvalidRecord
	}
	n := s.byID[h.ProducerID]
	if n == nil || s.expired(n, now) {
		return Sent{}, false, nil // unknown: its state may have expired, any sequence will do
	}
	switch {
	case h.ProducerEpoch < n.Epoch:
		return Sent{}, false, ErrInvalidProducerEpoch
	case h.Control():
		return Sent{}, false, nil
	case h.ProducerEpoch > n.Epoch:
		if h.BaseSequence != 0 {
			return Sent{}, false, ErrOutOfOrderSequence
		}
	default:
		last := h.LastSequence()
		for _, b := range n.Sent() {
			if b.FirstSeq == h.BaseSequence && b.LastSeq == last {
				return b, true, nil
			}
		}
		if n.N > 0 && record.AddSequence(n.Window[n.N-1].LastSeq, 1) != h.BaseSequence || n.N == 0 && h.BaseSequence != 0 {
			return Sent{}, false, ErrOutOfOrderSequence
		}
	}
	if n.TxnStart >= 0 && !h.Transactional() {
		return Sent{}, false, ErrInvalidTxnState
	}
	return Sent{}, false, nil
}

// Append records that a batch was appended at the offset base. It does not check.
func (s *Producers) Append(h *record.Header, base int64, now time.Time) {
	if h.ProducerID < 0 {
		return
	}
	n := s.touch(h.ProducerID)
	if h.ProducerEpoch != n.Epoch || s.expired(n, now) { // nothing of before is a duplicate
		n.Epoch, n.N = h.ProducerEpoch, 0
	}
	n.LastMs = now.UnixMilli()
	last := base + int64(h.LastOffsetDelta)
	switch {
	case h.Control():
		s.setTxn(n, -1) // a marker ends the transaction
	default:
		n.push(Sent{FirstSeq: h.BaseSequence, LastSeq: h.LastSequence(), Base: base, Last: last})
		if h.Transactional() && n.TxnStart < 0 {
			s.setTxn(n, base)
		}
	}
	s.bound(now)
}

// Put replaces what is remembered of each producer: entries of a newer run, or
// of a snapshot. Entries are whole, so that the newest one is the truth.
func (s *Producers) Put(entries []Producer) {
	for i := range entries {
		e := &entries[i]
		n := s.touch(e.ID)
		s.setTxn(n, e.TxnStart)
		n.Producer = *e
	}
	for len(s.byID) > s.max && s.evict() {
	}
}

// Snapshot returns all producers that have not expired, by id.
func (s *Producers) Snapshot(now time.Time) []Producer {
	if len(s.byID) == 0 {
		return nil
	}
	out := make([]Producer, 0, len(s.byID))
	for n := s.oldest; n != nil; n = n.newer {
		if !s.expired(n, now) {
			out = append(out, n.Producer)
		}
	}
	slices.SortFunc(out, func(a, b Producer) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// all returns all producers, the one that appended last at the end: in the order
// that Put keeps.
func (s *Producers) all() []Producer {
	out := make([]Producer, 0, len(s.byID))
	for n := s.oldest; n != nil; n = n.newer {
		out = append(out, n.Producer)
	}
	return out
}

// Stable is the last stable offset below the offset end: where the oldest open
// transaction begins, or end when none is open.
func (s *Producers) Stable(end int64) int64 {
	if s.open == 0 {
		return end
	}
	for n := s.oldest; n != nil; n = n.newer {
		if n.TxnStart >= 0 {
			end = min(end, n.TxnStart)
		}
	}
	return end
}

// below drops from each entry what cannot have been appended below the end of the
// log: a snapshot that says so is of another log.
func below(entries []Producer, end int64) []Producer {
	out := slices.Clone(entries)
	for i := range out {
		e := &out[i]
		window := e.Window
		n := min(e.N, WindowBatches)
		e.N = 0
		for _, b := range window[:n] {
			if b.Last < end {
				e.Window[e.N] = b
				e.N++
			}
		}
		if e.TxnStart >= end {
			e.TxnStart = -1
		}
	}
	return out
}

func (s *Producers) setTxn(n *node, start int64) {
	if n.TxnStart >= 0 {
		s.open--
	}
	if start >= 0 {
		s.open++
	}
	n.TxnStart = start
}

func (s *Producers) expired(n *node, now time.Time) bool {
	return s.expire > 0 && n.TxnStart < 0 && now.UnixMilli()-n.LastMs >= s.expire.Milliseconds()
}

// touch returns the producer's node, which becomes the newest.
func (s *Producers) touch(id int64) *node {
	n := s.byID[id]
	if n == nil {
		if s.byID == nil {
			s.byID = make(map[int64]*node)
		}
		n = &node{Producer: Producer{ID: id, Epoch: -1, TxnStart: -1}}
		s.byID[id] = n
	} else if n == s.newest {
		return n
	} else {
		s.unlink(n)
	}
	n.older, n.newer = s.newest, nil
	if s.newest != nil {
		s.newest.newer = n
	} else {
		s.oldest = n
	}
	s.newest = n
	return n
}

func (s *Producers) unlink(n *node) {
	if n.older != nil {
		n.older.newer = n.newer
	} else {
		s.oldest = n.newer
	}
	if n.newer != nil {
		n.newer.older = n.older
	} else {
		s.newest = n.older
	}
}

// bound forgets the expired, which stand at the oldest end, and the oldest ones
// when there are too many.
func (s *Producers) bound(now time.Time) {
	for n := s.oldest; n != nil && n != s.newest; {
		newer := n.newer
		if n.TxnStart < 0 {
			if !s.expired(n, now) {
				break
			}
			s.unlink(n)
			delete(s.byID, n.ID)
		}
		n = newer
	}
	for len(s.byID) > s.max && s.evict() {
	}
}

// evict forgets the producer that has been silent for longest, except the newest
// and those with an open transaction.
func (s *Producers) evict() bool {
	for n := s.oldest; n != nil && n != s.newest; n = n.newer {
		if n.TxnStart < 0 {
			s.unlink(n)
			delete(s.byID, n.ID)
			return true
		}
	}
	return false
}
