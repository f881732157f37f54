package group

import (
	"encoding/binary"
	"maps"
	"slices"
)

// commit is a committed offset as it is kept.
type commit struct {
	offset   int64
	epoch    int32
	metadata string
	at       int64 // wall clock
}

// committed are the partitions that have offsets, in order.
func (g *group) committed() []TopicPartition {
	return slices.SortedFunc(maps.Keys(g.offsets), comparePartitions)
}

// Commit takes an OffsetCommit request (kafka.md 41). Offsets whose Err is set
// are refused with it.
func (m *Machine) Commit(now, wall int64, r *CommitRequest) CommitResponse {
	out := CommitResponse{Errs: make([]error, len(r.Offsets))}
	all := func(err error) CommitResponse {
		for i := range out.Errs {
			out.Errs[i] = err
		}
		return out
	}
	if m.checkID(r.Group) != nil {
		return all(ErrInvalidGroupID)
	}
	g := m.groups[r.Group]
	switch {
	case g == nil && r.Generation >= 0 && r.NewErrors:
		return all(ErrGroupNotFound)
	case g == nil && r.Generation >= 0:
		return all(ErrIllegalGeneration)
	case g == nil && len(m.groups) >= m.cfg.MaxGroups:
		return all(ErrNotAvailable)
	case g == nil:
		g = m.group(r.Group)
		g.emptyAt = wall
	case r.Generation < 0 && g.state == Empty: // a simple consumer, or a tool
	default:
		x, err := g.check(r.MemberID, r.InstanceID, r.Generation)
		if err != nil {
			return all(err)
		}
		if g.state == Completing {
			return all(ErrRebalanceInProgress)
		}
		if !x.parked() {
			x.alive(now)
		}
	}
	for i, o := range r.Offsets {
		switch {
		case o.Err != nil:
			out.Errs[i] = o.Err
			continue
		case len(o.Metadata) > m.cfg.MetadataMax:
			out.Errs[i] = ErrOffsetMetadataLarge
			continue
		}
		c := commit{o.Offset, o.LeaderEpoch, o.Metadata, wall}
		g.offsets[o.TopicPartition] = c
		m.write(offsetRecord(r.Group, o.TopicPartition, &c))
	}
	m.forget(g)
	return out
}

// Fetch takes an OffsetFetch request (kafka.md 42).
func (m *Machine) Fetch(r *FetchRequest) FetchResponse {
	var out FetchResponse
	g := m.groups[r.Group]
	ask := r.Partitions
	if r.All {
		ask = nil
		if g != nil {
			ask = g.committed()
		}
	}
	for _, tp := range ask {
		o := Offset{TopicPartition: tp, Offset: -1, LeaderEpoch: -1}
		if g != nil {
			if c, ok := g.offsets[tp]; ok {
				o.Offset, o.LeaderEpoch, o.Metadata = c.offset, c.epoch, c.metadata
			}
		}
		out.Offsets = append(out.Offsets, o)
	}
	return out
}

// DeleteOffsets takes an OffsetDelete request (kafka.md 44).
func (m *Machine) DeleteOffsets(r *DeleteOffsetsRequest) DeleteOffsetsResponse {
	g := m.groups[r.Group]
	switch {
	case m.checkID(r.Group) != nil:
		return DeleteOffsetsResponse{Err: ErrInvalidGroupID}
	case g == nil:
		return DeleteOffsetsResponse{Err: ErrGroupNotFound}
	case g.state != Empty && g.protocolType != "consumer":
		return DeleteOffsetsResponse{Err: ErrNonEmptyGroup}
	}
	out := DeleteOffsetsResponse{Errs: make([]error, len(r.Partitions))}
	for i, tp := range r.Partitions {
		if g.subscribed(tp.Topic) {
			out.Errs[i] = ErrSubscribed
			continue
		}
		if _, ok := g.offsets[tp]; ok {
			delete(g.offsets, tp)
			m.write(offsetRecord(r.Group, tp, nil))
		}
	}
	m.forget(g)
	return out
}

// subscription reads the topics out of a consumer's protocol metadata (Kafka's
// ConsumerProtocolSubscription): version, then an array of strings. It believes
// no length.
func subscription(b []byte) ([]string, bool) {
	if len(b) < 6 {
		return nil, false
	}
	n := int(int32(binary.BigEndian.Uint32(b[2:])))
	b = b[6:]
	if n < 0 || n > len(b)/2 {
		return nil, false
	}
	topics := make([]string, 0, n)
	for range n {
		if len(b) < 2 {
			return nil, false
		}
		l := int(int16(binary.BigEndian.Uint16(b)))
		if l < 0 || l > len(b)-2 {
			return nil, false
		}
		topics = append(topics, string(b[2:2+l]))
		b = b[2+l:]
	}
	return topics, true
}
