// Package placement decides who should own what, as pure functions of who owns how
// much, who lives and where they stand (protocol.md 5). The same question has the same
// answer on every broker.
//
//   - What a live broker owns it keeps. Orphans go to those that have less than an even
//     share, and only what is above a few per cent more than that is given away: no more
//     moves than is unavoidable when a broker comes or goes.
//   - Among those that may have a partition, it goes to the zone, and there to the broker,
//     that has the fewest of its topic: the loss of a zone stops no more of any topic than
//     it must. A zone counts by how many brokers it has.
//   - A broker that goes and comes back moves nothing, when what it had was not given away
//     meanwhile: callers wait until the view has been steady (package broker).
package placement

import "slices"

// Broker is one that may own partitions.
type Broker struct {
	Load int    // partitions that it has
	Zone string // its rack; those that have none are in one zone together
}

// Topic is partitions of one topic that want owners, and how many of it each broker has;
// nil when none has any.
type Topic struct {
	Has  []int
	Want int
}

// slack is one part in so many by which a broker may have more or less than an even
// share before partitions move between the living.
const slack = 20

// Share is how many partitions every broker has at least when all are spread evenly: up
// to there orphans even out what brokers have.
func Share(total, brokers int) int {
	if brokers <= 0 {
		return 0
	}
	return total / brokers
}

// Limit is how many partitions a broker may have before it gives some away. New topics
// are spread up to there: what matters for them is that they are spread.
func Limit(total, brokers int) int {
	s := ceil(total, brokers)
	return s + s/slack + 1
}

func ceil(total, brokers int) int { return Share(total+brokers-1, brokers) }

// Surplus is how many of its partitions the i-th of some live brokers should give up,
// given what each has. It is nothing while none is above the limit and none as far below
// an even share; else the fewest that bring all to an even share, from those that have
// most.
func Surplus(loads []int, i int) int {
	total := 0
	for _, l := range loads {
		total += l
	}
	least, most := Share(total, len(loads)), ceil(total, len(loads))
	uneven := false
	above, below := 0, 0
	for _, l := range loads {
		uneven = uneven || l > Limit(total, len(loads)) || l < least-least/slack-1
		above += max(0, l-most)
		below += max(0, least-l)
	}
	if !uneven {
		return 0
	}
	return Give(loads, max(above, below), 0)[i]
}

// Give takes n away, one by one from where there is most, and among equals from the first
// at or behind from, in a circle. It returns how many are taken from each. Brokers that
// give of their topics begin at different ones, so that who gets them does not get whole
// topics.
func Give(has []int, n, from int) []int {
	out := make([]int, len(has))
	above := func(level int) (sum int) {
		for _, h := range has {
			sum += max(0, h-level)
		}
		return sum
	}
	n = min(n, above(0))
	lo, hi := 0, 0
	for _, h := range has {
		hi = max(hi, h)
	}
	for lo < hi { // the lowest level above which there are no more than n
		if mid := (lo + hi) / 2; above(mid) <= n {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	left := n - above(lo)
	for k := range has {
		i := (from + k) % len(has)
		out[i] = max(0, has[i]-lo)
		if left > 0 && has[i] >= lo && lo > 0 {
			out[i]++
			left--
		}
	}
	return out
}

// Spread chooses owners for partitions of topics, among the brokers that have fewer than
// limit; when none has, those that have fewest. It returns for each topic the indices of brokers, as
// many as it wants; nil when there is nobody.
//
// It takes as many steps as there are partitions times brokers: a second for a million
// and a hundred.
func Spread(brokers []Broker, topics []Topic, limit int) [][]int {
	if len(brokers) == 0 {
		return nil
	}
	s := newSpread(brokers)
	out := make([][]int, len(topics))
	for i, t := range topics {
		s.topic(t.Has)
		out[i] = make([]int, t.Want)
		for k := range out[i] {
			out[i][k] = s.next(limit)
		}
	}
	return out
}

// spread is the counts as they become.
type spread struct {
	load, zone []int // of each broker
	has        []int // of the topic at hand, by broker
	in         []int // of the topic at hand, by zone
	size       []int // brokers, by zone
}

func newSpread(brokers []Broker) *spread {
	s := &spread{load: make([]int, len(brokers)), zone: make([]int, len(brokers)), has: make([]int, len(brokers))}
	names := make([]string, 0, 4)
	for i, b := range brokers {
		z := slices.Index(names, b.Zone)
		if z < 0 {
			z, names = len(names), append(names, b.Zone)
			s.size = append(s.size, 0)
		}
		s.load[i], s.zone[i] = b.Load, z
		s.size[z]++
	}
	s.in = make([]int, len(names))
	return s
}

func (s *spread) topic(has []int) {
	clear(s.has)
	clear(s.in)
	for i, n := range has {
		s.has[i] = n
		s.in[s.zone[i]] += n
	}
}

func (s *spread) next(limit int) int {
	best := 0
	for i := range s.load {
		if s.better(i, best, limit) {
			best = i
		}
	}
	s.load[best]++
	s.has[best]++
	s.in[s.zone[best]]++
	return best
}

// better reports whether the next partition of the topic should rather go to a than to b.
func (s *spread) better(a, b, limit int) bool {
	if x, y := max(limit-1, s.load[a]), max(limit-1, s.load[b]); x != y {
		return x < y
	}
	za, zb := s.zone[a], s.zone[b]
	if x, y := s.in[za]*s.size[zb], s.in[zb]*s.size[za]; x != y {
		return x < y
	}
	if s.has[a] != s.has[b] {
		return s.has[a] < s.has[b]
	}
	return s.load[a] < s.load[b]
}
