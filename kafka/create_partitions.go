package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/catalog"
)

// CreatePartitions (37): more partitions for topics, each on its own.
//
//   - A count that is not larger than what is there is INVALID_PARTITIONS. An
//     assignment must have as many entries as partitions are added; it is checked and
//     otherwise not followed (as in CreateTopics). validate_only adds nothing.
//   - Not for the broker's own topics: a group's coordinator is found by the number
//     of partitions. POLICY_VIOLATION.
func apiCreatePartitions() api {
	return api{
		key: 37, name: "CreatePartitions", min: 0, max: 3,
		shape: parseShape(2, `topics:[ name:str count:i32 assignment:[ nodes:[i32] ]? ] timeout:i32 validate:bool`),
		serve: on((*node).createPartitions),
	}
}

func (n *node) createPartitions(ctx context.Context, _ *call, q *kmsg.CreatePartitionsRequest) *kmsg.CreatePartitionsResponse {
	r := kmsg.NewPtrCreatePartitionsResponse()
	times := map[string]int{}
	for i := range q.Topics {
		times[q.Topics[i].Topic]++
	}
	for i := range q.Topics {
		qt := &q.Topics[i]
		rt := kmsg.NewCreatePartitionsResponseTopic()
		rt.Topic = qt.Topic
		var err error
		switch times[qt.Topic] {
		case 0:
			continue // it has its answer
		case 1:
			err = n.grow(ctx, qt, q.ValidateOnly)
		default:
			err = codeInvalidRequest.because("the topic is in the request more than once")
		}
		times[qt.Topic] = 0
		rt.ErrorCode, rt.ErrorMessage = int16(n.code("CreatePartitions", err)), message(err)
		r.Topics = append(r.Topics, rt)
	}
	return r
}

// growTries bounds how often another broker may be faster.
const growTries = 3

func (n *node) grow(ctx context.Context, q *kmsg.CreatePartitionsRequestTopic, validateOnly bool) error {
	for try := 1; ; try++ {
		v := n.view()
		t, code := v.topic(ctx, q.Topic, [16]byte{}, false)
		if code != codeNone {
			return code
		}
		have := len(t.Partitions)
		add := int64(q.Count) - int64(have)
		switch {
		case t.Internal:
			return codePolicyViolation.because("the broker needs this topic as it is")
		case add <= 0:
			return fmt.Errorf("%w: the topic has %d partitions, asked for are %d", catalog.ErrInvalidParts, have, q.Count)
		case q.Count > catalog.MaxPartitions:
			return fmt.Errorf("%w: %d, at most %d are allowed", catalog.ErrInvalidParts, q.Count, catalog.MaxPartitions)
		case q.Assignment != nil && int64(len(q.Assignment)) != add:
			return codeInvalidReplicaAssignment.because("%d assignments for %d new partitions", len(q.Assignment), add)
		}
		for i := range q.Assignment {
			if why := distinct(q.Assignment[i].Replicas, len(q.Assignment[0].Replicas)); why != "" {
				return codeInvalidReplicaAssignment.because("%s", why)
			}
		}
		if validateOnly {
			return nil
		}
		err := n.Topics.Grow(ctx, t.ID, int32(have), int32(add))
		if !errors.Is(err, catalog.ErrStale) || try == growTries {
			return err
		}
	}
}
