package broker

import (
	"cmp"
	"context"
	"net"
	"slices"
	"strconv"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/kafka"
)

// misses is how often in a row a broker may not answer before its session is
// fenced. Fencing one that lives does no harm (DESIGN 8); it only costs a move.
const misses = 3

// adopt fences the sessions of brokers that do not answer any more, and takes what
// nobody alive owns. silent counts, for each session, how often its broker did not
// answer.
func (s *session) adopt(ctx context.Context, id uint64, silent map[uint64]int) error {
	for _, v := range s.journal.State().Sessions() {
		if v.Sealed || v.ID == id || v.Node == s.me.Node || s.reach(ctx, v.Advertised) {
			delete(silent, v.ID)
			continue
		}
		if silent[v.ID]++; silent[v.ID] < misses {
			continue
		}
		if err := s.seal(ctx, v); err != nil {
			return err
		}
		delete(silent, v.ID)
	}
	if !orphaned(s.journal.State()) {
		return nil
	}
	return s.take(ctx, id)
}

// orphaned reports whether a partition has no living owner.
func orphaned(state *catalog.State) bool {
	for t := range state.AllTopics() {
		for _, p := range t.Partitions {
			if v, ok := state.Session(p.Owner); !ok || v.Sealed {
				return true
			}
		}
	}
	return false
}

// liveBrokers are the brokers whose sessions live, by node id: a broker's newest
// session counts.
func liveBrokers(state *catalog.State, self kafka.Broker) []kafka.Broker {
	out := []kafka.Broker{self}
	sessions := state.Sessions()
	for _, v := range slices.Backward(sessions) {
		host, port, err := net.SplitHostPort(v.Advertised)
		n, perr := strconv.Atoi(port)
		if v.Sealed || err != nil || perr != nil || slices.ContainsFunc(out, func(b kafka.Broker) bool { return b.Node == v.Node }) {
			continue
		}
		out = append(out, kafka.Broker{Node: v.Node, Host: host, Port: int32(n), Rack: v.Rack})
	}
	slices.SortFunc(out, func(a, b kafka.Broker) int { return cmp.Compare(a.Node, b.Node) })
	return out
}
