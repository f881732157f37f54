package catalog

import (
	"errors"
	"fmt"
)

// Rebuilt says how a state goes on where entries of the journal are lost.
type Rebuilt struct {
	// Number is larger than that of every entry that ever was.
	Number uint64
	// NextProducerID is larger than every producer id that was ever given away.
	NextProducerID int64
	// Fences are the slots at which sessions ended. Every session that was live must be
	// among them; those that are not known are added.
	Fences []SessionEnd
	// Topics are those that are not known.
	Topics []Topic
	// Partitions take the place of those of the same id, which may be new ones of a
	// topic. They have no owner; their Bytes are counted.
	Partitions []Partition
}

// SessionEnd is the fence of a session.
type SessionEnd struct {
	Session uint64
	Nonce   [16]byte
	Fence   uint64
}

// ErrUnsound says that a state would break an invariant.
var ErrUnsound = errors.New("the catalog would be unsound")

// Rebuild returns the state that goes on from s: every session sealed, every job
// cancelled, nobody an owner. What Partitions do not replace stays as it is. Of a job
// that put what they lie in nothing is garbage. s is not changed. It fails with
// ErrUnsound if an invariant would not hold.
func (s *State) Rebuild(r Rebuilt) (*State, error) {
	n := s.Fork()
	n.number, n.registered = r.Number, false
	n.nextProducerID = max(n.nextProducerID, r.NextProducerID)
	for _, e := range r.Fences {
		v, ok := n.sessions.get(e.Session)
		if !ok {
			v = &Session{ID: e.Session, Nonce: e.Nonce, Node: -1}
		}
		c := *v
		c.Sealed, c.Fence, c.Covered = true, e.Fence, e.Fence
		n.sessions.set(n.edit, c.ID, &c)
	}
	for _, v := range n.Sessions() {
		if !v.Sealed {
			return nil, fmt.Errorf("%w: nobody has fenced session %d", ErrUnsound, v.ID)
		}
	}
	for _, j := range n.Jobs() {
		n.cancel(j.ID)
	}
	for _, t := range r.Topics {
		if _, known := n.topics.get(t.ID); known {
			return nil, fmt.Errorf("%w: topic %s is known", ErrUnsound, t.ID)
		}
		if err := n.CheckNewTopic(t.Name); err != nil {
			return nil, fmt.Errorf("%w: topic %s: %w", ErrUnsound, t.ID, err)
		}
		t.owner, t.Partitions = n.edit, nil
		n.topics.set(n.edit, t.ID, &t)
		n.names.set(n.edit, t.Name, t.ID)
	}
	for _, t := range n.Topics() {
		t := n.mutTopic(t.ID)
		for i, p := range t.Partitions {
			c := *p
			c.edit, c.Owner = n.edit, 0
			t.Partitions[i] = &c
		}
	}
	for _, p := range r.Partitions {
		t := n.mutTopic(p.ID.Topic)
		if t == nil {
			return nil, fmt.Errorf("%w: no topic of %s", ErrUnsound, p.ID)
		}
		for len(t.Partitions) <= int(p.ID.Index) {
			id := p.ID
			id.Index = int32(len(t.Partitions))
			t.Partitions = append(t.Partitions, &Partition{edit: n.edit, ID: id, Epochs: []EpochStart{{0, 0}}})
		}
		c := p
		c.edit, c.Owner = n.edit, 0
		t.Partitions[p.ID.Index] = &c
	}
	before := map[ObjectRef]bool{}
	for o := range s.refs.all() {
		before[o] = o.Kind == KindSeg
	}
	n, err := DecodeState(n.Encode()) // what is counted is counted anew
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsound, err)
	}
	for o := range n.refs.all() {
		n.garbage.del(n.edit, o)
		if o.Kind == KindSeg { // its job may have been committed by an entry that is lost
			n.garbage.del(n.edit, Cancelled(o.A))
		}
		delete(before, o)
	}
	for o, seg := range before {
		if seg {
			n.garbage.set(n.edit, o, n.number)
		}
	}
	if bad := n.Check(); len(bad) > 0 {
		return nil, fmt.Errorf("%w: %w", ErrUnsound, errors.Join(bad...))
	}
	return n, nil
}
