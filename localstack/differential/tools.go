package main

import "github.com/twmb/franz-go/pkg/kmsg"

// tools is what command-line tools and consoles ask for.
func tools() []scenario {
	return []scenario{
		{"tools/log dirs", func(s *side) {
			create(s, "sized", 2)
			give(s, "sized", 0, batch(some(2)))
			q := kmsg.NewPtrDescribeLogDirsRequest()
			t := kmsg.NewDescribeLogDirsRequestTopic()
			t.Topic, t.Partitions = "sized", []int32{0, 1, 9}
			q.Topics = append(q.Topics, t)
			every[*kmsg.DescribeLogDirsResponse](s, "one topic", q)
			q.Topics[0].Topic = "nosuch"
			every[*kmsg.DescribeLogDirsResponse](s, "unknown", q)
			q.Topics = []kmsg.DescribeLogDirsRequestTopic{}
			every[*kmsg.DescribeLogDirsResponse](s, "no topics", q)
			a := kmsg.NewPtrAlterReplicaLogDirsRequest()
			d := kmsg.NewAlterReplicaLogDirsRequestDir()
			d.Dir = "/nowhere"
			dt := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
			dt.Topic, dt.Partitions = "sized", []int32{0, 9}
			d.Topics = append(d.Topics, dt)
			a.Dirs = append(a.Dirs, d)
			every[*kmsg.AlterReplicaLogDirsResponse](s, "move", a)
			a.Dirs = nil
			every[*kmsg.AlterReplicaLogDirsResponse](s, "move nothing", a)
		}},
		{"tools/elections", func(s *side) {
			create(s, "elected", 2)
			q := kmsg.NewPtrElectLeadersRequest()
			q.TimeoutMillis = 5000
			t := kmsg.NewElectLeadersRequestTopic()
			t.Topic, t.Partitions = "elected", []int32{0, 1, 9}
			q.Topics = append(q.Topics, t)
			for _, kind := range []int8{0, 1} {
				q.ElectionType = kind
				every[*kmsg.ElectLeadersResponse](s, "elect", q)
			}
			q.ElectionType = 0
			q.Topics[0].Topic = "nosuch"
			every[*kmsg.ElectLeadersResponse](s, "elect unknown", q)
			q.Topics = []kmsg.ElectLeadersRequestTopic{}
			every[*kmsg.ElectLeadersResponse](s, "elect none", q)
			q.Topics = nil
			every[*kmsg.ElectLeadersResponse](s, "elect all", q)
			q.ElectionType = 7
			ask[*kmsg.ElectLeadersResponse](s, "elect strangely", s.newest(q), q)
		}},
		{"tools/reassignments", func(s *side) {
			create(s, "moved", 2)
			q := kmsg.NewPtrAlterPartitionAssignmentsRequest()
			q.TimeoutMillis = 5000
			t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
			t.Topic = "moved"
			for i, r := range [][]int32{{1}, nil, {1}} {
				p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
				p.Partition, p.Replicas = []int32{0, 1, 9}[i], r
				t.Partitions = append(t.Partitions, p)
			}
			q.Topics = append(q.Topics, t)
			every[*kmsg.AlterPartitionAssignmentsResponse](s, "move", q)
			q.Topics[0].Topic = "nosuch"
			every[*kmsg.AlterPartitionAssignmentsResponse](s, "move unknown", q)
			q.Topics = nil
			every[*kmsg.AlterPartitionAssignmentsResponse](s, "move nothing", q)
			l := kmsg.NewPtrListPartitionReassignmentsRequest()
			l.TimeoutMillis = 5000
			every[*kmsg.ListPartitionReassignmentsResponse](s, "list", l)
			lt := kmsg.NewListPartitionReassignmentsRequestTopic()
			lt.Topic, lt.Partitions = "moved", []int32{0}
			l.Topics = append(l.Topics, lt)
			every[*kmsg.ListPartitionReassignmentsResponse](s, "list one", l)
		}},
		{"tools/acls", func(s *side) {
			d := kmsg.NewPtrDescribeACLsRequest()
			d.ResourceType, d.ResourcePatternType, d.Operation, d.PermissionType = 1, 1, 1, 1
			every[*kmsg.DescribeACLsResponse](s, "describe", d)
			c := kmsg.NewPtrCreateACLsRequest()
			x := kmsg.NewCreateACLsRequestCreation()
			x.ResourceType, x.ResourceName, x.ResourcePatternType, x.Principal, x.Host, x.Operation, x.PermissionType = 2, "t", 3, "User:a", "*", 3, 3
			c.Creations = append(c.Creations, x)
			every[*kmsg.CreateACLsResponse](s, "create", c)
			r := kmsg.NewPtrDeleteACLsRequest()
			f := kmsg.NewDeleteACLsRequestFilter()
			f.ResourceType, f.ResourcePatternType, f.Operation, f.PermissionType = 1, 1, 1, 1
			r.Filters = append(r.Filters, f)
			every[*kmsg.DeleteACLsResponse](s, "delete", r)
		}},
		{"tools/others", func(s *side) {
			q := kmsg.NewPtrDescribeClientQuotasRequest()
			every[*kmsg.DescribeClientQuotasResponse](s, "quotas", q)
			c := kmsg.NewDescribeClientQuotasRequestComponent()
			c.EntityType, c.MatchType = "user", 2
			q.Components = append(q.Components, c)
			every[*kmsg.DescribeClientQuotasResponse](s, "quotas of users", q)
			d := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
			for _, users := range [][]string{nil, {}, {"alice"}, {"alice", "alice"}, {""}} {
				d.Users = nil
				if users != nil {
					d.Users = []kmsg.DescribeUserSCRAMCredentialsRequestUser{}
				}
				for _, name := range users {
					du := kmsg.NewDescribeUserSCRAMCredentialsRequestUser()
					du.Name = name
					d.Users = append(d.Users, du)
				}
				every[*kmsg.DescribeUserSCRAMCredentialsResponse](s, "users", d)
			}
			u := kmsg.NewPtrDescribeQuorumRequest()
			ut := kmsg.NewDescribeQuorumRequestTopic()
			ut.Topic = "__cluster_metadata"
			ut.Partitions = append(ut.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
			u.Topics = append(u.Topics, ut)
			every[*kmsg.DescribeQuorumResponse](s, "quorum", u)
			l := kmsg.NewPtrListConfigResourcesRequest()
			for _, kinds := range [][]int8{nil, {2}, {4}, {8}, {16}, {32}, {2, 32}, {99}} {
				l.ResourceTypes = kinds
				for _, v := range s.versions(74) {
					if v > 0 || kinds == nil {
						ask[*kmsg.ListConfigResourcesResponse](s, "config resources", v, l)
					}
				}
			}
		}},
	}
}
