package catalog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

const snapshotVersion = 1

// Encode is the state as bytes: the same on every broker for the same journal
// number, since everything is written in order.
func (s *State) Encode() []byte {
	e := encoder{b: []byte{snapshotVersion}}
	e.u(s.number)
	e.string(s.clusterID)
	e.i(s.nextProducerID)
	e.bool(s.registered)
	sessions := s.Sessions()
	e.u(uint64(len(sessions)))
	for _, v := range sessions {
		e.u(v.ID)
		(&RegisterSession{v.Nonce, v.Node, v.Advertised, v.Gossip, v.Rack, v.StartedMs}).encode(&e)
		e.u(v.Covered)
		e.bool(v.Sealed)
		e.u(v.Fence)
		e.bool(v.Swept)
	}
	topics := s.Topics()
	e.u(uint64(len(topics)))
	for _, t := range topics {
		e.raw(t.ID)
		e.string(t.Name)
		e.i(int64(t.Replicas))
		e.configs(t.Configs)
		e.bool(t.Internal)
		e.u(uint64(len(t.Partitions)))
		for _, p := range t.Partitions {
			e.u(uint64(uint32(p.Epoch)))
			e.u(p.Owner)
			e.i(p.LogStart)
			e.i(p.Next)
			e.extents(p.Extents)
			e.u(uint64(len(p.Index)))
			for _, l := range p.Index {
				e.line(l)
			}
			e.u(uint64(len(p.Epochs)))
			for _, x := range p.Epochs {
				e.u(uint64(uint32(x.Epoch)))
				e.i(x.Start)
			}
		}
	}
	jobs := s.Jobs()
	e.u(uint64(len(jobs)))
	for _, j := range jobs {
		e.u(j.ID)
		e.u(j.Session)
	}
	garbage := slices.SortedFunc(maps.Keys(maps.Collect(s.garbage.all())), ObjectRef.Compare)
	e.u(uint64(len(garbage)))
	for _, r := range garbage {
		n, _ := s.garbage.get(r)
		e.ref(r)
		e.u(n)
	}
	e.configs(maps.Collect(s.brokerConfigs.all()))
	return e.b
}

// DecodeState reads what Encode wrote. The reference counts are counted again.
func DecodeState(b []byte) (*State, error) {
	d := decoder{b: b}
	if v := d.byte(); d.err == nil && v != snapshotVersion {
		return nil, fmt.Errorf("catalog snapshot: %w: version %d, this program knows %d", ErrVersion, v, snapshotVersion)
	}
	s := NewState()
	s.number, s.clusterID, s.nextProducerID, s.registered = d.u(), d.string(), d.i(), d.bool()
	for range d.count(24) {
		v := &Session{ID: d.u()}
		var r RegisterSession
		r.decode(&d)
		v.Nonce, v.Node, v.Advertised, v.Gossip, v.Rack, v.StartedMs = r.Nonce, r.Node, r.Advertised, r.Gossip, r.Rack, r.StartedMs
		v.Covered, v.Sealed, v.Fence, v.Swept = d.u(), d.bool(), d.u(), d.bool()
		s.sessions.set(s.edit, v.ID, v)
	}
	for range d.count(21) {
		t := &Topic{owner: s.edit, ID: d.raw(), Name: d.string(), Replicas: int16(d.i()), Configs: d.configs(), Internal: d.bool()}
		t.Partitions = make([]*Partition, d.count(8))
		for i := range t.Partitions {
			p := &Partition{edit: s.edit, Epoch: int32(d.u()), Owner: d.u(), LogStart: d.i(), Next: d.i(), Extents: d.extents()}
			p.ID.Topic, p.ID.Index = t.ID, int32(i)
			for range d.count(8) {
				p.Index = append(p.Index, d.line())
			}
			for range d.count(2) {
				p.Epochs = append(p.Epochs, EpochStart{int32(d.u()), d.i()})
			}
			for _, x := range p.Extents {
				n, _ := s.refs.get(x.Object)
				s.refs.set(s.edit, x.Object, n+1)
				p.Bytes += x.Len
			}
			for _, l := range p.Index {
				p.Bytes += l.Bytes
			}
			t.Partitions[i] = p
			s.count(p.Owner, 1)
		}
		s.topics.set(s.edit, t.ID, t)
		s.names.set(s.edit, t.Name, t.ID)
	}
	for range d.count(2) {
		j := &Job{ID: d.u(), Session: d.u()}
		s.jobs.set(s.edit, j.ID, j)
	}
	for range d.count(4) {
		r := d.ref()
		s.garbage.set(s.edit, r, d.u())
	}
	for k, v := range d.configs() {
		s.brokerConfigs.set(s.edit, k, v)
	}
	if d.err == nil && len(d.b) > 0 {
		d.fail("bytes are left over")
	}
	if d.err != nil {
		return nil, fmt.Errorf("catalog snapshot: %w", d.err)
	}
	return s, nil
}

func brokerConfigKey(node int32, name string) string {
	if node < 0 {
		return "*\x00" + name
	}
	return fmt.Sprintf("%d\x00%s", node, name)
}

// Check verifies the invariants of doc.go and returns what it found broken, in
// a fixed order.
func (s *State) Check() []error {
	var bad []error
	report := func(format string, args ...any) { bad = append(bad, fmt.Errorf(format, args...)) }
	for _, v := range s.Sessions() {
		if v.Sealed && v.Covered != v.Fence {
			report("I5 session %d: covered %d, fence %d", v.ID, v.Covered, v.Fence)
		}
		if v.ID == 0 || v.ID > s.number {
			report("I7 session %d is of the future", v.ID)
		}
	}
	refs := map[ObjectRef]int32{}
	owners := map[uint64]int{}
	for _, t := range s.Topics() {
		if id, ok := s.names.get(t.Name); !ok || id != t.ID {
			report("topic %s: its name leads to %s", t.Name, id)
		}
		for i, p := range t.Partitions {
			if p.ID.Topic != t.ID || p.ID.Index != int32(i) {
				report("topic %s: partition %d calls itself %s", t.Name, i, p.ID)
			}
			for _, x := range p.Extents {
				refs[x.Object]++
			}
			owners[p.Owner]++
			for _, err := range p.check() {
				report("%s-%d: %w", t.Name, i, err)
			}
			if p.Owner != 0 {
				if _, ok := s.sessions.get(p.Owner); !ok {
					report("I4 %s-%d: owner %d is not registered", t.Name, i, p.Owner)
				}
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(owners)) {
		if owners[id] != s.OwnedCount(id) {
			report("I8 session %d owns %d partitions, %d counted", id, owners[id], s.OwnedCount(id))
		}
	}
	if len(owners) != s.owners.len() {
		report("I8 %d sessions own something, %d counted", len(owners), s.owners.len())
	}
	if s.names.len() != s.topics.len() {
		report("%d names for %d topics", s.names.len(), s.topics.len())
	}
	for _, r := range slices.SortedFunc(maps.Keys(refs), ObjectRef.Compare) {
		if int(refs[r]) != s.Refs(r) {
			report("I6 %s: %d extents, %d counted", r, refs[r], s.Refs(r))
		}
		if s.IsGarbage(r) {
			report("I6 %s is referred to and garbage", r)
		}
		if r.Kind == KindSeg && s.IsGarbage(Cancelled(r.A)) {
			report("I6 %s is referred to, and what its job put is garbage", r)
		}
	}
	if len(refs) != s.refs.len() {
		report("I6 %d objects referred to, %d counted", len(refs), s.refs.len())
	}
	for _, j := range s.Jobs() {
		if _, err := s.live(j.Session); err != nil {
			report("I7 job %d: session %d: %w", j.ID, j.Session, err)
		}
	}
	return bad
}

func (p *Partition) check() []error {
	var bad []error
	report := func(format string, args ...any) { bad = append(bad, fmt.Errorf(format, args...)) }
	at, bytes := p.First(), int64(0)
	if at > p.LogStart && p.Next > p.LogStart {
		report("I2 log start %d, but the first offset described is %d", p.LogStart, at)
	}
	for _, l := range p.Index {
		if l.Base != at || l.Next <= l.Base {
			report("I1 index line [%d, %d) behind %d", l.Base, l.Next, at)
		}
		at, bytes = l.Next, bytes+l.Bytes
	}
	for _, x := range p.Extents {
		if x.Base != at || x.Next <= x.Base {
			report("I1 extent [%d, %d) behind %d", x.Base, x.Next, at)
		}
		at, bytes = x.Next, bytes+x.Len
	}
	if at != p.Next {
		report("I1 extents end at %d, the log at %d", at, p.Next)
	}
	if bytes != p.Bytes {
		report("bytes: %d described, %d counted", bytes, p.Bytes)
	}
	if !slices.IsSortedFunc(p.Epochs, func(a, b EpochStart) int { return cmp.Compare(a.Epoch, b.Epoch) }) ||
		!slices.IsSortedFunc(p.Epochs, func(a, b EpochStart) int { return cmp.Compare(a.Start, b.Start) }) {
		report("I3 epochs are out of order: %v", p.Epochs)
	}
	if len(p.Epochs) == 0 || p.Epochs[len(p.Epochs)-1].Epoch != p.Epoch {
		report("I3 the last epoch of %v is not %d", p.Epochs, p.Epoch)
	}
	return bad
}
