package cold

import (
	"slices"
	"sync"
	"time"
)

const (
	// attemptFloor is the shortest timeout of an attempt, whatever the store's
	// usual pace: AWS advises to wait 2 s before asking again.
	attemptFloor = 2 * time.Second
	// slowestLink is added to it for the body's size: 4 MiB/s, so that 8 MiB get
	// 2 s more and a segment of 1 GiB four minutes.
	slowestLink = 4 << 20
	// patience and worstLink are what timeouts grow to on a store that lets them run out:
	// 10 s, and what the body needs at 64 KiB/s. A put that waited longer would still wait on
	// a dead connection when the store is back.
	patience  = 10 * time.Second
	worstLink = 64 << 10
	// hedgeFloor keeps stores that answer in no time from being asked twice.
	hedgeFloor = 10 * time.Millisecond
	// remembered is how many puts of each size class are looked back at: enough
	// for a p99, few enough to follow a store that changes its pace.
	remembered = 128
	// hedgeKnows is how many of them a hedge wants to have seen.
	hedgeKnows = 20
	// hedgeShare is the budget: one put in twenty, saved up to four.
	hedgeShare = 1.0 / 20
	hedgeSaved = 4.0
)

// latencies remembers how long recent puts took, by size class: a put of 8 MiB is
// not slow because it takes longer than one of 4 KiB.
type latencies struct {
	mu      sync.Mutex
	classes [5]ring
	credit  float64 // hedges that may be sent
}

type ring struct {
	took [remembered]time.Duration
	n    int // ever added
}

func class(size int64) int {
	switch {
	case size <= 64<<10:
		return 0
	case size <= 512<<10:
		return 1
	case size <= 2<<20:
		return 2
	case size <= 16<<20:
		return 3
	}
	return 4
}

func (l *latencies) add(size int64, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &l.classes[class(size)]
	r.took[r.n%remembered] = took
	r.n++
	l.credit = min(l.credit+hedgeShare, hedgeSaved)
}

// quantile returns the q-quantile of the class and how many puts it rests on.
func (l *latencies) quantile(size int64, q float64) (time.Duration, int) {
	var sorted [remembered]time.Duration
	l.mu.Lock()
	r := &l.classes[class(size)]
	n := min(r.n, remembered)
	copy(sorted[:], r.took[:n])
	l.mu.Unlock()
	if n == 0 {
		return 0, 0
	}
	slices.Sort(sorted[:n])
	return sorted[int(q*float64(n-1))], n
}

// timeout is max(2 s, 4 x p99), and more for large bodies.
func (l *latencies) timeout(size int64) time.Duration {
	p99, _ := l.quantile(size, 0.99)
	return max(attemptFloor, 4*p99) + sending(size, slowestLink)
}

// longest is what the timeout of an attempt may grow to.
func longest(size int64) time.Duration { return patience + sending(size, worstLink) }

// sending is how long a body takes at so many bytes a second.
func sending(size, rate int64) time.Duration {
	return time.Duration(float64(size) / float64(rate) * float64(time.Second))
}

// hedgeAfter is a quarter more than p95, so that on a store of even pace the many
// puts that take just about p95 do not spend the budget of the slow ones.
func (l *latencies) hedgeAfter(size int64) (time.Duration, bool) {
	p95, n := l.quantile(size, 0.95)
	return max(p95+p95/4, hedgeFloor), n >= hedgeKnows
}

// spend takes one hedge from the budget.
func (l *latencies) spend() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.credit < 1 {
		return false
	}
	l.credit--
	return true
}
