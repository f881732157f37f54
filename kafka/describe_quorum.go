package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// clusterMetadata is the topic by whose name tools ask for the quorum (KIP-595).
const clusterMetadata = "__cluster_metadata"

// DescribeQuorum (55): there is no quorum; the journal in the bucket is what all
// agree on, and every broker may write it. So all live brokers are told as voters
// that have everything up to the journal's newest entry, and the controller of
// Metadata as the leader. v2 (KIP-853) tells where the voters are reached.
func apiDescribeQuorum() api {
	return api{
		key: 55, name: "DescribeQuorum", min: 0, max: 2,
		shape: parseShape(0, `topics:[ name:str partitions:[ index:i32 ] ]`),
		serve: on((*node).describeQuorum),
	}
}

func (n *node) describeQuorum(_ context.Context, c *call, q *kmsg.DescribeQuorumRequest) *kmsg.DescribeQuorumResponse {
	v := n.viewBy(c.listener)
	r := kmsg.NewPtrDescribeQuorumResponse()
	r.Topics = []kmsg.DescribeQuorumResponseTopic{}
	r.Nodes = []kmsg.DescribeQuorumResponseNode{}
	for _, b := range v.brokers {
		l := kmsg.NewDescribeQuorumResponseNodeListener()
		l.Name, l.Host, l.Port = c.listener, b.Host, uint16(b.Port)
		rn := kmsg.NewDescribeQuorumResponseNode()
		rn.NodeID, rn.Listeners = b.Node, append(rn.Listeners, l)
		r.Nodes = append(r.Nodes, rn)
	}
	for i := range q.Topics {
		rt := kmsg.NewDescribeQuorumResponseTopic()
		rt.Topic = q.Topics[i].Topic
		for _, p := range q.Topics[i].Partitions {
			rp := kmsg.NewDescribeQuorumResponseTopicPartition()
			rp.Partition = p.Partition
			rp.CurrentVoters = []kmsg.DescribeQuorumResponseTopicPartitionReplicaState{}
			rp.Observers = []kmsg.DescribeQuorumResponseTopicPartitionReplicaState{}
			if rt.Topic != clusterMetadata || p.Partition != 0 {
				rp.ErrorCode = int16(codeUnknownTopicOrPartition)
				rt.Partitions = append(rt.Partitions, rp)
				continue
			}
			number := int64(v.Number())
			rp.LeaderID, rp.HighWatermark = v.controller(), number
			for _, b := range v.brokers {
				s := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
				s.ReplicaID, s.LogEndOffset = b.Node, number
				rp.CurrentVoters = append(rp.CurrentVoters, s)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	return r
}
