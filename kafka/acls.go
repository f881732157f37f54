package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeAcls (29), CreateAcls (30) and DeleteAcls (31): there is no authoriser,
// and the answer is what Kafka answers then, SECURITY_DISABLED. MirrorMaker and
// consoles know it and go on. v1 pattern types (KIP-290).
func apiDescribeACLs() api {
	return api{
		key: 29, name: "DescribeAcls", min: 0, max: 3,
		shape: parseShape(2, `resource:i8 name:str? pattern:i8@1+ principal:str? host:str? operation:i8 permission:i8`),
		serve: on((*node).describeACLs),
	}
}

func apiCreateACLs() api {
	return api{
		key: 30, name: "CreateAcls", min: 0, max: 3,
		shape: parseShape(2, `creations:[ resource:i8 name:str pattern:i8@1+ principal:str host:str operation:i8 permission:i8 ]`),
		serve: on((*node).createACLs),
	}
}

func apiDeleteACLs() api {
	return api{
		key: 31, name: "DeleteAcls", min: 0, max: 3,
		shape: parseShape(2, `filters:[ resource:i8 name:str? pattern:i8@1+ principal:str? host:str? operation:i8 permission:i8 ]`),
		serve: on((*node).deleteACLs),
	}
}

// noAuthorizer is Kafka's own text.
const noAuthorizer = "No Authorizer is configured."

func (n *node) describeACLs(context.Context, *call, *kmsg.DescribeACLsRequest) *kmsg.DescribeACLsResponse {
	r := kmsg.NewPtrDescribeACLsResponse()
	r.ErrorCode, r.ErrorMessage = int16(codeSecurityDisabled), kmsg.StringPtr(noAuthorizer)
	r.Resources = []kmsg.DescribeACLsResponseResource{}
	return r
}

func (n *node) createACLs(_ context.Context, _ *call, q *kmsg.CreateACLsRequest) *kmsg.CreateACLsResponse {
	r := kmsg.NewPtrCreateACLsResponse()
	r.Results = make([]kmsg.CreateACLsResponseResult, len(q.Creations))
	for i := range r.Results {
		r.Results[i].ErrorCode, r.Results[i].ErrorMessage = int16(codeSecurityDisabled), kmsg.StringPtr(noAuthorizer)
	}
	return r
}

func (n *node) deleteACLs(_ context.Context, _ *call, q *kmsg.DeleteACLsRequest) *kmsg.DeleteACLsResponse {
	r := kmsg.NewPtrDeleteACLsResponse()
	r.Results = make([]kmsg.DeleteACLsResponseResult, len(q.Filters))
	for i := range r.Results {
		r.Results[i].ErrorCode, r.Results[i].ErrorMessage = int16(codeSecurityDisabled), kmsg.StringPtr(noAuthorizer)
		r.Results[i].MatchingACLs = []kmsg.DeleteACLsResponseResultMatchingACL{}
	}
	return r
}
