package bubble

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/trace"
)

// A coordinator whose record takes longer to reach the bucket than anybody waits for says
// what the log says when it is there: what it told once is not undone by its next life.
func TestACoordinatorKnowsWhatHasLandedLate(t *testing.T) {
	inBubble(t, 1, nil, func(t *testing.T, c *cluster) {
		c.fill(1)
		cl := c.client()
		defer cl.Close()
		admin := kadm.NewClient(cl)
		os := kadm.Offsets{}
		os.Add(kadm.Offset{Topic: "t", At: 1, LeaderEpoch: -1})
		if err := admin.CommitAllOffsets(t.Context(), "g", os); err != nil {
			t.Fatal(err)
		}
		c.store.Use(only("wal/", fault.Fault{Kind: fault.Unavailable}, trace.Put))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
		if r, err := admin.DeleteGroups(ctx, "g"); err == nil && r.Error() == nil {
			t.Error("a group was deleted though the bucket took nothing")
		}
		cancel()
		c.store.Use(usual)
		time.Sleep(30 * time.Second)
		told := c.committed()
		c.brokers[0].stop()
		c.brokers[0].start()
		if at := c.committed(); at != told {
			t.Errorf("offset %d was told, and it is %d in the log", told, at)
		}
	})
}
