package main

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ends makes the cluster say that its logs end at 10, and answer fetches behind
// the given offset with nothing but this high watermark.
func ends(k *kfake.Cluster, behind, watermark int64) {
	k.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		r := req.(*kmsg.ListOffsetsRequest)
		if r.Topics[0].Partitions[0].Timestamp != -1 {
			return nil, nil, false
		}
		resp := r.ResponseKind().(*kmsg.ListOffsetsResponse)
		p := kmsg.NewListOffsetsResponseTopicPartition()
		p.Offset = 10
		t := kmsg.NewListOffsetsResponseTopic()
		t.Topic, t.Partitions = r.Topics[0].Topic, append(t.Partitions, p)
		resp.Topics = append(resp.Topics, t)
		return resp, nil, true
	})
	k.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		r := req.(*kmsg.FetchRequest)
		resp := r.ResponseKind().(*kmsg.FetchResponse)
		for _, rt := range r.Topics {
			t := kmsg.NewFetchResponseTopic()
			t.Topic, t.TopicID = rt.Topic, rt.TopicID
			for _, rp := range rt.Partitions {
				if rp.FetchOffset < behind {
					return nil, nil, false
				}
				p := kmsg.NewFetchResponseTopicPartition()
				p.Partition, p.HighWatermark = rp.Partition, watermark
				t.Partitions = append(t.Partitions, p)
			}
			resp.Topics = append(resp.Topics, t)
		}
		if len(r.Topics) == 0 {
			return nil, nil, false
		}
		return resp, nil, true
	})
}

func TestAGapAtTheEndIsTheEnd(t *testing.T) {
	c, k := newKafka(t, kfake.SeedTopics(1, "one"))
	c.in("a\nb\nc\n").ok("produce", "one")
	ends(k, 3, 10)
	began := time.Now()
	c.prints("a\nb\nc\n", "consume", "one")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// The end of the output means the end of the log.
func TestALogThatGivesLessThanItHasIsAnError(t *testing.T) {
	c, k := newKafka(t, kfake.SeedTopics(1, "one"))
	c.in("a\nb\nc\n").ok("produce", "one")
	ends(k, 3, 3)
	a := c.fails(exitError, "no record for 300ms, although there is more: one partition 0 is read up to offset 3 of 10", "consume", "one", "--timeout", "300ms")
	if a.out != "a\nb\nc\n" {
		t.Errorf("it printed %q", a.out)
	}
}

func TestRecordsOfAbortedTransactionsAreLeftOut(t *testing.T) {
	c, k := newKafka(t, kfake.SeedTopics(1, "one"))
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.ListenAddrs()...), kgo.TransactionalID("t"), kgo.DefaultProduceTopic("one"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		word := map[bool]string{true: "kept", false: "dropped"}[bool(commit)]
		if err := cl.ProduceSync(t.Context(), kgo.StringRecord(word)).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	c.prints("kept\n", "consume", "one", "--read-committed")
	if got := c.ok("consume", "one"); !strings.Contains(got, "dropped") {
		t.Errorf("read uncommitted: %q", got)
	}
}
