package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/coord/group"
	"github.com/firnlog/firn/record"
)

// OffsetFetch (9): how far groups had come (kafka.md 42).
//
//   - Topics null (v2+) means all that the group has. A partition without a commit
//     is offset -1 and no error.
//   - v5 leader epochs, v7 require_stable: offsets of an open transaction are
//     UNSTABLE_OFFSET_COMMIT (KIP-447), v8 many groups (KIP-709), v9 member ids, which
//     mean nothing for classic groups, v10 topic ids: an unknown one is UNKNOWN_TOPIC_ID,
//     and topics that are gone are left out of "all".
//   - v1 has no place for the fault of a group; its partitions bear it.
func apiOffsetFetch() api {
	return api{
		key: 9, name: "OffsetFetch", min: 1, max: 10,
		shape: parseShape(6, `group:str@0-7 topics:[ name:str partitions:[i32] ]?2+@0-7
			groups:[ group:str member:str?@9+ epoch:i32@9+ topics:[ name:str@8-9 id:uuid@10+ partitions:[i32] ]? ]@8+ stable:bool@7+`),
		serve: on((*node).offsetFetch),
	}
}

func (n *node) offsetFetch(ctx context.Context, c *call, q *kmsg.OffsetFetchRequest) *kmsg.OffsetFetchResponse {
	r := kmsg.NewPtrOffsetFetchResponse()
	if c.version >= 8 {
		r.Groups = make([]kmsg.OffsetFetchResponseGroup, len(q.Groups))
		together(len(q.Groups), groupWidth, func(i int) {
			r.Groups[i] = n.groupOffsets(ctx, c.version, &q.Groups[i], q.RequireStable)
		})
		return r
	}
	one := kmsg.NewOffsetFetchRequestGroup()
	one.Group = q.Group
	if q.Topics != nil {
		one.Topics = []kmsg.OffsetFetchRequestGroupTopic{}
	}
	for _, t := range q.Topics {
		gt := kmsg.NewOffsetFetchRequestGroupTopic()
		gt.Topic, gt.Partitions = t.Topic, t.Partitions
		one.Topics = append(one.Topics, gt)
	}
	g := n.groupOffsets(ctx, c.version, &one, q.RequireStable)
	r.ErrorCode = g.ErrorCode
	r.Topics = []kmsg.OffsetFetchResponseTopic{}
	for _, gt := range g.Topics {
		rt := kmsg.NewOffsetFetchResponseTopic()
		rt.Topic = gt.Topic
		for _, gp := range gt.Partitions {
			rp := kmsg.NewOffsetFetchResponseTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata, rp.ErrorCode = gp.Partition, gp.Offset, gp.LeaderEpoch, gp.Metadata, gp.ErrorCode
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	return r
}

// groupOffsets answers for one group.
func (n *node) groupOffsets(ctx context.Context, version int16, q *kmsg.OffsetFetchRequestGroup, stable bool) kmsg.OffsetFetchResponseGroup {
	v := n.view()
	fetch := &group.FetchRequest{Group: q.Group, RequireStable: stable, All: q.Topics == nil}
	r := kmsg.NewOffsetFetchResponseGroup()
	r.Group = q.Group
	r.Topics = []kmsg.OffsetFetchResponseGroupTopic{}
	var places []place
	for i := range q.Topics {
		qt := &q.Topics[i]
		rt := kmsg.NewOffsetFetchResponseGroupTopic()
		rt.Topic, rt.TopicID = qt.Topic, qt.TopicID
		name, known := qt.Topic, true
		if version >= 10 {
			t, _ := v.topic(ctx, "", qt.TopicID, true)
			if known = t != nil; known {
				name = t.Name
			}
		}
		for _, p := range qt.Partitions {
			rp := noOffset(p)
			if !known {
				rp.ErrorCode = int16(codeUnknownTopicID)
			} else {
				fetch.Partitions = append(fetch.Partitions, group.TopicPartition{Topic: name, Partition: p})
				places = append(places, place{i, len(rt.Partitions)})
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	a, err := n.Offsets.FetchOffsets(ctx, fetch)
	if err == nil {
		err = a.Err
	}
	if err != nil {
		r.ErrorCode = int16(n.groupCode("OffsetFetch", err))
		if version >= 2 {
			// Nobody is to take partitions without offsets for ones that have none.
			r.Topics = []kmsg.OffsetFetchResponseGroupTopic{}
			return r
		}
		for _, at := range places {
			r.Topics[at.topic].Partitions[at.partition].ErrorCode = r.ErrorCode
		}
		return r
	}
	// What was committed for a topic that is gone by now, the coordinator forgets soon.
	v = n.view()
	a.Offsets = slices.DeleteFunc(a.Offsets, func(o group.Offset) bool { return fetch.All && gone(v, o) })
	if !fetch.All {
		for i, at := range places {
			if !gone(v, a.Offsets[i]) {
				n.fillOffset(&r.Topics[at.topic].Partitions[at.partition], a.Offsets[i])
			}
		}
		return r
	}
	at := map[string]int{}
	for _, o := range a.Offsets {
		i, ok := at[o.Topic]
		if !ok {
			rt := kmsg.NewOffsetFetchResponseGroupTopic()
			rt.Topic = o.Topic
			if version >= 10 {
				t, ok := v.TopicNamed(o.Topic)
				if !ok {
					continue
				}
				rt.TopicID = t.ID
			}
			i = len(r.Topics)
			at[o.Topic] = i
			r.Topics = append(r.Topics, rt)
		}
		rp := noOffset(o.Partition)
		n.fillOffset(&rp, o)
		r.Topics[i].Partitions = append(r.Topics[i].Partitions, rp)
	}
	return r
}

// gone reports whether an offset was committed for a topic that was deleted, or made
// again under its name.
func gone(v view, o group.Offset) bool {
	t, _ := v.TopicNamed(o.Topic)
	return o.TopicID != record.TopicID{} && (t == nil || t.ID != o.TopicID)
}

// noOffset is the answer for a partition without a commit.
func noOffset(p int32) kmsg.OffsetFetchResponseGroupTopicPartition {
	rp := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata = p, -1, -1, new(string)
	return rp
}

func (n *node) fillOffset(rp *kmsg.OffsetFetchResponseGroupTopicPartition, o group.Offset) {
	if o.Err != nil {
		rp.ErrorCode = int16(n.groupCode("OffsetFetch", o.Err))
		return
	}
	rp.Offset, rp.LeaderEpoch, rp.Metadata = o.Offset, o.LeaderEpoch, &o.Metadata
}
