package catalog

import (
	"slices"

	"github.com/firnlog/firn/record"
)

// live returns a session that may still change things (I7).
func (s *State) live(id uint64) (*Session, error) {
	v, ok := s.sessions.get(id)
	switch {
	case !ok:
		return nil, ErrNoSession
	case v.Sealed:
		return nil, ErrSealed
	}
	return v, nil
}

func (c *RegisterSession) apply(s *State, at position) (Result, error) {
	if s.registered {
		return Result{}, ErrStale // the id, the entry's number, is taken (S1)
	}
	s.registered = true
	node := c.Node
	if node < 0 {
		node = s.freeNode()
	}
	s.sessions.set(s.edit, at.number, &Session{
		ID: at.number, Nonce: c.Nonce, Node: node, Advertised: c.Advertised,
		Gossip: c.Gossip, Rack: c.Rack, StartedMs: c.StartedMs,
	})
	return Result{ID: at.number}, nil
}

// freeNode is the lowest node id that no session has. One that is sealed may be that of a
// broker that was killed and is about to come back: its folder remembers the id.
func (s *State) freeNode() int32 {
	taken := map[int32]bool{}
	for _, v := range s.sessions.all() {
		taken[v.Node] = true
	}
	n := int32(1)
	for taken[n] {
		n++
	}
	return n
}

func (c *SealSession) apply(s *State, _ position) (Result, error) {
	v, err := s.live(c.Session)
	if err != nil {
		return Result{}, err
	}
	if v.Covered != c.Covered || c.Fence < v.Covered { // S7
		return Result{}, ErrStale
	}
	if err := s.describe(c.Session, c.Extents, c.Tips); err != nil {
		return Result{}, err
	}
	s.seal(c.Session, c.Fence)
	return Result{}, nil
}

func (s *State) seal(id, fence uint64) {
	n := s.mutSession(id)
	n.Sealed, n.Fence, n.Covered = true, fence, fence
	for _, j := range s.Jobs() { // a zombie's rewrites end with it (S12)
		if j.Session == id {
			s.cancel(j.ID)
		}
	}
}

func (c *SweepSession) apply(s *State, _ position) (Result, error) {
	v, ok := s.sessions.get(c.Session)
	if !ok {
		return Result{}, ErrNoSession
	}
	if !v.Sealed {
		return Result{}, ErrLive
	}
	for r := range s.refs.all() {
		if r.Kind == KindWAL && r.A == c.Session {
			return Result{}, ErrStale
		}
	}
	s.mutSession(c.Session).Swept = true
	return Result{}, nil
}

func (c *ForgetSession) apply(s *State, _ position) (Result, error) {
	v, ok := s.sessions.get(c.Session)
	if !ok {
		return Result{}, ErrNoSession
	}
	if !v.Sealed || !v.Swept {
		return Result{}, ErrLive
	}
	if s.OwnedCount(c.Session) > 0 {
		return Result{}, ErrOwned
	}
	s.sessions.del(s.edit, c.Session)
	return Result{}, nil
}

func (c *Take) apply(s *State, _ position) (Result, error) {
	if _, err := s.live(c.Session); err != nil {
		return Result{}, err
	}
	var res Result
	for i, it := range c.Items {
		if err := s.take(c.Session, it); err != nil {
			if res.Items == nil {
				res.Items = make([]error, len(c.Items))
			}
			res.Items[i] = err
		}
	}
	return res, nil
}

func (s *State) take(session uint64, it TakeItem) error {
	p, ok := s.Partition(it.Partition)
	if !ok {
		return ErrNoPartition
	}
	if p.Owner != 0 {
		if o, ok := s.sessions.get(p.Owner); ok && !o.Sealed {
			return ErrOwned // S8
		}
	}
	if it.Epoch != p.Epoch+1 || it.Start != p.Next {
		return ErrStale
	}
	s.own(s.mutPartition(it.Partition), session)
	return nil
}

// own makes the session the owner, one epoch on (I3).
func (s *State) own(p *Partition, session uint64) {
	s.give(p, session)
	p.Epoch++
	p.Epochs = append(slices.Clip(p.Epochs), EpochStart{p.Epoch, p.Next})
	// An epoch without records says nothing that the next one does not.
	for n := len(p.Epochs); n > 1 && p.Epochs[n-2].Start == p.Next; n = len(p.Epochs) {
		p.Epochs = slices.Delete(slices.Clone(p.Epochs), n-2, n-1)
	}
}

func (c *Release) apply(s *State, _ position) (Result, error) {
	if _, err := s.live(c.Session); err != nil {
		return Result{}, err
	}
	for _, id := range c.Partitions {
		if p, ok := s.Partition(id); ok && p.Owner != c.Session {
			return Result{}, ErrNotOwner
		}
	}
	if err := s.describe(c.Session, c.Extents, c.Tips); err != nil {
		return Result{}, err
	}
	for _, id := range c.Partitions {
		if p := s.mutPartition(id); p != nil {
			s.give(p, 0)
		}
	}
	return Result{}, nil
}

func (c *Move) apply(s *State, _ position) (Result, error) {
	old, err := s.live(c.Old)
	if err != nil {
		return Result{}, err
	}
	fresh, err := s.live(c.New)
	if err != nil {
		return Result{}, err
	}
	if c.Old == c.New || old.Covered != c.Covered || c.Fence < old.Covered {
		return Result{}, ErrStale
	}
	if err := s.describe(c.Old, c.Extents, c.Tips); err != nil {
		return Result{}, err
	}
	s.seal(c.Old, c.Fence)
	for _, id := range s.Owned(c.Old) {
		if p := s.mutPartition(id); old.Node == fresh.Node {
			s.give(p, c.New) // the leader stays the leader, and so does its epoch
		} else {
			s.own(p, c.New)
		}
	}
	return Result{}, nil
}

// give changes the owner of a partition, and keeps I8.
func (s *State) give(p *Partition, session uint64) {
	s.count(p.Owner, -1)
	p.Owner = session
	s.count(session, 1)
}

func (s *State) count(session uint64, by int) {
	n, _ := s.owners.get(session)
	if n += by; n == 0 {
		s.owners.del(s.edit, session)
	} else {
		s.owners.set(s.edit, session, n)
	}
}

// OwnedCount is how many partitions a session owns; with 0, how many nobody does.
func (s *State) OwnedCount(session uint64) int { n, _ := s.owners.get(session); return n }

// Orphaned reports whether a partition has no living owner. It costs as much as there
// are sessions.
func (s *State) Orphaned() bool {
	for id := range s.owners.all() {
		if v, ok := s.sessions.get(id); !ok || v.Sealed {
			return true
		}
	}
	return false
}

// Owned returns the partitions that a session owns, in order. It looks at all
// partitions; Since tells what has changed.
func (s *State) Owned(session uint64) []record.Partition {
	n := s.OwnedCount(session)
	if n == 0 {
		return nil
	}
	out := make([]record.Partition, 0, n)
	for _, t := range s.topics.all() {
		for _, p := range t.Partitions {
			if p.Owner == session {
				out = append(out, p.ID)
			}
		}
	}
	slices.SortFunc(out, record.Partition.Compare)
	return out
}
