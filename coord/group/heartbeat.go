package group

// Heartbeat takes a Heartbeat request. What it answers tells nothing that is
// written, so it need not wait for anything.
func (m *Machine) Heartbeat(now int64, r *HeartbeatRequest) error {
	if err := m.checkID(r.Group); err != nil {
		return err
	}
	g := m.groups[r.Group]
	if g == nil {
		return ErrUnknownMember
	}
	x, err := g.check(r.MemberID, r.InstanceID)
	if err != nil {
		return err
	}
	if r.Generation != g.generation {
		return ErrIllegalGeneration
	}
	x.alive(now)
	m.settle(g)
	if g.state == Preparing {
		return ErrRebalanceInProgress
	}
	return nil
}
