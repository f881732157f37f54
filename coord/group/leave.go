package group

// Leave takes a LeaveGroup request: all members at once, then one rebalance
// (KIP-345: tools remove static members by their instance ids).
func (m *Machine) Leave(now, wall int64, r *LeaveRequest) LeaveResponse {
	if err := m.checkID(r.Group); err != nil {
		return LeaveResponse{Err: err}
	}
	out := LeaveResponse{Errs: make([]error, len(r.Members))}
	g := m.groups[r.Group]
	if g == nil {
		for i := range out.Errs {
			out.Errs[i] = ErrUnknownMember
		}
		return out
	}
	members, pending := len(g.members), len(g.pending)
	for i, l := range r.Members {
		out.Errs[i] = g.leave(m, l)
	}
	if len(g.members) < members || len(g.pending) < pending {
		g.removed(m, now, wall, len(g.members) < members)
	}
	m.settle(g)
	return out
}

func (g *group) leave(m *Machine, l LeaveMember) error {
	if l.ID == "" {
		if l.InstanceID == nil || g.static[*l.InstanceID] == nil {
			return ErrUnknownMember
		}
		g.remove(m, g.static[*l.InstanceID])
		return nil
	}
	if _, ok := g.pending[l.ID]; ok {
		delete(g.pending, l.ID)
		return nil
	}
	x, err := g.check(l.ID, l.InstanceID)
	if err != nil {
		return err
	}
	g.remove(m, x)
	return nil
}
