package group

import "container/heap"

// due is when a group must be looked at: never later than it has something to do.
// at is -1 when it waits for nothing.
type due struct {
	g  *group
	at int64
	i  int
}

// dues is a heap of those that wait, the first one due on top.
type dues []*due

// set changes when a group is due.
func (q *dues) set(d *due, at int64) {
	switch {
	case at == d.at:
	case at < 0:
		q.remove(d)
	case d.at < 0:
		d.at = at
		heap.Push(q, d)
	default:
		d.at = at
		heap.Fix(q, d.i)
	}
}

func (q *dues) remove(d *due) {
	if d.at >= 0 {
		heap.Remove(q, d.i)
		d.at = -1
	}
}

// first is the group that is due first, nil when none waits.
func (q dues) first() *due {
	if len(q) == 0 {
		return nil
	}
	return q[0]
}

// Len implements heap.Interface.
func (q dues) Len() int { return len(q) }

// Less implements heap.Interface. Groups due at the same time go by name (G5).
func (q dues) Less(a, b int) bool {
	return q[a].at < q[b].at || q[a].at == q[b].at && q[a].g.id < q[b].g.id
}

// Swap implements heap.Interface.
func (q dues) Swap(a, b int) {
	q[a], q[b] = q[b], q[a]
	q[a].i, q[b].i = a, b
}

// Push implements heap.Interface.
func (q *dues) Push(x any) {
	d := x.(*due)
	d.i = len(*q)
	*q = append(*q, d)
}

// Pop implements heap.Interface.
func (q *dues) Pop() any {
	old := *q
	d := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return d
}
