package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// What has nothing to steer here is answered truthfully, and no tool stops at it.
func TestToolsAreAnsweredTruthfully(t *testing.T) {
	f := newFake()
	f.topic("t", 1)
	c := serve(t, f, Limits{}).client(t)
	for v := int16(0); v <= 3; v++ {
		wantCode(t, "DescribeAcls", ask[*kmsg.DescribeACLsResponse](c, v, kmsg.NewPtrDescribeACLsRequest()).ErrorCode, codeSecurityDisabled)
		create := kmsg.NewPtrCreateACLsRequest()
		create.Creations = make([]kmsg.CreateACLsRequestCreation, 2)
		cr := ask[*kmsg.CreateACLsResponse](c, v, create)
		if len(cr.Results) != 2 || code(cr.Results[1].ErrorCode) != codeSecurityDisabled {
			t.Errorf("CreateAcls v%d: %+v", v, cr)
		}
		del := kmsg.NewPtrDeleteACLsRequest()
		del.Filters = make([]kmsg.DeleteACLsRequestFilter, 2)
		dr := ask[*kmsg.DeleteACLsResponse](c, v, del)
		if len(dr.Results) != 2 || code(dr.Results[1].ErrorCode) != codeSecurityDisabled {
			t.Errorf("DeleteAcls v%d: %+v", v, dr)
		}
	}
	for v := int16(0); v <= 2; v++ {
		q := kmsg.NewPtrElectLeadersRequest()
		if r := ask[*kmsg.ElectLeadersResponse](c, v, q); r.ErrorCode != 0 || len(r.Topics) != 0 {
			t.Errorf("ElectLeaders v%d for all: %+v", v, r)
		}
		qt := kmsg.NewElectLeadersRequestTopic()
		qt.Topic, qt.Partitions = "t", []int32{0, 5}
		q.Topics = append(q.Topics, qt)
		r := ask[*kmsg.ElectLeadersResponse](c, v, q)
		wantCode(t, "led", r.Topics[0].Partitions[0].ErrorCode, codeElectionNotNeeded)
		wantCode(t, "unknown", r.Topics[0].Partitions[1].ErrorCode, codeUnknownTopicOrPartition)
	}
	if r := ask[*kmsg.ListPartitionReassignmentsResponse](c, 0, kmsg.NewPtrListPartitionReassignmentsRequest()); r.ErrorCode != 0 || len(r.Topics) != 0 {
		t.Errorf("reassignments: %+v", r)
	}
	for v := int16(0); v <= 1; v++ {
		if r := ask[*kmsg.DescribeClientQuotasResponse](c, v, kmsg.NewPtrDescribeClientQuotasRequest()); r.ErrorCode != 0 || r.Entries == nil || len(r.Entries) != 0 {
			t.Errorf("quotas v%d: %+v", v, r)
		}
	}
}
