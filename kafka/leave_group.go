package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/coord/group"
)

// LeaveGroup (13): members leave. v3 many at once, also by instance id alone, as
// the admin client's removeMembers does (KIP-345); v5 a reason (KIP-800). Up to v2
// the fault of the one member is that of the answer.
func apiLeaveGroup() api {
	return api{
		key: 13, name: "LeaveGroup", min: 0, max: 5,
		shape: parseShape(4, `group:str member:str@0-2 members:[ member:str instance:str? reason:str?@5+ ]@3+`),
		serve: on((*node).leaveGroup),
	}
}

func (n *node) leaveGroup(ctx context.Context, c *call, q *kmsg.LeaveGroupRequest) *kmsg.LeaveGroupResponse {
	l := &group.LeaveRequest{Group: q.Group}
	for _, m := range q.Members {
		l.Members = append(l.Members, group.LeaveMember{ID: m.MemberID, InstanceID: m.InstanceID})
	}
	if c.version <= 2 {
		l.Members = []group.LeaveMember{{ID: q.MemberID}}
	}
	a, err := n.Members.Leave(ctx, l)
	if err == nil {
		err = a.Err
	}
	r := kmsg.NewPtrLeaveGroupResponse()
	r.ErrorCode = int16(n.groupCode("LeaveGroup", err))
	r.Members = []kmsg.LeaveGroupResponseMember{}
	if err != nil {
		return r
	}
	if c.version <= 2 {
		r.ErrorCode = int16(n.groupCode("LeaveGroup", a.Errs[0]))
		return r
	}
	for i, m := range l.Members {
		rm := kmsg.NewLeaveGroupResponseMember()
		rm.MemberID, rm.InstanceID, rm.ErrorCode = m.ID, m.InstanceID, int16(n.groupCode("LeaveGroup", a.Errs[i]))
		r.Members = append(r.Members, rm)
	}
	return r
}
