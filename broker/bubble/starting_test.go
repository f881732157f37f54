package bubble

import (
	"strings"
	"testing"
	"time"

	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/trace"
)

// A broker that takes long to start, since it has much to look at, is no dead one: neither
// those that live nor one that starts after it take what it is about to serve.
func TestABrokerThatStartsIsNotTakenForDead(t *testing.T) {
	inBubble(t, 3, nil, func(t *testing.T, c *cluster) {
		all := c.spread(4)
		all("before")
		first, second, third := c.brokers[0], c.brokers[1], c.brokers[2]
		for _, n := range c.brokers {
			n.crash()
		}
		time.Sleep(time.Second)
		first.store.Use(func(call fault.Call) fault.Fault {
			if call.Op == trace.Get && strings.HasPrefix(call.Name, "wal/") {
				return fault.Fault{Before: 10 * time.Second}
			}
			return fault.Fault{}
		})
		ready := first.launch()
		sessions := func() (all, live []uint64) {
			for _, v := range c.state(t).Sessions() {
				if strings.Contains(v.Advertised, first.host) {
					if all = append(all, v.ID); !v.Sealed {
						live = append(live, v.ID)
					}
				}
			}
			return all, live
		}
		before, _ := sessions()
		for all := before; len(all) == len(before); all, _ = sessions() {
			time.Sleep(50 * time.Millisecond)
		}
		second.start()
		third.start()
		if len(ready) > 0 {
			t.Error("it was ready at once: the test shows nothing")
		}
		first.at = <-ready
		if all, live := sessions(); len(all) != len(before)+1 || len(live) != 1 {
			t.Errorf("it had sessions %v before, %v since, and %v live", before, all, live)
		}
		first.store.Use(fault.Healthy)
		all("after")
	})
}
