package bubble

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/trace"
)

// P2: what was acknowledged with acks=1 while the bucket was away is in the leader's
// hot tier. Nobody sees it before it is in the bucket, and it survives a crash.
func TestWhatTheLeaderHasSyncedSurvivesItsCrash(t *testing.T) {
	inBubble(t, 1, nil, func(t *testing.T, c *cluster) {
		const sent = 1 + 4 // as many slots as may be in flight take records while none lands
		cl := c.client(kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
		defer cl.Close()
		send := func(i int) {
			r := &kgo.Record{Topic: "t", Value: fmt.Appendf(nil, "%d", i)}
			if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil || r.Offset != int64(i) {
				t.Fatalf("record %d is at %d: %v", i, r.Offset, err)
			}
		}
		end := func() int64 {
			ends, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), "t")
			if err != nil || ends.Error() != nil {
				t.Fatal(err, ends.Error())
			}
			o, _ := ends.Lookup("t", 0)
			return o.Offset
		}
		send(0)
		time.Sleep(time.Second)
		c.store.Use(only("wal/", fault.Fault{Kind: fault.Unavailable}, trace.Put))
		for i := 1; i < sent; i++ {
			send(i)
		}
		if n := end(); n != 1 {
			t.Errorf("consumers see %d records, and 1 is in the bucket", n)
		}
		c.brokers[0].crash()
		c.store.Use(usual)
		c.brokers[0].start()
		if n := end(); n != sent {
			t.Fatalf("of %d records %d are there after the crash", sent, n)
		}
		c.reads("t", sent)
		c.whole()
	})
}

// depose fences and seals the sessions that live, as somebody who takes their brokers for
// dead, and owns nothing himself.
func (c *cluster) depose() {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	j, err := journal.Open(ctx, c.bucket, journal.Options{})
	if err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- j.Run(ctx) }()
	for _, v := range j.State().Sessions() {
		if v.Sealed {
			continue
		}
		f, err := pump.Fence(ctx, pump.FenceOptions{Store: c.bucket, Session: pump.Session{ID: v.ID, Nonce: v.Nonce}, From: v.Covered, Nonce: [16]byte{1}})
		if err != nil {
			c.t.Fatal(err)
		}
		res, err := j.Commit(ctx, &catalog.SealSession{Session: v.ID, Covered: v.Covered, Fence: f.Slot, Extents: f.Extents(v.ID)})
		if err != nil || res[0].Err != nil {
			c.t.Fatal(err, res)
		}
	}
	cancel()
	<-ended
}

// P2 in a broker that goes on living: it was taken for dead, and has its partitions again
// before anybody else had them. What it had acknowledged comes first, and clients are kept
// away until it is there; also when the broker is deposed once more on the way.
func TestWhatTheLeaderHasSyncedComesBeforeWhatIsNew(t *testing.T) {
	for _, times := range []int{1, 3} {
		t.Run(fmt.Sprintf("deposed %d times", times), func(t *testing.T) {
			inBubble(t, 1, nil, func(t *testing.T, c *cluster) {
				const sent = 1 + 4 // see above
				cl := c.client(kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
				defer cl.Close()
				record := func(i int) *kgo.Record { return &kgo.Record{Topic: "t", Value: fmt.Appendf(nil, "%d", i)} }
				for i := range sent {
					if i == 1 {
						time.Sleep(time.Second)
						c.store.Use(only("wal/", fault.Fault{Kind: fault.Unavailable}, trace.Put))
					}
					r := record(i)
					if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil || r.Offset != int64(i) {
						t.Fatalf("record %d is at %d: %v", i, r.Offset, err)
					}
				}
				for range times {
					c.depose()
					time.Sleep(2 * time.Second)
				}
				late := make(chan *kgo.Record, 1)
				cl.Produce(t.Context(), record(sent), func(r *kgo.Record, err error) {
					if err != nil {
						t.Error(err)
					}
					late <- r
				})
				time.Sleep(2 * time.Second)
				c.store.Use(usual)
				if r := <-late; r.Offset != sent {
					t.Errorf("a record that came after %d others is at %d", sent, r.Offset)
				}
				c.reads("t", sent+1)
				c.whole()
			})
		})
	}
}

// reads reads so many records of a topic's one partition from its start: each bears its
// offset, and none is there twice or missing.
func (c *cluster) reads(topic string, n int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	reader := c.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer reader.Close()
	for got := 0; got < n; {
		fs := reader.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			c.t.Fatal(err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			if string(r.Value) != fmt.Sprint(r.Offset) || r.Offset != int64(got) {
				c.t.Errorf("offset %d holds %q", r.Offset, r.Value)
			}
			got++
		})
	}
}
