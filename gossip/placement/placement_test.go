package placement

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestOrphansGoToTheLeastLoaded(t *testing.T) {
	brokers := []Broker{{Load: 3}, {Load: 0}, {Load: 1}}
	got := Spread(brokers, []Topic{{Want: 5}}, Share(9, 3))
	if want := [][]int{{1, 2, 1, 2, 1}}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	if Spread(nil, []Topic{{Want: 3}}, 1) != nil {
		t.Fatal("something was given to nobody")
	}
}

func TestGiveLevelsTopics(t *testing.T) {
	for _, c := range []struct {
		mine []int
		n    int
		want []int
	}{
		{[]int{5, 1, 3}, 3, []int{3, 0, 0}},
		{[]int{5, 1, 3}, 4, []int{3, 0, 1}},
		{[]int{5, 1, 3}, 8, []int{5, 1, 2}},
		{[]int{5, 1, 3}, 20, []int{5, 1, 3}},
		{[]int{0, 2}, 0, []int{0, 0}},
		{nil, 3, nil},
	} {
		if got := Give(c.mine, c.n, 0); !slices.Equal(got, c.want) {
			t.Errorf("of %v give %d: %v, want %v", c.mine, c.n, got, c.want)
		}
	}
}

func TestGiveTakesFromWhatThereIsMostOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mine := rapid.SliceOfN(rapid.IntRange(0, 30), 1, 12).Draw(t, "mine")
		n := rapid.IntRange(0, 100).Draw(t, "n")
		left := slices.Clone(mine)
		for range n { // the slow way
			most := 0
			for i, l := range left {
				if l > left[most] {
					most = i
				}
			}
			left[most] = max(0, left[most]-1)
		}
		got := Give(mine, n, rapid.IntRange(0, len(mine)-1).Draw(t, "from"))
		for i := range got {
			got[i] = mine[i] - got[i]
		}
		slices.Sort(got)
		slices.Sort(left)
		if !slices.Equal(got, left) {
			t.Fatalf("of %v give %d: left %v, want %v", mine, n, got, left)
		}
	})
}

// cluster is partitions and their owners, as the catalog would have them: brokers are
// named by numbers, topics are rows, -1 is nobody.
type cluster struct {
	topics [][]int
	zones  map[int]string // of those that live
}

func (c *cluster) live() []int {
	var out []int
	for b := range c.zones {
		out = append(out, b)
	}
	slices.Sort(out)
	return out
}

func (c *cluster) total() (n int) {
	for _, t := range c.topics {
		n += len(t)
	}
	return n
}

func (c *cluster) loads() []int {
	by := map[int]int{}
	for _, t := range c.topics {
		for _, o := range t {
			by[o]++
		}
	}
	out := make([]int, len(c.live()))
	for i, b := range c.live() {
		out[i] = by[b]
	}
	return out
}

// adopt gives what has no living owner to somebody, and reports how much that was.
func (c *cluster) adopt(limit int) (moved int) {
	live := c.live()
	var brokers []Broker
	for i, l := range c.loads() {
		brokers = append(brokers, Broker{l, c.zones[live[i]]})
	}
	topics := make([]Topic, len(c.topics))
	for i, t := range c.topics {
		topics[i].Has = make([]int, len(live))
		for _, o := range t {
			if at, ok := slices.BinarySearch(live, o); ok {
				topics[i].Has[at]++
			} else {
				topics[i].Want++
			}
		}
	}
	for i, chosen := range Spread(brokers, topics, limit) {
		for p, o := range c.topics[i] {
			if _, ok := c.zones[o]; !ok {
				c.topics[i][p], chosen = live[chosen[0]], chosen[1:]
				moved++
			}
		}
	}
	return moved
}

// even lets every broker give up what it has too much of, and reports how much moved.
func (c *cluster) even() (moved int) {
	loads := c.loads() // all decide at once, as brokers do
	for i, b := range c.live() {
		n := Surplus(loads, i)
		if n == 0 {
			continue
		}
		mine := make([]int, len(c.topics))
		for j, t := range c.topics {
			for _, o := range t {
				if o == b {
					mine[j]++
				}
			}
		}
		for j, k := range Give(mine, n, i*len(mine)/len(loads)) {
			for p := len(c.topics[j]) - 1; k > 0; p-- {
				if c.topics[j][p] == b {
					c.topics[j][p] = -1
					k--
				}
			}
		}
	}
	return c.adopt(Share(c.total(), len(c.zones)))
}

// settle evens out until nothing moves.
func (c *cluster) settle() (moved, rounds int) {
	for ; ; rounds++ {
		n := c.even()
		if n == 0 {
			return moved, rounds
		}
		moved += n
	}
}

// worst is the largest part of any topic of at least that many partitions in one zone.
func (c *cluster) worst(least int) (part float64) {
	for _, t := range c.topics {
		in := map[string]int{}
		for _, o := range t {
			in[c.zones[o]]++
		}
		for _, n := range in {
			if len(t) >= least {
				part = max(part, float64(n)/float64(len(t)))
			}
		}
	}
	return part
}

// found makes a cluster of brokers that stand in zones in turn, and topics of so many
// partitions that are created one after the other.
func found(brokers, zones int, topics []int) *cluster {
	c := &cluster{zones: map[int]string{}}
	for b := range brokers {
		c.zones[b] = fmt.Sprint("zone-", b%zones)
	}
	for _, n := range topics {
		c.create(n)
	}
	return c
}

func (c *cluster) create(partitions int) {
	t := make([]int, partitions)
	for i := range t {
		t[i] = -1
	}
	c.topics = append(c.topics, t)
	c.adopt(Limit(c.total(), len(c.zones)))
}

// TestAllHaveAboutAnEvenShare: whatever comes and goes, once it has settled, which takes
// one round, nobody is more than a few per cent above or below an even share, and no more
// has moved than was missing to it.
func TestAllHaveAboutAnEvenShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := found(rapid.IntRange(1, 9).Draw(t, "brokers"), rapid.IntRange(1, 4).Draw(t, "zones"),
			rapid.SliceOfN(rapid.IntRange(1, 40), 0, 20).Draw(t, "topics"))
		born := len(c.zones)
		for range rapid.IntRange(1, 8).Draw(t, "events") {
			live := c.live()
			switch rapid.IntRange(0, 2).Draw(t, "event") {
			case 0:
				if len(live) > 1 {
					delete(c.zones, rapid.SampledFrom(live).Draw(t, "leaves"))
				}
			case 1:
				c.zones[born] = fmt.Sprint("zone-", rapid.IntRange(0, 4).Draw(t, "zone"))
				born++
			case 2:
				c.create(rapid.IntRange(1, 40).Draw(t, "partitions"))
			}
			c.adopt(Share(c.total(), len(c.zones)))
			share, above, below := Share(c.total(), len(c.zones)), 0, 0
			for _, l := range c.loads() {
				above += max(0, l-share)
				below += max(0, share-l)
			}
			moved, rounds := c.settle()
			if rounds > 1 || moved > max(above, below) {
				t.Fatalf("%d moved in %d rounds; %d were above an even share of %d, %d below", moved, rounds, above, share, below)
			}
			loads := c.loads()
			if limit := Limit(c.total(), len(c.zones)); slices.Max(loads) > limit || slices.Min(loads) < share-share/slack-1 {
				t.Fatalf("loads %v, an even share is %d, the limit %d", loads, share, limit)
			}
		}
	})
}

// TestTopicsAreSpreadOverZones: in zones of equally many brokers, a new topic has in none
// of them more than one partition more than in another.
func TestTopicsAreSpreadOverZones(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zones := rapid.IntRange(1, 5).Draw(t, "zones")
		c := found(zones*rapid.IntRange(1, 4).Draw(t, "brokers per zone"), zones, nil)
		for range rapid.IntRange(1, 30).Draw(t, "topics") {
			c.create(rapid.IntRange(1, 50).Draw(t, "partitions"))
		}
		for _, topic := range c.topics {
			in := map[string]int{}
			for _, o := range topic {
				in[c.zones[o]]++
			}
			fewest, most := len(topic), 0
			for z := range zones {
				n := in[fmt.Sprint("zone-", z)]
				fewest, most = min(fewest, n), max(most, n)
			}
			if most-fewest > 1 {
				t.Fatalf("a topic of %d partitions has %v", len(topic), in)
			}
		}
	})
}

// TestMovement prints what moves when brokers come and go, next to what cannot be
// avoided: what the one that left had, or an even share for the one that came.
func TestMovement(t *testing.T) {
	var out strings.Builder
	fmt.Fprintf(&out, "\n%-28s %-22s %8s %12s %8s %16s\n", "brokers, partitions", "event", "moved", "unavoidable", "max/avg", "worst zone part")
	for _, size := range []struct{ brokers, zones, topics, partitions int }{{3, 3, 40, 6}, {9, 3, 500, 20}, {10, 3, 1000, 10}, {100, 3, 200, 20}} {
		topics := make([]int, size.topics)
		for i := range topics {
			topics[i] = size.partitions
		}
		c := found(size.brokers, size.zones, topics)
		name := fmt.Sprintf("%d in %d zones, %d", size.brokers, size.zones, c.total())
		report := func(event string, moved, ideal int) {
			avg := float64(c.total()) / float64(len(c.zones))
			most := float64(slices.Max(c.loads())) / avg
			fmt.Fprintf(&out, "%-28s %-22s %8d %12d %8.3f %15.0f%%\n", name, event, moved, ideal, most, 100*c.worst(size.partitions))
			if moved > ideal+ideal/slack+len(c.zones) {
				t.Errorf("%s, %s: %d moved, %d were unavoidable", name, event, moved, ideal)
			}
			if most > 1+1.0/slack+2/avg {
				t.Errorf("%s, %s: %v", name, event, most)
			}
		}
		report("founded", 0, 0)
		leave := func(b int) {
			had := c.loads()[slices.Index(c.live(), b)]
			delete(c.zones, b)
			moved := c.adopt(Share(c.total(), len(c.zones)))
			more, _ := c.settle()
			report(fmt.Sprint("broker ", b, " leaves"), moved+more, had)
		}
		join := func(b int, zone string) {
			c.zones[b] = zone
			moved, _ := c.settle()
			report(fmt.Sprint("broker ", b, " joins"), moved, c.total()/len(c.zones))
		}
		zone := c.zones[1]
		leave(1)
		join(1, zone)
		join(size.brokers, "zone-0")
		leave(size.brokers)
		if moved, _ := c.settle(); moved != 0 {
			t.Errorf("%d moved without an event", moved)
		}
	}
	t.Log(out.String())
}

func BenchmarkSpread(b *testing.B) {
	brokers := make([]Broker, 100)
	for i := range brokers {
		brokers[i].Zone = fmt.Sprint(i % 3)
	}
	topics := make([]Topic, 10_000)
	for i := range topics {
		topics[i].Want = 100
	}
	b.ReportAllocs()
	for b.Loop() {
		Spread(brokers, topics, Share(1_000_000, len(brokers)))
	}
}
