package bubble

import (
	"flag"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/trace"
)

// ordeal is something that happens to brokers while clients work. It mends what it
// breaks.
type ordeal struct {
	name    string
	brokers int
	set     map[string]string
	do      func(x *trial, rng *rand.Rand)
}

// seed decides what clients and ordeals do, and when. Goroutines run in an order of their
// own, so that a seed that failed may have to be run some times.
var seed = flag.Uint64("seed", 1, "of clients and ordeals")

// TestNothingIsLostAndNothingTwice: whatever happens, what was acknowledged is there
// once, at its offset, the same on every broker, and all is served again soon after.
func TestNothingIsLostAndNothingTwice(t *testing.T) {
	for i, o := range ordeals {
		if testing.Short() && i%8 != 0 {
			continue
		}
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			brokers := max(o.brokers, 1)
			if o.brokers == 0 {
				brokers = 3
			}
			inBubble(t, brokers, o.set, func(t *testing.T, c *cluster) {
				x := c.begin(t, *seed, 4)
				time.Sleep(5 * time.Second)
				o.do(x, rand.New(rand.NewPCG(*seed, 1)))
				time.Sleep(5 * time.Second)
				x.judge()
			})
		})
	}
}

// hang is a request that gets lost without a word, for as long as the drivers wait for
// an answer.
var hang = fault.Fault{Kind: fault.RequestLost, Before: time.Minute}

// only is a plan for the operations on names that begin so.
func only(prefix string, f fault.Fault, ops ...trace.Op) fault.Plan {
	hit := fault.Always(f, ops...)
	return func(c fault.Call) fault.Fault {
		if strings.HasPrefix(c.Name, prefix) {
			return hit(c)
		}
		return usual(c)
	}
}

var ordeals = []ordeal{
	{name: "peace", do: func(*trial, *rand.Rand) { time.Sleep(20 * time.Second) }},
	{name: "one broker alone is killed and comes back", brokers: 1, do: func(x *trial, _ *rand.Rand) {
		for range 3 {
			x.brokers[0].crash()
			time.Sleep(time.Second)
			x.brokers[0].start()
			time.Sleep(3 * time.Second)
		}
	}},
	{name: "one broker alone is killed and loses its disk", brokers: 1, do: func(x *trial, _ *rand.Rand) {
		for range 3 {
			x.brokers[0].crash()
			x.brokers[0].wipe()
			time.Sleep(time.Second)
			x.brokers[0].start()
			time.Sleep(3 * time.Second)
		}
	}},
	{name: "one of three is killed and comes back", do: func(x *trial, rng *rand.Rand) {
		for range 4 {
			n := x.brokers[rng.IntN(3)]
			n.crash()
			time.Sleep(3 * time.Second)
			n.start()
			time.Sleep(3 * time.Second)
		}
	}},
	{name: "one of three loses its disk", do: func(x *trial, rng *rand.Rand) {
		for range 3 {
			n := x.brokers[rng.IntN(3)]
			n.crash()
			n.wipe()
			time.Sleep(3 * time.Second)
			n.start()
			time.Sleep(3 * time.Second)
		}
	}},
	{name: "all are killed at once and their disks are empty", do: func(x *trial, _ *rand.Rand) {
		for _, n := range x.brokers {
			n.crash()
			n.wipe()
		}
		time.Sleep(time.Second)
		for _, n := range x.brokers {
			n.start()
		}
	}},
	{name: "one is killed and its puts land minutes later", do: func(x *trial, _ *rand.Rand) {
		for i, n := range x.brokers {
			n.store.Use(only("wal/", fault.Fault{Kind: fault.LandsLater, Landing: time.Duration(i+1) * time.Minute}, trace.Put))
			time.Sleep(2 * time.Second)
			n.crash()
			n.store.Use(fault.Healthy)
			time.Sleep(3 * time.Second)
			n.start()
		}
		time.Sleep(3 * time.Minute)
	}},
	{name: "one is killed after its put landed and before it knew", do: func(x *trial, _ *rand.Rand) {
		for _, n := range x.brokers {
			n.store.Use(only("wal/", fault.Fault{After: time.Second}, trace.Put))
			time.Sleep(2500 * time.Millisecond)
			n.crash()
			n.store.Use(fault.Healthy)
			time.Sleep(3 * time.Second)
			n.start()
		}
	}},
	{name: "one is killed between its data and its catalog entry", do: func(x *trial, _ *rand.Rand) {
		for _, n := range x.brokers {
			n.store.Use(only("catalog/", fault.Fault{Kind: fault.RequestLost}, trace.Put))
			time.Sleep(3 * time.Second)
			n.crash()
			n.store.Use(fault.Healthy)
			time.Sleep(2 * time.Second)
			n.start()
		}
	}},
	{name: "one is paused for minutes and wakes", do: func(x *trial, rng *rand.Rand) {
		for _, d := range []time.Duration{time.Second, 20 * time.Second, 3 * time.Minute} {
			n := x.brokers[rng.IntN(3)]
			n.proc.Pause()
			time.Sleep(d)
			n.proc.Resume()
			time.Sleep(5 * time.Second)
		}
	}},
	{name: "one is cut off from the others", do: func(x *trial, _ *rand.Rand) {
		x.net.Part([]string{x.brokers[0].host}, []string{x.brokers[1].host, x.brokers[2].host})
		time.Sleep(25 * time.Second)
		x.net.Mend()
		time.Sleep(15 * time.Second)
	}},
	{name: "all are cut off from one another and all reach the bucket", do: func(x *trial, _ *rand.Rand) {
		for i, n := range x.brokers {
			for _, m := range x.brokers[i+1:] {
				x.net.Part([]string{n.host}, []string{m.host})
			}
		}
		time.Sleep(25 * time.Second)
		x.net.Mend()
		time.Sleep(15 * time.Second)
	}},
	{name: "one hears nobody and is heard", do: func(x *trial, _ *rand.Rand) {
		for _, m := range x.brokers[1:] {
			x.net.Cut(m.host, x.brokers[0].host)
		}
		time.Sleep(25 * time.Second)
		x.net.Mend()
		time.Sleep(15 * time.Second)
	}},
	{name: "one flaps", do: func(x *trial, _ *rand.Rand) {
		for range 5 {
			x.net.Part([]string{x.brokers[0].host}, []string{x.brokers[1].host, x.brokers[2].host})
			time.Sleep(3 * time.Second)
			x.net.Mend()
			time.Sleep(3 * time.Second)
		}
		time.Sleep(15 * time.Second)
	}},
	{name: "one is cut off from the bucket", do: func(x *trial, _ *rand.Rand) {
		x.brokers[1].store.Use(fault.Always(hang))
		time.Sleep(25 * time.Second)
		x.brokers[1].store.Use(fault.Healthy)
		time.Sleep(15 * time.Second)
	}},
	{name: "two brokers have one node id", do: func(x *trial, _ *rand.Rand) {
		first, second := x.brokers[0], x.brokers[1]
		first.set["node.id"], second.set["node.id"] = "7", "7"
		first.stop()
		first.start()
		for range 2 {
			second.stop()
			second.refused()
			delete(second.set, "node.id")
			second.wipe() // where it is remembered
			second.start()
			second.set["node.id"] = "7"
		}
	}},
	{name: "a machine is cloned with its data folder", do: func(x *trial, _ *rand.Rand) {
		n := x.brokers[0]
		n.crash()
		clone := x.add()
		if err := copyFolder(clone.dir, n.dir); err != nil {
			x.t.Fatal(err)
		}
		n.start()
		clone.refused()
		clone.wipe()
		clone.start()
		time.Sleep(20 * time.Second)
		clone.stop()
		time.Sleep(5 * time.Second)
	}},
	{name: "brokers leave in good order and come back", do: func(x *trial, _ *rand.Rand) {
		for range 2 {
			for _, n := range x.brokers {
				n.stop()
				time.Sleep(2 * time.Second)
				n.start()
				time.Sleep(8 * time.Second)
			}
		}
	}},
	{name: "the bucket is slow", do: func(x *trial, _ *rand.Rand) {
		x.store.Use(func(c fault.Call) fault.Fault {
			if c.Nth%3 == 0 {
				return fault.Fault{Before: 3 * time.Second, After: 3 * time.Second}
			}
			return fault.Fault{Before: 500 * time.Millisecond, After: 500 * time.Millisecond}
		})
		time.Sleep(time.Minute)
		x.store.Use(usual)
		time.Sleep(15 * time.Second)
	}},
	{name: "the bucket answers 503", do: storm(fault.Odds{Kinds: map[fault.Kind]float64{fault.Unavailable: 0.3}})},
	{name: "the bucket answers 409", do: storm(fault.Odds{Kinds: map[fault.Kind]float64{fault.Conflict: 0.5}})},
	{name: "requests and answers are lost", do: storm(fault.Odds{Kinds: map[fault.Kind]float64{fault.RequestLost: 0.2, fault.AnswerLost: 0.3}})},
	{name: "puts land minutes later", do: storm(fault.Odds{Kinds: map[fault.Kind]float64{fault.LandsLater: 0.3}, Landing: 3 * time.Minute})},
	{name: "lists lie", do: storm(fault.Odds{Kinds: map[fault.Kind]float64{fault.Missing: 0.3, fault.Duplicate: 0.3, fault.Unordered: 0.3}})},
	{name: "reads are damaged", do: storm(fault.Odds{Kinds: map[fault.Kind]float64{fault.Truncated: 0.2, fault.Corrupt: 0.2}})},
	{name: "everything at once", do: storm(fault.Odds{Kinds: map[fault.Kind]float64{
		fault.Unavailable: 0.05, fault.Conflict: 0.05, fault.RequestLost: 0.05, fault.AnswerLost: 0.05, fault.LandsLater: 0.05, fault.Truncated: 0.05, fault.Corrupt: 0.05,
		fault.Missing: 0.1, fault.Duplicate: 0.1, fault.Unordered: 0.1,
	}, Slow: 0.2, Delay: 2 * time.Second, Landing: time.Minute})},
	{name: "nothing can be put", do: outage("", trace.Put)},
	{name: "data cannot be put", do: outage("wal/", trace.Put)},
	{name: "the catalog cannot be put", do: outage("catalog/", trace.Put)},
	{name: "sealed objects cannot be put", do: outage("seg/", trace.Put), set: map[string]string{"seal.interval.ms": "1000"}},
	{name: "nothing can be read", do: outage("", trace.Get, trace.Stat, trace.List)},
	{name: "the credentials are refused", do: func(x *trial, _ *rand.Rand) {
		x.store.Use(fault.Always(fault.Fault{Kind: fault.Denied}))
		time.Sleep(25 * time.Second)
		x.store.Use(usual)
		time.Sleep(15 * time.Second)
	}},
}

// storm is a minute of a bucket, or of the way to it, that fails by the odds, while a
// broker is killed.
func storm(o fault.Odds) func(*trial, *rand.Rand) {
	return func(x *trial, rng *rand.Rand) {
		if o.Slow == 0 {
			o.Slow, o.Delay = 1, 2*storing
		}
		x.store.Use(fault.Seeded(rng.Uint64(), o))
		time.Sleep(10 * time.Second)
		n := x.brokers[rng.IntN(len(x.brokers))]
		n.crash()
		time.Sleep(5 * time.Second)
		n.start()
		time.Sleep(10 * time.Second)
		x.store.Use(usual)
		time.Sleep(15 * time.Second)
	}
}

// outage is half a minute in which some operations on some names fail.
func outage(prefix string, ops ...trace.Op) func(*trial, *rand.Rand) {
	return func(x *trial, _ *rand.Rand) {
		x.store.Use(only(prefix, fault.Fault{Kind: fault.Unavailable}, ops...))
		time.Sleep(30 * time.Second)
		x.store.Use(usual)
		time.Sleep(15 * time.Second)
	}
}

// A session that puts nothing never meets its fence: its broker must hear of it from
// the catalog, or it would own nothing ever again.
func TestABrokerThatWasFencedWhileItHadNothingToPutComesBack(t *testing.T) {
	inBubble(t, 3, nil, func(t *testing.T, c *cluster) {
		c.net.Part([]string{c.brokers[0].host}, []string{c.brokers[1].host, c.brokers[2].host})
		time.Sleep(10 * time.Second)
		c.net.Mend()
		time.Sleep(15 * time.Second)
		for _, n := range c.brokers {
			if told := c.told(t.Context(), n); !strings.Contains(told, "[1 2 3]") {
				t.Errorf("broker %s knows %s", n.host, told)
			}
		}
	})
}
