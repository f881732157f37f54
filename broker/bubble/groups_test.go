package bubble

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// member is a consumer in group "g" of topic "t".
func (c *cluster) member(p *Process) *kgo.Client {
	c.t.Helper()
	cl, err := c.clientOn(p, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(), kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(500*time.Millisecond), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		c.t.Fatal(err)
	}
	return cl
}

// poll takes n records of a member, or what comes within a minute.
func poll(cl *kgo.Client, n int) []*kgo.Record {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var out []*kgo.Record
	for len(out) < n && ctx.Err() == nil {
		out = append(out, cl.PollRecords(ctx, n-len(out)).Records()...)
	}
	return out
}

// fill sends n records to "t".
func (c *cluster) fill(n int) {
	c.t.Helper()
	cl := c.client()
	defer cl.Close()
	for i := range n {
		if err := cl.ProduceSync(c.t.Context(), &kgo.Record{Topic: "t", Value: fmt.Appendf(nil, "%d", i)}).FirstErr(); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *cluster) committed() int64 {
	c.t.Helper()
	cl := c.client()
	defer cl.Close()
	os, err := kadm.NewClient(cl).FetchOffsets(c.t.Context(), "g")
	if err != nil {
		c.t.Fatal(err)
	}
	o, ok := os.Lookup("t", 0)
	if !ok {
		return -1
	}
	return o.At
}

// A member that falls silent loses its place: another one goes on, and what the silent
// one commits when it wakes counts no more.
func TestAMemberThatWakesTooLateCommitsNothing(t *testing.T) {
	inBubble(t, 3, nil, func(t *testing.T, c *cluster) {
		c.fill(40)
		p := c.net.Boot("10.2.0.1")
		slow := c.member(p)
		defer slow.Close()
		first := poll(slow, 10)
		if len(first) != 10 {
			t.Fatalf("%d records", len(first))
		}
		if err := slow.CommitRecords(t.Context(), first...); err != nil {
			t.Fatal(err)
		}
		second := poll(slow, 10)
		p.Pause()
		quick := c.member(c.net.Boot("10.2.0.2"))
		defer quick.Close()
		rest := poll(quick, 30)
		if len(rest) != 30 || rest[0].Offset != 10 {
			t.Fatalf("the other member got %d records from %d on", len(rest), rest[0].Offset)
		}
		if err := quick.CommitRecords(t.Context(), rest...); err != nil {
			t.Fatal(err)
		}
		// What it had on its way when it fell silent.
		late := make(chan error, 1)
		go func() { late <- slow.CommitRecords(context.Background(), second...) }()
		time.Sleep(time.Minute)
		p.Resume()
		if err := <-late; err == nil || !errors.Is(err, kerr.UnknownMemberID) && !errors.Is(err, kerr.IllegalGeneration) && !errors.Is(err, kerr.RebalanceInProgress) {
			t.Errorf("a commit of an old generation: %v", err)
		}
		if at := c.committed(); at != 40 {
			t.Errorf("the group is at %d, want 40", at)
		}
	})
}

// A group outlives its coordinator: what was committed is there, and members go on.
func TestAGroupOutlivesItsCoordinator(t *testing.T) {
	inBubble(t, 3, nil, func(t *testing.T, c *cluster) {
		c.fill(30)
		cl := c.member(c.net.Boot("10.2.0.1"))
		defer cl.Close()
		for i := range 3 {
			rs := poll(cl, 10)
			if len(rs) != 10 || rs[0].Offset != int64(10*i) {
				t.Fatalf("round %d: %d records, from %d", i, len(rs), rs[0].Offset)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			err := cl.CommitRecords(ctx, rs...)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			n := c.brokers[i]
			n.crash()
			if i == 1 {
				n.wipe()
			}
			time.Sleep(3 * time.Second)
			n.start()
			if at := c.committed(); at != int64(10*i+10) {
				t.Errorf("after broker %d died the group is at %d", i+1, at)
			}
		}
	})
}

// A group that has stopped consuming is seen in the metrics of its coordinator, whichever
// broker leads what it consumes: an alert on the lag goes by them.
func TestTheLagOfAGroupIsToldWhoeverLeads(t *testing.T) {
	inBubble(t, 3, map[string]string{"seal.interval.ms": "1000"}, func(t *testing.T, c *cluster) {
		c.fill(1)
		admin := c.client()
		defer admin.Close()
		if _, err := kadm.NewClient(admin).CreateTopic(t.Context(), 12, 1, nil, "many"); err != nil {
			t.Fatal(err)
		}
		os := kadm.Offsets{}
		for p := range int32(12) {
			os.Add(kadm.Offset{Topic: "many", Partition: p, At: 1, LeaderEpoch: -1})
		}
		if err := kadm.NewClient(admin).CommitAllOffsets(t.Context(), "g", os); err != nil {
			t.Fatal(err)
		}
		cl := c.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
		defer cl.Close()
		for p := range int32(12) {
			for range 3 {
				if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "many", Partition: p, Value: []byte("x")}).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(10 * time.Second) // what was written is sealed
		var lag, sum int
		for _, n := range c.brokers {
			_, page := n.page(n.host+":8080", "/metrics")
			for line := range strings.Lines(page) {
				if strings.HasPrefix(line, `kafka_consumergroup_lag{consumergroup="g"`) && strings.HasSuffix(line, " 2\n") {
					lag++
				}
				if line == "kafka_consumergroup_lag_sum{consumergroup=\"g\",topic=\"many\"} 24\n" {
					sum++
				}
			}
		}
		if lag != 12 || sum != 1 {
			t.Errorf("the lag of %d of 12 partitions is told, and their sum by %d brokers", lag, sum)
		}
	})
}
