// Package placement decides who should own what, as pure functions of who owns how
// much and who lives (DESIGN 8): what a live broker owns it keeps, orphans go to the
// least loaded, and only as many partitions move as an even spread within a few per
// cent needs. "Sticky least-loaded" moves no more than is unavoidable when a broker
// comes or goes.
package placement

import "container/heap"

// Spread gives n partitions one by one to whoever has the fewest, the first among
// equals, and returns for each the index into load. load is how many each has
// already; it is not changed. Nil when there is nobody.
func Spread(load []int, n int) []int {
	if len(load) == 0 || n <= 0 {
		return nil
	}
	h := make(least, len(load))
	for i, l := range load {
		h[i] = entry{l, i}
	}
	heap.Init(&h)
	out := make([]int, n)
	for i := range out {
		out[i] = h[0].index
		h[0].load++
		heap.Fix(&h, 0)
	}
	return out
}

// slack is one part in so many by which a broker may have more than an even share
// before it gives some away.
const slack = 20

// Surplus is how many of the partitions that a broker has it should give up, with
// so many partitions in all and so many live brokers: everything above an even share
// once it has a twentieth and one more than that. It never gives so much that
// another would have to give back.
func Surplus(mine, total, brokers int) int {
	if brokers <= 1 || mine <= 0 {
		return 0
	}
	share := (total + brokers - 1) / brokers
	if mine <= share+share/slack+1 {
		return 0
	}
	return mine - share
}

type entry struct{ load, index int }

// least is a heap of brokers by load, then by index.
type least []entry

func (h least) Len() int { return len(h) }
func (h least) Less(i, j int) bool {
	return h[i].load < h[j].load || h[i].load == h[j].load && h[i].index < h[j].index
}
func (h least) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *least) Push(x any)   { *h = append(*h, x.(entry)) }
func (h *least) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
