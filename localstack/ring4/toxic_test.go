//go:build ring4

package ring4

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/firnlog/firn/localstack/faultproxy"
)

// network is a bad one between a broker and the real store: toxiproxy does to bare
// connections what faultproxy does to requests.
type network struct {
	t     *testing.T
	proxy *toxiproxy.Proxy
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	n := &network{t, toxiproxy.NewProxy(server, "store", "127.0.0.1:0", realStore.Addr())}
	if err := n.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.proxy.Stop)
	return n
}

// toxics are what networks do to connections.
var toxics = []struct{ name, spec string }{
	{"latency", `{"type":"latency","stream":"downstream","attributes":{"latency":60,"jitter":50}}`},
	{"slow-requests", `{"type":"latency","stream":"upstream","attributes":{"latency":60,"jitter":50}}`},
	{"resets", `{"type":"reset_peer","stream":"downstream","toxicity":0.5,"attributes":{"timeout":30}}`},
	{"resets-of-requests", `{"type":"reset_peer","stream":"upstream","toxicity":0.5,"attributes":{"timeout":30}}`},
	// Nothing comes any more and nobody says so. The request has arrived, or has not.
	{"half-open-behind-the-request", `{"type":"timeout","stream":"downstream","toxicity":0.3,"attributes":{"timeout":0}}`},
	{"half-open-before-the-request", `{"type":"timeout","stream":"upstream","toxicity":0.3,"attributes":{"timeout":0}}`},
	{"cut-inside-a-request", `{"type":"limit_data","stream":"upstream","toxicity":0.7,"attributes":{"bytes":3000}}`},
	{"cut-inside-an-answer", `{"type":"limit_data","stream":"downstream","toxicity":0.7,"attributes":{"bytes":2000}}`},
	{"crumbs", `{"type":"slicer","stream":"upstream","attributes":{"average_size":64,"size_variation":32,"delay":100}}`},
	{"narrow", `{"type":"bandwidth","stream":"upstream","attributes":{"rate":200}}`},
	{"slow-close", `{"type":"slow_close","stream":"downstream","attributes":{"delay":500}}`},
}

// poison applies one toxic to all connections, old ones too, in place of others; "" heals.
func (n *network) poison(spec string) {
	n.t.Helper()
	n.proxy.Toxics.ResetToxics(context.Background())
	if spec == "" {
		return
	}
	if _, err := n.proxy.Toxics.AddToxicJson(strings.NewReader(spec)); err != nil {
		n.t.Fatal(err)
	}
}

// TestNothingAcknowledgedIsLostByABadNetwork lets each toxic rage for some seconds while
// producers write, and kills the broker in the middle of it.
func TestNothingAcknowledgedIsLostByABadNetwork(t *testing.T) {
	needStore(t)
	for _, c := range toxics {
		t.Run(c.name, func(t *testing.T) {
			n := newNetwork(t)
			s := newStack(t)
			direct := s.store
			s.store = strings.Replace(direct, realStore.Addr(), n.proxy.Listen, 1)
			s.start(t)
			const topic = "toxic"
			if _, err := kadm.NewClient(client(t, s.addr)).CreateTopic(t.Context(), 8, 1, nil, topic); err != nil {
				t.Fatal(err)
			}
			w := startWriters(t, s.addr, topic, 3)
			time.Sleep(300 * time.Millisecond)
			n.poison(c.spec)
			time.Sleep(2500 * time.Millisecond)
			s.kill()
			n.poison("")
			s.start(t)
			n.poison(c.spec)
			time.Sleep(1500 * time.Millisecond)
			n.poison("")
			got := w.stop(t)
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

// TestNothingAcknowledgedIsLostByKillsBehindABadNetwork is everything at once: kills of
// broker and store in turn, behind a network that is bad in another way after each, with
// bursts of 503 and answers that are lost after the put has landed.
func TestNothingAcknowledgedIsLostByKillsBehindABadNetwork(t *testing.T) {
	needStore(t)
	kills, rng := killCount(t, 40), rng(t)
	n := newNetwork(t)
	p, err := faultproxy.Start(n.proxy.Listen, 700*time.Millisecond)
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
	const topic = "everything"
	if _, err := kadm.NewClient(client(t, s.addr)).CreateTopic(t.Context(), 8, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	w := startWriters(t, s.addr, topic, 4)
	rage := func(r *http.Request) faultproxy.Fault {
		switch x := rand.Float64(); {
		case x < 0.5 && time.Now().UnixMilli()/300%3 == 0: // in bursts
			return faultproxy.Unavailable
		case r.Method == http.MethodPut && x > 0.9:
			return faultproxy.LoseAnswer
		case r.Method == http.MethodPut && x > 0.8:
			return faultproxy.LateRequest
		}
		return faultproxy.Pass
	}
	for k := range kills {
		p.Decide(rage)
		n.poison(toxics[k%len(toxics)].spec)
		time.Sleep(time.Duration(100+rng.IntN(900)) * time.Millisecond)
		n.poison("") // a start is bounded in time, and the next toxic is another
		p.Decide(nil)
		switch k % 4 {
		case 0, 2:
			s.kill()
			if k%4 == 2 {
				s.wipe(t)
			}
			s.start(t)
		default:
			realStore.Kill()
			time.Sleep(time.Duration(rng.IntN(400)) * time.Millisecond)
			restartStore(t)
		}
	}
	time.Sleep(time.Second)
	got := w.stop(t)
	t.Log(fmt.Sprintf("%d kills; %d requests met 503, %d lost their answer, %d came late, %d passed", kills,
		p.Count(faultproxy.Unavailable), p.Count(faultproxy.LoseAnswer), p.Count(faultproxy.LateRequest), p.Count(faultproxy.Pass)))
	s.kill()
	s.wipe(t)
	s.start(t)
	check(t, s.addr, topic, got)
	s.stop(t)
	s.store = direct
	s.verify(t)
}
