package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/record"
)

const keyProduce = 0

// Produce (0): batches into the log.
//
//   - Requests of a connection enter the log in their order, without waiting for
//     each other's answers; the answers come in their order too (kafka.md 5).
//   - acks -1, 0 or 1, else INVALID_REQUIRED_ACKS. With 0 nothing is answered, and a
//     fault closes the connection (kafka.md 20).
//   - One batch of magic 2 per partition; admit.go has the rest of kafka.md 21-24.
//     Some faults of a batch have codes of their own here: an old format is
//     INVALID_RECORD, as in ProduceRequest.validateRecords.
//   - v5 log start offset, v7 zstd (KIP-110), v8 record errors (KIP-467), v10
//     current leader (KIP-951). v11 is the last: from v12 on, a producer adds
//     partitions to its transaction by producing (KIP-890), which needs
//     transaction.version 2, and v13 (topic ids) includes that.
//   - Min version 0 is advertised though 0-2 are refused: without it librdkafka
//     gives up gzip, snappy and lz4 (kafka.md 4).
//   - A wrong epoch of a producer is INVALID_PRODUCER_EPOCH, never PRODUCER_FENCED
//     (kafka.md 28).
//   - Transactions are not served: a transactional id or batch is refused.
func apiProduce() api {
	return api{
		key: keyProduce, name: "Produce", min: 3, max: 11, fromZero: true,
		shape: parseShape(9, `txn:str?@3+ acks:i16 timeout:i32 topics:[ name:str@0-12 id:uuid@13+ partitions:[ partition:i32 records:bytes? ] ]`),
		start: func(ctx context.Context, n *node, c *call) func(context.Context) answer {
			return n.produce(ctx, c, c.request.(*kmsg.ProduceRequest))
		},
	}
}

var errAcks = errors.New("acks must be -1, 0 or 1")

// produced is a Produce on its way: its answer, filled in as outcomes are known.
type produced struct {
	n      *node
	c      *call
	acks   int16
	r      *kmsg.ProduceResponse
	items  []Item
	places []place // of the items, in r
	own    []bool  // likewise: it was compressed anew, and does not lie in the frame
	failed error   // the first fault, for acks=0
}

type place struct{ topic, partition int }

func (n *node) produce(ctx context.Context, c *call, q *kmsg.ProduceRequest) func(context.Context) answer {
	p := &produced{n: n, c: c, acks: q.Acks, r: kmsg.NewPtrProduceResponse()}
	p.r.Version = c.version
	p.admit(ctx, q, n.wall().UnixMilli())
	if len(p.items) == 0 {
		return func(context.Context) answer { return p.answer() }
	}
	a := Append{Acks: q.Acks, Timeout: time.Duration(max(q.TimeoutMillis, 1)) * time.Millisecond, Items: p.items}
	if p.worthKeeping() {
		c.frame.Retain()
		a.Frame = c.frame
	}
	appending, err := n.Log.Append(ctx, a)
	if err != nil {
		p.failAll(err)
		return func(context.Context) answer { return p.answer() }
	}
	return func(ctx context.Context) answer {
		outcomes, err := appending.Wait(ctx)
		if err != nil {
			p.failAll(err)
			return p.answer()
		}
		for i, o := range outcomes {
			p.settle(p.places[i], o)
		}
		return p.answer()
	}
}

// worthKeeping decides whether the log is given the frame. It holds it for as long as any
// batch in it waits for the bucket, or is in the tail cache, and counts the batches alone: a
// large frame of which they are the smaller part is not worth the memory. Then they are
// copied out of it, as far as they lie in it at all.
func (p *produced) worthKeeping() bool {
	inside := 0
	for i := range p.items {
		if !p.own[i] {
			inside += len(p.items[i].Batch)
		}
	}
	if p.c.bytes <= copiedFrom || inside >= p.c.bytes/2 {
		return true
	}
	for i := range p.items {
		if !p.own[i] {
			p.items[i].Batch = bytes.Clone(p.items[i].Batch)
		}
	}
	return false
}

// copiedFrom is the size above which a frame may not be worth keeping: below, the names
// in it may take more than the batches, and a copy costs as much as it saves.
const copiedFrom = 4 << 10

// admit checks every batch; good ones become items.
func (p *produced) admit(ctx context.Context, q *kmsg.ProduceRequest, now int64) {
	v := p.n.view()
	var whole error
	switch {
	case q.Acks < -1 || q.Acks > 1:
		whole = errAcks
	case q.TransactionID != nil:
		whole = errTransactions
	}
	p.r.Topics = make([]kmsg.ProduceResponseTopic, 0, len(q.Topics))
	for i := range q.Topics {
		qt := &q.Topics[i]
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic = qt.Topic
		rt.Partitions = make([]kmsg.ProduceResponseTopicPartition, len(qt.Partitions))
		p.r.Topics = append(p.r.Topics, rt)

		t, code := v.topic(ctx, qt.Topic, qt.TopicID, false)
		var rules rules
		if t != nil {
			rules = rulesOf(t, p.n.Settings.Setting, now)
		}
		for j := range qt.Partitions {
			qp, at := &qt.Partitions[j], place{i, j}
			rp := &rt.Partitions[j]
			rp.Default()
			rp.Partition, rp.BaseOffset = qp.Partition, -1
			fault := whole
			if fault == nil {
				fault = code.orNil()
			}
			if fault == nil && t.Internal && p.c.client != adminClient {
				fault = codeInvalidTopic.orNil()
			}
			var id record.Partition
			if fault == nil {
				part, code := v.partition(ctx, t, qp.Partition)
				if fault = code.orNil(); fault == nil {
					id = part.ID
				}
			}
			var batch []byte
			var h record.Header
			if fault == nil {
				batch, h, fault = admit(qp.Records, p.c.version, rules, now)
			}
			if fault != nil {
				p.settle(at, Appended{Base: -1, LogAppendTime: -1, LogStart: -1, Err: fault})
				continue
			}
			p.items = append(p.items, Item{Partition: id, Batch: batch, Header: h})
			p.own = append(p.own, &batch[0] != &qp.Records[0])
			p.places = append(p.places, at)
		}
	}
}

// adminClient is the client id that Kafka lets write to internal topics.
const adminClient = "__admin_client"

var errTransactions = fmt.Errorf("%w: this broker does not serve transactions", errTransactionalID)

// produceCode is the code of a fault in answers to Produce.
func (n *node) produceCode(err error) code {
	switch {
	case errors.Is(err, errAcks):
		return codeInvalidRequiredAcks
	case errors.Is(err, record.ErrUnsupportedMagic):
		return codeInvalidRecord
	}
	return n.code("Produce", err)
}

// settle writes the outcome of one partition into the answer.
func (p *produced) settle(at place, o Appended) {
	rp := &p.r.Topics[at.topic].Partitions[at.partition]
	if o.Err == nil {
		rp.BaseOffset, rp.LogAppendTime, rp.LogStartOffset = o.Base, o.LogAppendTime, o.LogStart
		return
	}
	if p.failed == nil {
		p.failed = o.Err
	}
	code := p.n.produceCode(o.Err)
	rp.ErrorCode = int16(code)
	rp.ErrorMessage = message(o.Err)
	var bad record.BadRecords
	if errors.As(o.Err, &bad) {
		rp.ErrorRecords = make([]kmsg.ProduceResponseTopicPartitionErrorRecord, len(bad))
		for i := range bad {
			e := &rp.ErrorRecords[i]
			e.RelativeOffset, e.ErrorMessage = bad[i].Index, &bad[i].Why
		}
	}
	if code == codeNotLeaderOrFollower && p.c.version >= 10 {
		rp.CurrentLeader.LeaderID, rp.CurrentLeader.LeaderEpoch = p.hint(p.r.Topics[at.topic].Topic, rp.Partition)
	}
}

// hint tells who leads a partition now, and adds its address to the answer (KIP-951).
func (p *produced) hint(topic string, index int32) (node, epoch int32) {
	v := p.n.viewBy(p.c.listener)
	t, ok := v.TopicNamed(topic)
	if !ok {
		return -1, -1
	}
	part, ok := v.Partition(record.Partition{Topic: t.ID, Index: index})
	if !ok {
		return -1, -1
	}
	node, ok = v.leader(part)
	if !ok || node == v.self {
		return -1, -1
	}
	for _, b := range p.r.Brokers {
		if b.NodeID == node {
			return node, part.Epoch
		}
	}
	b, _ := v.broker(node)
	rb := kmsg.NewProduceResponseBroker()
	rb.NodeID, rb.Host, rb.Port, rb.Rack = b.Node, b.Host, b.Port, orNull(b.Rack)
	p.r.Brokers = append(p.r.Brokers, rb)
	return node, part.Epoch
}

func (p *produced) failAll(err error) {
	for _, at := range p.places {
		p.settle(at, Appended{Err: err})
	}
}

func (p *produced) answer() answer {
	if p.acks == 0 {
		if p.failed != nil {
			return answer{close: fmt.Errorf("produce with acks=0: %w", p.failed)}
		}
		return answer{}
	}
	return answer{response: p.r}
}
