package kafka

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/coord/group"
	"github.com/firnlog/firn/record"
)

func joinOf(member string, instance *string) *kmsg.JoinGroupRequest {
	q := kmsg.NewPtrJoinGroupRequest()
	q.Group, q.MemberID, q.InstanceID = "g", member, instance
	q.SessionTimeoutMillis, q.RebalanceTimeoutMillis, q.ProtocolType = 10_000, 1_000, "consumer"
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "range", []byte("opaque \x00\xff")
	q.Protocols = append(q.Protocols, p)
	return q
}

// join makes a member the way a client of that version does, and gives it an
// assignment. It returns the member id.
func join(c *client, version int16, instance *string) string {
	c.t.Helper()
	r := ask[*kmsg.JoinGroupResponse](c, version, joinOf("", instance))
	if code(r.ErrorCode) == codeMemberIDRequired {
		r = ask[*kmsg.JoinGroupResponse](c, version, joinOf(r.MemberID, instance))
	}
	wantCode(c.t, "join", r.ErrorCode, codeNone)
	if r.Generation < 1 || r.LeaderID != r.MemberID || len(r.Members) != 1 || string(r.Members[0].ProtocolMetadata) != "opaque \x00\xff" {
		c.t.Fatalf("join v%d: %+v", version, r)
	}
	s := kmsg.NewPtrSyncGroupRequest()
	s.Group, s.MemberID, s.Generation, s.InstanceID = "g", r.MemberID, r.Generation, instance
	s.ProtocolType, s.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	a := kmsg.NewSyncGroupRequestGroupAssignment()
	a.MemberID, a.MemberAssignment = r.MemberID, []byte("yours")
	s.GroupAssignment = append(s.GroupAssignment, a)
	sr := ask[*kmsg.SyncGroupResponse](c, min(version, 5), s)
	if sr.ErrorCode != 0 || string(sr.MemberAssignment) != "yours" {
		c.t.Fatalf("sync: %+v", sr)
	}
	return r.MemberID
}

func TestSemantic38MemberIDRequiredFromV4(t *testing.T) {
	for v := int16(0); v <= 9; v++ {
		f := newFake()
		c := serve(t, f, Limits{}).client(t)
		r := ask[*kmsg.JoinGroupResponse](c, v, joinOf("", nil))
		want := codeNone
		if v >= 4 {
			want = codeMemberIDRequired
		}
		wantCode(t, fmt.Sprintf("v%d", v), r.ErrorCode, want)
		if r.MemberID == "" {
			t.Errorf("v%d: no member id", v)
		}
		if v >= 7 && r.Protocol != nil {
			t.Errorf("v%d: protocol %q with an error, want null", v, *r.Protocol)
		}
		if v >= 5 {
			// A static member gets its id at once.
			c := serve(t, newFake(), Limits{}).client(t)
			if id := join(c, v, kmsg.StringPtr("i")); id == "" {
				t.Errorf("v%d: static member without id", v)
			}
		}
		short := joinOf("", nil)
		short.SessionTimeoutMillis = 10
		wantCode(t, "session timeout", ask[*kmsg.JoinGroupResponse](c, v, short).ErrorCode, codeInvalidSessionTimeout)
	}
}

// A coordinator that moves loads its groups for a moment. Members notice nothing, but for
// those in the middle of a rebalance, which join again; what else they ask, they retry.
func TestMembersOutliveTheLoadOfTheirCoordinator(t *testing.T) {
	f := newFake()
	c := serve(t, f, Limits{}).client(t)
	id := join(c, 9, nil)
	f.groups.err = fmt.Errorf("partition 3: %w", group.ErrLoading)
	h := kmsg.NewPtrHeartbeatRequest()
	h.Group, h.MemberID, h.Generation = "g", id, 1
	wantCode(t, "heartbeat", ask[*kmsg.HeartbeatResponse](c, 4, h).ErrorCode, codeNone)
	s := kmsg.NewPtrSyncGroupRequest()
	s.Group, s.MemberID, s.Generation = "g", id, 1
	wantCode(t, "sync", ask[*kmsg.SyncGroupResponse](c, 5, s).ErrorCode, codeRebalanceInProgress)
	wantCode(t, "join", ask[*kmsg.JoinGroupResponse](c, 9, joinOf(id, nil)).ErrorCode, codeCoordinatorLoadInProgress)
	q := kmsg.NewPtrOffsetFetchRequest()
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group, g.Topics = "g", []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", Partitions: []int32{0}}}
	q.Groups = append(q.Groups, g)
	r := ask[*kmsg.OffsetFetchResponse](c, 8, q)
	wantCode(t, "offsets", r.Groups[0].ErrorCode, codeCoordinatorLoadInProgress)
	if len(r.Groups[0].Topics) > 0 {
		t.Errorf("partitions beside the fault of a group look as if they had no offset: %+v", r.Groups[0].Topics)
	}
}

// Who brings more than a group may keep is told for good, as by Kafka: to try again is no
// use, and whoever runs the client is to see it.
func TestWhatIsTooLargeForAGroupIsNotTriedAgain(t *testing.T) {
	f := newFake()
	c := serve(t, f, Limits{}).client(t)
	f.groups.err = group.ErrTooLarge
	wantCode(t, "join", ask[*kmsg.JoinGroupResponse](c, 9, joinOf("", nil)).ErrorCode, codeUnknownServerError)
	wantCode(t, "sync", ask[*kmsg.SyncGroupResponse](c, 5, kmsg.NewPtrSyncGroupRequest()).ErrorCode, codeUnknownServerError)
}

func TestSemantic39MetadataIsOpaque(t *testing.T) {
	for _, kind := range []string{"consumer", "connect", "sr"} {
		f := newFake()
		c := serve(t, f, Limits{}).client(t)
		q := joinOf("", nil)
		q.ProtocolType = kind
		r := ask[*kmsg.JoinGroupResponse](c, 9, q)
		q.MemberID = r.MemberID
		r = ask[*kmsg.JoinGroupResponse](c, 9, q)
		if r.ErrorCode != 0 || *r.ProtocolType != kind || *r.Protocol != "range" {
			t.Errorf("%s: %+v", kind, r)
		}
		q = joinOf("", nil)
		q.ProtocolType = "other"
		wantCode(t, "another type", ask[*kmsg.JoinGroupResponse](c, 9, q).ErrorCode, codeInconsistentGroupProtocol)
	}
}

func TestSemantic40StaticMembers(t *testing.T) {
	f := newFake()
	c := serve(t, f, Limits{}).client(t)
	i := kmsg.StringPtr("i")
	old := join(c, 9, i)
	// It comes back without a rebalance: same generation, new id; the old id is fenced.
	r := ask[*kmsg.JoinGroupResponse](c, 9, joinOf("", i))
	if r.ErrorCode != 0 || r.Generation != 1 || r.MemberID == old || !r.SkipAssignment {
		t.Errorf("return: %+v", r)
	}
	h := kmsg.NewPtrHeartbeatRequest()
	h.Group, h.MemberID, h.InstanceID, h.Generation = "g", old, i, 1
	wantCode(t, "the old id", ask[*kmsg.HeartbeatResponse](c, 4, h).ErrorCode, codeFencedInstanceID)
	h.MemberID = r.MemberID
	wantCode(t, "the new id", ask[*kmsg.HeartbeatResponse](c, 4, h).ErrorCode, codeNone)
	// removeMembers names the instance alone.
	l := kmsg.NewPtrLeaveGroupRequest()
	l.Group = "g"
	for _, id := range []string{"i", "nobody"} {
		m := kmsg.NewLeaveGroupRequestMember()
		m.InstanceID = &id
		l.Members = append(l.Members, m)
	}
	lr := ask[*kmsg.LeaveGroupResponse](c, 5, l)
	wantCode(t, "leave", lr.ErrorCode, codeNone)
	wantCode(t, "i", lr.Members[0].ErrorCode, codeNone)
	wantCode(t, "nobody", lr.Members[1].ErrorCode, codeUnknownMemberID)
}

func commitOf(topic string, id [16]byte, member string, generation int32, partitions ...int32) *kmsg.OffsetCommitRequest {
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Group, q.MemberID, q.Generation = "g", member, generation
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic, t.TopicID = topic, id
	for _, p := range partitions {
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata = p, 100+int64(p), 3, kmsg.StringPtr("note")
		t.Partitions = append(t.Partitions, rp)
	}
	q.Topics = append(q.Topics, t)
	return q
}

func TestSemantic41OffsetCommit(t *testing.T) {
	for v := int16(2); v <= 10; v++ {
		f := newFake()
		topic := f.topic("t", 2)
		c := serve(t, f, Limits{}).client(t)
		codes := func(q *kmsg.OffsetCommitRequest) (cs []code) {
			for _, p := range ask[*kmsg.OffsetCommitResponse](c, v, q).Topics[0].Partitions {
				cs = append(cs, code(p.ErrorCode))
			}
			return cs
		}
		missing := codeIllegalGeneration
		if v >= 9 {
			missing = codeGroupIDNotFound
		}
		check := func(what string, got []code, want ...code) {
			t.Helper()
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("v%d %s: %v, want %v", v, what, got, want)
			}
		}
		check("missing group", codes(commitOf("t", topic.ID, "m", 1, 0)), missing)
		check("simple consumer", codes(commitOf("t", topic.ID, "", -1, 0, 1, 2)), 0, 0, codeUnknownTopicOrPartition)
		unknown := codeUnknownTopicOrPartition
		if v >= 10 {
			unknown = codeUnknownTopicID
		}
		check("unknown topic", codes(commitOf("u", [16]byte{9}, "", -1, 0)), unknown)
		big := commitOf("t", topic.ID, "", -1, 0)
		big.Topics[0].Partitions[0].Metadata = kmsg.StringPtr(string(make([]byte, 4097)))
		check("large metadata", codes(big), codeOffsetMetadataTooLarge)
		member := join(c, 4, nil)
		check("member", codes(commitOf("t", topic.ID, member, 1, 0)), 0)
		check("another generation", codes(commitOf("t", topic.ID, member, 2, 0)), codeIllegalGeneration)
		check("another member", codes(commitOf("t", topic.ID, "x", 1, 0)), codeUnknownMemberID)
	}
}

// Old clients, as kafka-go and sarama are made to be, say how long to keep an offset.
func TestOffsetsAreKeptForAsLongAsOldClientsSay(t *testing.T) {
	for v := int16(2); v <= 10; v++ {
		f := newFake()
		topic := f.topic("t", 1)
		c := serve(t, f, Limits{}).client(t)
		for _, said := range []int64{-1, 3_600_000} {
			q := commitOf("t", topic.ID, "", -1, 0)
			q.RetentionTimeMillis = said
			ask[*kmsg.OffsetCommitResponse](c, v, q)
			want := said
			if v > 4 {
				want = -1 // there is no place for it
			}
			if got := f.groups.commits[len(f.groups.commits)-1].RetentionMs; got != want {
				t.Errorf("v%d: kept for %d ms, want %d", v, got, want)
			}
		}
	}
}

func TestSemantic42OffsetFetch(t *testing.T) {
	f := newFake()
	topic := f.topic("t", 3)
	gone := f.topic("gone", 1)
	c := serve(t, f, Limits{}).client(t)
	ask[*kmsg.OffsetCommitResponse](c, 8, commitOf("t", topic.ID, "", -1, 0, 1))
	ask[*kmsg.OffsetCommitResponse](c, 8, commitOf("gone", gone.ID, "", -1, 0))
	f.Delete(context.Background(), []record.TopicID{gone.ID})
	type found struct {
		p     int32
		at    int64
		epoch int32
		code  int16
	}
	for v := int16(1); v <= 10; v++ {
		fetch := func(all bool) (fs []found) {
			q := kmsg.NewPtrOffsetFetchRequest()
			if v < 8 {
				q.Group = "g"
				if !all {
					rt := kmsg.NewOffsetFetchRequestTopic()
					rt.Topic, rt.Partitions = "t", []int32{1, 2}
					q.Topics = append(q.Topics, rt)
				}
				r := ask[*kmsg.OffsetFetchResponse](c, v, q)
				for _, rt := range r.Topics {
					for _, p := range rt.Partitions {
						if rt.Topic == "t" {
							fs = append(fs, found{p.Partition, p.Offset, p.LeaderEpoch, p.ErrorCode})
						}
					}
				}
				return fs
			}
			g := kmsg.NewOffsetFetchRequestGroup()
			g.Group = "g"
			if !all {
				rt := kmsg.NewOffsetFetchRequestGroupTopic()
				rt.Topic, rt.TopicID, rt.Partitions = "t", topic.ID, []int32{1, 2}
				g.Topics = append(g.Topics, rt)
			}
			q.Groups = append(q.Groups, g, g)
			r := ask[*kmsg.OffsetFetchResponse](c, v, q)
			if len(r.Groups) != 2 {
				t.Fatalf("v%d: %d groups", v, len(r.Groups))
			}
			for _, rt := range r.Groups[1].Topics {
				if v >= 10 && rt.TopicID == gone.ID {
					t.Errorf("v%d: a topic that is gone", v)
				}
				for _, p := range rt.Partitions {
					if rt.Topic == "t" || rt.TopicID == topic.ID {
						fs = append(fs, found{p.Partition, p.Offset, p.LeaderEpoch, p.ErrorCode})
					}
				}
			}
			return fs
		}
		epoch := int32(3)
		if v < 5 {
			epoch = -1
		}
		if got, want := fetch(false), []found{{1, 101, epoch, 0}, {2, -1, -1, 0}}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("v%d: %v, want %v", v, got, want)
		}
		if v >= 2 {
			if got, want := fetch(true), []found{{0, 100, epoch, 0}, {1, 101, epoch, 0}}; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("v%d all: %v, want %v", v, got, want)
			}
		}
	}
	// By an id that is nobody's.
	q := kmsg.NewPtrOffsetFetchRequest()
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = "g"
	rt := kmsg.NewOffsetFetchRequestGroupTopic()
	rt.TopicID, rt.Partitions = [16]byte{9}, []int32{0}
	g.Topics = append(g.Topics, rt)
	q.Groups = append(q.Groups, g)
	wantCode(t, "unknown id", ask[*kmsg.OffsetFetchResponse](c, 10, q).Groups[0].Topics[0].Partitions[0].ErrorCode, codeUnknownTopicID)
	// A group that fails fails as a whole, or in v1 in its partitions.
	f.groups.err = group.ErrLoading
	wantCode(t, "loading", ask[*kmsg.OffsetFetchResponse](c, 10, q).Groups[0].ErrorCode, codeCoordinatorLoadInProgress)
	old := kmsg.NewPtrOffsetFetchRequest()
	old.Group = "g"
	ot := kmsg.NewOffsetFetchRequestTopic()
	ot.Topic, ot.Partitions = "t", []int32{1}
	old.Topics = append(old.Topics, ot)
	wantCode(t, "loading, v1", ask[*kmsg.OffsetFetchResponse](c, 1, old).Topics[0].Partitions[0].ErrorCode, codeCoordinatorLoadInProgress)
	wantCode(t, "loading, v7", ask[*kmsg.OffsetFetchResponse](c, 7, old).ErrorCode, codeCoordinatorLoadInProgress)
}

// A commit of a topic that is deleted and created again is not found under the new id.
func TestSemantic11CommitsByIDStayWithTheirTopic(t *testing.T) {
	f := newFake()
	old := f.topic("t", 1)
	c := serve(t, f, Limits{}).client(t)
	f.Delete(context.Background(), []record.TopicID{old.ID})
	f.topic("t", 1)
	r := ask[*kmsg.OffsetCommitResponse](c, 10, commitOf("t", old.ID, "", -1, 0))
	wantCode(t, "commit", r.Topics[0].Partitions[0].ErrorCode, codeUnknownTopicID)
	if len(f.groups.commits) > 0 {
		t.Error("the commit reached the coordinator")
	}
}

func TestSemantic44ToolsAndGroups(t *testing.T) {
	f := newFake()
	topic := f.topic("t", 1)
	c := serve(t, f, Limits{}).client(t)
	member := join(c, 4, nil)
	d := kmsg.NewPtrDescribeGroupsRequest()
	d.Groups, d.IncludeAuthorizedOperations = []string{"g", "none"}, true
	for v := int16(0); v <= 6; v++ {
		r := ask[*kmsg.DescribeGroupsResponse](c, v, d)
		g, none := r.Groups[0], r.Groups[1]
		if g.State != "Stable" || g.ProtocolType != "consumer" || g.Protocol != "range" || len(g.Members) != 1 || g.Members[0].MemberID != member || g.Members[0].ClientID != "test" || string(g.Members[0].MemberAssignment) != "yours" {
			t.Errorf("v%d: %+v", v, g)
		}
		if v >= 3 && g.AuthorizedOperations != groupOperations {
			t.Errorf("v%d: operations %b", v, g.AuthorizedOperations)
		}
		want := codeNone
		if v >= 6 {
			want = codeGroupIDNotFound
		}
		wantCode(t, "no such group", none.ErrorCode, want)
		if none.State != "Dead" {
			t.Errorf("v%d: state %q of a group that does not exist", v, none.State)
		}
	}
	for v := int16(0); v <= 5; v++ {
		r := ask[*kmsg.ListGroupsResponse](c, v, kmsg.NewPtrListGroupsRequest())
		if len(r.Groups) != 1 || r.Groups[0].Group != "g" || v >= 4 && r.Groups[0].GroupState != "Stable" || v >= 5 && r.Groups[0].GroupType != "classic" {
			t.Errorf("list v%d: %+v", v, r.Groups)
		}
	}
	for _, x := range []struct {
		states, types []string
		want          int
	}{{[]string{"stable"}, nil, 1}, {[]string{"Empty"}, nil, 0}, {nil, []string{"Classic"}, 1}, {nil, []string{"consumer"}, 0}} {
		q := kmsg.NewPtrListGroupsRequest()
		q.StatesFilter, q.TypesFilter = x.states, x.types
		if r := ask[*kmsg.ListGroupsResponse](c, 5, q); len(r.Groups) != x.want {
			t.Errorf("list %v %v: %+v", x.states, x.types, r.Groups)
		}
	}
	del := kmsg.NewPtrDeleteGroupsRequest()
	del.Groups = []string{"g", "none", "none"}
	r := ask[*kmsg.DeleteGroupsResponse](c, 2, del)
	if len(r.Groups) != 2 {
		t.Errorf("%d answers for two groups", len(r.Groups))
	}
	wantCode(t, "delete with members", r.Groups[0].ErrorCode, codeNonEmptyGroup)
	wantCode(t, "delete nothing", r.Groups[1].ErrorCode, codeGroupIDNotFound)
	ask[*kmsg.OffsetCommitResponse](c, 8, commitOf("t", topic.ID, member, 1, 0))
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group, leave.MemberID = "g", member
	wantCode(t, "leave v2", ask[*kmsg.LeaveGroupResponse](c, 2, leave).ErrorCode, codeNone)
	wantCode(t, "leave again", ask[*kmsg.LeaveGroupResponse](c, 2, leave).ErrorCode, codeUnknownMemberID)
	od := kmsg.NewPtrOffsetDeleteRequest()
	od.Group = "none"
	wantCode(t, "OffsetDelete of nothing", ask[*kmsg.OffsetDeleteResponse](c, 0, od).ErrorCode, codeGroupIDNotFound)
	wantCode(t, "delete", ask[*kmsg.DeleteGroupsResponse](c, 2, del).Groups[0].ErrorCode, codeNone)
}

func TestOffsetDeleteRefusesSubscribedTopics(t *testing.T) {
	f := newFake()
	f.topic("t", 1)
	f.topic("u", 1)
	c := serve(t, f, Limits{}).client(t)
	q := joinOf("", nil)
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Topics = []string{"t"}
	q.Protocols[0].Metadata = meta.AppendTo(nil)
	q.MemberID = ask[*kmsg.JoinGroupResponse](c, 9, q).MemberID
	wantCode(t, "join", ask[*kmsg.JoinGroupResponse](c, 9, q).ErrorCode, codeNone)
	od := kmsg.NewPtrOffsetDeleteRequest()
	od.Group = "g"
	for _, name := range []string{"t", "nosuch", "u"} {
		ot := kmsg.NewOffsetDeleteRequestTopic()
		ot.Topic = name
		ot.Partitions = append(ot.Partitions, kmsg.NewOffsetDeleteRequestTopicPartition())
		od.Topics = append(od.Topics, ot)
	}
	r := ask[*kmsg.OffsetDeleteResponse](c, 0, od)
	wantCode(t, "subscribed", r.Topics[0].Partitions[0].ErrorCode, codeGroupSubscribedToTopic)
	wantCode(t, "unknown", r.Topics[1].Partitions[0].ErrorCode, codeUnknownTopicOrPartition)
	wantCode(t, "not subscribed", r.Topics[2].Partitions[0].ErrorCode, codeNone)
}

func TestSemantic45Coordinator(t *testing.T) {
	f := newFake()
	c := serve(t, f, Limits{}).client(t)
	find := func(v int16) (code, int32, string) {
		q := kmsg.NewPtrFindCoordinatorRequest()
		q.CoordinatorKey, q.CoordinatorKeys = "g", []string{"g", "h"}
		r := ask[*kmsg.FindCoordinatorResponse](c, v, q)
		if v < 4 {
			return code(r.ErrorCode), r.NodeID, r.Host
		}
		if len(r.Coordinators) != 2 || r.Coordinators[1].Key != "h" {
			t.Fatalf("v%d: %+v", v, r.Coordinators)
		}
		return code(r.Coordinators[0].ErrorCode), r.Coordinators[0].NodeID, r.Coordinators[0].Host
	}
	for v := int16(0); v <= 6; v++ {
		f.groupsAt = 1
		if c, node, host := find(v); c != codeNone || node != 1 || host != "firn" {
			t.Errorf("v%d: %d %d %s", v, c, node, host)
		}
		for _, at := range []int32{-1, 7} { // nobody, and one who is not alive
			f.groupsAt = at
			if c, node, _ := find(v); c != codeCoordinatorNotAvailable || node != -1 {
				t.Errorf("v%d at %d: %d %d", v, at, c, node)
			}
		}
	}
	// Whatever the coordinator fails with, a consumer looks again and does not give up.
	for err, want := range map[error]code{
		group.ErrNotCoordinator: codeNotCoordinator,
		group.ErrNotAvailable:   codeCoordinatorNotAvailable,
		ErrStorage:              codeCoordinatorNotAvailable,
		context.Canceled:        codeCoordinatorNotAvailable,
		errors.New("surprise"):  codeCoordinatorNotAvailable,
	} {
		f.groups.err = err
		h := kmsg.NewPtrHeartbeatRequest()
		h.Group = "g"
		wantCode(t, err.Error(), ask[*kmsg.HeartbeatResponse](c, 4, h).ErrorCode, want)
		wantCode(t, err.Error(), ask[*kmsg.JoinGroupResponse](c, 9, joinOf("", nil)).ErrorCode, want)
		wantCode(t, err.Error(), ask[*kmsg.ListGroupsResponse](c, 5, kmsg.NewPtrListGroupsRequest()).ErrorCode, want)
	}
}

func TestFranzGoConsumesAsAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.topic("t", 4)
		p := serve(t, f, Limits{})
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		opts := []kgo.Opt{kgo.SeedBrokers("firn:9092"), p.dialer(), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.DisableIdempotentWrite(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}
		one, err := kgo.NewClient(opts...)
		if err != nil {
			t.Fatal(err)
		}
		two, err := kgo.NewClient(opts...)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 400 {
			one.Produce(ctx, &kgo.Record{Topic: "t", Value: fmt.Appendf(nil, "%d", i)}, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Error(err)
				}
			})
		}
		if err := one.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for len(seen) < 400 && ctx.Err() == nil {
			for _, cl := range []*kgo.Client{one, two} {
				pc, stop := context.WithTimeout(ctx, 100*time.Millisecond)
				cl.PollFetches(pc).EachRecord(func(r *kgo.Record) { seen[string(r.Value)] = true })
				stop()
			}
		}
		if len(seen) != 400 {
			t.Errorf("%d of 400 records were seen", len(seen))
		}
		if err := one.CommitUncommittedOffsets(ctx); err != nil {
			t.Error(err)
		}
		one.Close()
		two.Close()
	})
}
