//go:build ring4

package ring4

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/firnlog/firn/localstack/faultproxy"
)

// TestNothingAcknowledgedIsLostByFaultsOfTheStore lets each fault of the HTTP proxy
// rage for some seconds while producers write and the broker is killed once in the
// middle of it.
func TestNothingAcknowledgedIsLostByFaultsOfTheStore(t *testing.T) {
	needStore(t)
	for _, c := range []struct {
		fault faultproxy.Fault
		share float64 // of the requests
		puts  bool    // of puts only
	}{
		{faultproxy.Unavailable, 0.5, false},
		{faultproxy.LoseRequest, 0.3, false},
		{faultproxy.LoseAnswer, 0.5, true},
		{faultproxy.DelayAnswer, 0.1, true},
		{faultproxy.LateRequest, 0.2, true},
		{faultproxy.CutRequest, 0.3, true},
	} {
		t.Run(strings.ReplaceAll(c.fault.String(), " ", "-"), func(t *testing.T) {
			p, err := faultproxy.Start(realStore.Addr(), 1500*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			})
			s := newStack(t)
			direct := s.store
			s.store = strings.Replace(direct, realStore.Addr(), p.Addr(), 1)
			s.start(t)
			topic := "faults"
			if _, err := kadm.NewClient(client(t, s.addr)).CreateTopic(t.Context(), 8, 1, nil, topic); err != nil {
				t.Fatal(err)
			}
			w := startWriters(t, s.addr, topic, 3)
			rage := func(r *http.Request) faultproxy.Fault {
				if c.puts && r.Method != http.MethodPut || rand.Float64() >= c.share {
					return faultproxy.Pass
				}
				return c.fault
			}
			p.Decide(rage)
			time.Sleep(4 * time.Second)
			s.kill()
			p.Decide(nil) // late requests of the killed one still land
			s.start(t)
			p.Decide(rage)
			time.Sleep(2 * time.Second)
			p.Decide(nil)
			got := w.stop(t)
			if p.Count(c.fault) == 0 {
				t.Error("no request met the fault: the test showed nothing")
			}
			t.Logf("%d requests met %v, %d passed", p.Count(c.fault), c.fault, p.Count(faultproxy.Pass))
			s.kill()
			s.wipe(t)
			s.start(t)
			check(t, s.addr, topic, got)
			s.stop(t)
			s.store = direct
			s.verify(t)
		})
	}
}
