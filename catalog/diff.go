package catalog

import (
	"iter"

	"github.com/firnlog/firn/record"
)

// Change is a partition as two states have it: nil where it is not there.
type Change struct {
	Old, New *Partition
}

// Since yields the partitions that differ between an older state and s, in no
// particular order; all of them when old is nil. States share what did not change, so
// that it costs what has changed and not what there is: some microseconds for an entry
// of the journal, however many partitions there are, and for a topic of ten thousand
// partitions of which one has changed, ten thousand comparisons of pointers.
func (s *State) Since(old *State) iter.Seq[Change] {
	return func(yield func(Change) bool) {
		for i := range s.topics.shards {
			var was, is map[record.TopicID]*Topic
			if x := s.topics.shards[i]; x != nil {
				is = x.m
			}
			if old != nil {
				if old.topics.shards[i] == s.topics.shards[i] {
					continue
				}
				if x := old.topics.shards[i]; x != nil {
					was = x.m
				}
			}
			for id, t := range is {
				if !differ(was[id], t, yield) {
					return
				}
			}
			for id, t := range was {
				if is[id] == nil && !differ(t, nil, yield) {
					return
				}
			}
		}
	}
}

// differ yields the partitions of a topic that differ; either may be nil. It reports
// whether yield wants more.
func differ(old, now *Topic, yield func(Change) bool) bool {
	if old == now {
		return true
	}
	var was, is []*Partition
	if old != nil {
		was = old.Partitions
	}
	if now != nil {
		is = now.Partitions
	}
	for i := range max(len(was), len(is)) {
		var c Change
		if i < len(was) {
			c.Old = was[i]
		}
		if i < len(is) {
			c.New = is[i]
		}
		if c.Old != c.New && !yield(c) {
			return false
		}
	}
	return true
}
