package bubble

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestWhatOneBrokerAcknowledgesItServes(t *testing.T) {
	inBubble(t, 1, nil, func(t *testing.T, c *cluster) {
		cl := c.client(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		defer cl.Close()
		began := time.Now()
		for i := range 10 {
			r := &kgo.Record{Topic: "t", Value: fmt.Appendf(nil, "%d", i)}
			if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if r.Offset != int64(i) {
				t.Fatalf("record %d is at %d", i, r.Offset)
			}
		}
		for got := 0; got < 10; {
			fs := cl.PollFetches(t.Context())
			if err := fs.Err(); err != nil {
				t.Fatal(err)
			}
			fs.EachRecord(func(r *kgo.Record) { got++ })
		}
		t.Logf("%s of virtual time", time.Since(began))
	})
}
