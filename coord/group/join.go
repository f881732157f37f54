package group

import (
	"bytes"
	"slices"
)

// Join takes a JoinGroup request (kafka.md 38 to 40).
//
// A dynamic member of v4 on comes twice, the second time with the id it was given
// (KIP-394); a static one gets its id at once and replaces whoever had its
// instance id (KIP-345). Unless nothing changes the group is rebalanced, and the
// answer waits for the others.
func (m *Machine) Join(now, wall int64, r *JoinRequest, token any) {
	refuse := func(id string, err error) {
		m.answer(token, JoinResponse{Err: err, Generation: -1, MemberID: id}, 0)
	}
	g := m.groups[r.Group]
	size := protocolBytes(r.Protocols)
	switch {
	case m.checkID(r.Group) != nil:
		refuse(r.MemberID, ErrInvalidGroupID)
		return
	case int64(r.SessionTimeoutMs) < m.cfg.MinSessionMs, int64(r.SessionTimeoutMs) > m.cfg.MaxSessionMs:
		refuse(r.MemberID, ErrInvalidSessionTimeout)
		return
	case size > m.cfg.MaxProtocolBytes:
		refuse(r.MemberID, ErrTooLarge)
		return
	case g == nil && r.MemberID != "":
		refuse(r.MemberID, ErrUnknownMember)
		return
	case g == nil && len(m.groups) >= m.cfg.MaxGroups:
		refuse(r.MemberID, ErrNotAvailable)
		return
	case g == nil:
		g = m.group(r.Group)
		g.since = wall
	}
	defer m.settle(g)
	if x := g.byID[r.MemberID]; m.held+size > m.cfg.MaxMemberBytes && (x == nil || size > x.size()) {
		refuse(r.MemberID, ErrNotAvailable)
		return
	}
	if !g.accepts(r.MemberID, m.cfg.MaxSize) {
		g.kick(m, now, wall, r.MemberID)
		refuse("", ErrGroupMaxSize)
		return
	}
	if !g.fits(r.ProtocolType, r.Protocols) {
		refuse(r.MemberID, ErrInconsistentProtocol)
		return
	}
	if r.MemberID == "" {
		g.joinNew(m, now, wall, r, token)
		return
	}
	if _, ok := g.pending[r.MemberID]; ok && r.InstanceID == nil {
		g.add(m, now, wall, r.MemberID, r, token)
		return
	}
	x, err := g.check(r.MemberID, r.InstanceID)
	if err != nil {
		refuse(r.MemberID, err)
		return
	}
	switch {
	case g.state == Completing && x.same(r.Protocols), g.state == Stable && x.same(r.Protocols) && x.id != g.leader:
		// It did not get the answer, or asks without need: nothing has changed. A
		// leader of a stable group asks with need, for its topics may have changed.
		m.answer(token, g.joined(x), 0)
	default:
		g.update(m, x, r, token)
		g.rebalance(m, now, wall)
	}
}

// accepts says whether there is room for a member (KIP-389). While the group
// gathers, room is counted by who has come: the last to come find none, whoever
// they were, when the limit was lowered.
func (g *group) accepts(id string, limit int) bool {
	x := g.byID[id]
	switch g.state {
	case Preparing:
		return x != nil && x.joining || g.waiting() < limit
	case Completing, Stable:
		return x != nil || len(g.members) < limit
	default:
		return true
	}
}

// kick removes a member for which there is no room.
func (g *group) kick(m *Machine, now, wall int64, id string) {
	delete(g.pending, id)
	if x := g.byID[id]; x != nil {
		g.remove(m, x)
	}
	g.finish(m, now, wall)
}

// fits says whether a member with these protocols fits the group (G2).
func (g *group) fits(kind string, ps []Protocol) bool {
	if g.state == Empty {
		return kind != "" && len(ps) > 0
	}
	return kind == g.protocolType && slices.ContainsFunc(ps, func(p Protocol) bool { return g.supported(p.Name) })
}

// supported says whether all members support a protocol.
func (g *group) supported(protocol string) bool {
	for _, x := range g.members {
		if !x.supports(protocol) {
			return false
		}
	}
	return true
}

// joinNew is a join without a member id.
func (g *group) joinNew(m *Machine, now, wall int64, r *JoinRequest, token any) {
	switch {
	case r.InstanceID != nil && g.static[*r.InstanceID] != nil:
		g.replace(m, now, wall, g.static[*r.InstanceID], r, token)
	case r.InstanceID != nil:
		g.add(m, now, wall, m.newID(*r.InstanceID), r, token)
	case r.NeedMemberID && len(g.pending) >= m.cfg.MaxSize:
		m.answer(token, JoinResponse{Err: ErrGroupMaxSize, Generation: -1}, 0)
	case r.NeedMemberID:
		id := m.newID(r.ClientID)
		g.pending[id] = now + int64(r.SessionTimeoutMs)
		m.answer(token, JoinResponse{Err: ErrMemberIDRequired, Generation: -1, MemberID: id}, 0)
	default:
		g.add(m, now, wall, m.newID(r.ClientID), r, token)
	}
}

// add adds a new member and rebalances.
func (g *group) add(m *Machine, now, wall int64, id string, r *JoinRequest, token any) {
	x := &member{id: id, instance: r.InstanceID, isNew: true}
	if len(g.members) == 0 {
		g.protocolType = r.ProtocolType
	}
	g.grew = true
	g.insert(x)
	g.update(m, x, r, token)
	x.clientID, x.host = r.ClientID, r.Host
	x.expires = now + newMemberJoinMs
	g.rebalance(m, now, wall)
}

// update takes over what a join says of the member, and parks it.
func (g *group) update(m *Machine, x *member, r *JoinRequest, token any) {
	if x.joining { // an earlier request of the same member, which its client has given up
		m.answer(x.join, JoinResponse{Err: ErrRebalanceInProgress, Generation: -1, MemberID: x.id}, 0)
	}
	m.held -= x.size()
	x.protocols = make([]Protocol, len(r.Protocols))
	for i, p := range r.Protocols {
		x.protocols[i] = Protocol{p.Name, bytes.Clone(p.Metadata)}
	}
	m.held += x.size()
	x.session, x.rebalance = int64(r.SessionTimeoutMs), max(int64(r.RebalanceTimeoutMs), 0)
	x.join, x.joining = token, true
}

// replace puts a new process in the place of a static member (KIP-345). In a
// stable group whose protocol and topics stay it keeps the assignment, and nobody
// else notices; the record of the group says who it is now. The rest of its
// metadata does not count: a sticky assignor's is what the old process owned.
// While the leader assigns, the assignment would go to the old id: so the group
// starts over.
func (g *group) replace(m *Machine, now, wall int64, x *member, r *JoinRequest, token any) {
	old := x.id
	if x.joining {
		m.answer(x.join, JoinResponse{Err: ErrFencedInstance, Generation: -1, MemberID: old}, 0)
		x.join, x.joining = nil, false
	}
	if x.syncing {
		m.answer(x.sync, SyncResponse{Err: ErrFencedInstance}, 0)
		x.sync, x.syncing = nil, false
	}
	delete(g.byID, old)
	x.id = m.newID(*r.InstanceID)
	g.byID[x.id] = x
	leads := g.leader == old
	if leads {
		g.leader = x.id
	}
	before := x.protocols
	g.update(m, x, r, token)
	x.clientID, x.host = r.ClientID, r.Host
	x.isNew = false
	x.alive(now)
	switch {
	case g.state == Preparing:
		g.finish(m, now, wall)
	case g.state == Completing, g.vote() != g.protocol, g.resubscribes(x, before), !g.save(m):
		g.prepare(m, now, wall)
	default:
		x.join, x.joining = nil, false
		g.subscribe()
		j := g.joined(x)
		if leads && r.CanSkip {
			j.SkipAssignment = true
		} else if leads {
			// Before KIP-814 a leader that is told so would assign anew: it is told that
			// its former self leads.
			j.Leader, j.Members = old, nil
		}
		m.answer(token, j, g.written)
	}
}

// joined is what a member is told of the current generation.
func (g *group) joined(x *member) JoinResponse {
	r := JoinResponse{Generation: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol, Leader: g.leader, MemberID: x.id}
	if x.id == g.leader {
		for _, y := range g.members {
			r.Members = append(r.Members, JoinMember{y.id, y.instance, y.metadata(g.protocol)})
		}
	}
	return r
}
