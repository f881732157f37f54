package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/coord/group"
)

// Heartbeat (12): a member is alive, and learns whether the group rebalances. v3
// static members (KIP-345). While the coordinator loads it is no error, as in Kafka: the
// session of everybody begins anew when it has, and clients such as aiokafka give up at
// COORDINATOR_LOAD_IN_PROGRESS, which they do not expect here.
func apiHeartbeat() api {
	return api{
		key: 12, name: "Heartbeat", min: 0, max: 4,
		shape: parseShape(4, `group:str generation:i32 member:str instance:str?@3+`),
		serve: on((*node).heartbeat),
	}
}

func (n *node) heartbeat(ctx context.Context, _ *call, q *kmsg.HeartbeatRequest) *kmsg.HeartbeatResponse {
	r := kmsg.NewPtrHeartbeatResponse()
	err := n.Members.Heartbeat(ctx, &group.HeartbeatRequest{
		Group: q.Group, MemberID: q.MemberID, InstanceID: q.InstanceID, Generation: q.Generation,
	})
	if errors.Is(err, group.ErrLoading) {
		err = nil
	}
	r.ErrorCode = int16(n.groupCode("Heartbeat", err))
	return r
}
