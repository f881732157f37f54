package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/coord/group"
)

// SyncGroup (14): the leader gives the assignments, the others wait for theirs. v3
// static members (KIP-345), v5 protocol type and name are checked (KIP-559). The
// assignment of a member that got none is empty, never missing (kafka.md 7). A coordinator
// that is loading has lost the rebalance: REBALANCE_IN_PROGRESS makes the member join again,
// where at COORDINATOR_LOAD_IN_PROGRESS Java's consumer throws out of poll.
func apiSyncGroup() api {
	return api{
		key: 14, name: "SyncGroup", min: 0, max: 5, waits: true,
		shape: parseShape(4, `group:str generation:i32 member:str instance:str?@3+ type:str?@5+ protocol:str?@5+ assignments:[ member:str data:bytes ]`),
		serve: on((*node).syncGroup),
	}
}

func (n *node) syncGroup(ctx context.Context, c *call, q *kmsg.SyncGroupRequest) *kmsg.SyncGroupResponse {
	s := &group.SyncRequest{
		Group: q.Group, MemberID: q.MemberID, InstanceID: q.InstanceID, Generation: q.Generation,
		ProtocolType: q.ProtocolType, Protocol: q.Protocol, NeedProtocol: c.version >= 5,
	}
	for _, a := range q.GroupAssignment {
		s.Assignments = append(s.Assignments, group.Assignment{Member: a.MemberID, Data: a.MemberAssignment})
	}
	a, err := n.Members.Sync(ctx, s)
	if err == nil {
		err = a.Err
	}
	if errors.Is(err, group.ErrLoading) {
		err = group.ErrRebalanceInProgress
	}
	r := kmsg.NewPtrSyncGroupResponse()
	r.ErrorCode = int16(n.groupCode("SyncGroup", err))
	r.MemberAssignment = []byte{}
	if err == nil {
		r.ProtocolType, r.Protocol = &a.ProtocolType, &a.Protocol
		r.MemberAssignment = a.Assignment
	}
	return r
}
