package group

import (
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Records of __consumer_offsets are Kafka's: an offset commit has a key of version
// 1 and a value of version 3, or 1 when it says how long to keep it; a group's
// metadata has a key of version 2 and a value of version 3. These are the newest
// that are not flexible, which all lag tools read.

func offsetRecord(group string, tp TopicPartition, c *commit) Record {
	k := kmsg.OffsetCommitKey{Version: 1, Group: group, Topic: tp.Topic, Partition: tp.Partition}
	r := Record{Key: k.AppendTo(nil)}
	if c != nil {
		v := kmsg.NewOffsetCommitValue()
		v.Version, v.Offset, v.LeaderEpoch, v.Metadata, v.CommitTimestamp = 3, c.offset, c.epoch, c.metadata, c.at
		if c.until > 0 {
			v.Version, v.ExpireTimestamp = 1, c.until
		}
		r.Value = v.AppendTo(nil)
	}
	return r
}

func groupKey(group string) []byte {
	k := kmsg.GroupMetadataKey{Version: 2, Group: group}
	return k.AppendTo(nil)
}

func groupTombstone(group string) Record { return Record{Key: groupKey(group)} }

// save writes the group's metadata; false when it is too large to be written.
func (g *group) save(m *Machine) bool {
	v := kmsg.NewGroupMetadataValue()
	v.Version, v.ProtocolType, v.Generation, v.CurrentStateTimestamp = 3, g.protocolType, g.generation, g.since
	if g.protocol != "" {
		v.Protocol = &g.protocol
	}
	if g.leader != "" {
		v.Leader = &g.leader
	}
	for _, x := range g.members {
		w := kmsg.NewGroupMetadataValueMember()
		w.MemberID, w.InstanceID, w.ClientID, w.ClientHost = x.id, x.instance, x.clientID, x.host
		w.RebalanceTimeoutMillis, w.SessionTimeoutMillis = clamp(x.rebalance), clamp(x.session)
		w.Subscription, w.Assignment = x.metadata(g.protocol), x.assignment
		v.Members = append(v.Members, w)
	}
	b := v.AppendTo(nil)
	if len(b) > m.cfg.MaxRecordBytes {
		return false
	}
	m.write(g, Record{groupKey(g.id), b})
	g.recorded = true
	return true
}

func clamp(ms int64) int32 { return int32(min(ms, math.MaxInt32)) }
