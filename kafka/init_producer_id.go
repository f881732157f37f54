package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// InitProducerId (22): an id for an idempotent producer.
//
//   - Every call gives a new id with epoch 0, also when the producer had one: its
//     sequences start anew (KIP-360).
//   - A transactional id is refused as FindCoordinator refuses it. v5 belongs to
//     transaction.version 2 (KIP-890), which is not finalised, so v4 is the last.
func apiInitProducerID() api {
	return api{
		key: 22, name: "InitProducerId", min: 0, max: 4,
		shape: parseShape(2, `txn:str? timeout:i32 producer:i64@3+ epoch:i16@3+`),
		serve: on((*node).initProducerID),
	}
}

func (n *node) initProducerID(ctx context.Context, _ *call, q *kmsg.InitProducerIDRequest) *kmsg.InitProducerIDResponse {
	r := kmsg.NewPtrInitProducerIDResponse()
	r.ProducerID, r.ProducerEpoch = -1, -1
	switch {
	case q.TransactionalID != nil && *q.TransactionalID == "":
		r.ErrorCode = int16(codeInvalidRequest)
		return r
	case (q.ProducerID < 0) != (q.ProducerEpoch < 0):
		r.ErrorCode = int16(codeInvalidRequest)
		return r
	case q.TransactionalID != nil:
		r.ErrorCode = int16(codeTransactionalIDAuthorizationFailed)
		return r
	}
	id, err := n.Producers.NewID(ctx)
	if err != nil {
		// Whatever it is, asking again is right: clients retry this code.
		n.code("InitProducerId", err)
		r.ErrorCode = int16(codeCoordinatorLoadInProgress)
		return r
	}
	r.ProducerID, r.ProducerEpoch = id, 0
	return r
}
