package bubble

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/trace"
)

// A broker that alone gets nothing into the bucket keeps what it has, since it may be over at
// any moment and others may do no better, and is given nothing new: neither topics nor what
// another one leaves. When it puts again it has its share again.
func TestWhoGetsNothingIntoTheBucketIsGivenNothingNew(t *testing.T) {
	inBubble(t, 3, nil, func(t *testing.T, c *cluster) {
		all := c.spread(6)
		all("before")
		time.Sleep(10 * time.Second) // until all have a share
		n, third := c.brokers[1], c.brokers[2]
		mine := c.led(t, n)
		topic, _ := c.state(t).TopicNamed("t")
		at := int32(-1)
		for i, p := range topic.Partitions {
			if v, ok := c.state(t).Session(p.Owner); ok && v.Node == n.at.Node {
				at = int32(i)
			}
		}
		if at < 0 {
			t.Fatal("it has no partition: the test shows nothing")
		}
		n.store.Use(only("wal/", fault.Fault{Kind: fault.Denied}, trace.Put))
		cl := c.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
		defer cl.Close()
		waits := make(chan error, 1)
		cl.Produce(context.Background(), &kgo.Record{Topic: "t", Partition: at, Value: []byte("waits")}, func(_ *kgo.Record, err error) { waits <- err })
		time.Sleep(40 * time.Second)

		if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 6, 1, nil, "new"); err != nil {
			t.Fatal(err)
		}
		third.stop()
		time.Sleep(10 * time.Second)
		if led := c.led(t, n); led != mine {
			t.Errorf("it has %d partitions, and had %d", led, mine)
		}
		fresh, _ := c.state(t).TopicNamed("new")
		for i, p := range fresh.Partitions {
			if v, ok := c.state(t).Session(p.Owner); !ok || v.Sealed || v.Node == n.at.Node {
				t.Errorf("partition %d of the new topic has owner %+v", i, v)
			}
		}
		n.store.Use(fault.Healthy)
		if err := <-waits; err != nil {
			t.Error(err)
		}
		time.Sleep(20 * time.Second)
		if led := c.led(t, n); led <= mine {
			t.Errorf("it has %d partitions when it puts again", led)
		}
		third.start()
		all("after")
	})
}
