package catalog

import (
	"cmp"
	"fmt"
	"slices"
)

func (c *GiveUp) apply(s *State, _ position) (Result, error) {
	if _, ok := s.jobs.get(c.Job); !ok {
		return Result{}, ErrNoJob
	}
	for i, f := range c.Fillers {
		if i > 0 {
			if b := c.Fillers[i-1]; b.Partition.Compare(f.Partition) > 0 || b.Partition == f.Partition && b.Next > f.Base {
				return Result{}, fmt.Errorf("%w: they are not in order", ErrInvalidExtents)
			}
		}
		if f.Object.Kind != KindSeg || f.Object.A != c.Job || f.Object.IsCancelled() || f.Records != 0 || f.Next <= f.Base || f.Pos < 0 || f.Len < 0 {
			return Result{}, fmt.Errorf("%w: [%d, %d) of %s is no filler of job %d", ErrInvalidExtents, f.Base, f.Next, f.Partition, c.Job)
		}
		p, ok := s.Partition(f.Partition)
		if !ok || f.Next <= p.First() {
			continue
		}
		if x, ok := p.at(f.Base); !ok || x.Object != c.Lost || x.Base != f.Base || x.Next != f.Next || x.Epoch != f.Epoch {
			return Result{}, ErrStale
		}
	}
	unused := map[ObjectRef]bool{}
	for _, f := range c.Fillers {
		if p, ok := s.Partition(f.Partition); ok && f.Next > p.First() {
			s.spliceOne(s.mutPartition(f.Partition), []Located{f})
		}
		unused[f.Object] = true
	}
	for o := range unused {
		if s.Refs(o) == 0 {
			s.garbage.set(s.edit, o, s.number)
		}
	}
	s.jobs.del(s.edit, c.Job)
	return Result{}, nil
}

// at is the extent that the catalog has for an offset.
func (p *Partition) at(offset int64) (Extent, bool) {
	if i := p.Find(offset); i < len(p.Extents) && p.Extents[i].Base <= offset {
		return p.Extents[i], true
	}
	return Extent{}, false
}

// RunsIn are the runs that the catalog describes in an object, in order of partitions,
// then of offsets. It looks at everything. What index objects list is not among them.
func (s *State) RunsIn(o ObjectRef) []Located {
	var runs []Located
	if s.Refs(o) == 0 {
		return nil
	}
	for _, t := range s.topics.all() {
		for _, p := range t.Partitions {
			for _, x := range p.Extents {
				if x.Object == o {
					runs = append(runs, Located{p.ID, x})
				}
			}
		}
	}
	slices.SortFunc(runs, func(a, b Located) int {
		return cmp.Or(a.Partition.Compare(b.Partition), cmp.Compare(a.Base, b.Base))
	})
	return runs
}
