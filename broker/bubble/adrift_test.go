package bubble

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/tier/cold/fault"
)

// A broker that alone does not reach the bucket lives, answers and gossips, and can serve
// nobody: the others succeed it, and it has a share again when it is back.
func TestWhoAloneHasLostTheBucketIsSucceeded(t *testing.T) {
	for name, f := range map[string]fault.Fault{"silent": hang, "refused": {Kind: fault.Denied}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 3, nil, func(t *testing.T, c *cluster) {
				all := c.spread(6)
				all("before")
				time.Sleep(10 * time.Second) // until all have a share
				n := c.brokers[1]
				if led := c.led(t, n); led == 0 {
					t.Fatal("it has no partition: the test shows nothing")
				}
				n.store.Use(fault.Always(f))
				time.Sleep(20 * time.Second)
				if led := c.led(t, n); led > 0 {
					t.Errorf("it has %d partitions after 20 s", led)
				}
				began := time.Now()
				all("meanwhile")
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("records waited %s", took)
				}
				n.store.Use(fault.Healthy)
				time.Sleep(30 * time.Second)
				if led := c.led(t, n); led == 0 {
					t.Error("it has no partition when it is back")
				}
				all("after")
				c.whole()
			})
		})
	}
}

// What all of them lose alike moves nothing.
func TestABucketThatIsAwayForAllMovesNothing(t *testing.T) {
	inBubble(t, 3, nil, func(t *testing.T, c *cluster) {
		all := c.spread(6)
		time.Sleep(5 * time.Second)
		var living []uint64
		for _, v := range c.state(t).Sessions() {
			if !v.Sealed {
				living = append(living, v.ID)
			}
		}
		for _, away := range []time.Duration{8 * time.Second, 10 * time.Second, 30 * time.Second} {
			all("before")
			c.store.Use(fault.Always(fault.Fault{Kind: fault.Unavailable}))
			time.Sleep(away)
			c.store.Use(usual)
			time.Sleep(10 * time.Second)
			for _, id := range living {
				if v, ok := c.state(t).Session(id); !ok || v.Sealed {
					t.Fatalf("session %d was fenced after %s without the bucket", id, away)
				}
			}
		}
	})
}

// spread makes topic "t", and returns what writes a record to each of its partitions and
// waits until all are acknowledged.
func (c *cluster) spread(partitions int) (write func(value string)) {
	c.t.Helper()
	cl := c.client(kgo.DefaultProduceTopic("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(20*time.Millisecond), kgo.RecordRetries(10_000))
	if _, err := kadm.NewClient(cl).CreateTopic(c.t.Context(), int32(partitions), 1, nil, "t"); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(cl.Close)
	return func(value string) {
		c.t.Helper()
		for i := range partitions {
			if err := cl.ProduceSync(c.t.Context(), &kgo.Record{Partition: int32(i), Value: []byte(value)}).FirstErr(); err != nil {
				c.t.Fatal(fmt.Errorf("partition %d: %w", i, err))
			}
		}
	}
}

// led is how many partitions of topic "t" a broker has.
func (c *cluster) led(t *testing.T, n *node) (led int) {
	t.Helper()
	s := c.state(t)
	topic, ok := s.TopicNamed("t")
	if !ok {
		t.Fatal("there is no topic")
	}
	for _, p := range topic.Partitions {
		if v, ok := s.Session(p.Owner); ok && v.Node == n.at.Node {
			led++
		}
	}
	return led
}
