package broker

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/broker/settings"
	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/cold/open"
)

func TestALeaseEndsWithoutContactAndComesBackWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type change struct {
			at   time.Duration
			held bool
		}
		var changes []change
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		l := lease{limit: 9 * time.Second, contact: func() time.Duration { // each second until 10 s, and from 30 s on
			at := time.Since(began)
			if at > 10*time.Second && at < 30*time.Second {
				return at - 10*time.Second
			}
			return at % time.Second
		}}
		l.watch(ctx, func(held bool) { changes = append(changes, change{time.Since(began), held}) })
		if len(changes) != 2 || changes[0].held || !changes[1].held {
			t.Fatalf("%v", changes)
		}
		if a, b := changes[0].at, changes[1].at; a < 19*time.Second || a > 20*time.Second || b < 30*time.Second || b > 31*time.Second {
			t.Errorf("lost after %s, back after %s", a, b)
		}
	})
}

// S13: a broker that does not reach the journal sends clients away, and serves them
// again when it does, with nothing lost.
func TestABrokerWithoutItsJournalStopsServingAsLeader(t *testing.T) {
	values, err := settings.New(settings.Source{Name: "test", Values: map[string]string{
		"store": "mem://", "listeners": "127.0.0.1:0", "http": "127.0.0.1:0", "gossip": "127.0.0.1:0", "offsets.topic.num.partitions": "1",
		"broker.session.timeout.ms": "400", "group.initial.rebalance.delay.ms": "0",
	}})
	if err != nil {
		t.Fatal(err)
	}
	place, err := open.Parse("mem://")
	if err != nil {
		t.Fatal(err)
	}
	store := fault.Wrap(mem.New(), fault.Healthy)
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan Addresses, 1), make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{Settings: values, Store: store, Place: place}, func(a Addresses) { ready <- a })
	}()
	defer func() {
		store.Use(fault.Healthy)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	var at Addresses
	select {
	case at = <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(at.Kafka), kgo.AllowAutoTopicCreation())
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("before")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	end := func() (int64, error) { // asked of the broker itself, not through the client's own retries
		r := kmsg.NewPtrListOffsetsRequest()
		r.ReplicaID = -1
		topic, p := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp = -1
		topic.Topic, topic.Partitions = "t", append(topic.Partitions, p)
		r.Topics = append(r.Topics, topic)
		answer, err := cl.Broker(int(at.Node)).Request(ctx, r)
		if err != nil {
			return -1, err
		}
		x := answer.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
		return x.Offset, kerr.ErrorForCode(x.ErrorCode)
	}
	committed := func() error {
		r := kmsg.NewPtrOffsetFetchRequest()
		r.Group = "g"
		r.Groups = []kmsg.OffsetFetchRequestGroup{{Group: "g"}}
		answer, err := cl.Broker(int(at.Node)).Request(ctx, r)
		if err != nil {
			return err
		}
		g := answer.(*kmsg.OffsetFetchResponse)
		if len(g.Groups) > 0 {
			return kerr.ErrorForCode(g.Groups[0].ErrorCode)
		}
		return kerr.ErrorForCode(g.ErrorCode)
	}
	probe := func() (int, string) {
		r, err := http.Get("http://" + at.HTTP + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(body)
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for began := time.Now(); !ok(); {
			if time.Since(began) > 30*time.Second {
				t.Fatal("not seen: " + what)
			}
		}
	}
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKey, find.CoordinatorKeys = "g", []string{"g"}
	if _, err := find.RequestWith(ctx, cl); err != nil {
		t.Fatal(err)
	}
	until("a coordinator that serves", func() bool { return committed() == nil })
	if n, err := end(); n != 1 || err != nil {
		t.Fatalf("end %d, %v", n, err)
	}

	store.Use(fault.Always(fault.Fault{Kind: fault.Unavailable}))
	until("NOT_LEADER_OR_FOLLOWER", func() bool { _, err := end(); return errors.Is(err, kerr.NotLeaderForPartition) })
	until("NOT_COORDINATOR", func() bool { return errors.Is(committed(), kerr.NotCoordinator) })
	if code, body := probe(); code != http.StatusServiceUnavailable || !strings.Contains(body, "journal") {
		t.Errorf("/readyz: %d %q", code, body)
	}
	late := make(chan error, 1)
	cl.Produce(ctx, &kgo.Record{Topic: "t", Value: []byte("during")}, func(_ *kgo.Record, err error) { late <- err })

	store.Use(fault.Healthy)
	if err := <-late; err != nil {
		t.Errorf("what was produced meanwhile: %v", err)
	}
	until("the end of the log", func() bool { n, err := end(); return n == 2 && err == nil })
	until("the coordinator", func() bool { return committed() == nil })
	if code, body := probe(); code != http.StatusOK {
		t.Errorf("/readyz: %d %q", code, body)
	}
}
