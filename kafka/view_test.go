package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

// What others have made is found by who looks, what nobody has made costs one look for a
// whole request, and what is known, or cannot be, costs none.
func TestWhatIsNotKnownIsLookedForOnce(t *testing.T) {
	id := record.TopicID{7}
	names := func(all ...string) *kmsg.MetadataRequest {
		q := kmsg.NewPtrMetadataRequest()
		for _, name := range all {
			q.Topics = append(q.Topics, kmsg.MetadataRequestTopic{Topic: &name})
		}
		return q
	}
	byID := func(id record.TopicID) *kmsg.MetadataRequest {
		q := kmsg.NewPtrMetadataRequest()
		q.Topics = []kmsg.MetadataRequestTopic{{TopicID: id}}
		return q
	}
	for _, x := range []struct {
		name string
		q    *kmsg.MetadataRequest
		code []code
		want int
	}{
		{"a topic that is known", names("known"), []code{codeNone}, 0},
		{"a topic of another broker", names("new"), []code{codeNone}, 1},
		{"a topic of another broker by its id", byID(id), []code{codeNone}, 1},
		{"topics that nobody has made", names("a", "b", "known", "new"), []code{codeUnknownTopicOrPartition, codeUnknownTopicOrPartition, codeNone, codeNone}, 1},
		{"an id that nobody has", byID(record.TopicID{8}), []code{codeUnknownTopicID}, 1},
		{"a name that cannot be", names("no/name"), []code{codeInvalidTopic}, 0},
		{"an id that cannot be", byID(record.TopicID{}), []code{codeUnknownTopicID}, 0},
		{"all topics", kmsg.NewPtrMetadataRequest(), []code{codeNone}, 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			f := newFake()
			f.topic("known", 1)
			f.others = []catalog.Command{
				&catalog.RegisterSession{Node: 2, Advertised: "other:9092"},
				&catalog.CreateTopic{Name: "new", ID: id, Replicas: 1, Owners: []uint64{f.session}},
			}
			x.q.AllowAutoTopicCreation = false
			r := ask[*kmsg.MetadataResponse](serve(t, f, Limits{}).client(t), 13, x.q)
			for i, code := range x.code {
				if got := r.Topics[i].ErrorCode; got != int16(code) {
					t.Errorf("topic %d: code %d, want %d", i, got, code)
				}
			}
			if f.heard != x.want {
				t.Errorf("looked %d times, want %d", f.heard, x.want)
			}
		})
	}
}
