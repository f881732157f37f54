package bubble

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Clients outside reach the brokers at addresses that the brokers themselves do not
// reach: those of a NAT, of a load balancer, of a host's published ports. Gossip says
// that they live, and they leave each other alone.
func TestBrokersThatReachEachOtherByGossipOnlyAreNotFenced(t *testing.T) {
	inBubble(t, 0, nil, func(t *testing.T, c *cluster) {
		for i := range 3 {
			n := c.add()
			n.set["advertised.listeners"] = fmt.Sprintf("10.9.9.9:%d", 9000+i)
			n.start()
		}
		time.Sleep(time.Minute)
		if n := strings.Count(c.log.String(), "sealed the session"); n > 0 {
			t.Errorf("%d sessions of living brokers were fenced", n)
		}
		// One that dies is fenced nevertheless, and begins anew without fencing the others.
		c.brokers[1].crash()
		time.Sleep(time.Minute)
		if n := strings.Count(c.log.String(), "sealed the session"); n != 1 {
			t.Errorf("%d sessions were fenced, want that of the dead broker", n)
		}
		c.brokers[1].start()
		time.Sleep(time.Minute)
		if n := strings.Count(c.log.String(), "sealed the session"); n != 1 {
			t.Errorf("%d sessions were fenced, want that of the dead broker", n)
		}
		if !strings.Contains(c.log.String(), "does not answer at the address that it advertises") {
			t.Error("nobody was told that the addresses are not reached")
		}
		for _, n := range c.brokers {
			n.stop()
		}
		time.Sleep(time.Minute) // the last probes of gossip end
	})
}
