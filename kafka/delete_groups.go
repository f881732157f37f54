package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DeleteGroups (42): groups without members, and their offsets, each on its own
// (KIP-229). NON_EMPTY_GROUP with members, GROUP_ID_NOT_FOUND when there is none
// (kafka.md 44).
func apiDeleteGroups() api {
	return api{
		key: 42, name: "DeleteGroups", min: 0, max: 2,
		shape: parseShape(2, `groups:[str]`),
		serve: on((*node).deleteGroups),
	}
}

func (n *node) deleteGroups(ctx context.Context, _ *call, q *kmsg.DeleteGroupsRequest) *kmsg.DeleteGroupsResponse {
	r := kmsg.NewPtrDeleteGroupsResponse()
	r.Groups = []kmsg.DeleteGroupsResponseGroup{}
	told := map[string]bool{}
	for _, id := range q.Groups {
		if told[id] {
			continue
		}
		told[id] = true
		rg := kmsg.NewDeleteGroupsResponseGroup()
		rg.Group = id
		r.Groups = append(r.Groups, rg)
	}
	together(len(r.Groups), groupWidth, func(i int) {
		rg := &r.Groups[i]
		rg.ErrorCode = int16(n.groupCode("DeleteGroups", n.GroupAdmin.Delete(ctx, rg.Group)))
	})
	return r
}
