package group

import (
	"encoding/binary"
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Records of __consumer_offsets are Kafka's: an offset commit has a key of version
// 1 and a value of version 3, a group's metadata a key of version 2 and a value of
// version 3, so that existing lag tools read them.

func offsetRecord(group string, tp TopicPartition, c *commit) Record {
	k := kmsg.OffsetCommitKey{Version: 1, Group: group, Topic: tp.Topic, Partition: tp.Partition}
	r := Record{Key: k.AppendTo(nil)}
	if c != nil {
		v := kmsg.NewOffsetCommitValue()
		v.Version, v.Offset, v.LeaderEpoch, v.Metadata, v.CommitTimestamp = 3, c.offset, c.epoch, c.metadata, c.at
		r.Value = v.AppendTo(nil)
	}
	return r
}

func groupKey(group string) []byte {
	k := kmsg.GroupMetadataKey{Version: 2, Group: group}
	return k.AppendTo(nil)
}

func groupTombstone(group string) Record { return Record{Key: groupKey(group)} }

// save writes the group's metadata.
func (g *group) save(m *Machine, wall int64) {
	v := kmsg.NewGroupMetadataValue()
	v.Version, v.ProtocolType, v.Generation, v.CurrentStateTimestamp = 3, g.protocolType, g.generation, wall
	if g.protocol != "" {
		v.Protocol = &g.protocol
	}
	if g.leader != "" {
		v.Leader = &g.leader
	}
	for _, x := range g.sorted() {
		w := kmsg.NewGroupMetadataValueMember()
		w.MemberID, w.InstanceID, w.ClientID, w.ClientHost = x.id, x.instance, x.clientID, x.host
		w.RebalanceTimeoutMillis, w.SessionTimeoutMillis = clamp(x.rebalance), clamp(x.session)
		w.Subscription, w.Assignment = x.metadata(g.protocol), x.assignment
		v.Members = append(v.Members, w)
	}
	g.written = true
	m.write(Record{groupKey(g.id), v.AppendTo(nil)})
}

func clamp(ms int64) int32 { return int32(min(ms, math.MaxInt32)) }

// Replay rebuilds the machine from the records of the partition, given in order.
// It reports false for a record that it does not understand, which is skipped.
func (m *Machine) Replay(key, value []byte) bool {
	if len(key) < 2 {
		return false
	}
	switch version := int16(binary.BigEndian.Uint16(key)); version {
	case 0, 1:
		var k kmsg.OffsetCommitKey
		if k.ReadFrom(key) != nil || k.Group == "" {
			return false
		}
		tp := TopicPartition{k.Topic, k.Partition}
		if value == nil {
			if g := m.groups[k.Group]; g != nil {
				delete(g.offsets, tp)
			}
			return true
		}
		var v kmsg.OffsetCommitValue
		if v.ReadFrom(value) != nil {
			return false
		}
		c := commit{offset: v.Offset, epoch: -1, metadata: v.Metadata, at: v.CommitTimestamp}
		if v.Version >= 3 {
			c.epoch = v.LeaderEpoch
		}
		m.group(k.Group).offsets[tp] = c
		return true
	case 2:
		var k kmsg.GroupMetadataKey
		if k.ReadFrom(key) != nil || k.Group == "" {
			return false
		}
		return m.replayGroup(k.Group, value)
	}
	return false
}

func (m *Machine) replayGroup(id string, value []byte) bool {
	old := m.groups[id]
	if value == nil {
		if old != nil {
			offsets := old.offsets
			delete(m.groups, id)
			if len(offsets) > 0 {
				m.group(id).offsets = offsets
			}
		}
		return true
	}
	var v kmsg.GroupMetadataValue
	if v.ReadFrom(value) != nil {
		return false
	}
	delete(m.groups, id)
	g := m.group(id)
	if old != nil {
		g.offsets = old.offsets
	}
	g.generation, g.protocolType, g.written = v.Generation, v.ProtocolType, true
	if v.Version >= 2 {
		g.emptyAt = v.CurrentStateTimestamp
	}
	if v.Protocol != nil {
		g.protocol = *v.Protocol
	}
	if v.Leader != nil {
		g.leader = *v.Leader
	}
	for _, w := range v.Members {
		x := &member{
			id: w.MemberID, instance: w.InstanceID, clientID: w.ClientID, host: w.ClientHost,
			session: int64(w.SessionTimeoutMillis), rebalance: int64(w.RebalanceTimeoutMillis),
			protocolType: g.protocolType, protocols: []Protocol{{g.protocol, w.Subscription}}, assignment: w.Assignment, order: g.order,
		}
		g.order++
		g.members[x.id] = x
		if x.instance != nil {
			g.static[*x.instance] = x.id
		}
		g.state = Stable
	}
	return true
}

// Loaded ends the replay: members that were in the log have a session from now on.
func (m *Machine) Loaded(now int64) {
	m.check = now + m.cfg.CheckMs
	for id, g := range m.groups {
		if g.state == Empty && len(g.offsets) == 0 && !g.written {
			delete(m.groups, id)
			continue
		}
		for _, x := range g.members {
			x.alive(now)
		}
	}
}
