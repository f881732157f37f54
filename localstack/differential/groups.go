package main

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// What members say and are told. Kafka reads it where the type is "consumer", and gives
// no answer to who sends something else.
var (
	subscription = (&kmsg.ConsumerMemberMetadata{Topics: []string{"committed"}}).AppendTo(nil)
	assignment   = (&kmsg.ConsumerMemberAssignment{}).AppendTo(nil)
)

// joining is a request to join a group.
func joining(group, member string, protocols ...string) *kmsg.JoinGroupRequest {
	q := kmsg.NewPtrJoinGroupRequest()
	q.Group, q.MemberID, q.ProtocolType = group, member, "consumer"
	q.SessionTimeoutMillis, q.RebalanceTimeoutMillis = 30000, 10000
	for _, p := range protocols {
		jp := kmsg.NewJoinGroupRequestProtocol()
		jp.Name, jp.Metadata = p, subscription
		q.Protocols = append(q.Protocols, jp)
	}
	return q
}

// member joins a group alone, in the newest version, and syncs. Its id has a symbol.
func member(s *side, group string, instance *string) string {
	q := joining(group, "", "range")
	q.InstanceID = instance
	r := quiet[*kmsg.JoinGroupResponse](s, q)
	if r.ErrorCode == 79 {
		q.MemberID = r.MemberID
		r = quiet[*kmsg.JoinGroupResponse](s, q)
	}
	if r.ErrorCode != 0 {
		s.say("join "+group, "failed")
	}
	s.is("member of "+group, r.MemberID)
	y := syncing(group, r.MemberID, r.Generation, r.MemberID)
	y.InstanceID = instance
	quiet[*kmsg.SyncGroupResponse](s, y)
	return r.MemberID
}

func syncing(group, member string, generation int32, assign ...string) *kmsg.SyncGroupRequest {
	q := kmsg.NewPtrSyncGroupRequest()
	q.Group, q.MemberID, q.Generation = group, member, generation
	q.ProtocolType, q.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	for _, m := range assign {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = m, assignment
		q.GroupAssignment = append(q.GroupAssignment, a)
	}
	return q
}

func leaving(group string, members ...string) *kmsg.LeaveGroupRequest {
	q := kmsg.NewPtrLeaveGroupRequest()
	q.Group = group
	for _, m := range members {
		q.MemberID = m
		lm := kmsg.NewLeaveGroupRequestMember()
		lm.MemberID = m
		q.Members = append(q.Members, lm)
	}
	return q
}

func beating(group, member string, generation int32) *kmsg.HeartbeatRequest {
	q := kmsg.NewPtrHeartbeatRequest()
	q.Group, q.MemberID, q.Generation = group, member, generation
	return q
}

// commit is one committed offset.
type commit struct {
	topic     string
	id        [16]byte
	partition int32
	offset    int64
	metadata  *string
}

func committing(group, member string, generation int32, cs ...commit) *kmsg.OffsetCommitRequest {
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Group, q.MemberID, q.Generation, q.RetentionTimeMillis = group, member, generation, -1
	for _, c := range cs {
		if n := len(q.Topics); n == 0 || q.Topics[n-1].Topic != c.topic {
			t := kmsg.NewOffsetCommitRequestTopic()
			t.Topic, t.TopicID = c.topic, c.id
			q.Topics = append(q.Topics, t)
		}
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = c.partition, c.offset, -1, c.metadata
		t := &q.Topics[len(q.Topics)-1]
		t.Partitions = append(t.Partitions, p)
	}
	return q
}

// committed asks for offsets; no topics mean all when all is set.
func committed(group string, all bool, cs ...commit) *kmsg.OffsetFetchRequest {
	q := kmsg.NewPtrOffsetFetchRequest()
	q.Group = group
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group, g.MemberEpoch = group, -1
	if !all {
		q.Topics, g.Topics = []kmsg.OffsetFetchRequestTopic{}, []kmsg.OffsetFetchRequestGroupTopic{}
	}
	for _, c := range cs {
		t, gt := kmsg.NewOffsetFetchRequestTopic(), kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic, t.Partitions = c.topic, []int32{c.partition}
		gt.Topic, gt.TopicID, gt.Partitions = c.topic, c.id, []int32{c.partition}
		q.Topics, g.Topics = append(q.Topics, t), append(g.Topics, gt)
	}
	q.Groups = append(q.Groups, g)
	return q
}

func versionName(base string, v int16) string { return base + "-" + string(rune('a'+v)) }

// ready waits for the coordinator: its topic is made when it is first asked for.
func ready(s *side) {
	q := kmsg.NewPtrFindCoordinatorRequest()
	q.CoordinatorKey, q.CoordinatorKeys = "warm", []string{"warm"}
	for range 100 {
		r := quiet[*kmsg.FindCoordinatorResponse](s, q)
		if len(r.Coordinators) == 1 && r.Coordinators[0].ErrorCode == 0 {
			break
		}
		eventually(s, func() {})
	}
	for range 100 {
		if quiet[*kmsg.HeartbeatResponse](s, beating("warm", "x", 1)).ErrorCode == 25 {
			return
		}
		eventually(s, func() {})
	}
}

// groups are joined, described, and left; their offsets committed and fetched.
func groups() []scenario {
	describing := func(groups ...string) *kmsg.DescribeGroupsRequest {
		q := kmsg.NewPtrDescribeGroupsRequest()
		q.Groups, q.IncludeAuthorizedOperations = groups, true
		return q
	}
	return []scenario{
		{"groups/coordinators", func(s *side) {
			ready(s)
			for _, kind := range []int8{0, 9, -1} {
				q := kmsg.NewPtrFindCoordinatorRequest()
				q.CoordinatorKey, q.CoordinatorKeys, q.CoordinatorType = "g", []string{"g", "h", "g"}, kind
				for _, v := range s.versions(10) {
					if kind == 0 || v > 0 {
						ask[*kmsg.FindCoordinatorResponse](s, "type", v, q)
					}
				}
			}
			q := kmsg.NewPtrFindCoordinatorRequest()
			q.CoordinatorKeys = []string{""}
			every[*kmsg.FindCoordinatorResponse](s, "empty", q)
			q.CoordinatorKeys = nil
			for _, v := range s.versions(10) {
				if v >= 4 {
					ask[*kmsg.FindCoordinatorResponse](s, "none", v, q)
				}
			}
		}},
		{"groups/life of one member", func(s *side) {
			ready(s)
			for _, v := range s.versions(11) {
				g := versionName("join", v)
				r := ask[*kmsg.JoinGroupResponse](s, "join", v, joining(g, "", "range", "roundrobin"))
				s.is("first member", r.MemberID)
				if r.ErrorCode == 79 {
					r = ask[*kmsg.JoinGroupResponse](s, "join with the id", v, joining(g, r.MemberID, "range", "roundrobin"))
				}
				id := r.MemberID
				describe := func(step string) {
					ask[*kmsg.DescribeGroupsResponse](s, step, s.newest(describing()), describing(g))
				}
				describe("while it is to assign")
				ask[*kmsg.HeartbeatResponse](s, "heartbeat before sync", s.newest(beating("", "", 0)), beating(g, id, r.Generation))
				y := syncing(g, id, r.Generation, id)
				sv := min(v, s.newest(y))
				ask[*kmsg.SyncGroupResponse](s, "sync with another generation", sv, syncing(g, id, r.Generation+1, id))
				ask[*kmsg.SyncGroupResponse](s, "sync as nobody", sv, syncing(g, "nobody", r.Generation))
				if sv >= 5 {
					y.Protocol = kmsg.StringPtr("other")
					ask[*kmsg.SyncGroupResponse](s, "sync with another protocol", sv, y)
					y.Protocol = nil
					ask[*kmsg.SyncGroupResponse](s, "sync without a protocol", sv, y)
					y.ProtocolType, y.Protocol = nil, kmsg.StringPtr("range")
					ask[*kmsg.SyncGroupResponse](s, "sync without a type", sv, y)
					y.ProtocolType = kmsg.StringPtr("consumer")
				}
				ask[*kmsg.SyncGroupResponse](s, "sync", sv, y)
				ask[*kmsg.SyncGroupResponse](s, "sync again", sv, syncing(g, id, r.Generation))
				describe("stable")
				hv := min(v, s.newest(beating("", "", 0)))
				ask[*kmsg.HeartbeatResponse](s, "heartbeat", hv, beating(g, id, r.Generation))
				ask[*kmsg.HeartbeatResponse](s, "heartbeat of another generation", hv, beating(g, id, r.Generation+1))
				ask[*kmsg.HeartbeatResponse](s, "heartbeat of nobody", hv, beating(g, "nobody", r.Generation))
				ask[*kmsg.HeartbeatResponse](s, "heartbeat of an empty id", hv, beating(g, "", r.Generation))
				ask[*kmsg.HeartbeatResponse](s, "heartbeat of no group", hv, beating("nosuch", id, r.Generation))
				ask[*kmsg.HeartbeatResponse](s, "heartbeat of an empty group", hv, beating("", id, r.Generation))
				r = ask[*kmsg.JoinGroupResponse](s, "rejoin as leader", v, joining(g, id, "range", "roundrobin"))
				ask[*kmsg.SyncGroupResponse](s, "sync 2", sv, syncing(g, id, r.Generation, id))
				q := joining(g, id, "other")
				r = ask[*kmsg.JoinGroupResponse](s, "rejoin with another protocol", v, q)
				y = syncing(g, id, r.Generation, id)
				y.Protocol = kmsg.StringPtr("other")
				ask[*kmsg.SyncGroupResponse](s, "sync 3", sv, y)
				ask[*kmsg.JoinGroupResponse](s, "join as nobody", v, joining(g, "nobody", "other"))
				ask[*kmsg.JoinGroupResponse](s, "join with a foreign protocol", v, joining(g, "", "foreign"))
				q = joining(g, "", "other")
				q.ProtocolType = "connect"
				ask[*kmsg.JoinGroupResponse](s, "join with a foreign type", v, q)
				lv := min(v, s.newest(leaving("")))
				ask[*kmsg.LeaveGroupResponse](s, "leave as nobody", lv, leaving(g, "nobody"))
				ask[*kmsg.LeaveGroupResponse](s, "leave no group", lv, leaving("nosuch", id))
				ask[*kmsg.LeaveGroupResponse](s, "leave", lv, leaving(g, id))
				ask[*kmsg.LeaveGroupResponse](s, "leave again", lv, leaving(g, id))
				describe("left")
			}
		}},
		{"groups/refused", func(s *side) {
			ready(s)
			for _, v := range s.versions(11) {
				g := versionName("refused", v)
				refuse := func(step string, change func(*kmsg.JoinGroupRequest)) {
					q := joining(g, "", "range")
					change(q)
					r := ask[*kmsg.JoinGroupResponse](s, step, v, q)
					s.is("a member", r.MemberID)
				}
				refuse("session too short", func(q *kmsg.JoinGroupRequest) { q.SessionTimeoutMillis = 5999 })
				refuse("session too long", func(q *kmsg.JoinGroupRequest) { q.SessionTimeoutMillis = 1800001 })
				refuse("an unknown id", func(q *kmsg.JoinGroupRequest) { q.MemberID = "nobody" })
				refuse("no protocols", func(q *kmsg.JoinGroupRequest) { q.Protocols = nil })
				refuse("no type", func(q *kmsg.JoinGroupRequest) { q.ProtocolType = "" })
				refuse("no group", func(q *kmsg.JoinGroupRequest) { q.Group = "" })
				refuse("a long group", func(q *kmsg.JoinGroupRequest) { q.SessionTimeoutMillis, q.Group = 1, strings.Repeat("g", 300) })
				if v >= 5 {
					refuse("an unknown instance with an id", func(q *kmsg.JoinGroupRequest) { q.MemberID, q.InstanceID = "nobody", kmsg.StringPtr("i") })
				}
			}
			every[*kmsg.LeaveGroupResponse](s, "leave nothing", leaving("", ""))
			q := kmsg.NewPtrLeaveGroupRequest()
			q.Group = "refused-z"
			for _, v := range s.versions(13) {
				if v >= 3 {
					ask[*kmsg.LeaveGroupResponse](s, "leave without members", v, q)
				}
			}
			every[*kmsg.SyncGroupResponse](s, "sync of no group", syncing("nosuch", "x", 1))
			every[*kmsg.SyncGroupResponse](s, "sync of an empty group", syncing("", "x", 1))
		}},
		{"groups/two members", func(s *side) {
			ready(s)
			a := member(s, "pair", nil)
			s.is("a", a)
			v := s.newest(joining("", ""))
			var b string
			s.other(func() {
				r := ask[*kmsg.JoinGroupResponse](s, "b joins", v, joining("pair", "", "roundrobin", "range"))
				b = r.MemberID
				s.is("b", b)
			})
			second, err := dial(s.addr)
			if err != nil {
				panic(fault{err})
			}
			defer second.close()
			first := s.conn
			q := joining("pair", b, "roundrobin", "range")
			second.send(v, q)
			eventually(s, func() {
				ask[*kmsg.HeartbeatResponse](s, "a hears of it", 4, beating("pair", a, 1))
				ask[*kmsg.DescribeGroupsResponse](s, "while it gathers", s.newest(describing()), describing("pair"))
				create(s, "pair-topic", 1)
				ask[*kmsg.OffsetCommitResponse](s, "a commits meanwhile", 9, committing("pair", a, 1, commit{topic: "pair-topic", offset: 5}))
			})
			ra := ask[*kmsg.JoinGroupResponse](s, "a rejoins", v, joining("pair", a, "range", "roundrobin"))
			s.conn = second
			answered[*kmsg.JoinGroupResponse](s, "b is in", v, q)
			second.send(5, syncing("pair", b, ra.Generation))
			s.conn = first
			ask[*kmsg.SyncGroupResponse](s, "a assigns", 5, syncing("pair", a, ra.Generation, a, b))
			s.conn = second
			answered[*kmsg.SyncGroupResponse](s, "b is told", 5, syncing("pair", b, 0))
			s.conn = first
			ask[*kmsg.DescribeGroupsResponse](s, "together", s.newest(describing()), describing("pair"))
			l := leaving("pair", b, "nobody")
			ask[*kmsg.LeaveGroupResponse](s, "b and nobody leave", s.newest(l), l)
			ask[*kmsg.HeartbeatResponse](s, "a hears of that", 4, beating("pair", a, ra.Generation))
			ask[*kmsg.OffsetCommitResponse](s, "a commits while it is to rejoin", 9, committing("pair", a, ra.Generation, commit{topic: "pair-topic", offset: 6}))
			ask[*kmsg.LeaveGroupResponse](s, "a leaves", s.newest(l), leaving("pair", a))
		}},
		{"groups/static members", func(s *side) {
			ready(s)
			for _, v := range s.versions(11) {
				if v < 5 {
					continue
				}
				g, i := versionName("static", v), kmsg.StringPtr("instance")
				join := func(step, id string) *kmsg.JoinGroupResponse {
					q := joining(g, id, "range")
					q.InstanceID = i
					r := ask[*kmsg.JoinGroupResponse](s, step, v, q)
					return r
				}
				sync := func(step, id string, generation int32) {
					q := syncing(g, id, generation, id)
					q.InstanceID = i
					ask[*kmsg.SyncGroupResponse](s, step, 5, q)
				}
				r := join("join", "")
				s.is("first life", r.MemberID)
				old := r.MemberID
				sync("sync", r.MemberID, r.Generation)
				r = join("join again without an id", "")
				s.is("second life", r.MemberID)
				sync("sync of the second life", r.MemberID, r.Generation)
				join("join as the first life", old)
				sync("sync of the first life", old, r.Generation)
				hb := beating(g, old, r.Generation)
				hb.InstanceID = i
				ask[*kmsg.HeartbeatResponse](s, "heartbeat of the first life", 4, hb)
				hb.MemberID = r.MemberID
				ask[*kmsg.HeartbeatResponse](s, "heartbeat of the second life", 4, hb)
				hb.InstanceID = kmsg.StringPtr("other")
				ask[*kmsg.HeartbeatResponse](s, "heartbeat of another instance", 4, hb)
				c := committing(g, old, r.Generation, commit{topic: "static-topic", offset: 1})
				c.InstanceID = i
				create(s, "static-topic-"+g, 1)
				c.Topics[0].Topic = "static-topic-" + g
				ask[*kmsg.OffsetCommitResponse](s, "commit of the first life", 9, c)
				c.MemberID = r.MemberID
				ask[*kmsg.OffsetCommitResponse](s, "commit of the second life", 9, c)
				ask[*kmsg.DescribeGroupsResponse](s, "described", s.newest(describing()), describing(g))
				l := kmsg.NewPtrLeaveGroupRequest()
				l.Group = g
				lm := kmsg.NewLeaveGroupRequestMember()
				lm.MemberID, lm.InstanceID = old, i
				l.Members = append(l.Members, lm)
				ask[*kmsg.LeaveGroupResponse](s, "leave as the first life", s.newest(l), l)
				l.Members[0].MemberID, l.Members[0].InstanceID = "", kmsg.StringPtr("other")
				ask[*kmsg.LeaveGroupResponse](s, "leave as another instance", s.newest(l), l)
				l.Members[0].InstanceID = i
				ask[*kmsg.LeaveGroupResponse](s, "leave by instance alone", s.newest(l), l)
			}
		}},
		{"groups/offsets", func(s *side) {
			ready(s)
			id := create(s, "committed", 3)
			at := func(p int32, o int64, metadata ...string) commit {
				c := commit{topic: "committed", id: id, partition: p, offset: o}
				if len(metadata) > 0 {
					c.metadata = &metadata[0]
				}
				return c
			}
			every[*kmsg.OffsetFetchResponse](s, "nothing yet", committed("none", true))
			every[*kmsg.OffsetFetchResponse](s, "one yet", committed("none", false, at(0, 0)))
			for _, v := range s.versions(8) {
				g := versionName("commit", v)
				ask[*kmsg.OffsetCommitResponse](s, "without a member", v, committing(g, "", -1, at(0, 5, "text"), at(1, 6)))
				ask[*kmsg.OffsetCommitResponse](s, "without a member, with a generation", v, committing(g, "", 3, at(0, 9)))
				ask[*kmsg.OffsetCommitResponse](s, "with a member and no generation", v, committing(g, "nobody", -1, at(0, 9)))
				ask[*kmsg.OffsetCommitResponse](s, "with a member", v, committing(g, "nobody", 3, at(0, 9)))
				ask[*kmsg.OffsetCommitResponse](s, "to a group that is not there", v, committing(g+"-no", "nobody", 3, at(0, 9)))
				ask[*kmsg.OffsetCommitResponse](s, "to the empty group", v, committing("", "", -1, at(0, 9)))
				ask[*kmsg.OffsetCommitResponse](s, "nothing", v, committing(g, "", -1))
				ask[*kmsg.OffsetCommitResponse](s, "unknown topic", v, committing(g, "", -1, at(0, 5), commit{topic: "nosuch", id: [16]byte{7}}))
				ask[*kmsg.OffsetCommitResponse](s, "unknown partition", v, committing(g, "", -1, at(9, 5), at(2, 1)))
				ask[*kmsg.OffsetCommitResponse](s, "much metadata", v, committing(g, "", -1, at(0, 7, strings.Repeat("x", 4096)), at(1, 8, strings.Repeat("x", 4097))))
				ask[*kmsg.OffsetCommitResponse](s, "negative", v, committing(g, "", -1, at(2, -1)))
				every[*kmsg.OffsetFetchResponse](s, "all", committed(g, true))
			}
			g := "commit-i"
			every[*kmsg.OffsetFetchResponse](s, "some", committed(g, false, at(0, 0), at(2, 0), at(9, 0)))
			every[*kmsg.OffsetFetchResponse](s, "unknown topic", committed(g, false, commit{topic: "nosuch", id: [16]byte{7}}))
			every[*kmsg.OffsetFetchResponse](s, "none", committed(g, false))
			every[*kmsg.OffsetFetchResponse](s, "of the empty group", committed("", true))
			q := committed(g, true)
			q.RequireStable = true
			q.Groups = append(q.Groups, committed("none", true).Groups[0], committed("commit-c", false, at(0, 0)).Groups[0])
			for _, v := range s.versions(9) {
				if v >= 8 {
					ask[*kmsg.OffsetFetchResponse](s, "many groups", v, q)
				}
			}
			q.Groups[0].MemberID, q.Groups[0].MemberEpoch = kmsg.StringPtr("x"), 3
			for _, v := range s.versions(9) {
				if v >= 9 {
					ask[*kmsg.OffsetFetchResponse](s, "with a member", v, q)
				}
			}
			m := member(s, "commit-live", nil)
			for _, v := range s.versions(8) {
				ask[*kmsg.OffsetCommitResponse](s, "live", v, committing("commit-live", m, 1, at(0, 3)))
				ask[*kmsg.OffsetCommitResponse](s, "live, another generation", v, committing("commit-live", m, 2, at(0, 4)))
				ask[*kmsg.OffsetCommitResponse](s, "live, nobody", v, committing("commit-live", "nobody", 1, at(0, 4)))
				ask[*kmsg.OffsetCommitResponse](s, "live, without a member", v, committing("commit-live", "", -1, at(0, 4)))
			}
			every[*kmsg.OffsetFetchResponse](s, "live", committed("commit-live", true))
			del := kmsg.NewPtrOffsetDeleteRequest()
			of := func(group, topic string, ps ...int32) *kmsg.OffsetDeleteRequest {
				del.Group, del.Topics = group, nil
				t := kmsg.NewOffsetDeleteRequestTopic()
				t.Topic = topic
				for _, p := range ps {
					dp := kmsg.NewOffsetDeleteRequestTopicPartition()
					dp.Partition = p
					t.Partitions = append(t.Partitions, dp)
				}
				del.Topics = append(del.Topics, t)
				return del
			}
			every[*kmsg.OffsetDeleteResponse](s, "delete of a live group", of("commit-live", "committed", 0))
			every[*kmsg.OffsetDeleteResponse](s, "delete", of(g, "committed", 0, 2, 9))
			every[*kmsg.OffsetDeleteResponse](s, "delete unknown topic", of(g, "nosuch", 0))
			every[*kmsg.OffsetDeleteResponse](s, "delete of no group", of("nosuch", "committed", 0))
			every[*kmsg.OffsetDeleteResponse](s, "delete of the empty group", of("", "committed", 0))
			every[*kmsg.OffsetFetchResponse](s, "after that", committed(g, true))
			rm := kmsg.NewPtrDeleteGroupsRequest()
			rm.Groups = []string{"commit-c", "commit-live", "nosuch", "", "commit-c"}
			ask[*kmsg.DeleteGroupsResponse](s, "delete groups", s.newest(rm), rm)
			rm.Groups = []string{"commit-c"}
			every[*kmsg.DeleteGroupsResponse](s, "delete groups again", rm)
			rm.Groups = nil
			every[*kmsg.DeleteGroupsResponse](s, "delete no groups", rm)
			every[*kmsg.OffsetFetchResponse](s, "of a deleted group", committed("commit-c", true))
			quiet[*kmsg.LeaveGroupResponse](s, leaving("commit-live", m))
		}},
		{"groups/offsets of a deleted topic", func(s *side) {
			ready(s)
			id := create(s, "forgotten", 2)
			kept := create(s, "kept", 1)
			m := member(s, "forget-live", nil)
			of := func(id [16]byte, partition int32) commit {
				return commit{topic: "forgotten", id: id, partition: partition, offset: 5}
			}
			other := commit{topic: "kept", id: kept, offset: 6}
			for group, id2 := range map[string]string{"forget-simple": "", "forget-live": m} {
				generation := int32(1)
				if id2 == "" {
					generation = -1
				}
				quiet[*kmsg.OffsetCommitResponse](s, committing(group, id2, generation, of(id, 0), of(id, 1), other))
			}
			quiet[*kmsg.OffsetCommitResponse](s, committing("forget-all", "", -1, of(id, 0)))
			look := func(step string, id [16]byte) {
				for _, g := range []string{"forget-simple", "forget-live", "forget-all"} {
					every[*kmsg.OffsetFetchResponse](s, step+" "+g, committed(g, false, of(id, 0), of(id, 1), other))
					every[*kmsg.OffsetFetchResponse](s, step+" all of "+g, committed(g, true))
				}
			}
			look("before", id)
			drop := func() {
				q := kmsg.NewPtrDeleteTopicsRequest()
				q.TimeoutMillis = 15000
				t := kmsg.NewDeleteTopicsRequestTopic()
				t.Topic = kmsg.StringPtr("forgotten")
				q.Topics = append(q.Topics, t)
				quiet[*kmsg.DeleteTopicsResponse](s, q)
				gone(s, "forgotten")
			}
			drop()
			eventually(s, func() { look("deleted", id) })
			again := create(s, "forgotten", 2)
			look("made again", again)
			quiet[*kmsg.OffsetCommitResponse](s, committing("forget-simple", "", -1, of(again, 1)))
			look("committed again", again)
			drop()
		}},
		{"groups/described", func(s *side) {
			ready(s)
			create(s, "described-topic", 1)
			quiet[*kmsg.OffsetCommitResponse](s, committing("described-simple", "", -1, commit{topic: "described-topic"}))
			ask[*kmsg.OffsetCommitResponse](s, "make a simple group", 9, committing("described-simple", "", -1, commit{topic: "described-topic", offset: 1}))
			m := member(s, "described-live", nil)
			q := describing("described-simple", "described-live", "nosuch", "")
			every[*kmsg.DescribeGroupsResponse](s, "with operations", q)
			q.IncludeAuthorizedOperations = false
			every[*kmsg.DescribeGroupsResponse](s, "without", q)
			q.Groups = nil
			every[*kmsg.DescribeGroupsResponse](s, "none", q)
			q.Groups = []string{"described-live", "described-live"}
			every[*kmsg.DescribeGroupsResponse](s, "twice", q)
			l := kmsg.NewPtrListGroupsRequest()
			for _, f := range [][2][]string{{}, {{"Stable"}}, {{"stable", "EMPTY"}}, {{"Dead"}}, {{"nosuch"}}, {nil, {"classic"}}, {nil, {"Consumer"}}, {{"Empty"}, {"classic"}}, {nil, {"nosuch"}}} {
				l.StatesFilter, l.TypesFilter = f[0], f[1]
				for _, v := range s.versions(16) {
					if (len(f[0]) == 0 || v >= 4) && (len(f[1]) == 0 || v >= 5) {
						ask[*kmsg.ListGroupsResponse](s, "list "+strings.Join(f[0], " ")+"|"+strings.Join(f[1], " "), v, l)
					}
				}
			}
			quiet[*kmsg.LeaveGroupResponse](s, leaving("described-live", m))
		}},
	}
}
