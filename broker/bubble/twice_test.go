package bubble

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/firnlog/firn/broker"
)

// Two brokers with one node id that start at the same moment do not find each other before
// they have registered. One of them gives up all the same, what it had is succeeded, and
// every partition has a leader that answers.
func TestTwoThatStartTogetherUnderOneNodeID(t *testing.T) {
	inBubble(t, 1, nil, func(t *testing.T, c *cluster) {
		a, b := c.add(), c.add()
		a.set["node.id"], b.set["node.id"] = "7", "7"
		a.launch()
		b.launch()
		cl := c.client()
		defer cl.Close()
		adm := kadm.NewClient(cl)
		time.Sleep(500 * time.Millisecond)
		if _, err := adm.CreateTopic(t.Context(), 12, 1, nil, "t"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		var live []*node
		for _, n := range []*node{a, b} {
			select {
			case err := <-n.ended:
				if !errors.Is(err, broker.ErrNode) {
					t.Errorf("broker %s ended with %v", n.host, err)
				}
				n.cancel()
				n.cancel = nil
				n.proc.Kill()
			default:
				live = append(live, n)
			}
		}
		if len(live) != 1 {
			t.Fatalf("%d of two brokers with one node id go on", len(live))
		}
		for _, v := range c.state(t).Sessions() {
			if !v.Sealed && v.Node == 7 && v.Advertised != live[0].host+":9092" {
				t.Errorf("session %d of the broker that gave up is not sealed", v.ID)
			}
		}
		ends, err := adm.ListEndOffsets(t.Context(), "t")
		if err == nil {
			err = ends.Error()
		}
		if err != nil {
			t.Errorf("a partition is not served: %v", err)
		}
	})
}
