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

// fetchWidth is how many partitions of one Fetch are read at the same time: enough
// that a reader of cold partitions waits for the bucket once or twice, not once for
// each, and few enough that one client does not take all of its bandwidth.
const fetchWidth = 8

// next says how many of the next partitions, whose own limits are given, are read
// at the same time now, and with which limits; none when the answer is full. With
// whole, the first batch is read even when it is larger than its limit.
//
// The first batch of the first partition that has one goes into the answer even
// when it is larger than every limit; otherwise a client could never get past it.
// So until something is found, partitions are read one by one. After that they are
// read together as long as all of their limits fit: each gets what it would have
// got had they been read in order.
func (p *fetchPlan) next(maxes []int) (limits []int, whole bool) {
	if p.got == 0 {
		return []int{max(min(maxes[0], p.left), 0)}, true
	}
	left := p.left
	for _, m := range maxes {
		m = max(m, 0)
		if left <= 0 || len(limits) == fetchWidth || len(limits) > 0 && m > left {
			break
		}
		limits = append(limits, min(m, left))
		left -= limits[len(limits)-1]
	}
	return limits, false
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
