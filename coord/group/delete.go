package group

import "github.com/firnlog/firn/record"

// DeleteOffsets takes an OffsetDelete request (semantic 44, KIP-496): offsets of
// topics that no member is subscribed to.
func (m *Machine) DeleteOffsets(r *DeleteOffsetsRequest) DeleteOffsetsResponse {
	g := m.groups[r.Group]
	switch {
	case m.checkID(r.Group) != nil:
		return DeleteOffsetsResponse{Err: ErrInvalidGroupID}
	case g == nil:
		return DeleteOffsetsResponse{Err: ErrGroupNotFound}
	case g.state != Empty && g.protocolType != consumers:
		return DeleteOffsetsResponse{Err: ErrNonEmptyGroup}
	}
	out := DeleteOffsetsResponse{Errs: make([]error, len(r.Partitions))}
	for i, tp := range r.Partitions {
		if g.state != Empty && g.subscribed(tp.Topic) {
			out.Errs[i] = ErrSubscribed
		} else {
			m.uncommit(g, tp)
		}
	}
	m.settle(g)
	return out
}

// uncommit deletes an offset, and what open transactions would make of it.
func (m *Machine) uncommit(g *group, tp TopicPartition) {
	_, ok := g.offsets[tp]
	if ok || m.unstable(g.id, tp) {
		m.write(g, offsetRecord(g.id, tp, nil))
		delete(g.offsets, tp)
		m.unstage(offsetKey{g.id, tp})
	}
}

// Delete deletes a group that has no members, with its offsets (DeleteGroups,
// semantic 44).
func (m *Machine) Delete(id string) error {
	g := m.groups[id]
	switch {
	case m.checkAnyID(id) != nil:
		return ErrInvalidGroupID
	case g == nil:
		return ErrGroupNotFound
	case g.state != Empty:
		return ErrNonEmptyGroup
	}
	for _, tp := range m.committed(g, true) {
		m.uncommit(g, tp)
	}
	m.bury(g)
	return nil
}

// bury drops a group without offsets, from the log as well.
func (m *Machine) bury(g *group) {
	if g.recorded {
		m.write(g, groupTombstone(g.id))
	}
	m.drop(g)
}

// Topics finds a topic by its name; false when there is none.
type Topics func(name string) (record.TopicID, bool)

// Prune forgets the offsets of topics that were deleted, also of those that were made
// again since: these have another id. An offset out of the log belongs to the topic that
// has its name at the first call.
func (m *Machine) Prune(topics Topics) {
	for _, id := range m.ids() {
		g := m.groups[id]
		for _, tp := range m.committed(g, true) {
			now, there := topics(tp.Topic)
			c, ok := g.offsets[tp]
			switch none := (record.TopicID{}); {
			case !there, ok && c.topic != none && c.topic != now:
				m.uncommit(g, tp)
			case ok && c.topic == none:
				c.topic = now
				g.offsets[tp] = c
			}
		}
		m.settle(g)
	}
}
