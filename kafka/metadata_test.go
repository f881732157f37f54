package kafka

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

// metadataOf asks for topics by name; none means all.
func metadataOf(create bool, names ...string) *kmsg.MetadataRequest {
	q := kmsg.NewPtrMetadataRequest()
	q.AllowAutoTopicCreation = create
	for _, n := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &n
		q.Topics = append(q.Topics, t)
	}
	return q
}

func TestSemantic06IdsAreInTheBrokerList(t *testing.T) {
	f := newFake()
	f.topic("t", 3)
	f.brokers = []Broker{{Node: 1, Host: "firn", Port: 9092}, {Node: 4, Host: "other", Port: 9093, Rack: "b"}}
	c := serve(t, f, Limits{}).client(t)
	for v := int16(0); v <= 13; v++ {
		r := ask[*kmsg.MetadataResponse](c, v, metadataOf(false))
		ids := map[int32]bool{}
		endpoints := map[string]bool{}
		for _, b := range r.Brokers {
			ids[b.NodeID] = true
			endpoints[fmt.Sprint(b.Host, b.Port)] = true
		}
		if len(ids) != 2 || len(endpoints) != 2 {
			t.Errorf("v%d: brokers %+v", v, r.Brokers)
		}
		if v >= 1 && !ids[r.ControllerID] {
			t.Errorf("v%d: controller %d is no broker", v, r.ControllerID)
		}
		if v >= 2 && *r.ClusterID != "firn-test" {
			t.Errorf("v%d: cluster %s", v, *r.ClusterID)
		}
		for _, p := range r.Topics[0].Partitions {
			if !ids[p.Leader] {
				t.Errorf("v%d: leader %d is no broker", v, p.Leader)
			}
		}
	}
}

func TestSemantic09NullMeansAllAndEmptyMeansNone(t *testing.T) {
	f := newFake()
	known := f.topic("known", 1)
	f.topic("other", 1)
	c := serve(t, f, Limits{}).client(t)
	for v := int16(0); v <= 13; v++ {
		none := metadataOf(false)
		none.Topics = []kmsg.MetadataRequestTopic{}
		want := 0
		if v == 0 {
			want = 2 // v0 has no null
		}
		if r := ask[*kmsg.MetadataResponse](c, v, none); len(r.Topics) != want {
			t.Errorf("v%d: [] gives %d topics, want %d", v, len(r.Topics), want)
		}
		if v >= 1 {
			if r := ask[*kmsg.MetadataResponse](c, v, metadataOf(false)); len(r.Topics) != 2 {
				t.Errorf("v%d: null gives %d topics, want 2", v, len(r.Topics))
			}
		}
		f.settings[settingAutoCreate] = "false"
		r := ask[*kmsg.MetadataResponse](c, v, metadataOf(true, "known", "unknown", "a/b"))
		for i, want := range []code{codeNone, codeUnknownTopicOrPartition, codeInvalidTopic} {
			wantCode(t, fmt.Sprintf("v%d topic %d", v, i), r.Topics[i].ErrorCode, want)
		}
	}
	for v := int16(12); v <= 13; v++ {
		q := kmsg.NewPtrMetadataRequest()
		for _, id := range [][16]byte{known.ID, {9}} {
			qt := kmsg.NewMetadataRequestTopic()
			qt.TopicID = id
			q.Topics = append(q.Topics, qt)
		}
		r := ask[*kmsg.MetadataResponse](c, v, q)
		if r.Topics[0].ErrorCode != 0 || *r.Topics[0].Topic != "known" {
			t.Errorf("v%d by id: %+v", v, r.Topics[0])
		}
		wantCode(t, "unknown id", r.Topics[1].ErrorCode, codeUnknownTopicID)
		if r.Topics[1].Topic != nil || r.Topics[1].TopicID != [16]byte{9} {
			t.Errorf("v%d unknown id: %+v", v, r.Topics[1])
		}
	}
	// Versions that have the field of ids and not their meaning refuse the whole request.
	for v := int16(10); v <= 11; v++ {
		q := metadataOf(false, "known", "other")
		q.Topics[0].Topic, q.Topics[0].TopicID = nil, known.ID
		r := ask[*kmsg.MetadataResponse](c, v, q)
		if len(r.Topics) != 2 || r.Topics[0].ErrorCode != int16(codeInvalidRequest) || r.Topics[1].ErrorCode != int16(codeInvalidRequest) || len(r.Brokers) > 0 {
			t.Errorf("v%d by id: %+v", v, r)
		}
	}
}

func TestSemantic09NameThatComesTwiceIsAnsweredOnce(t *testing.T) {
	f := newFake()
	f.topic("known", 1)
	c := serve(t, f, Limits{}).client(t)
	for v := int16(0); v <= 13; v++ {
		if r := ask[*kmsg.MetadataResponse](c, v, metadataOf(false, "known", "known")); len(r.Topics) != 1 {
			t.Errorf("v%d: %d answers", v, len(r.Topics))
		}
	}
}

func TestSemantic10AutoCreation(t *testing.T) {
	f := newFake()
	f.settings[settingPartitions] = "3"
	c := serve(t, f, Limits{}).client(t)
	exists := func(name string) bool { _, ok := f.State().TopicNamed(name); return ok }

	wantCode(t, "the client does not want it", ask[*kmsg.MetadataResponse](c, 4, metadataOf(false, "a")).Topics[0].ErrorCode, codeUnknownTopicOrPartition)
	ask[*kmsg.MetadataResponse](c, 9, metadataOf(true))
	f.settings[settingAutoCreate] = "false"
	wantCode(t, "the broker does not want it", ask[*kmsg.MetadataResponse](c, 4, metadataOf(true, "a")).Topics[0].ErrorCode, codeUnknownTopicOrPartition)
	f.settings[settingAutoCreate] = "true"
	if exists("a") {
		t.Fatal("it was created")
	}
	r := ask[*kmsg.MetadataResponse](c, 4, metadataOf(true, "a", "a", "__consumer_offsets", "a/b"))
	if r.Topics[0].ErrorCode != 0 || len(r.Topics[0].Partitions) != 3 || r.Topics[0].Partitions[0].Leader != 1 {
		t.Errorf("created: %+v", r.Topics[0])
	}
	wantCode(t, "internal", r.Topics[1].ErrorCode, codeUnknownTopicOrPartition)
	wantCode(t, "illegal", r.Topics[2].ErrorCode, codeInvalidTopic)
	// Before v4 there is no flag, and the client always wants it.
	wantCode(t, "v1", ask[*kmsg.MetadataResponse](c, 1, metadataOf(false, "b")).Topics[0].ErrorCode, codeNone)
	// A name that collides with another is not created.
	f.topic("x.y", 1)
	wantCode(t, "collision", ask[*kmsg.MetadataResponse](c, 4, metadataOf(true, "x_y")).Topics[0].ErrorCode, codeUnknownTopicOrPartition)
}

func TestSemantic11TopicIDs(t *testing.T) {
	f := newFake()
	old := f.topic("t", 1)
	f.fill(old, 0, 1, 100)
	c := serve(t, f, Limits{}).client(t)
	stale := fetchOf(13, f, "t", 0)
	if r := ask[*kmsg.FetchResponse](c, 13, stale); len(r.Topics[0].Partitions[0].RecordBatches) == 0 || r.Topics[0].TopicID != old.ID {
		t.Errorf("by id: %+v", r.Topics[0])
	}
	f.Delete(context.Background(), []record.TopicID{old.ID})
	again := f.topic("t", 1)
	if r := ask[*kmsg.MetadataResponse](c, 10, metadataOf(false, "t")); r.Topics[0].TopicID == old.ID || r.Topics[0].TopicID != again.ID {
		t.Errorf("deleted and created: id %x, was %x", r.Topics[0].TopicID, old.ID)
	}
	wantCode(t, "stale id", ask[*kmsg.FetchResponse](c, 13, stale).Topics[0].Partitions[0].ErrorCode, codeUnknownTopicID)
	wantCode(t, "v12 by name", ask[*kmsg.FetchResponse](c, 12, fetchOf(12, f, "t", 0)).Topics[0].Partitions[0].ErrorCode, codeNone)
}

func TestSemantic14VirtualReplicas(t *testing.T) {
	brokers := []Broker{{Node: 2}, {Node: 5}, {Node: 9}}
	v := view{brokers: brokers}
	for _, x := range []struct {
		want   int16
		leader int32
		nodes  []int32
	}{
		{1, 5, []int32{5}}, {2, 9, []int32{9, 2}}, {3, 2, []int32{2, 5, 9}}, {3, 5, []int32{5, 9, 2}},
		{7, 5, []int32{5, 9, 2}}, {0, 2, []int32{2}}, {2, -1, []int32{2, 5}},
	} {
		if got := v.replicas(x.want, x.leader); !slices.Equal(got, x.nodes) {
			t.Errorf("%d replicas led by %d: %v, want %v", x.want, x.leader, got, x.nodes)
		}
	}
	if got := (view{}).replicas(3, -1); len(got) != 0 {
		t.Errorf("without brokers: %v", got)
	}
	f := newFake()
	c := serve(t, f, Limits{}).client(t)
	// More than there are brokers, and even: both are accepted, stored and shown.
	r := ask[*kmsg.CreateTopicsResponse](c, 7, createOf("t", 1, 4))
	if r.Topics[0].ErrorCode != 0 || r.Topics[0].ReplicationFactor != 4 {
		t.Errorf("create: %+v", r.Topics[0])
	}
	p := ask[*kmsg.MetadataResponse](c, 9, metadataOf(false, "t")).Topics[0].Partitions[0]
	if !slices.Equal(p.Replicas, []int32{1}) || !slices.Equal(p.ISR, []int32{1}) || len(p.OfflineReplicas) != 0 {
		t.Errorf("shown: %+v", p)
	}
}

func TestMetadataShowsLostLeadersAndOperations(t *testing.T) {
	f := newFake()
	topic := f.topic("t", 1)
	c := serve(t, f, Limits{}).client(t)
	q := metadataOf(false, "t")
	r := ask[*kmsg.MetadataResponse](c, 9, q)
	if r.AuthorizedOperations != operationsUnknown || r.Topics[0].AuthorizedOperations != operationsUnknown {
		t.Errorf("operations nobody asked for: %d %d", r.AuthorizedOperations, r.Topics[0].AuthorizedOperations)
	}
	q.IncludeClusterAuthorizedOperations, q.IncludeTopicAuthorizedOperations = true, true
	r = ask[*kmsg.MetadataResponse](c, 9, q)
	if r.AuthorizedOperations != clusterOperations || r.Topics[0].AuthorizedOperations != topicOperations {
		t.Errorf("operations: %d %d", r.AuthorizedOperations, r.Topics[0].AuthorizedOperations)
	}
	f.apply(&catalog.Release{Session: f.session, Partitions: []record.Partition{topic.Partitions[0].ID}})
	p := ask[*kmsg.MetadataResponse](c, 9, q).Topics[0].Partitions[0]
	wantCode(t, "no leader", p.ErrorCode, codeLeaderNotAvailable)
	if p.Leader != -1 {
		t.Errorf("leader %d", p.Leader)
	}
}
