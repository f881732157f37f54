package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// AlterPartitionReassignments (45): replicas are virtual and partitions find their
// owners by themselves (protocol.md 7), so a reassignment to live brokers is done as soon
// as it is asked for. v1 (KIP-860): a change of the replication factor is as free.
func apiAlterPartitionReassignments() api {
	return api{
		key: 45, name: "AlterPartitionReassignments", min: 0, max: 1,
		shape: parseShape(0, `timeout:i32 factor:bool@1+ topics:[ name:str partitions:[ index:i32 replicas:[i32]? ] ]`),
		serve: on((*node).alterPartitionReassignments),
	}
}

func (n *node) alterPartitionReassignments(ctx context.Context, _ *call, q *kmsg.AlterPartitionAssignmentsRequest) *kmsg.AlterPartitionAssignmentsResponse {
	v := n.view()
	r := kmsg.NewPtrAlterPartitionAssignmentsResponse()
	r.AllowReplicationFactorChange = q.AllowReplicationFactorChange
	r.Topics = []kmsg.AlterPartitionAssignmentsResponseTopic{}
	for i := range q.Topics {
		rt := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		rt.Topic = q.Topics[i].Topic
		t, fault := v.topic(ctx, rt.Topic, [16]byte{}, false)
		for _, p := range q.Topics[i].Partitions {
			rp := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			rp.Partition = p.Partition
			found := fault
			if found == codeNone {
				_, found = v.partition(ctx, t, p.Partition)
			}
			why := ""
			if found == codeNone {
				found, why = v.reassign(p.Replicas)
			}
			rp.ErrorCode, rp.ErrorMessage = int16(found), orNull(why)
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	return r
}

// reassign is what becomes of a reassignment to these brokers; nil cancels one.
func (v view) reassign(replicas []int32) (code, string) {
	if replicas == nil {
		return codeNoReassignmentInProgress, "reassignments are done at once: there is none to cancel"
	}
	if len(replicas) == 0 {
		return codeInvalidReplicaAssignment, "no replicas are named"
	}
	seen := map[int32]bool{}
	for _, node := range replicas {
		if _, ok := v.broker(node); !ok || seen[node] {
			return codeInvalidReplicaAssignment, "replicas must be different live brokers"
		}
		seen[node] = true
	}
	return codeNone, ""
}
