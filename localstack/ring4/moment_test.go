//go:build ring4

package ring4

import (
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/firnlog/firn/localstack/faultproxy"
)

// moment is a request to the store at which its sender is killed.
type moment struct{ method, name string }

// moments are those at which something is half done: a slot filled, an entry won, a rewrite
// put and not recorded, something deleted and not yet forgotten, a fence looked for.
var moments = []moment{
	{http.MethodPut, "/wal/"}, {http.MethodPut, "/catalog/journal/"}, {http.MethodPut, "/seg/"}, {http.MethodDelete, "/"},
	{http.MethodGet, "/wal/"}, {http.MethodGet, "/catalog/journal/"},
}

// TestNothingAcknowledgedIsLostByKillsAtAMoment kills the one of two brokers that sends the
// request: before it gets to the store, in the middle of its body, when it has landed and
// nobody was told, and in such a way that it lands when the other has succeeded the dead one.
func TestNothingAcknowledgedIsLostByKillsAtAMoment(t *testing.T) {
	needStore(t)
	const late = 700 * time.Millisecond
	var brokers []*stack
	var proxies []*faultproxy.Proxy
	for range 2 {
		p, err := faultproxy.Start(realStore.Addr(), late)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		})
		b := newStack(t, "-X", "seal.interval.ms=300", "-X", "session.rotate.ms=1000", "-X", "gc.grace.ms=300")
		proxies, brokers = append(proxies, p), append(brokers, b)
	}
	direct := brokers[0].store
	for i, b := range brokers {
		b.store = strings.Replace(direct, realStore.Addr(), proxies[i].Addr(), 1)
		b.start(t)
	}
	const topic = "moments"
	if _, err := kadm.NewClient(client(t, brokers[0].addr)).CreateTopic(t.Context(), 8, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	w := startWriters(t, brokers[0].addr, topic, 2)
	faults := []faultproxy.Fault{faultproxy.LoseRequest, faultproxy.DelayAnswer, faultproxy.LateRequest, faultproxy.CutRequest}
	for k, m := range moments {
		for i, f := range faults {
			if m.method == http.MethodGet && f != faultproxy.LoseRequest || m.method != http.MethodPut && f == faultproxy.CutRequest {
				continue
			}
			victim := make(chan *stack, 1)
			var met atomic.Bool
			for j, p := range proxies {
				p.Decide(func(r *http.Request) faultproxy.Fault {
					if r.Method != m.method || !strings.Contains(r.URL.Path, m.name) || met.Swap(true) {
						return faultproxy.Pass
					}
					victim <- brokers[j]
					die := func() { _ = brokers[j].broker.Signal(syscall.SIGKILL) }
					if f == faultproxy.LoseRequest {
						die()
					} else {
						time.AfterFunc(late/4, die) // the proxy has it whole by then
					}
					return f
				})
			}
			select {
			case b := <-victim:
				<-b.broker.Exited()
				for _, p := range proxies {
					p.Decide(nil)
				}
				if (k+i)%2 == 1 {
					b.wipe(t)
				}
				b.start(t)
			case <-time.After(20 * time.Second):
				t.Fatalf("no broker sends %s %s", m.method, m.name)
			}
		}
	}
	got := w.stop(t)
	check(t, brokers[0].addr, topic, got)
	for _, b := range brokers {
		b.stop(t)
	}
	brokers[0].store = direct
	brokers[0].verify(t)
}
