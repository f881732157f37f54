package journal

import "github.com/firnlog/firn/catalog"

// defaultEvery is Options.SnapshotEvery when it is not set.
const defaultEvery = 512

// entryCost is what reading one more entry costs, in bytes that could be read instead: 32
// are read in one round trip.
const entryCost = 16 << 10

// toll counts what it costs to read the entries behind a snapshot, and says when the next
// one is due: when that is as much as reading a snapshot, and some hundred small entries
// at least. So a start reads no more than twice what it must, however large the entries
// are, and snapshots are no more than half of what is put, however large the catalog is.
//
// It depends on the entries alone, so that all who followed them agree, and one of them,
// who won the entry, puts the snapshot for the whole cluster. Who began behind another
// snapshot may differ for a while: then there is one more, or one a little later.
type toll struct {
	paid, due int64
	least     int64
}

func newToll(every uint64) toll {
	least := int64(min(every, 1<<40)) * entryCost
	return toll{due: least, least: least}
}

// pay adds one entry, after which the state is as given, and reports whether there is to
// be a snapshot of it.
func (t *toll) pay(size int, state *catalog.State) bool {
	t.paid += entryCost + int64(size)
	if t.paid < t.due {
		return false
	}
	t.reset(state)
	return true
}

// reset begins anew behind a snapshot.
func (t *toll) reset(state *catalog.State) {
	t.paid, t.due = 0, max(t.least, weight(state))
}

// weight is about how long a snapshot of a state is.
func weight(state *catalog.State) (n int64) {
	for t := range state.AllTopics() {
		for _, p := range t.Partitions {
			n += 20 + 26*int64(len(p.Extents)) + 20*int64(len(p.Index)) + 6*int64(len(p.Epochs))
		}
	}
	return n
}
