package group

// Tick does what is due and returns when to call it next; -1 when nothing waits.
func (m *Machine) Tick(now, wall int64) int64 {
	for d := m.due.first(); d != nil && d.at <= now; d = m.due.first() {
		g := d.g
		g.pass(m, now, wall)
		m.settle(g)
	}
	if now >= m.check {
		m.check = now + m.cfg.CheckMs
		m.expireOffsets(wall)
	}
	next := m.check
	if d := m.due.first(); d != nil {
		next = min(next, d.at)
	}
	return next
}

// settle ends what a request or the time has done to a group: a group without
// anything is forgotten, any other waits for what comes next.
func (m *Machine) settle(g *group) {
	if m.groups[g.id] != g {
		return
	}
	m.dropVoid(g)
	if m.groups[g.id] == g {
		m.due.set(&g.due, g.next())
	}
}

// pass does what is due in a group: members that were silent for too long, ids
// that nobody joined with, joins and syncs that nobody waits for any longer.
func (g *group) pass(m *Machine, now, wall int64) {
	silent, unused := false, false
	for _, x := range append([]*member(nil), g.members...) {
		if !x.parked() && now >= x.expires {
			g.remove(m, x)
			silent = true
		}
	}
	for id, t := range g.pending {
		if now >= t {
			delete(g.pending, id)
			unused = true
		}
	}
	if silent || unused {
		g.removed(m, now, wall, silent)
	}
	if g.joinBy > 0 && now >= g.joinBy {
		g.timeUp(m, now, wall)
	}
	if g.syncBy > 0 && now >= g.syncBy {
		for _, x := range append([]*member(nil), g.members...) {
			if !x.synced {
				g.remove(m, x)
			}
		}
		g.syncBy = 0
		g.prepare(m, now, wall)
	}
}
