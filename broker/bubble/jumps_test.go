package bubble

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/record"
)

// wander makes the brokers' clocks jump each second, by hours and by years, forwards and
// backwards, each for itself, until it is stopped.
func (c *cluster) wander(seed uint64) (stop func()) {
	ctx, cancel := context.WithCancel(c.t.Context())
	done := make(chan struct{})
	rng := rand.New(rand.NewPCG(seed, 0))
	brokers := c.brokers
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			for _, n := range brokers {
				by := time.Duration(rng.IntN(24)) * time.Hour
				if rng.IntN(2) == 0 {
					by = time.Duration(rng.IntN(10*365)) * 24 * time.Hour
				}
				if rng.IntN(2) == 0 {
					by = -by
				}
				n.ahead.Store(int64(by))
			}
			time.Sleep(time.Second)
		}
	}()
	return func() { cancel(); <-done }
}

// again sends a batch of an idempotent producer to partition 0 of "t", as a client does
// that has not heard of it, and returns its offset.
func (c *cluster) again(batch []byte) int64 {
	c.t.Helper()
	p := c.produce(batch)
	if p.ErrorCode != 0 {
		c.t.Fatalf("a batch that is sent again is answered with error %d", p.ErrorCode)
	}
	return p.BaseOffset
}

// Clocks decide nothing: they jump by hours and years, forwards and backwards, on each
// broker for itself, while clients work and brokers die and come back. Nothing is lost or
// there twice; records, offsets of groups and producers are kept as long as they are
// to be; members stay in their groups; and what is dated by brokers is dated right.
func TestClocksThatJumpDecideNothing(t *testing.T) {
	inBubble(t, 3, map[string]string{
		"log.retention.ms": "3600000", "log.retention.check.interval.ms": "2000", "seal.interval.ms": "2000",
		"offsets.retention.check.interval.ms": "1000", "log.cleaner.delete.retention.ms": "3600000", "gc.grace.ms": "60000",
	}, func(t *testing.T, c *cluster) {
		cl := c.client()
		defer cl.Close()
		admin := kadm.NewClient(cl)
		by := func(s string) *string { return &s }
		for topic, set := range map[string]map[string]*string{
			"t": nil, "dated": {"message.timestamp.type": by("LogAppendTime")},
			"keys": {"cleanup.policy": by("compact"), "min.cleanable.dirty.ratio": by("0"), "max.compaction.lag.ms": by("1000")},
		} {
			if _, err := admin.CreateTopic(t.Context(), 1, 1, set, topic); err != nil {
				t.Fatal(err)
			}
		}
		send := func(topic string, key, value []byte) {
			t.Helper()
			if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: key, Value: value}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		c.fill(10)

		// A group that nobody is in, and one with a member.
		idle := kadm.Offsets{}
		idle.Add(kadm.Offset{Topic: "t", Partition: 0, At: 7, LeaderEpoch: -1})
		if err := admin.CommitAllOffsets(t.Context(), "idle", idle); err != nil {
			t.Fatal(err)
		}
		member := c.member(c.net.Boot("10.2.0.1"))
		defer member.Close()
		if n := len(poll(member, 10)); n != 10 {
			t.Fatalf("the member got %d records", n)
		}
		life := func() string {
			t.Helper()
			gs, err := admin.DescribeGroups(t.Context(), "g")
			if err != nil || gs.Error() != nil {
				t.Fatal(err, gs.Error())
			}
			g := gs["g"]
			if len(g.Members) != 1 {
				return fmt.Sprintf("%s with %d members", g.State, len(g.Members))
			}
			return g.State + " " + g.Members[0].MemberID
		}
		before := life()

		ids, err := cl.Request(t.Context(), kmsg.NewPtrInitProducerIDRequest())
		if err != nil {
			t.Fatal(err)
		}
		b := record.Builder{HasProducer: true, Template: record.Header{ProducerID: ids.(*kmsg.InitProducerIDResponse).ProducerID, BaseSequence: 0}}
		b.Add(time.Now().UnixMilli(), nil, []byte("once"))
		once, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		at := c.again(once)

		began := time.Now()
		stop := c.wander(1)
		c.halt = append(c.halt, stop)
		x := c.begin(t, 1, 2)
		send("keys", []byte("k"), []byte("v"))
		send("keys", []byte("k"), nil)
		for i := range 6 {
			send("dated", nil, []byte("v"))
			send("keys", []byte("other"), fmt.Appendf(nil, "%d", i))
			if got := c.again(once); got != at {
				t.Fatalf("after %s what was acknowledged at %d is there again at %d", time.Since(began), at, got)
			}
			time.Sleep(3 * time.Second)
			if n := c.brokers[i/2]; i%2 == 1 {
				n.crash()
				time.Sleep(2 * time.Second)
				n.start()
			}
		}
		if now := life(); now != before {
			t.Errorf("the group was %s and is %s", before, now)
		}
		os, err := admin.FetchOffsets(t.Context(), "idle")
		if o, ok := os.Lookup("t", 0); err != nil || !ok || o.At != 7 {
			t.Errorf("the idle group's offset is %d, %v", o.At, err)
		}
		starts, err := admin.ListStartOffsets(t.Context(), "t", "dated", "keys")
		if err != nil || starts.Error() != nil {
			t.Fatal(err, starts.Error())
		}
		starts.Each(func(o kadm.ListedOffset) {
			if o.Offset != 0 {
				t.Errorf("retention gave up %s up to %d", o.Topic, o.Offset)
			}
		})
		reader := c.client(kgo.ConsumeTopics("dated", "keys"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		defer reader.Close()
		dated, tombstone, last := 0, false, false
		for dated < 6 || !last {
			rs := poll(reader, 1)
			if len(rs) == 0 {
				t.Fatalf("%d dated records are there, and the newest key: %v", dated, last)
			}
			switch r := rs[0]; {
			case r.Topic == "dated":
				dated++
				if r.Timestamp.Before(began.Add(-time.Minute)) || r.Timestamp.After(time.Now().Add(time.Minute)) {
					t.Errorf("a record of %s to %s is dated %s", began, time.Now(), r.Timestamp)
				}
			case string(r.Key) == "k":
				tombstone = tombstone || r.Value == nil
			default:
				last = string(r.Value) == "5"
			}
		}
		if !tombstone {
			t.Error("a tombstone is gone after a minute of an hour")
		}
		stop()
		x.judge()
	})
}
