package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// FindCoordinator (10): which broker coordinates a group.
//
//   - The broker named is in Metadata. While the group's partition of
//     __consumer_offsets has no leader the answer is COORDINATOR_NOT_AVAILABLE, which
//     clients retry (kafka.md 45).
//   - v1 adds types, v4 asks for many keys at once (KIP-699).
//   - Type 1, transactions: not served yet, and the transaction APIs are not in the
//     table. TRANSACTIONAL_ID_AUTHORIZATION_FAILED is the one answer that Java,
//     librdkafka and franz-go all take as final, with our text; a missing coordinator
//     they would wait for.
//   - Type 2, share groups: not served, INVALID_REQUEST.
func apiFindCoordinator() api {
	return api{
		key: 10, name: "FindCoordinator", min: 0, max: 6,
		shape: parseShape(3, `key:str@0-3 type:i8@1+ keys:[str]@4+`),
		serve: on((*node).findCoordinator),
	}
}

const (
	coordinatorGroup       = 0
	coordinatorTransaction = 1
)

func (n *node) findCoordinator(ctx context.Context, c *call, q *kmsg.FindCoordinatorRequest) *kmsg.FindCoordinatorResponse {
	r := kmsg.NewPtrFindCoordinatorResponse()
	r.NodeID, r.Port = -1, -1
	if c.version < 4 {
		one := n.coordinator(ctx, c.listener, q.CoordinatorType, q.CoordinatorKey)
		r.ErrorCode, r.ErrorMessage = one.ErrorCode, one.ErrorMessage
		if one.ErrorCode == 0 {
			r.ErrorMessage = kmsg.StringPtr("NONE") // the name of no error, as FindCoordinatorResponse has it
		}
		r.NodeID, r.Host, r.Port = one.NodeID, one.Host, one.Port
		return r
	}
	for _, key := range q.CoordinatorKeys {
		r.Coordinators = append(r.Coordinators, n.coordinator(ctx, c.listener, q.CoordinatorType, key))
	}
	return r
}

func (n *node) coordinator(ctx context.Context, listener string, kind int8, key string) kmsg.FindCoordinatorResponseCoordinator {
	r := kmsg.NewFindCoordinatorResponseCoordinator()
	r.Key, r.NodeID, r.Port = key, -1, -1
	refuse := func(code code, why string) kmsg.FindCoordinatorResponseCoordinator {
		r.ErrorCode, r.ErrorMessage = int16(code), &why
		return r
	}
	switch kind {
	case coordinatorGroup:
	case coordinatorTransaction:
		return refuse(codeTransactionalIDAuthorizationFailed, "this broker does not serve transactions")
	default:
		return refuse(codeInvalidRequest, "unknown coordinator type")
	}
	node, err := n.Groups.Coordinator(ctx, key)
	if err != nil {
		return refuse(n.groupCode("FindCoordinator", err), err.Error())
	}
	b, ok := n.viewBy(listener).broker(node)
	if !ok {
		return refuse(codeCoordinatorNotAvailable, "the coordinator is not alive")
	}
	r.NodeID, r.Host, r.Port, r.ErrorMessage = b.Node, b.Host, b.Port, new(string)
	return r
}
