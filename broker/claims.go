package broker

import "github.com/firnlog/firn/catalog"

// alone is how many partitions whose newest run lies in an object of its own are made
// ready together: each costs requests of its own.
const alone = 256

// claims decides in which order partitions are made ready to append: first those whose
// producers are known from few objects, which is all that were written to lately, since
// their newest runs share WAL objects and sealed ones; then, some at a time, those that
// have a segment of their own at the end. So a takeover does not keep who writes waiting
// for ten thousand segments that nobody writes behind.
func claims(ps []*catalog.Partition) [][]*catalog.Partition {
	newest := func(p *catalog.Partition) (catalog.ObjectRef, bool) {
		if len(p.Extents) == 0 {
			return catalog.ObjectRef{}, false
		}
		return p.Extents[len(p.Extents)-1].Object, true
	}
	in := map[catalog.ObjectRef]int{}
	for _, p := range ps {
		if o, ok := newest(p); ok {
			in[o]++
		}
	}
	if len(in) <= alone {
		return [][]*catalog.Partition{ps}
	}
	var out [][]*catalog.Partition
	var shared, own []*catalog.Partition
	for _, p := range ps {
		if o, ok := newest(p); !ok || in[o] > 1 || o.Kind == catalog.KindWAL {
			shared = append(shared, p)
		} else {
			own = append(own, p)
		}
	}
	if len(shared) > 0 {
		out = append(out, shared)
	}
	for len(own) > 0 {
		n := min(alone, len(own))
		out, own = append(out, own[:n:n]), own[n:]
	}
	return out
}
