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
		q := kmsg.NewPtrAlterPartitionAssignmentsRequest()
		qt := kmsg.NewAlterPartitionAssignmentsRequestTopic()
		qt.Topic = "t"
		self := ask[*kmsg.DescribeClusterResponse](c, 0, kmsg.NewPtrDescribeClusterRequest()).ControllerID
		for i, replicas := range [][]int32{{self}, nil, {}, {self, self}, {12345}, {self}} {
			qp := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
			qp.Partition, qp.Replicas = int32(i/5*99), replicas
			qt.Partitions = append(qt.Partitions, qp)
		}
		q.Topics = append(q.Topics, qt)
		r := ask[*kmsg.AlterPartitionAssignmentsResponse](c, v, q)
		for i, want := range []code{codeNone, codeNoReassignmentInProgress, codeInvalidReplicaAssignment, codeInvalidReplicaAssignment, codeInvalidReplicaAssignment, codeUnknownTopicOrPartition} {
			wantCode(t, "reassignment", r.Topics[0].Partitions[i].ErrorCode, want)
		}
	}
	for v := int16(1); v <= 2; v++ {
		dir := ask[*kmsg.DescribeLogDirsResponse](c, 4, kmsg.NewPtrDescribeLogDirsRequest()).Dirs[0].Dir
		q := kmsg.NewPtrAlterReplicaLogDirsRequest()
		for _, d := range []string{dir, "/elsewhere"} {
			qd, qt := kmsg.NewAlterReplicaLogDirsRequestDir(), kmsg.NewAlterReplicaLogDirsRequestDirTopic()
			qt.Topic, qt.Partitions = "t", []int32{0, 99}
			qd.Dir, qd.Topics = d, append(qd.Topics, qt)
			q.Dirs = append(q.Dirs, qd)
		}
		r := ask[*kmsg.AlterReplicaLogDirsResponse](c, v, q)
		wantCode(t, "where it lies", r.Topics[0].Partitions[0].ErrorCode, codeNone)
		wantCode(t, "unknown", r.Topics[0].Partitions[1].ErrorCode, codeUnknownTopicOrPartition)
		wantCode(t, "elsewhere", r.Topics[1].Partitions[0].ErrorCode, codeLogDirNotFound)
	}
	quorum := kmsg.NewPtrDescribeQuorumRequest()
	for _, name := range []string{clusterMetadata, "t"} {
		qt := kmsg.NewDescribeQuorumRequestTopic()
		qt.Topic, qt.Partitions = name, make([]kmsg.DescribeQuorumRequestTopicPartition, 1)
		quorum.Topics = append(quorum.Topics, qt)
	}
	for v := int16(0); v <= 2; v++ {
		qr := ask[*kmsg.DescribeQuorumResponse](c, v, quorum)
		if p := qr.Topics[0].Partitions[0]; p.ErrorCode != 0 || p.LeaderID < 0 || len(p.CurrentVoters) == 0 || (v == 2) != (len(qr.Nodes) > 0) {
			t.Errorf("DescribeQuorum v%d: %+v, %+v", v, p, qr.Nodes)
		}
		wantCode(t, "no quorum", qr.Topics[1].Partitions[0].ErrorCode, codeUnknownTopicOrPartition)
	}
	for v, types := range [][]int8{{}, {}, {int8(kmsg.ConfigResourceTypeBroker)}} {
		q := kmsg.NewPtrListConfigResourcesRequest()
		q.ResourceTypes = types
		kinds := map[int8]bool{}
		for _, r := range ask[*kmsg.ListConfigResourcesResponse](c, int16(min(v, 1)), q).ConfigResources {
			kinds[r.Type] = true
		}
		if topics, brokers := kinds[int8(kmsg.ConfigResourceTypeTopic)], kinds[int8(kmsg.ConfigResourceTypeBroker)]; topics != (v == 1) || brokers != (v >= 1) {
			t.Errorf("ListConfigResources %d: topics %v, brokers %v", v, topics, brokers)
		}
	}
	for v := int16(0); v <= 1; v++ {
		if r := ask[*kmsg.DescribeClientQuotasResponse](c, v, kmsg.NewPtrDescribeClientQuotasRequest()); r.ErrorCode != 0 || r.Entries == nil || len(r.Entries) != 0 {
			t.Errorf("quotas v%d: %+v", v, r)
		}
	}
	scram := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	if r := ask[*kmsg.DescribeUserSCRAMCredentialsResponse](c, 0, scram); r.ErrorCode != 0 || len(r.Results) != 0 {
		t.Errorf("credentials of all users: %+v", r)
	}
	for _, name := range []string{"alice", "bob", "alice"} {
		u := kmsg.NewDescribeUserSCRAMCredentialsRequestUser()
		u.Name = name
		scram.Users = append(scram.Users, u)
	}
	r := ask[*kmsg.DescribeUserSCRAMCredentialsResponse](c, 0, scram)
	if len(r.Results) != 2 {
		t.Fatalf("%+v", r)
	}
	wantCode(t, "asked for twice", r.Results[0].ErrorCode, codeDuplicateResource)
	wantCode(t, "a user without credentials", r.Results[1].ErrorCode, codeResourceNotFound)
}
