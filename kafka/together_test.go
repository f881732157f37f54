package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/coord/group"
	"github.com/firnlog/firn/record"
)

// far is History in a bucket that takes a second to answer.
type far struct{ History }

func (h far) Find(ctx context.Context, p record.Partition, q Find) (Found, error) {
	time.Sleep(time.Second)
	return Found{int64(p.Index), int64(p.Index), 1}, nil
}

func (h far) Trim(ctx context.Context, p record.Partition, offset int64) (int64, error) {
	time.Sleep(time.Second)
	return h.History.Trim(ctx, p, offset)
}

// A client that asks for a hundred partitions waits for seconds, not for minutes: it has
// patience for half of one.
func TestManyPartitionsAreAskedForTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		topic := f.topic("t", 100)
		for i := range int32(100) {
			f.log(topic, i).hw = 5
		}
		b := f.backend()
		b.History = far{b.History}
		c := serveBackend(t, b, Limits{}).client(t)

		began := time.Now()
		times := make([]int64, 100)
		for i := range times {
			times[i] = 1000
		}
		for i, p := range ask[*kmsg.ListOffsetsResponse](c, 7, listOf("t", times...)).Topics[0].Partitions {
			if p.ErrorCode != 0 || p.Partition != int32(i) || p.Offset != int64(i) {
				t.Errorf("partition %d: %+v", i, p)
			}
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("ListOffsets took %s", took)
		}

		began = time.Now()
		q := kmsg.NewPtrDeleteRecordsRequest()
		q.TimeoutMillis = 30_000
		qt := kmsg.NewDeleteRecordsRequestTopic()
		qt.Topic = "t"
		for i := range int32(101) { // one that is not there
			qt.Partitions = append(qt.Partitions, kmsg.DeleteRecordsRequestTopicPartition{Partition: i, Offset: 3})
		}
		q.Topics = append(q.Topics, qt)
		for i, p := range ask[*kmsg.DeleteRecordsResponse](c, 2, q).Topics[0].Partitions {
			code, low := codeNone, int64(3)
			if i == 100 {
				code, low = codeUnknownTopicOrPartition, -1
			}
			if wantCode(t, "trim", p.ErrorCode, code); p.LowWatermark != low {
				t.Errorf("partition %d: %+v", i, p)
			}
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("DeleteRecords took %s", took)
		}
	})
}

// slowGroups are groups that take a second for everything.
type slowGroups struct {
	Offsets
	GroupAdmin
}

func (s slowGroups) FetchOffsets(ctx context.Context, r *group.FetchRequest) (group.FetchResponse, error) {
	time.Sleep(time.Second)
	return s.Offsets.FetchOffsets(ctx, r)
}

func (s slowGroups) Describe(ctx context.Context, id string) (group.Description, error) {
	time.Sleep(time.Second)
	return s.GroupAdmin.Describe(ctx, id)
}

func (s slowGroups) Delete(ctx context.Context, id string) error {
	time.Sleep(time.Second)
	return s.GroupAdmin.Delete(ctx, id)
}

type slowTopics struct{ Topics }

func (s slowTopics) Alter(ctx context.Context, id record.TopicID, set map[string]*string, replace bool) error {
	time.Sleep(time.Second)
	return s.Topics.Alter(ctx, id, set, replace)
}

// The tools that look after many groups or topics ask for all of them in one request.
func TestManyGroupsAndTopicsAreAskedForTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 100
		f := newFake()
		b := f.backend()
		b.Offsets, b.GroupAdmin = slowGroups{Offsets: b.Offsets}, slowGroups{GroupAdmin: b.GroupAdmin}
		b.Topics = slowTopics{b.Topics}
		c := serveBackend(t, b, Limits{}).client(t)
		var names []string
		fetch := kmsg.NewPtrOffsetFetchRequest()
		set, replace := kmsg.NewPtrIncrementalAlterConfigsRequest(), kmsg.NewPtrAlterConfigsRequest()
		for i := range many {
			name := fmt.Sprint("n", i)
			names = append(names, name)
			topic := f.topic(name, 1)
			ask[*kmsg.OffsetCommitResponse](c, 9, func() *kmsg.OffsetCommitRequest {
				q := commitOf(name, topic.ID, "", -1, 0)
				q.Group = name
				return q
			}())
			fetch.Groups = append(fetch.Groups, kmsg.OffsetFetchRequestGroup{Group: name})
			x := kmsg.NewIncrementalAlterConfigsRequestResource()
			x.ResourceType, x.ResourceName = kmsg.ConfigResourceTypeTopic, name
			x.Configs = append(x.Configs, kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: "retention.ms", Value: kmsg.StringPtr("1")})
			set.Resources = append(set.Resources, x)
			y := kmsg.NewAlterConfigsRequestResource()
			y.ResourceType, y.ResourceName = x.ResourceType, name
			replace.Resources = append(replace.Resources, y)
		}
		in := func(what string, do func()) {
			t.Helper()
			began := time.Now()
			if do(); time.Since(began) > 3*time.Second {
				t.Errorf("%s took %s", what, time.Since(began))
			}
		}
		in("OffsetFetch", func() {
			for i, g := range ask[*kmsg.OffsetFetchResponse](c, 8, fetch).Groups {
				if g.Group != names[i] || len(g.Topics) != 1 || g.Topics[0].Topic != names[i] {
					t.Errorf("offsets of %s: %+v", names[i], g)
				}
			}
		})
		in("DescribeGroups", func() {
			q := kmsg.NewPtrDescribeGroupsRequest()
			q.Groups = names
			for i, g := range ask[*kmsg.DescribeGroupsResponse](c, 5, q).Groups {
				if g.Group != names[i] || g.State != "Empty" || g.AuthorizedOperations != operationsUnknown {
					t.Errorf("described as %s: %+v", names[i], g)
				}
			}
		})
		in("DeleteGroups", func() {
			q := kmsg.NewPtrDeleteGroupsRequest()
			q.Groups = append(slices.Clone(names), "n7", "none")
			for i, g := range ask[*kmsg.DeleteGroupsResponse](c, 2, q).Groups {
				want := codeNone
				if i == many {
					want = codeGroupIDNotFound
				}
				wantCode(t, g.Group, g.ErrorCode, want)
			}
		})
		in("IncrementalAlterConfigs", func() {
			for i, x := range ask[*kmsg.IncrementalAlterConfigsResponse](c, 1, set).Resources {
				if wantCode(t, names[i], x.ErrorCode, codeNone); x.ResourceName != names[i] {
					t.Errorf("%s is told of %s", names[i], x.ResourceName)
				}
			}
		})
		in("AlterConfigs", func() {
			for i, x := range ask[*kmsg.AlterConfigsResponse](c, 2, replace).Resources {
				if wantCode(t, names[i], x.ErrorCode, codeNone); x.ResourceName != names[i] {
					t.Errorf("%s is told of %s", names[i], x.ResourceName)
				}
			}
		})
	})
}

// What a broker does not lead it looks for once for a whole request, and finds it: a look
// for each would take the client's patience, and the looks of everybody else.
func TestWhatIsNotLedIsLookedForOnce(t *testing.T) {
	const many = 100
	for name, q := range map[string]func() kmsg.Request{
		"ListOffsets": func() kmsg.Request { return listOf("t", make([]int64, many)...) },
		"OffsetForLeaderEpoch": func() kmsg.Request {
			q, qt := kmsg.NewPtrOffsetForLeaderEpochRequest(), kmsg.NewOffsetForLeaderEpochRequestTopic()
			qt.Topic, q.ReplicaID = "t", -1
			for i := range int32(many) {
				qp := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
				qp.Partition = i
				qt.Partitions = append(qt.Partitions, qp)
			}
			q.Topics = append(q.Topics, qt)
			return q
		},
		"DeleteRecords": func() kmsg.Request {
			q, qt := kmsg.NewPtrDeleteRecordsRequest(), kmsg.NewDeleteRecordsRequestTopic()
			q.TimeoutMillis, qt.Topic = 30_000, "t"
			for i := range int32(many) {
				qt.Partitions = append(qt.Partitions, kmsg.DeleteRecordsRequestTopicPartition{Partition: i, Offset: 3})
			}
			q.Topics = append(q.Topics, qt)
			return q
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			topic := f.topic("t", many)
			for i := range int32(many) {
				l := f.log(topic, i)
				l.hw, l.gone = 5, i%2 == 0
			}
			f.comesBack = true
			var codes []int16
			c := serve(t, f, Limits{}).client(t)
			switch q := q().(type) {
			case *kmsg.ListOffsetsRequest:
				for _, p := range ask[*kmsg.ListOffsetsResponse](c, 7, q).Topics[0].Partitions {
					codes = append(codes, p.ErrorCode)
				}
			case *kmsg.OffsetForLeaderEpochRequest:
				for _, p := range ask[*kmsg.OffsetForLeaderEpochResponse](c, 4, q).Topics[0].Partitions {
					codes = append(codes, p.ErrorCode)
				}
			case *kmsg.DeleteRecordsRequest:
				for _, p := range ask[*kmsg.DeleteRecordsResponse](c, 2, q).Topics[0].Partitions {
					codes = append(codes, p.ErrorCode)
				}
			}
			if len(codes) != many || slices.Max(codes) != 0 || slices.Min(codes) != 0 {
				t.Errorf("codes %v", codes)
			}
			if f.settles != 1 || len(f.settled) != many/2 {
				t.Errorf("%d partitions were looked for in %d looks", len(f.settled), f.settles)
			}
		})
	}
}

func TestAPanicOfManyIsTheCallers(t *testing.T) {
	defer func() {
		if r := recover(); r == nil || !strings.Contains(r.(string), "seven") {
			t.Errorf("recovered %v", r)
		}
	}()
	together(20, 4, func(i int) {
		if i == 7 {
			panic("seven")
		}
	})
}
