package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/record"
)

// DeleteTopics (20): topics and all their records, each on its own.
//
//   - delete.topic.enable=false is TOPIC_DELETION_DISABLED (INVALID_REQUEST before
//     v3, which does not know it).
//   - v6 by name or by id, not both (KIP-516). A topic that is named twice is
//     INVALID_REQUEST, once. v5 error messages (KIP-599).
//   - The broker's own topics are kept: losing __consumer_offsets loses every
//     group's position, and no client can bring them back. POLICY_VIOLATION.
func apiDeleteTopics() api {
	return api{
		key: 20, name: "DeleteTopics", min: 0, max: 6,
		shape: parseShape(4, `names:[str]@0-5 topics:[ name:str? id:uuid ]@6+ timeout:i32`),
		serve: on((*node).deleteTopics),
	}
}

func (n *node) deleteTopics(ctx context.Context, c *call, q *kmsg.DeleteTopicsRequest) *kmsg.DeleteTopicsResponse {
	v := n.view()
	r := kmsg.NewPtrDeleteTopicsResponse()
	asked := q.Topics
	for i := range q.TopicNames {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = &q.TopicNames[i]
		asked = append(asked, t)
	}
	both := func(a kmsg.DeleteTopicsRequestTopic) bool { return a.Topic != nil && a.TopicID != [16]byte{} }
	times := map[record.TopicID]int{}
	for _, a := range asked {
		if t, _ := v.topic(ctx, deref(a.Topic), a.TopicID, a.Topic == nil); t != nil && !both(a) {
			times[t.ID]++
		}
	}
	disabled := !n.settingBool(settingDelete, true)
	told := map[record.TopicID]bool{}
	var ids []record.TopicID
	var places []int
	for _, a := range asked {
		rt := kmsg.NewDeleteTopicsResponseTopic()
		rt.Topic, rt.TopicID = a.Topic, a.TopicID
		t, code := v.topic(ctx, deref(a.Topic), a.TopicID, a.Topic == nil)
		if t != nil && !both(a) {
			if told[t.ID] {
				continue
			}
			told[t.ID] = true
			rt.Topic, rt.TopicID = &t.Name, t.ID
		}
		var err error
		switch {
		case disabled && c.version < 3:
			err = codeInvalidRequest
		case disabled:
			err = codeTopicDeletionDisabled
		case both(a), a.Topic == nil && a.TopicID == [16]byte{}:
			err = codeInvalidRequest.because("a topic is named by its name or by its id, and not by both")
		case t == nil:
			err = code.because("there is no such topic")
		case times[t.ID] > 1:
			err = codeInvalidRequest.because("the topic is in the request more than once")
		case t.Internal:
			err = codePolicyViolation.because("the broker needs this topic")
		default:
			ids, places = append(ids, t.ID), append(places, len(r.Topics))
		}
		rt.ErrorCode, rt.ErrorMessage = int16(n.code("DeleteTopics", err)), message(err)
		r.Topics = append(r.Topics, rt)
	}
	if len(ids) > 0 {
		for i, err := range n.Topics.Delete(ctx, ids) {
			rt := &r.Topics[places[i]]
			rt.ErrorCode, rt.ErrorMessage = int16(n.code("DeleteTopics", err)), message(err)
		}
	}
	return r
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
