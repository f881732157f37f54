package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/coord/group"
)

// DescribeGroups (15): groups and their members. A group that does not exist has
// state Dead and no error up to v5, and is GROUP_ID_NOT_FOUND from v6 on (KIP-1043,
// kafka.md 44). v3 authorised operations (KIP-430), v4 instance ids (KIP-345).
func apiDescribeGroups() api {
	return api{
		key: 15, name: "DescribeGroups", min: 0, max: 6,
		shape: parseShape(5, `groups:[str] operations:bool@3+`),
		serve: on((*node).describeGroups),
	}
}

func (n *node) describeGroups(ctx context.Context, c *call, q *kmsg.DescribeGroupsRequest) *kmsg.DescribeGroupsResponse {
	r := kmsg.NewPtrDescribeGroupsResponse()
	r.Groups = make([]kmsg.DescribeGroupsResponseGroup, len(q.Groups))
	together(len(q.Groups), groupWidth, func(i int) {
		rg, id := &r.Groups[i], q.Groups[i]
		rg.Default()
		rg.Group = id
		rg.Members = []kmsg.DescribeGroupsResponseGroupMember{}
		d, err := n.GroupAdmin.Describe(ctx, id)
		if err == nil {
			err = d.Err
		}
		rg.State, rg.ProtocolType, rg.Protocol = d.State, d.ProtocolType, d.Protocol
		switch {
		case errors.Is(err, group.ErrGroupNotFound):
			rg.State = "Dead"
			if c.version >= 6 {
				rg.ErrorCode = int16(codeGroupIDNotFound)
				rg.ErrorMessage = kmsg.StringPtr("Group " + id + " not found.")
			}
		case err != nil:
			rg.ErrorCode, rg.ErrorMessage = int16(n.groupCode("DescribeGroups", err)), message(err)
		}
		if rg.ErrorCode == 0 && c.version >= 3 && q.IncludeAuthorizedOperations {
			rg.AuthorizedOperations = groupOperations
		}
		for _, m := range d.Members {
			rm := kmsg.NewDescribeGroupsResponseGroupMember()
			rm.MemberID, rm.InstanceID, rm.ClientID, rm.ClientHost = m.ID, m.InstanceID, m.ClientID, m.Host
			rm.ProtocolMetadata, rm.MemberAssignment = m.Metadata, m.Assignment
			rg.Members = append(rg.Members, rm)
		}
	})
	return r
}
