package bubble

import (
	"fmt"
	"testing"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
)

// eachEntry plays the journal, calls visit with the state after each entry behind one, and
// returns the last.
func (c *cluster) eachEntry(behind uint64, visit func(*catalog.State)) uint64 {
	c.t.Helper()
	s := catalog.NewState()
	err := journal.NewReader(c.bucket).Catchup(c.t.Context(), func(e journal.Entry, _ []catalog.Result) {
		if s.Apply(e.Number, e.Commands); e.Number > behind && visit != nil {
			visit(s)
		}
	})
	if err != nil || s.Number() == 0 {
		c.t.Fatalf("the journal was read up to %d: %v", s.Number(), err)
	}
	return s.Number()
}

// A broker that is asked to leave in its first moments, when it has just been started
// together with another one and has all partitions, leaves them to the other at once: it
// knows by then that it is not alone, and tells the other.
func TestABrokerThatIsStoppedAtOnceIsNotAlone(t *testing.T) {
	for _, after := range []time.Duration{0, 50 * time.Millisecond} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			inBubble(t, 2, nil, func(t *testing.T, c *cluster) {
				w := c.writer(4)
				time.Sleep(time.Second)
				for i, n := range c.brokers {
					for _, m := range c.brokers {
						m.crash()
					}
					time.Sleep(time.Second)
					other := c.brokers[1-i]
					ready, otherReady := n.launch(), other.launch()
					<-ready
					<-otherReady
					time.Sleep(after)
					last := c.eachEntry(0, nil)
					n.stop()
					c.eachEntry(last, func(s *catalog.State) {
						if s.Orphaned() {
							t.Errorf("entry %d leaves partitions to nobody", s.Number())
						}
					})
					n.start()
					time.Sleep(10 * time.Second)
				}
				w.finish(t, c)
			})
		})
	}
}
