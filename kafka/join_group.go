package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/coord/group"
)

// JoinGroup (11): becoming a member of a classic group. It waits until the group
// has gathered.
//
//   - v4+: a new dynamic member gets MEMBER_ID_REQUIRED and an id to come back with
//     (KIP-394, kafka.md 38). v5 static members (KIP-345, kafka.md 40), v7 the
//     protocol type in the answer (KIP-559), v8 a reason (KIP-800), v9 skip the
//     assignment (KIP-814).
//   - v0 has no rebalance timeout: the session's counts. Metadata is opaque (kafka.md 39).
func apiJoinGroup() api {
	return api{
		key: 11, name: "JoinGroup", min: 0, max: 9, waits: true,
		shape: parseShape(6, `group:str session:i32 rebalance:i32@1+ member:str instance:str?@5+ type:str protocols:[ name:str metadata:bytes ] reason:str?@8+`),
		serve: on((*node).joinGroup),
	}
}

func (n *node) joinGroup(ctx context.Context, c *call, q *kmsg.JoinGroupRequest) *kmsg.JoinGroupResponse {
	j := &group.JoinRequest{
		Group: q.Group, MemberID: q.MemberID, InstanceID: q.InstanceID, ClientID: c.client, Host: "/" + c.remote,
		SessionTimeoutMs: q.SessionTimeoutMillis, RebalanceTimeoutMs: q.RebalanceTimeoutMillis,
		ProtocolType: q.ProtocolType, NeedMemberID: c.version >= 4, CanSkip: c.version >= 9,
	}
	if c.version == 0 {
		j.RebalanceTimeoutMs = j.SessionTimeoutMs
	}
	for _, p := range q.Protocols {
		j.Protocols = append(j.Protocols, group.Protocol{Name: p.Name, Metadata: p.Metadata})
	}
	a, err := n.Members.Join(ctx, j)
	if err == nil {
		err = a.Err
	} else {
		a = group.JoinResponse{Generation: -1, MemberID: q.MemberID}
	}
	r := kmsg.NewPtrJoinGroupResponse()
	r.ErrorCode = int16(n.groupCode("JoinGroup", err))
	r.Generation, r.LeaderID, r.MemberID, r.SkipAssignment = a.Generation, a.Leader, a.MemberID, a.SkipAssignment
	r.Protocol = new(string)
	switch {
	case err == nil:
		r.ProtocolType, r.Protocol = &a.ProtocolType, &a.Protocol
	case c.version >= 7:
		r.Protocol = nil
	}
	r.Members = make([]kmsg.JoinGroupResponseMember, 0, len(a.Members))
	for _, m := range a.Members {
		rm := kmsg.NewJoinGroupResponseMember()
		rm.MemberID, rm.InstanceID, rm.ProtocolMetadata = m.ID, m.InstanceID, m.Metadata
		r.Members = append(r.Members, rm)
	}
	return r
}
