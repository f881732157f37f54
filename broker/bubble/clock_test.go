package bubble

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/fault"
)

// dated is a bucket whose clock is behind by so much; or, as it sees it, the others'
// clocks are ahead.
type dated struct {
	cold.Store
	behind time.Duration
}

func (d dated) Stat(ctx context.Context, name string) (cold.Info, error) {
	info, err := d.Store.Stat(ctx, name)
	info.Modified = info.Modified.Add(-d.behind)
	return info, err
}

func (d dated) List(ctx context.Context, prefix, after string) iter.Seq2[cold.Info, error] {
	return func(yield func(cold.Info, error) bool) {
		for info, err := range d.Store.List(ctx, prefix, after) {
			info.Modified = info.Modified.Add(-d.behind)
			if !yield(info, err) {
				return
			}
		}
	}
}

// A broker whose clock is ten years ahead keeps what retention.ms keeps, and gives it up
// in its time.
func TestAClockThatIsAheadDeletesNothingEarly(t *testing.T) {
	const ahead = 10 * 365 * 24 * time.Hour
	inBubble(t, 0, map[string]string{"log.retention.ms": "600000", "log.retention.check.interval.ms": "30000", "seal.interval.ms": "5000"}, func(t *testing.T, c *cluster) {
		n := c.add()
		n.store = fault.Wrap(dated{c.store, ahead}, fault.Healthy)
		n.start()
		cl := c.client(kgo.RecordDeliveryTimeout(0)) // it counts from the timestamp
		defer cl.Close()
		for range 10 {
			if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte("v"), Timestamp: time.Now().Add(-ahead)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		start := func() int64 {
			os, err := kadm.NewClient(cl).ListStartOffsets(t.Context(), "t")
			if err != nil || os.Error() != nil {
				t.Fatal(err, os.Error())
			}
			o, _ := os.Lookup("t", 0)
			return o.Offset
		}
		time.Sleep(9 * time.Minute)
		if at := start(); at != 0 {
			t.Errorf("after nine minutes of ten the log begins at %d", at)
		}
		time.Sleep(3 * time.Minute)
		if at := start(); at != 10 {
			t.Errorf("after twelve minutes of ten the log begins at %d", at)
		}
	})
}
