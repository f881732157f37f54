package kafka

// fetchPlan decides how much of which partition goes into the answer to a Fetch,
// and when to send it (KIP-74; kafka.md 30, 31). Partitions are taken in the
// order of the request.
type fetchPlan struct {
	left       int // bytes that the answer may still take
	min        int // bytes that the client waits for
	partitions int // that were asked for
	got        int
	ended      bool // an error or a diverging epoch must be told now
}

// next is what to read of the next partition that has something: at most limit
// bytes, but with whole at least its first batch. false when the answer is full.
//
// The first batch of the first partition that has one goes into the answer even
// when it is larger than every limit; otherwise a client could never get past it.
func (p *fetchPlan) next(partitionMax int) (limit int, whole, ok bool) {
	limit = max(min(partitionMax, p.left), 0)
	whole = p.got == 0
	return limit, whole, whole || limit > 0
}

// took notes what was read of a partition.
func (p *fetchPlan) took(n int) {
	p.got += n
	p.left = max(p.left-n, 0)
}

// send says whether the answer is to be sent without more waiting. An answer that
// is full is, too: waiting could not add to it.
func (p *fetchPlan) send() bool {
	return p.got >= p.min || p.ended || p.partitions == 0 || p.got > 0 && p.left == 0
}
