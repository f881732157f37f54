package bubble

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

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
		reader := c.client(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		defer reader.Close()
		for got := 0; got < sent; {
			fs := reader.PollFetches(t.Context())
			if err := fs.Err(); err != nil {
				t.Fatal(err)
			}
			fs.EachRecord(func(r *kgo.Record) {
				if string(r.Value) != fmt.Sprint(r.Offset) || r.Offset != int64(got) {
					t.Errorf("offset %d holds %q", r.Offset, r.Value)
				}
				got++
			})
		}
		c.whole()
	})
}
