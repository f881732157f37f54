package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ElectLeaders (43): there is nothing to elect. A partition that has a leader is
// ELECTION_NOT_NEEDED, one that has none is about to get one without being asked:
// LEADER_NOT_AVAILABLE. For null, all partitions, Kafka leaves out those that need
// none, which here are all.
func apiElectLeaders() api {
	return api{
		key: 43, name: "ElectLeaders", min: 0, max: 2,
		shape: parseShape(2, `election:i8@1+ topics:[ name:str partitions:[i32] ]? timeout:i32`),
		serve: on((*node).electLeaders),
	}
}

func (n *node) electLeaders(ctx context.Context, _ *call, q *kmsg.ElectLeadersRequest) *kmsg.ElectLeadersResponse {
	v := n.view()
	r := kmsg.NewPtrElectLeadersResponse()
	r.Topics = []kmsg.ElectLeadersResponseTopic{}
	if q.ElectionType < 0 || q.ElectionType > 1 {
		r.ErrorCode = int16(codeInvalidRequest) // neither preferred nor unclean
		return r
	}
	for i := range q.Topics {
		rt := kmsg.NewElectLeadersResponseTopic()
		rt.Topic = q.Topics[i].Topic
		t, code := v.topic(ctx, rt.Topic, [16]byte{}, false)
		for _, index := range q.Topics[i].Partitions {
			rp := kmsg.NewElectLeadersResponseTopicPartition()
			rp.Partition = index
			fault := code
			if fault == codeNone {
				p, code := v.partition(ctx, t, index)
				if fault = code; code == codeNone {
					fault = codeElectionNotNeeded
					if _, ok := v.leader(p); !ok {
						fault = codeLeaderNotAvailable
					}
				}
			}
			rp.ErrorCode = int16(fault)
			rt.Partitions = append(rt.Partitions, rp)
		}
		r.Topics = append(r.Topics, rt)
	}
	return r
}
