package catalog

import "slices"

// Repeat decides about a command that may have been applied already, some time ago, and
// need not have been (J3 of package journal). Most may be applied again: they say what they
// expect to find, or take something new, as a number. What a client has asked for may not,
// where others may have done something since: a topic that was deleted would come back under
// its id (P3), a config would be as it was. Then the result is what can be known.
func (s *State) Repeat(c Command) (r Result, again bool) {
	switch c := c.(type) {
	case *CreateTopic:
		if _, ok := s.topics.get(c.ID); ok {
			return Result{}, false // by this command: nobody else has the id
		}
		return Result{Err: ErrUnsure}, false
	case *DeleteTopic:
		_, ok := s.topics.get(c.ID)
		return Result{}, ok
	case *AddPartitions:
		if t, ok := s.topics.get(c.ID); ok && len(t.Partitions) != int(c.From) {
			return Result{Err: ErrUnsure}, false
		}
		return Result{}, true
	case *AlterTopic, *AlterBrokers:
		return Result{Err: ErrUnsure}, false
	case *GiveUp:
		if _, ok := s.jobs.get(c.Job); ok {
			return Result{}, true
		}
		if s.filled(c) {
			return Result{}, false // by this command: nobody else has the job
		}
		return Result{Err: ErrUnsure}, false
	}
	return Result{}, true
}

// filled reports whether a filler of the command has taken its place, and is there still.
func (s *State) filled(c *GiveUp) bool {
	return slices.ContainsFunc(c.Fillers, func(f Located) bool {
		p, ok := s.Partition(f.Partition)
		if !ok {
			return false
		}
		x, ok := p.at(f.Base)
		return ok && x.Object == f.Object
	})
}
