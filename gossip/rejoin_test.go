package gossip

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/broker/bubble"
)

// Members that a split has separated for so long that each half has forgotten the other
// find each other again by themselves, soon after it has healed, and say no farewells.
// Those that the catalog knows to live do within two seconds: until then, nobody would
// notice their death.
func TestTheSeparatedFindEachOtherAgain(t *testing.T) {
	t.Run("by addresses", func(t *testing.T) { separate(t, rejoin+3*time.Second, func([]string) []string { return nil }) })
	t.Run("by sessions", func(t *testing.T) { separate(t, 2*time.Second, func(all []string) []string { return all }) })
}

func separate(t *testing.T, within time.Duration, sessions func([]string) []string) {
	synctest.Test(t, func(t *testing.T) {
		const n = 4
		network := bubble.NewNetwork(200 * time.Microsecond)
		var hosts, seeds []string
		for i := range n {
			hosts = append(hosts, fmt.Sprintf("10.0.0.%d", i+1))
			seeds = append(seeds, hosts[i]+":7946")
		}
		var all []*life
		defer func() { end(all...) }()
		for i, h := range hosts {
			p := network.Boot(h)
			all = append(all, liveAmong(t, p, p, uint64(101+i), "", sessions(seeds), seeds...))
		}
		see := func(within time.Duration, want ...[]uint64) {
			t.Helper()
			began := time.Now()
			for _, l := range all {
				i := slices.IndexFunc(want, func(w []uint64) bool { return slices.Contains(w, l.self.Session) })
				for !slices.Equal(l.sessions(), want[i]) {
					if time.Since(began) > within {
						t.Fatalf("after %s %d sees %v, want %v", within, l.self.Session, l.sessions(), want[i])
					}
					time.Sleep(10 * time.Millisecond)
				}
			}
			t.Logf("all see what they should after %s", time.Since(began))
		}
		whole := []uint64{101, 102, 103, 104}
		see(15*time.Second, whole)
		for _, split := range []time.Duration{5 * time.Second, 90 * time.Second} {
			network.Part(hosts[:2], hosts[2:])
			see(20*time.Second, whole[:2], whole[2:])
			time.Sleep(split)
			if split > time.Minute && all[0].list.NumMembers() != 2 {
				t.Fatal("the others are not forgotten: the test shows nothing")
			}
			for _, l := range all {
				for len(l.gone) > 0 {
					<-l.gone
				}
			}
			network.Mend()
			see(within, whole)
			for _, l := range all {
				if len(l.gone) > 0 {
					t.Errorf("%+v is gone after the split", <-l.gone)
				}
			}
		}
	})
}
