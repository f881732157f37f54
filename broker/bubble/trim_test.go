package bubble

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/trace"
)

// Records that are deleted are gone for everybody, also when who deleted them did not wait
// for the answer: readers begin where the log does, and not for ever where it did.
func TestATrimThatNobodyWaitedForIsKnown(t *testing.T) {
	inBubble(t, 3, nil, func(t *testing.T, c *cluster) {
		c.fill(10)
		cl := c.client()
		defer cl.Close()
		admin := kadm.NewClient(cl)
		c.store.Use(only("catalog/", fault.Fault{After: 3 * time.Second}, trace.Put))
		admin.SetTimeoutMillis(1000)
		os := kadm.Offsets{}
		os.Add(kadm.Offset{Topic: "t", At: 4})
		if r, err := admin.DeleteRecords(t.Context(), os); err == nil && r["t"][0].Err == nil {
			t.Fatal("the answer came in time")
		}
		c.store.Use(usual)
		time.Sleep(10 * time.Second)
		starts, err := admin.ListStartOffsets(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		if o, _ := starts.Lookup("t", 0); o.Err != nil || o.Offset != 4 {
			t.Errorf("the log begins at %d, %v, want 4", o.Offset, o.Err)
		}
		reader := c.client(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
		defer reader.Close()
		if rs := poll(reader, 6); len(rs) != 6 || rs[0].Offset != 4 {
			t.Errorf("a reader from the start got %d records", len(rs))
		}
	})
}
