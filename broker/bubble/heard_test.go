package bubble

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/trace"
)

// hint reports whether a packet of gossip says that the journal grew: memberlist's mark of
// a user's message, and gossip's of a hint.
func hint(packet []byte) bool { return len(packet) < 64 && bytes.Contains(packet, []byte{8, 'J'}) }

// far is a bucket whose puts take 30 ms more than its gets.
func far(c fault.Call) fault.Fault {
	if c.Op == trace.Put {
		return fault.Fault{Before: 15 * time.Millisecond, After: 20 * time.Millisecond}
	}
	return usual(c)
}

// deaf is three brokers on a bucket that is far away, which hear nothing of what the
// others put into the journal: what they know of it is what they look for.
func deaf(t *testing.T, test func(t *testing.T, c *cluster, ask func(n *node, q kmsg.Request) kmsg.Response)) {
	inBubble(t, 3, map[string]string{"auto.create.topics.enable": "false", "num.partitions": "3"}, func(t *testing.T, c *cluster) {
		time.Sleep(5 * time.Second)
		c.store.Use(far)
		var lost atomic.Int64
		c.net.Lose(func(packet []byte) bool {
			if hint(packet) {
				lost.Add(1)
				return true
			}
			return false
		})
		defer func() {
			if lost.Load() == 0 {
				t.Error("the brokers told one another of everything, or not as this test knows")
			}
		}()
		cl := c.client(kgo.RequestRetries(0))
		defer cl.Close()
		if err := cl.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		test(t, c, func(n *node, q kmsg.Request) kmsg.Response {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			r, err := cl.Broker(int(n.at.Node)).Request(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			return r
		})
	})
}

// made is a topic that one broker has just made.
type made struct {
	name string
	id   [16]byte
	// at is a partition that the broker leads which is asked.
	at int32
}

// create makes a topic at one broker, with partitions led by the other.
func create(t *testing.T, ask func(*node, kmsg.Request) kmsg.Response, maker, other *node, name string) made {
	t.Helper()
	q := kmsg.NewPtrCreateTopicsRequest()
	qt := kmsg.NewCreateTopicsRequestTopic()
	qt.Topic, qt.NumPartitions, qt.ReplicationFactor = name, 3, 1
	q.Topics, q.TimeoutMillis = append(q.Topics, qt), 5000
	if rt := ask(maker, q).(*kmsg.CreateTopicsResponse).Topics[0]; rt.ErrorCode != 0 {
		t.Fatalf("create %s: code %d", name, rt.ErrorCode)
	}
	m := ask(maker, named(name)).(*kmsg.MetadataResponse).Topics[0]
	for _, p := range m.Partitions {
		if p.Leader == other.at.Node {
			return made{name, m.TopicID, p.Partition}
		}
	}
	t.Fatalf("broker %d leads nothing of %s: %+v", other.at.Node, name, m.Partitions)
	return made{}
}

// named asks for the metadata of one topic.
func named(name string) *kmsg.MetadataRequest {
	q := kmsg.NewPtrMetadataRequest()
	qt := kmsg.NewMetadataRequestTopic()
	qt.Topic = &name
	q.Topics = append(q.Topics, qt)
	return q
}

// asks is every way to ask for a topic, and the code in the answer.
var asks = []struct {
	name string
	ask  func(m made) kmsg.Request
	code func(r kmsg.Response) int16
}{
	{
		"Metadata by name", func(m made) kmsg.Request { return named(m.name) },
		func(r kmsg.Response) int16 { return r.(*kmsg.MetadataResponse).Topics[0].ErrorCode },
	},
	{
		"Metadata by id", func(m made) kmsg.Request {
			q := kmsg.NewPtrMetadataRequest()
			q.Topics = []kmsg.MetadataRequestTopic{{TopicID: m.id}}
			return q
		},
		func(r kmsg.Response) int16 { return r.(*kmsg.MetadataResponse).Topics[0].ErrorCode },
	},
	{
		"Produce", func(m made) kmsg.Request {
			var b record.Builder
			b.Add(time.Now().UnixMilli(), nil, []byte("v"))
			batch, err := b.Build()
			if err != nil {
				panic(err)
			}
			q := kmsg.NewPtrProduceRequest()
			q.Acks, q.TimeoutMillis = -1, 5000
			q.Topics = []kmsg.ProduceRequestTopic{{Topic: m.name, Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: m.at, Records: batch}}}}
			return q
		},
		func(r kmsg.Response) int16 { return r.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode },
	},
	{
		"Fetch by id", func(m made) kmsg.Request {
			q := kmsg.NewPtrFetchRequest()
			qp := kmsg.NewFetchRequestTopicPartition()
			qp.Partition, qp.PartitionMaxBytes = m.at, 1<<20
			q.MaxBytes, q.Topics = 1<<20, []kmsg.FetchRequestTopic{{Topic: m.name, TopicID: m.id, Partitions: []kmsg.FetchRequestTopicPartition{qp}}}
			return q
		},
		func(r kmsg.Response) int16 { return r.(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode },
	},
	{
		"ListOffsets", func(m made) kmsg.Request {
			q := kmsg.NewPtrListOffsetsRequest()
			qp := kmsg.NewListOffsetsRequestTopicPartition()
			qp.Partition, qp.Timestamp = m.at, -1
			q.ReplicaID, q.Topics = -1, []kmsg.ListOffsetsRequestTopic{{Topic: m.name, Partitions: []kmsg.ListOffsetsRequestTopicPartition{qp}}}
			return q
		},
		func(r kmsg.Response) int16 { return r.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].ErrorCode },
	},
	{
		"OffsetForLeaderEpoch", func(m made) kmsg.Request {
			q := kmsg.NewPtrOffsetForLeaderEpochRequest()
			qp := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
			qp.Partition = m.at
			q.ReplicaID, q.Topics = -1, []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: m.name, Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{qp}}}
			return q
		},
		func(r kmsg.Response) int16 {
			return r.(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0].ErrorCode
		},
	},
	{
		"DescribeTopicPartitions", func(m made) kmsg.Request {
			q := kmsg.NewPtrDescribeTopicPartitionsRequest()
			q.ResponsePartitionLimit, q.Topics = 100, []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: m.name}}
			return q
		},
		func(r kmsg.Response) int16 { return r.(*kmsg.DescribeTopicPartitionsResponse).Topics[0].ErrorCode },
	},
	{
		"DescribeConfigs", func(m made) kmsg.Request {
			q := kmsg.NewPtrDescribeConfigsRequest()
			q.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: m.name}}
			return q
		},
		func(r kmsg.Response) int16 { return r.(*kmsg.DescribeConfigsResponse).Resources[0].ErrorCode },
	},
	{
		"DeleteRecords", func(m made) kmsg.Request {
			q := kmsg.NewPtrDeleteRecordsRequest()
			q.TimeoutMillis, q.Topics = 5000, []kmsg.DeleteRecordsRequestTopic{{Topic: m.name, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: m.at, Offset: -1}}}}
			return q
		},
		func(r kmsg.Response) int16 { return r.(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0].ErrorCode },
	},
	{
		"CreatePartitions", func(m made) kmsg.Request {
			q := kmsg.NewPtrCreatePartitionsRequest()
			q.TimeoutMillis, q.Topics = 5000, []kmsg.CreatePartitionsRequestTopic{{Topic: m.name, Count: 5}}
			return q
		},
		func(r kmsg.Response) int16 { return r.(*kmsg.CreatePartitionsResponse).Topics[0].ErrorCode },
	},
	{
		"DeleteTopics by name", func(m made) kmsg.Request {
			q := kmsg.NewPtrDeleteTopicsRequest()
			q.TimeoutMillis, q.Topics, q.TopicNames = 5000, []kmsg.DeleteTopicsRequestTopic{{Topic: &m.name}}, []string{m.name}
			return q
		},
		func(r kmsg.Response) int16 { return r.(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode },
	},
}

// A topic is there on every broker when its maker is told that it is, on a bucket far away
// and with no word from the others: who is asked for what he has not heard of looks.
func TestANewTopicIsThereOnEveryBrokerAtOnce(t *testing.T) {
	deaf(t, func(t *testing.T, c *cluster, ask func(*node, kmsg.Request) kmsg.Response) {
		maker, other := c.brokers[0], c.brokers[1]
		for i, a := range asks {
			m := create(t, ask, maker, other, fmt.Sprint("topic-", i))
			if code := a.code(ask(other, a.ask(m))); code != 0 {
				t.Errorf("%s of a new topic at another broker: code %d", a.name, code)
			}
		}
	})
}

// So are partitions that are added to a topic which the other broker knows.
func TestNewPartitionsAreThereOnEveryBrokerAtOnce(t *testing.T) {
	deaf(t, func(t *testing.T, c *cluster, ask func(*node, kmsg.Request) kmsg.Response) {
		maker, other := c.brokers[0], c.brokers[1]
		for i, a := range asks[2:6] { // those that ask for a partition
			m := create(t, ask, maker, other, fmt.Sprint("topic-", i))
			time.Sleep(2 * time.Second) // all know of it
			q := kmsg.NewPtrCreatePartitionsRequest()
			q.TimeoutMillis, q.Topics = 5000, []kmsg.CreatePartitionsRequestTopic{{Topic: m.name, Count: 9}}
			if rt := ask(maker, q).(*kmsg.CreatePartitionsResponse).Topics[0]; rt.ErrorCode != 0 {
				t.Fatalf("code %d", rt.ErrorCode)
			}
			m.at = -1
			for _, p := range ask(maker, named(m.name)).(*kmsg.MetadataResponse).Topics[0].Partitions {
				if p.Partition >= 3 && p.Leader == other.at.Node {
					m.at = p.Partition
				}
			}
			if code := a.code(ask(other, a.ask(m))); code != 0 {
				t.Errorf("%s of new partition %d at another broker: code %d", a.name, m.at, code)
			}
		}
	})
}

// A name is free on every broker when the topic that had it is deleted, and taken when it
// is made: who makes a topic is told of it once, and all others that it is there.
func TestANameIsFreeOrTakenOnEveryBrokerAtOnce(t *testing.T) {
	deaf(t, func(t *testing.T, c *cluster, ask func(*node, kmsg.Request) kmsg.Response) {
		one, two := c.brokers[0], c.brokers[1]
		ours := kmsg.NewPtrCreateTopicsRequest()
		ours.TimeoutMillis, ours.Topics = 5000, []kmsg.CreateTopicsRequestTopic{{Topic: "t", NumPartitions: 3, ReplicationFactor: 1}}
		remove := kmsg.NewPtrDeleteTopicsRequest()
		name := "t"
		remove.TimeoutMillis, remove.Topics, remove.TopicNames = 5000, []kmsg.DeleteTopicsRequestTopic{{Topic: &name}}, []string{name}
		create := func(n *node, want int16) {
			t.Helper()
			if code := ask(n, ours).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode; code != want {
				t.Errorf("broker %d was to make a topic: code %d, want %d", n.at.Node, code, want)
			}
		}
		for range 3 {
			create(one, 0)
			create(two, 36) // TOPIC_ALREADY_EXISTS
			if code := ask(one, remove).(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode; code != 0 {
				t.Errorf("broker %d was to delete a topic: code %d", one.at.Node, code)
			}
			create(two, 0)
			if code := ask(one, remove).(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode; code != 0 {
				t.Errorf("broker %d was to delete a topic: code %d", one.at.Node, code)
			}
		}
	})
}

// A topic that all brokers are asked for at once, and make since they may, is one topic.
func TestATopicThatAllBrokersMakeIsOne(t *testing.T) {
	inBubble(t, 3, nil, func(t *testing.T, c *cluster) {
		time.Sleep(5 * time.Second)
		c.store.Use(far)
		c.net.Lose(hint)
		ids := make([]chan [16]byte, len(c.brokers))
		for i, n := range c.brokers {
			ids[i] = make(chan [16]byte, 1)
			cl := c.client(kgo.SeedBrokers(n.host+":9092"), kgo.RequestRetries(0))
			c.halt = append(c.halt, cl.Close)
			go func() {
				q := named("t")
				q.AllowAutoTopicCreation = true
				r, err := cl.SeedBrokers()[0].Request(t.Context(), q)
				if err != nil {
					t.Error(err)
				} else if rt := r.(*kmsg.MetadataResponse).Topics[0]; rt.ErrorCode != 0 || rt.Partitions[0].ErrorCode != 0 {
					t.Errorf("broker %s tells code %d, and of the partition %d", n.host, rt.ErrorCode, rt.Partitions[0].ErrorCode)
				} else {
					ids[i] <- rt.TopicID
				}
				close(ids[i])
			}()
		}
		first := <-ids[0]
		for i, id := range ids[1:] {
			if id := <-id; id != first {
				t.Errorf("broker %d has id %x, another one %x", i+2, id, first)
			}
		}
	})
}

// Consumers that wait for a topic which nobody makes ask all the time, and cost a broker
// what its looks at the journal may cost, however many they are.
func TestWaitingForATopicThatNobodyMakesIsCheap(t *testing.T) {
	inBubble(t, 2, map[string]string{"auto.create.topics.enable": "false"}, func(t *testing.T, c *cluster) {
		n := c.brokers[1]
		var asked, reads atomic.Int64
		n.store.Use(func(call fault.Call) fault.Fault {
			if call.Op == trace.Get {
				reads.Add(1)
			}
			return fault.Fault{}
		})
		const long, clients = 30 * time.Second, 20
		ctx, cancel := context.WithTimeout(t.Context(), long)
		defer cancel()
		var tasks sync.WaitGroup
		for range clients {
			cl := c.client(kgo.SeedBrokers(n.host+":9092"), kgo.RequestRetries(0))
			tasks.Go(func() {
				defer cl.Close()
				for ctx.Err() == nil {
					r, err := cl.SeedBrokers()[0].Request(ctx, named("nobody-s"))
					if ctx.Err() != nil {
						return
					}
					if err != nil {
						t.Error(err)
					} else if code := r.(*kmsg.MetadataResponse).Topics[0].ErrorCode; code != 3 {
						t.Errorf("code %d", code)
					}
					asked.Add(1)
					time.Sleep(20 * time.Millisecond)
				}
			})
		}
		tasks.Wait()
		// Two for each look: 16 at first, 4 a second, and one a second that there is anyway.
		if most := int64(2 * (16 + 5*long.Seconds() + 5)); reads.Load() > most || asked.Load() < clients*long.Milliseconds()/500 {
			t.Errorf("%d answers took %d reads of the bucket, of which %d may be", asked.Load(), reads.Load(), most)
		}
	})
}
