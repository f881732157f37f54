package broker

import (
	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/gossip/placement"
	"github.com/firnlog/firn/record"
)

// wanted is partitions of a topic that want owners. The topic need not be there yet.
type wanted struct {
	topic record.TopicID
	n     int
}

// share chooses owners for partitions among the heirs: for each topic the sessions that
// get them, 0 for nobody when there are no heirs. Orphans even out what the heirs have; what
// is fresh is spread over zones and brokers first, within the limit above which partitions
// would move again.
func share(state *catalog.State, heirs []uint64, want []wanted, fresh bool) [][]uint64 {
	out := make([][]uint64, len(want))
	if len(heirs) == 0 { // somebody takes them later
		for i, w := range want {
			out[i] = make([]uint64, w.n)
		}
		return out
	}
	brokers := make([]placement.Broker, len(heirs))
	at := lives(state, heirs)
	total := 0
	for id, i := range at {
		n := state.OwnedCount(id)
		brokers[i].Load += n
		total += n
	}
	for i, id := range heirs {
		if v, ok := state.Session(id); ok {
			brokers[i].Zone = v.Rack
		}
	}
	topics := make([]placement.Topic, len(want))
	for i, w := range want {
		total += w.n
		topics[i] = placement.Topic{Want: w.n, Has: ownersOf(state, w.topic, at, len(heirs))}
	}
	limit := placement.Share(total, len(heirs))
	if fresh {
		limit = placement.Limit(total, len(heirs))
	}
	for i, chosen := range placement.Spread(brokers, topics, limit) {
		out[i] = make([]uint64, len(chosen))
		for k, c := range chosen {
			out[i][k] = heirs[c]
		}
	}
	return out
}

// lives are the sessions that are not sealed of the brokers of some heirs, and which heir's
// each is: a broker that rotates has its partitions in the session before.
func lives(state *catalog.State, heirs []uint64) map[uint64]int {
	of := make(map[int32]int, len(heirs))
	for i, id := range heirs {
		if v, ok := state.Session(id); ok {
			of[v.Node] = i
		}
	}
	out := make(map[uint64]int, len(heirs))
	for _, v := range state.Sessions() {
		if i, ok := of[v.Node]; ok && !v.Sealed {
			out[v.ID] = i
		}
	}
	return out
}

// ownersOf is how many partitions of a topic each of n brokers has, whose sessions are given.
func ownersOf(state *catalog.State, topic record.TopicID, at map[uint64]int, n int) []int {
	t, ok := state.Topic(topic)
	if !ok {
		return nil
	}
	has := make([]int, n)
	for _, p := range t.Partitions {
		if i, ok := at[p.Owner]; ok {
			has[i]++
		}
	}
	return has
}

// give chooses n of the partitions that the me-th of some brokers has, given in order: of
// the topics that it has most of, the last.
func give(mine []record.Partition, n, me, of int) []record.Partition {
	var counts, starts []int
	for i, p := range mine {
		if i == 0 || p.Topic != mine[i-1].Topic {
			counts, starts = append(counts, 0), append(starts, i)
		}
		counts[len(counts)-1]++
	}
	var out []record.Partition
	for i, k := range placement.Give(counts, n, me*len(counts)/of) {
		end := starts[i] + counts[i]
		out = append(out, mine[end-k:end]...)
	}
	return out
}
