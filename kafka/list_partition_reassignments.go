package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ListPartitionReassignments (46): none is ever under way. Partitions move in
// milliseconds, without copying (protocol.md 7).
func apiListPartitionReassignments() api {
	return api{
		key: 46, name: "ListPartitionReassignments", min: 0, max: 0,
		shape: parseShape(0, `timeout:i32 topics:[ name:str partitions:[i32] ]?`),
		serve: on((*node).listPartitionReassignments),
	}
}

func (n *node) listPartitionReassignments(context.Context, *call, *kmsg.ListPartitionReassignmentsRequest) *kmsg.ListPartitionReassignmentsResponse {
	r := kmsg.NewPtrListPartitionReassignmentsResponse()
	r.Topics = []kmsg.ListPartitionReassignmentsResponseTopic{}
	return r
}
