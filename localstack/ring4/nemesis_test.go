//go:build ring4

package ring4

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/firnlog/firn/localstack/cluster"
	"github.com/firnlog/firn/localstack/faultproxy"
)

// nemesis breaks things around three brokers, one after another.
type nemesis struct {
	t       *testing.T
	rng     *rand.Rand
	brokers []*stack
	proxy   *faultproxy.Proxy // nil without a store of our own
	links   bool              // can be cut
	did     map[string]int
	strikes []strike
}

type strike struct {
	at   time.Time
	name string
}

// TestHistoryUnderFaults lets clients work on three brokers while brokers and store
// are killed, paused, asked to leave and cut off, and judges what the clients saw.
// Each broker has a network namespace of its own where that can be had. RING4_NEMESIS
// says for how long, RING4_FAULTS=name,… which.
func TestHistoryUnderFaults(t *testing.T) {
	rng := rng(t)
	n := &nemesis{t: t, rng: rng, did: map[string]int{}}
	for range 3 {
		n.brokers = append(n.brokers, newStack(t, "--seal-interval-ms", "5000", "--session-rotate-ms", "20000", "--gc-grace-ms", "1000"))
	}
	host := "127.0.0.1"
	if network, err := cluster.NewNetwork(); err != nil {
		t.Logf("links are not cut: %v", err)
	} else {
		t.Cleanup(func() {
			for _, b := range n.brokers {
				if b.broker != nil {
					b.kill()
				}
			}
			if err := network.Close(); err != nil {
				t.Error(err)
			}
		})
		n.links, host = true, network.Host()
		for _, b := range n.brokers {
			if b.space, err = network.Add(); err != nil {
				t.Fatal(err)
			}
			b.host, b.addr = b.space.Host, b.space.Host+":0"
		}
	}
	direct := n.brokers[0].store
	store := direct
	if realStore != nil {
		p, err := faultproxy.StartAt(host, realStore.Addr(), 1500*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		})
		n.proxy = p
		store = strings.Replace(direct, realStore.Addr(), p.Addr(), 1)
	}
	var addrs []string
	for _, b := range n.brokers {
		b.store = store
		b.start(t)
		addrs = append(addrs, b.addr)
	}
	h := newHistorian(t, addrs...)
	for range 4 {
		if err := h.Grow(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	stop := h.Start(t.Context(), rng, 4)
	done := false
	defer func() { // what could not go on has seen something all the same
		if !done {
			stop()
			h.keep()
		}
	}()
	began, grown := time.Now(), time.Now()
	for length := nemesisTime(t); time.Since(began) < length && !t.Failed(); {
		n.strike()
		if time.Since(grown) > 15*time.Second && h.Keys() < 64 {
			grown = time.Now()
			if err := h.Grow(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	done = true
	stop()
	h.finish()
	t.Logf("%v of faults: %v", time.Since(began).Round(time.Second), n.did)
	for _, b := range n.brokers {
		b.stop(t)
	}
	r := h.judge()
	n.explain(h.Began().Add(r.GapEnd-r.Gap), h.Began().Add(r.GapEnd))
	n.brokers[0].store = direct
	n.brokers[0].verify(t)
}

// explain tells what was broken shortly before and in a stretch of time.
func (n *nemesis) explain(from, to time.Time) {
	for i, s := range n.strikes {
		if s.at.Before(to) && (i+1 == len(n.strikes) || n.strikes[i+1].at.After(from)) {
			n.t.Logf("in or before the longest time without an acknowledgement: %q, %v from its beginning", s.name, s.at.Sub(from).Round(time.Millisecond))
		}
	}
}

// strike breaks something, waits, and mends it.
func (n *nemesis) strike() {
	at := n.rng.IntN(len(n.brokers))
	b := n.brokers[at]
	pause := func(most time.Duration) { time.Sleep(time.Duration(n.rng.Int64N(int64(most)))) }
	type fault struct {
		name string
		do   func()
	}
	faults := []fault{
		{"kill", func() {
			b.kill()
			pause(3 * time.Second)
			b.start(n.t)
		}},
		{"kill and wipe", func() {
			b.kill()
			b.wipe(n.t)
			pause(3 * time.Second)
			b.start(n.t)
		}},
		{"kill two", func() {
			for _, b := range n.brokers[:2] {
				b.kill()
			}
			pause(3 * time.Second)
			for _, b := range n.brokers[:2] {
				b.start(n.t)
			}
		}},
		{"leave", func() {
			b.stop(n.t)
			pause(2 * time.Second)
			b.start(n.t)
		}},
		{"pause", func() {
			n.must(b.broker.Signal(syscall.SIGSTOP))
			pause(12 * time.Second)
			n.must(b.broker.Signal(syscall.SIGCONT))
		}},
		{"nothing", func() { pause(5 * time.Second) }},
		{"cut off", func() {
			n.must(b.space.Cut())
			pause(12 * time.Second)
			n.must(b.space.Mend())
		}},
		{"kill the store", func() {
			realStore.Kill()
			pause(3 * time.Second)
			restartStore(n.t)
		}},
		{"store answers badly", func() {
			kind := faultproxy.Fault(1 + n.rng.IntN(int(faultproxy.CutRequest)))
			if kind == faultproxy.Denied {
				kind = faultproxy.Unavailable
			}
			share := 0.1 + 0.3*n.rng.Float64()
			n.proxy.Decide(func(r *http.Request) faultproxy.Fault {
				if kind >= faultproxy.LoseAnswer && r.Method != http.MethodPut || rand.Float64() >= share {
					return faultproxy.Pass
				}
				return kind
			})
			pause(5 * time.Second)
			n.proxy.Decide(nil)
		}},
		{"kill while the store answers late", func() {
			n.proxy.Decide(func(r *http.Request) faultproxy.Fault {
				name := fnv.New32a()
				_, _ = name.Write([]byte(r.URL.Path))
				switch {
				case r.Method != http.MethodPut:
					return faultproxy.Pass
				case name.Sum32()%8 == 0: // some names, every time
					return faultproxy.LoseRequest
				case rand.IntN(3) == 0:
					return faultproxy.DelayAnswer
				}
				return faultproxy.Pass
			})
			pause(2 * time.Second)
			b.kill()
			n.proxy.Decide(nil)
			pause(time.Second)
			b.start(n.t)
		}},
		{"store cuts off a moment", func() {
			n.proxy.Decide(func(*http.Request) faultproxy.Fault { return faultproxy.LoseRequest })
			pause(3 * time.Second)
			n.proxy.Decide(nil)
		}},
	}
	only := strings.Split(os.Getenv("RING4_FAULTS"), ",")
	faults = slices.DeleteFunc(faults, func(f fault) bool {
		if only[0] != "" && !slices.Contains(only, f.name) {
			return true
		}
		return n.proxy == nil && strings.Contains(f.name, "store") || !n.links && f.name == "cut off"
	})
	f := faults[n.rng.IntN(len(faults))]
	n.did[f.name]++
	n.strikes = append(n.strikes, strike{time.Now(), fmt.Sprintf("%s (broker %d)", f.name, at)})
	n.t.Logf("%s %s (broker %d, %s)", time.Now().UTC().Format("15:04:05.000"), f.name, at, b.addr)
	f.do()
	for i, b := range n.brokers {
		select {
		case <-b.broker.Exited():
			n.t.Errorf("broker %d ended by itself (after %q)", i, f.name)
		default:
		}
	}
	pause(2 * time.Second)
}

func (n *nemesis) must(err error) {
	if err != nil {
		n.t.Error(err)
	}
}
