package group

import "math"

// rebalance begins a rebalance, or goes on with the one that there is.
func (g *group) rebalance(m *Machine, now, wall int64) {
	if g.state == Preparing {
		g.finish(m, now, wall)
	} else {
		g.prepare(m, now, wall)
	}
}

// prepare begins a rebalance: everybody is to join again. A group that was empty
// waits a while for more members, so that they need not rebalance one by one
// (KIP-134), and not at all for ids that nobody has joined with.
func (g *group) prepare(m *Machine, now, wall int64) {
	if g.state == Completing {
		g.unassign(m, now, ErrRebalanceInProgress)
	}
	g.syncBy = 0
	empty := g.state == Empty
	g.initial = empty && m.cfg.InitialDelayMs > 0
	g.enter(Preparing, wall)
	switch {
	case g.initial:
		g.grew = false
		g.step, g.left = m.cfg.InitialDelayMs, max(g.patience()-m.cfg.InitialDelayMs, 0)
		g.joinBy = now + g.step
	case empty, g.all():
		g.complete(m, now, wall)
	default:
		g.joinBy = now + g.patience()
	}
}

// unassign takes back what the leader may have assigned, and tells those who wait
// for it.
func (g *group) unassign(m *Machine, now int64, err error) {
	for _, x := range g.members {
		g.assign(m, x, nil)
		if x.syncing {
			m.answer(x.sync, SyncResponse{Err: err}, 0)
			x.sync, x.syncing = nil, false
			x.alive(now)
		}
	}
}

func (g *group) assign(m *Machine, x *member, assignment []byte) {
	m.held += len(assignment) - len(x.assignment)
	x.assignment = assignment
}

// finish ends Preparing when everybody has joined, but not the initial delay.
func (g *group) finish(m *Machine, now, wall int64) {
	if !g.initial {
		g.finishAnyway(m, now, wall)
	}
}

// finishAnyway ends Preparing when those who are left have joined, also the initial delay:
// a group that everybody has left again is empty at once.
func (g *group) finishAnyway(m *Machine, now, wall int64) {
	if g.state == Preparing && g.all() {
		g.complete(m, now, wall)
	}
}

// timeUp ends Preparing, or extends the initial delay because somebody new came:
// as a whole it lasts at most as long as members are patient.
func (g *group) timeUp(m *Machine, now, wall int64) {
	if g.initial && g.grew && g.left > 0 {
		g.grew = false
		step := min(m.cfg.InitialDelayMs, g.left)
		g.left = max(g.left-g.step, 0)
		g.step, g.joinBy = max(step, 1), now+max(step, 1)
		return
	}
	g.complete(m, now, wall)
}

// complete begins the next generation with those who have joined. Dynamic members
// who have not are out; static ones stay until their session ends (KIP-345), and
// when only such are there the group goes on waiting.
func (g *group) complete(m *Machine, now, wall int64) {
	g.joinBy, g.initial = 0, false
	for _, x := range append([]*member(nil), g.members...) {
		if !x.joining && x.instance == nil {
			g.delete(m, x)
		}
	}
	if len(g.members) > 0 && !g.elect() {
		g.joinBy = now + max(g.patience(), 1000)
		return
	}
	g.generation = g.generation%math.MaxInt32 + 1
	if len(g.members) == 0 {
		g.protocol = ""
		g.subscribe()
		g.enter(Empty, wall)
		g.save(m)
		return
	}
	g.protocol = g.vote()
	g.subscribe()
	g.enter(Completing, wall)
	for _, x := range g.members {
		if x.joining {
			m.answer(x.join, g.joined(x), 0)
			x.join, x.joining = nil, false
		}
		x.isNew, x.synced = false, false
		x.alive(now)
	}
	g.syncBy = now + max(g.patience(), 1)
}

// elect sees to it that the leader is one who has joined; false when nobody has.
func (g *group) elect() bool {
	if x := g.byID[g.leader]; x != nil && x.joining {
		return true
	}
	for _, x := range g.members {
		if x.joining {
			g.leader = x.id
			return true
		}
	}
	return false
}

// vote chooses the protocol that most members like best among those that all
// support (G2); among equals the one that the oldest member prefers.
func (g *group) vote() string {
	var candidates []string
	for _, p := range g.members[0].protocols {
		if g.supported(p.Name) {
			candidates = append(candidates, p.Name)
		}
	}
	votes := map[string]int{}
	for _, c := range candidates {
		votes[c] = 0
	}
	for _, x := range g.members {
		for _, p := range x.protocols {
			if _, ok := votes[p.Name]; ok {
				votes[p.Name]++
				break
			}
		}
	}
	best := ""
	for i, c := range candidates {
		if i == 0 || votes[c] > votes[best] {
			best = c
		}
	}
	return best
}

// remove takes a member out and answers what it waits for: a client that is still
// there joins anew.
func (g *group) remove(m *Machine, x *member) {
	if x.joining {
		m.answer(x.join, JoinResponse{Err: ErrUnknownMember, Generation: -1}, 0)
	}
	if x.syncing {
		m.answer(x.sync, SyncResponse{Err: ErrUnknownMember}, 0)
	}
	x.join, x.sync, x.joining, x.syncing = nil, nil, false, false
	g.delete(m, x)
}

// removed goes on after members were taken out, or ids that nobody has joined with.
func (g *group) removed(m *Machine, now, wall int64, members bool) {
	if members && (g.state == Stable || g.state == Completing) {
		g.prepare(m, now, wall)
	} else {
		g.finishAnyway(m, now, wall)
	}
}
