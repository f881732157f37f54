package kafka

import "sync/atomic"

// stock bounds the bytes of records that answers to Fetch hold from when they are read to
// when their clients have taken them: clients that read history and take their answers
// slowly, a thousand at once, must not take the broker's memory. Nobody waits for it: the
// less is left of it, the less an answer takes, down to leastAnswer and the one batch that
// every answer may have (KIP-74). A nil stock bounds nothing.
type stock struct {
	size int64
	held atomic.Int64
}

// leastAnswer is what an answer may take when nothing is left.
const leastAnswer = 64 << 10

// take says how much of want an answer may take, and counts it as held: a quarter of what
// is left at most, so that one comer leaves something to the next.
func (s *stock) take(want int) int {
	if s == nil {
		return want
	}
	for {
		held := s.held.Load()
		n := min(int64(want), max((s.size-held)/4, leastAnswer))
		if s.held.CompareAndSwap(held, held+n) {
			return int(n)
		}
	}
}

// give gives back n bytes; when n is negative more is held than was taken.
func (s *stock) give(n int) {
	if s != nil {
		s.held.Add(-int64(n))
	}
}
