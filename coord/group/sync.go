package group

import "bytes"

// Sync takes a SyncGroup request. The leader's brings the assignments of all,
// which are written; then, and when that is durable, everybody gets theirs.
func (m *Machine) Sync(now, wall int64, r *SyncRequest, token any) {
	refuse := func(err error) { m.answer(token, SyncResponse{Err: err}, 0) }
	g := m.groups[r.Group]
	switch {
	case m.checkID(r.Group) != nil:
		refuse(ErrInvalidGroupID)
		return
	case r.NeedProtocol && (r.ProtocolType == nil || r.Protocol == nil):
		refuse(ErrInconsistentProtocol)
		return
	case g == nil || g.state == Empty:
		refuse(ErrUnknownMember)
		return
	}
	x, err := g.check(r.MemberID, r.InstanceID)
	switch {
	case err != nil:
		refuse(err)
	case r.Generation != g.generation:
		refuse(ErrIllegalGeneration)
	case r.ProtocolType != nil && *r.ProtocolType != g.protocolType, r.Protocol != nil && *r.Protocol != g.protocol:
		refuse(ErrInconsistentProtocol)
	case g.state == Preparing:
		refuse(ErrRebalanceInProgress)
	case g.state == Stable:
		g.hasSynced(x)
		m.answer(token, g.assigned(x), g.written)
	default:
		if x.syncing { // an earlier request of the same member, which its client has given up
			m.answer(x.sync, SyncResponse{Err: ErrRebalanceInProgress}, 0)
		}
		x.sync, x.syncing = token, true
		g.hasSynced(x)
		if x.id == g.leader {
			g.stabilize(m, now, wall, r.Assignments)
		}
	}
	m.settle(g)
}

// hasSynced notes that the member has asked for its assignment; when all have,
// nobody watches the time any more.
func (g *group) hasSynced(x *member) {
	x.synced = true
	for _, y := range g.members {
		if !y.synced {
			return
		}
	}
	g.syncBy = 0
}

// stabilize takes the leader's assignments. Members that it has left out get an
// empty one.
func (g *group) stabilize(m *Machine, now, wall int64, assignments []Assignment) {
	for _, x := range g.members {
		g.assign(m, x, []byte{})
	}
	for _, a := range assignments {
		if x := g.byID[a.Member]; x != nil && len(a.Data) > 0 {
			g.assign(m, x, bytes.Clone(a.Data))
		}
	}
	err := error(nil)
	switch {
	case m.held > m.cfg.MaxMemberBytes:
		err = ErrNotAvailable // other groups have it, and may give it back
	case !g.save(m):
		err = ErrTooLarge
	}
	if err != nil {
		g.unassign(m, now, err)
		g.prepare(m, now, wall)
		return
	}
	g.enter(Stable, wall)
	for _, x := range g.members {
		if x.syncing {
			m.answer(x.sync, g.assigned(x), g.written)
			x.sync, x.syncing = nil, false
			x.alive(now)
		}
	}
}

func (g *group) assigned(x *member) SyncResponse {
	a := x.assignment
	if a == nil {
		a = []byte{}
	}
	return SyncResponse{ProtocolType: g.protocolType, Protocol: g.protocol, Assignment: a}
}
