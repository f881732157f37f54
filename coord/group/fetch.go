package group

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Fetch takes an OffsetFetch request (semantic 42). A group or a partition that
// nobody has committed for is no error.
func (m *Machine) Fetch(r *FetchRequest) FetchResponse {
	if err := m.checkAnyID(r.Group); err != nil {
		return FetchResponse{Err: err}
	}
	g := m.groups[r.Group]
	ask := r.Partitions
	if r.All {
		ask = m.committed(g, r.RequireStable)
	}
	out := FetchResponse{Offsets: make([]Offset, 0, len(ask))}
	for _, tp := range ask {
		o := Offset{TopicPartition: tp, Offset: -1, LeaderEpoch: -1}
		if r.RequireStable && m.unstable(r.Group, tp) {
			o.Err = ErrUnstable
		} else if g != nil {
			if c, ok := g.offsets[tp]; ok {
				o.Offset, o.LeaderEpoch, o.Metadata, o.TopicID = c.offset, c.epoch, c.metadata, c.topic
			}
		}
		out.Offsets = append(out.Offsets, o)
	}
	return out
}

// committed are the partitions that have offsets, in order; with those, if asked
// for, that an open transaction may give one.
func (m *Machine) committed(g *group, staged bool) []TopicPartition {
	if g == nil {
		return nil
	}
	tps := slices.Collect(maps.Keys(g.offsets))
	if staged {
		for _, t := range m.txns {
			for k := range t {
				if k.group == g.id {
					tps = append(tps, k.tp)
				}
			}
		}
	}
	slices.SortFunc(tps, comparePartitions)
	return slices.Compact(tps)
}

func comparePartitions(a, b TopicPartition) int {
	return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// Committed returns all groups with their offsets.
func (m *Machine) Committed() []Committed {
	out := make([]Committed, 0, len(m.groups))
	for _, id := range m.ids() {
		g := m.groups[id]
		c := Committed{Group: id, State: g.state.String(), Members: len(g.members)}
		for _, tp := range m.committed(g, false) {
			o := g.offsets[tp]
			c.Offsets = append(c.Offsets, Offset{TopicPartition: tp, Offset: o.offset, LeaderEpoch: o.epoch, Metadata: o.metadata})
		}
		out = append(out, c)
	}
	return out
}
