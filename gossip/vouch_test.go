package gossip

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/broker/bubble"
)

// Who says more of himself while he is asked whether he lives, as a broker that starts does,
// is a member with his answer: who waits for all to be asked knows of him.
func TestWhoSaysMoreWhileHeIsAskedIsAMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ping = 200 * time.Microsecond
		network := bubble.NewNetwork(ping)
		pa, pb := network.Boot("10.0.0.1"), network.Boot("10.0.0.2")
		a := live(t, pa, pa, 101, "", "10.0.0.2:7946")
		b := live(t, pb, pb, 102, "", "10.0.0.1:7946")
		defer end(a, b)
		time.Sleep(15 * time.Second)
		hear := func(session uint64) {
			a.mu.Lock()
			defer a.mu.Unlock()
			m, ok := a.others["life-102"]
			if r := a.rumours["life-102"]; r != nil {
				m, ok = r.Member, true
			}
			if !ok {
				t.Error("nothing is known of him")
			}
			m.Session = session
			delete(a.others, "life-102")
			a.rumours["life-102"] = &rumour{m, b.Addr(), time.Now()}
		}
		hear(0)
		go func() {
			time.Sleep(ping / 2)
			hear(9)
		}()
		left := a.vouch(t.Context())
		if got := a.sessions(); left || len(got) != 2 || got[1] != 9 {
			t.Errorf("members are %v; some have not answered: %v", got, left)
		}
	})
}
