package bubble

import (
	"testing"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/tier/cold/fault"
)

// A broker whose link is down takes everybody else for dead, and cannot say so in the
// bucket. When the link is back, what it began to say meanwhile must not end those who
// lived all the time: every partition of theirs would move.
func TestABrokerWhoseLinkWasDownFencesNobody(t *testing.T) {
	inBubble(t, 3, map[string]string{"session.rotate.slots": "100000"}, func(t *testing.T, c *cluster) {
		w := c.writer(6)
		time.Sleep(10 * time.Second)
		living := map[uint64]bool{}
		for _, v := range c.state(t).Sessions() {
			if !v.Sealed && v.Node != c.brokers[2].at.Node {
				living[v.ID] = true
			}
		}
		for _, down := range []time.Duration{2 * time.Second, 2500 * time.Millisecond, 3 * time.Second, 5 * time.Second, 8 * time.Second, 15 * time.Second} {
			up := time.Now().Add(down)
			c.cutOff(c.brokers[2])
			c.brokers[2].store.Use(func(fault.Call) fault.Fault { return fault.Fault{Before: time.Until(up)} })
			time.Sleep(down + 900*time.Millisecond) // neighbours are found later than the bucket
			c.net.Mend()
			time.Sleep(15 * time.Second)
			for _, v := range c.state(t).Sessions() {
				if v.Sealed && living[v.ID] {
					t.Errorf("session %d of node %d was fenced though its broker lived, after the link of another was down for %s", v.ID, v.Node, down)
					delete(living, v.ID)
				}
			}
		}
		w.finish(t, c)
	})
}

// state is the catalog as the bucket has it.
func (c *cluster) state(t *testing.T) *catalog.State {
	t.Helper()
	r := journal.NewReader(c.bucket)
	if err := r.Catchup(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return r.State()
}
