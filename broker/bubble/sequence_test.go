package bubble

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/trace"
)

// produce sends a batch to the leader of partition 0 of "t", and returns its answer.
func (c *cluster) produce(batch []byte) kmsg.ProduceResponseTopicPartition {
	c.t.Helper()
	cl := c.client()
	defer cl.Close()
	m, err := kadm.NewClient(cl).Metadata(c.t.Context(), "t")
	if err != nil {
		c.t.Fatal(err)
	}
	q := kmsg.NewPtrProduceRequest()
	q.Acks, q.TimeoutMillis = -1, 10_000
	qt, qp := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	qt.Topic, qp.Records = "t", append([]byte(nil), batch...)
	qt.Partitions = append(qt.Partitions, qp)
	q.Topics = append(q.Topics, qt)
	q.Version = 10
	r, err := cl.Broker(int(m.Topics["t"].Partitions[0].Leader)).Request(c.t.Context(), q)
	if err != nil {
		c.t.Fatal(err)
	}
	return r.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
}

// What a deposed leader knows of a producer says nothing of what the producer has sent to
// the new one. OUT_OF_ORDER_SEQUENCE_NUMBER is the end for an idempotent producer: it is
// answered by who is the leader alone.
func TestADeposedLeaderCallsNobodyOutOfOrder(t *testing.T) {
	inBubble(t, 1, nil, func(t *testing.T, c *cluster) {
		cl := c.client()
		defer cl.Close()
		if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, "t"); err != nil {
			t.Fatal(err)
		}
		ids, err := cl.Request(t.Context(), kmsg.NewPtrInitProducerIDRequest())
		if err != nil {
			t.Fatal(err)
		}
		batch := func(sequence int32) []byte {
			b := record.Builder{HasProducer: true, Template: record.Header{ProducerID: ids.(*kmsg.InitProducerIDResponse).ProducerID, BaseSequence: sequence}}
			b.Add(time.Now().UnixMilli(), nil, []byte("v"))
			out, err := b.Build()
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		answer := func(sequence int32) error { return kerr.ErrorForCode(c.produce(batch(sequence)).ErrorCode) }
		if err := answer(0); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := answer(5); err != kerr.OutOfOrderSequenceNumber {
			t.Errorf("the leader answers %v to a sequence with a gap", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("after %s", took)
		}
		// Now it hears nothing of the journal, and others may have taken 1 to 4.
		c.store.Use(only("catalog/", fault.Fault{Kind: fault.Unavailable}, trace.Get, trace.Put, trace.List, trace.Stat))
		c.depose()
		if err := answer(5); err != kerr.NotLeaderForPartition {
			t.Errorf("a deposed leader answers %v", err)
		}
		c.store.Use(usual)
		for { // it has its partition back, and nobody took anything
			switch err := answer(1); err {
			case nil:
				return
			case kerr.NotLeaderForPartition:
				time.Sleep(100 * time.Millisecond)
			default:
				t.Fatal(err)
			}
		}
	})
}
