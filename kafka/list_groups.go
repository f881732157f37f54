package kafka

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ListGroups (16): the groups that this broker coordinates; clients ask all
// brokers. v4 filters by state (KIP-518), v5 by type (KIP-848): all groups here are
// classic.
func apiListGroups() api {
	return api{
		key: 16, name: "ListGroups", min: 0, max: 5,
		shape: parseShape(3, `states:[str]@4+ types:[str]@5+`),
		serve: on((*node).listGroups),
	}
}

const classic = "classic"

func (n *node) listGroups(ctx context.Context, _ *call, q *kmsg.ListGroupsRequest) *kmsg.ListGroupsResponse {
	r := kmsg.NewPtrListGroupsResponse()
	r.Groups = []kmsg.ListGroupsResponseGroup{}
	if len(q.TypesFilter) > 0 && !slices.ContainsFunc(q.TypesFilter, func(t string) bool { return strings.EqualFold(t, classic) }) {
		return r
	}
	groups, err := n.GroupAdmin.List(ctx, q.StatesFilter)
	if err != nil {
		r.ErrorCode = int16(n.groupCode("ListGroups", err))
		return r
	}
	for _, g := range groups {
		rg := kmsg.NewListGroupsResponseGroup()
		rg.Group, rg.ProtocolType, rg.GroupState, rg.GroupType = g.Group, g.ProtocolType, g.State, classic
		r.Groups = append(r.Groups, rg)
	}
	return r
}
